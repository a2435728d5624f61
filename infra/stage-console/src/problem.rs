//! What went wrong, as the page shows it.

use std::fmt;

use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use http::StatusCode;

/// An error: what failed, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

pub(crate) type Result<T> = std::result::Result<T, Problem>;

impl From<local::Error> for Problem {
    fn from(error: local::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl Problem {
    /// What a person has to change.
    pub(crate) fn mistake(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// There is no such thing.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The stage has not done it.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, message)
    }

    /// A service has refused it: `could not WHAT: its own message (its code)`.
    pub(crate) fn of_aws<E>(what: &str, error: &E) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error,
    {
        let why = match (error.message(), error.code()) {
            (Some(message), Some(code)) if !message.is_empty() => format!("{message} ({code})"),
            (_, Some(code)) => code.to_owned(),
            _ => DisplayErrorContext(error).to_string(),
        };
        Self::failed(format!("could not {what}: {why}"))
    }

    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl From<deploy::Error> for Problem {
    fn from(error: deploy::Error) -> Self {
        Self::failed(error.to_string())
    }
}
