//! The part of AWS that a function's sample event needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use serde_json::Value;

use super::server::serve;
use crate::error::{AboutFile, CliError, Result};
use crate::workspace::Workspace;

/// What AWS answers while a function handles its sample event: operation → answer. An operation
/// without an answer is answered by an empty object, as one that finds nothing.
#[derive(Debug)]
pub(super) struct Answers(BTreeMap<String, Bytes>);

impl Answers {
    /// Those of `assets/answers/<function>.json`. A function without that file needs none.
    pub(super) fn of(workspace: &Workspace, function: &str) -> Result<Self> {
        let file = workspace.root().join(Self::file(function));
        if !file.exists() {
            return Ok(Self(BTreeMap::new()));
        }
        let text = std::fs::read(&file).about("read", &file)?;
        let answers: BTreeMap<String, Value> = serde_json::from_slice(&text).map_err(|error| {
            CliError::new(format!("could not read {}: {error}", file.display())).hint(
                "write a JSON object with an answer for each operation, like {\"Scan\": {\"Items\": []}}",
            )
        })?;
        let bytes = |(operation, answer): (String, Value)| (operation, answer.to_string().into());
        Ok(Self(answers.into_iter().map(bytes).collect()))
    }

    /// The file of a function's answers, in the app's folder.
    pub(super) fn file(function: &str) -> String {
        format!("assets/answers/{function}.json")
    }

    /// Answers on a port of this machine until the process ends.
    pub(super) async fn serve(self) -> Result<u16> {
        let answers = Arc::new(self.0);
        serve(move |request: Request<Incoming>| {
            let answers = Arc::clone(&answers);
            async move {
                // Services with JSON protocols name the operation: `DynamoDB_20120810.Scan`.
                let target = request.headers().get("x-amz-target");
                let target = target.and_then(|value| value.to_str().ok());
                let operation = target.and_then(|target| target.rsplit('.').next());
                let answer = operation.and_then(|operation| answers.get(operation));
                let body = answer.cloned().unwrap_or_else(|| Bytes::from_static(b"{}"));
                let _ = request.into_body().collect().await;
                let mut response = Response::new(Full::new(body));
                let json = HeaderValue::from_static("application/x-amz-json-1.0");
                response.headers_mut().insert(CONTENT_TYPE, json);
                response
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn answers_are_of_the_app() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = testing::workspace_in(folder.path());
        let read = || Answers::of(&workspace, "take-order");
        assert!(read().unwrap().0.is_empty());

        let file = folder.path().join(Answers::file("take-order"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, r#"{"Scan": {"Items": []}}"#).unwrap();
        assert_eq!(read().unwrap().0["Scan"], r#"{"Items":[]}"#);

        std::fs::write(&file, "[]").unwrap();
        let error = format!("{:?}", read().unwrap_err());
        assert!(error.contains("take-order.json"), "{error}");
    }
}
