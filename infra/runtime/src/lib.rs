//! What every function needs that handles events on AWS Lambda, besides its own work.
//!
//! - here: [`run`] and [`serve`], what `main` consists of;
//! - [`environment`]: the variables that Lambda and the stack set;
//! - [`aws`]: the configuration of the AWS clients, and their connections;
//! - what comes in: [`s3`] (event notifications), [`sns`] (messages of a topic), [`sqs`] (batches
//!   of messages of a queue), [`stream`] (batches of a DynamoDB stream), [`http`] (requests of an
//!   HTTP API), [`schedule`] (the times of EventBridge Scheduler), [`eventbridge`] (events of an
//!   event bus). [`records`] is what events of
//!   several records have in common, [`form`] decodes what is form-urlencoded;
//! - [`counting`]: counts that follow a table by its stream; [`in_step`]: what is derived from
//!   something, whatever the order of events;
//! - what goes out: [`sqs`], and [`dynamodb`] and [`s3`] as far as who derives data from events needs
//!   them; [`service_error`], one line for a call that failed;
//! - [`uri`], what is percent-encoded in URIs;
//! - what an operator stores: `parameters` and `secrets`, behind the features of these names;
//! - `testing`, behind the feature of that name: an AWS that answers from a script, and random
//!   orders of events.
//!
//! A function is a library with a handler, and a `main` that builds clients and serves:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use runtime::aws::{Aws, Service};
//! use runtime::environment::Environment;
//! use runtime::stream::{RecordError, StreamEvent, StreamRecord};
//!
//! fn main() -> ExitCode {
//!     runtime::run(&[env!("CARGO_CRATE_NAME")], start())
//! }
//!
//! async fn start() -> Result<(), lambda_runtime::Error> {
//!     let environment = Environment::of_process();
//!     let aws = Aws::new(&environment)?;
//!     let reports = environment.require("REPORTS_TABLE_NAME")?;
//!     let client = runtime::dynamodb::client(&aws);
//!     aws.open_connections(&[Service::DYNAMODB]).await;
//!     let report = async |order: &StreamRecord| {
//!         println!("{:?} in {reports} by {client:?}", order.event());
//!         Ok::<_, RecordError>(())
//!     };
//!     runtime::serve(async |event: StreamEvent| event.handle_in_order(report).await).await
//! }
//! ```
//!
//! Only the code that a function uses is linked into it. So `cargo xtask grants` finds in its
//! executable the operations that it can call, and no others.

pub mod aws;
pub mod counting;
pub mod dynamodb;
pub mod environment;
pub mod eventbridge;
pub mod form;
pub mod http;
pub mod in_step;
#[cfg(feature = "parameters")]
pub mod parameters;
pub mod records;
mod requests;
pub mod s3;
pub mod schedule;
#[cfg(feature = "secrets")]
pub mod secrets;
pub mod service_error;
pub mod sns;
pub mod sqs;
#[cfg(any(feature = "parameters", feature = "secrets"))]
pub mod stored_value;
pub mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time;
pub mod uri;

#[cfg(feature = "dylib")]
use runtime_dylib as _;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Builder;
use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use aws::{Aws, Service};
pub use environment::{Environment, MissingVariable};

use crate::service_error::chain;

/// Runs a function on tokio until Lambda ends it: `main` in all but name. An error
/// is one of starting, and is logged like any other. `crates` are those whose lines the
/// log level is for: the function's, and the library's that holds its rules.
pub fn run<F>(crates: &[&str], function: F) -> ExitCode
where
    F: Future<Output = Result<(), lambda_runtime::Error>>,
{
    run_boxed(crates, Box::pin(function))
}

/// The same code for all functions, so that it is compiled with this crate and not with each of
/// them.
fn run_boxed(crates: &[&str], function: Boxed<'_, Result<(), lambda_runtime::Error>>) -> ExitCode {
    log_json(
        crates,
        Environment::of_process().get("AWS_LAMBDA_LOG_LEVEL"),
    );
    // A function has one invocation at a time, and a part of a processor.
    let ended = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(lambda_runtime::Error::from)
        .and_then(|tokio| tokio.block_on(function));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(
                error = chain(error.as_ref()),
                "the function could not start"
            );
            ExitCode::FAILURE
        }
    }
}

/// Hands the payload of each event to `handle`, and its answer back to Lambda, until
/// Lambda ends the process. A payload that `handle` does not take fails the invocation.
pub async fn serve<P, R, E>(
    handle: impl AsyncFn(P) -> Result<R, E>,
) -> Result<(), lambda_runtime::Error>
where
    P: DeserializeOwned,
    R: Serialize,
    E: Into<Diagnostic>,
{
    let handle = &handle;
    answer_invocations(&move |payload| {
        Box::pin(async move {
            let answer = handle(read_payload(payload)?).await;
            answer
                .map(|answer| Box::new(answer) as Answer<'_>)
                .map_err(Into::into)
        })
    })
    .await
}

pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

type Answer<'a> = Box<dyn erased_serde::Serialize + 'a>;

/// `handle` of [`serve`], for every payload and answer.
type Handler<'a> = dyn Fn(Value) -> Boxed<'a, Result<Answer<'a>, Diagnostic>> + 'a;

/// Compiled once, as [`run_boxed`] is. An `async fn` would be compiled where it is awaited.
fn answer_invocations<'a>(handle: &'a Handler<'a>) -> Boxed<'a, Result<(), lambda_runtime::Error>> {
    let service = service_fn(|event: LambdaEvent<Value>| handle(event.payload));
    Box::pin(lambda_runtime::run(service))
}

/// What a function was invoked with, as what its handler takes. Otherwise the caller learns
/// where the payload is wrong, and not what is there: it may be personal data, and a caller
/// has it.
fn read_payload<P: DeserializeOwned>(payload: Value) -> Result<P, Diagnostic> {
    let invalid = |error_message| Diagnostic {
        error_type: "InvalidEventError".into(),
        error_message,
    };
    let kind = match &payload {
        Value::Object(_) => None,
        Value::Null => Some("null"),
        Value::Bool(_) => Some("a boolean"),
        Value::Number(_) => Some("a number"),
        Value::String(_) => Some("a string"),
        // Its values would be taken for an object's, in the order of its fields.
        Value::Array(_) => Some("an array"),
    };
    if let Some(kind) = kind {
        return Err(invalid(format!(
            "the payload is {kind}, not a JSON object: send an event of the kind that this function handles"
        )));
    }
    serde_path_to_error::deserialize(payload).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => "its top level".to_owned(),
            path => format!("{path:?}"),
        };
        invalid(format!(
            "the payload is not an event of the kind that this function handles: it cannot be read at {path}"
        ))
    })
}

/// One JSON object per line on standard output. Lines of a request carry its id in
/// `span.requestId`, by the span that the Lambda runtime opens for each.
///
/// `level` is Lambda's setting for application logs; without it, `INFO`. It is for our
/// own crates. Others tell only of trouble: further down they write whole events,
/// and signed requests with the session's token.
fn log_json(crates: &[&str], level: Option<&str>) {
    let level = match level {
        Some("FATAL") => LevelFilter::ERROR,
        level => level
            .and_then(|level| level.parse().ok())
            .unwrap_or(LevelFilter::INFO),
    };
    let ours = crates.iter().copied().chain([env!("CARGO_CRATE_NAME")]);
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("lambda_runtime::layers::trace", LevelFilter::INFO)
        .with_targets(ours.map(|name| (name, level)));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    tracing_subscriber::registry()
        .with(targets)
        .with(lines)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Event {
        records: Vec<Record>,
        #[serde(default)]
        note: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Record {
        key: String,
    }

    #[test]
    fn an_event_is_read() {
        let event = json!({"records": [{"key": "a"}], "other": 7});
        let record = Record { key: "a".into() };
        let expected = Event {
            records: vec![record],
            note: None,
        };
        assert_eq!(read_payload::<Event>(event).unwrap(), expected);
    }

    #[test]
    fn only_an_object_is_an_event() {
        for (payload, kind) in [
            (json!([[{"key": "a"}], null]), "an array"),
            (json!([]), "an array"),
            (json!(null), "null"),
            (json!("a"), "a string"),
            (json!(7), "a number"),
            (json!(true), "a boolean"),
        ] {
            let error = read_payload::<Event>(payload).unwrap_err();
            assert_eq!(error.error_type, "InvalidEventError");
            assert!(
                error
                    .error_message
                    .starts_with(&format!("the payload is {kind}, not a JSON object")),
                "{}",
                error.error_message
            );
        }
    }

    #[test]
    fn an_error_tells_where_and_not_what() {
        for (payload, place) in [
            (
                json!({"records": [{"key": "a"}, {"key": ["john"]}]}),
                "\"records[1].key\"",
            ),
            (json!({"records": "john"}), "\"records\""),
            (json!({"note": "john"}), "its top level"),
        ] {
            let message = read_payload::<Event>(payload).unwrap_err().error_message;
            assert!(
                message.ends_with(&format!("cannot be read at {place}")),
                "{message}"
            );
            assert!(
                !message.contains("john") && !message.contains('\n'),
                "{message}"
            );
        }
    }
}
