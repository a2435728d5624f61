//! An AWS that answers from a script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use crate::aws::Aws;
use crate::environment::Environment;

/// The other end of the SDK's connection: answers requests from a script, and
/// keeps them. The SDK's own test client would do, but its feature brings two dozen
/// crates, and compiles half of the tree a second time.
///
/// ```
/// use runtime::testing::Wire;
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let wire = Wire::new([(200, json!({"Item": {"id": {"S": "order-1"}}}))]);
/// let client = runtime::dynamodb::client(&wire.aws());
/// let output = client.get_item().table_name("orders").send().await.unwrap();
/// assert!(output.item.is_some());
/// let (operation, body) = &wire.requests()[0];
/// assert_eq!(operation, "DynamoDB_20120810.GetItem");
/// assert_eq!(body["TableName"], "orders");
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Wire(Arc<Mutex<Script>>);

#[derive(Debug)]
struct Script {
    answers: VecDeque<(u16, Value)>,
    requests: Vec<(String, Value)>,
    headers: Vec<Headers>,
}

impl Wire {
    /// Answers the first request with the first status and body, and so on. A body that is
    /// a JSON string is sent without quotes: S3 answers in XML. A request beyond the
    /// script meets a closed connection.
    pub fn new(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let answers = answers.into_iter().collect();
        Self(Arc::new(Mutex::new(Script {
            answers,
            requests: Vec::new(),
            headers: Vec::new(),
        })))
    }

    /// An AWS at the end of this wire.
    pub fn aws(&self) -> Aws {
        aws_at(SharedHttpConnector::new(self.clone()))
    }

    /// The requests so far: operation and body. The operation is named as in
    /// `DynamoDB_20120810.GetItem`, or with S3, which has no such names, by method and
    /// URL. A body that is not JSON is a JSON string.
    pub fn requests(&self) -> Vec<(String, Value)> {
        self.0.lock().unwrap().requests.clone()
    }

    /// A header of one of the requests so far.
    pub fn header(&self, request: usize, name: &str) -> Option<String> {
        let script = self.0.lock().unwrap();
        script.headers[request].get(name).map(String::from)
    }
}

/// An AWS at the end of this connector.
pub(super) fn aws_at(connector: SharedHttpConnector) -> Aws {
    let environment = Environment::from_iter(BTreeMap::from([
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]));
    Aws::with_connector(&environment, connector).unwrap()
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").map_or_else(
            || format!("{} {}", request.method(), request.uri()),
            String::from,
        );
        let body = request.body().bytes().unwrap();
        let body =
            serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into());
        let mut script = self.0.lock().unwrap();
        script.requests.push((operation, body));
        script.headers.push(request.headers().clone());
        let response = script.answers.pop_front().map(|(status, body)| {
            let body = match body {
                Value::String(text) => text,
                json => json.to_string(),
            };
            HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
        });
        HttpConnectorFuture::ready(
            response.ok_or_else(|| ConnectorError::user("the script is at its end".into())),
        )
    }
}
