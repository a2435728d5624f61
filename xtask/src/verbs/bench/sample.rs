//! What a function is measured with.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use hyper::body::Bytes;

use super::FLOOR;
use super::answers::Answers;
use super::variables::Template;
use crate::error::{AboutFile, CliError, Result};
use crate::workspace::Workspace;

/// A function's sample event, and its surroundings.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) event: Bytes,
    pub(super) variables: BTreeMap<String, String>,
    /// Where AWS answers.
    pub(super) aws_port: u16,
    /// Which file tells what it answers, in the app's folder.
    pub(super) answers_file: String,
}

impl Sample {
    /// The function that the floor is measured with: it answers any event and calls no service.
    pub(super) fn of_floor() -> Self {
        Self {
            event: Bytes::from_static(b"{}"),
            variables: BTreeMap::new(),
            aws_port: 0,
            answers_file: Answers::file(FLOOR),
        }
    }

    /// Reads the files of the function, and starts what answers its calls.
    pub(super) async fn of(
        workspace: &Workspace,
        template: &Template,
        function: &str,
    ) -> Result<Self> {
        Ok(Self {
            event: event(workspace, function)?,
            variables: template.variables(function),
            aws_port: Answers::of(workspace, function)?.serve().await?,
            answers_file: Answers::file(function),
        })
    }
}

/// The event of `assets/events/<function>.json`.
fn event(workspace: &Workspace, function: &str) -> Result<Bytes> {
    let name = format!("assets/events/{function}.json");
    let file = workspace.root().join(&name);
    match std::fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(CliError::new(format!(
            "could not measure {function}: it has no sample event"
        ))
        .hint(format!(
            "add {name}: an event as Lambda hands it to the function"
        ))),
        event => Ok(event.about("read", &file)?.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_missing_event_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = testing::workspace_in(folder.path());
        let error = format!("{:?}", event(&workspace, "take-order").unwrap_err());
        assert!(
            error.contains("add assets/events/take-order.json"),
            "{error}"
        );
    }
}
