//! Answers callers that invoke it by name.

use std::process::ExitCode;

use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], runtime::serve(handle))
}

/// What the function is invoked with.
#[derive(Debug, Deserialize)]
struct Request {
    name: String,
}

/// What it answers.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Answer {
    greeting: String,
}

/// Handles one invocation.
async fn handle(Request { name }: Request) -> Result<Answer, Diagnostic> {
    if name.is_empty() {
        return Err(Diagnostic {
            error_type: "InvalidRequestError".into(),
            error_message: "the name is empty: send {\"name\": \"<name>\"}".into(),
        });
    }
    Ok(Answer {
        greeting: format!("Hello, {name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = include_str!("../../../assets/events/new-function.json");

    #[tokio::test]
    async fn the_sample_event_is_answered() {
        let answer = handle(serde_json::from_str(EVENT).unwrap()).await.unwrap();
        assert_eq!(answer.greeting, "Hello, Ada");
    }

    #[tokio::test]
    async fn an_empty_name_is_refused() {
        let request = Request { name: String::new() };
        let refused = handle(request).await.unwrap_err();
        assert_eq!(refused.error_type, "InvalidRequestError");
    }
}
