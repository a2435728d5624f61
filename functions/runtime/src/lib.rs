//! What every function does besides its own work.
//!
//! - here: [`run`] and [`serve`], what `main` consists of;
//! - [`environment`]: the variables that Lambda and the stack set;
//! - [`aws`]: the configuration of the AWS clients, and their connections;
//! - [`http`]: the answers of an HTTP API;
//! - [`service_error`]: one line for an error.

pub mod aws;
pub mod environment;
pub mod http;
pub mod service_error;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::future::Future;
use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use aws::{Aws, Service};
pub use environment::{Environment, MissingVariable};

use crate::service_error::chain;

/// Runs a function until Lambda ends it: `main` in all but name. An error
/// is one of starting, and is logged like any other. `crates` are those whose lines the
/// log level is for: the function's, and the library's that holds its rules.
pub async fn run<F>(crates: &[&str], function: F) -> ExitCode
where
    F: Future<Output = Result<(), lambda_runtime::Error>>,
{
    log_json(
        crates,
        Environment::of_process().get("AWS_LAMBDA_LOG_LEVEL"),
    );
    match function.await {
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
/// Lambda ends the process.
pub async fn serve<P, R, E>(
    handle: impl AsyncFn(P) -> Result<R, E>,
) -> Result<(), lambda_runtime::Error>
where
    P: DeserializeOwned,
    R: Serialize,
    E: Into<Diagnostic>,
{
    let handle = &handle;
    // Boxed, because the SDK's futures nest deeper than the compiler looks.
    let service = service_fn(|event: LambdaEvent<P>| {
        Box::pin(async move { handle(event.payload).await.map_err(Into::into) })
    });
    lambda_runtime::run::<_, _, _, R, _, _, _>(service).await
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
