//! Events that hold several records, such as those of S3 and SNS.
//!
//! Each record is handled by itself: one that fails does not keep the others from being
//! handled, and afterwards the whole event fails, so that Lambda delivers it again. Those that
//! were handled the first time come again, too, so a handler must take an event that comes twice.
//!
//! ```
//! use runtime::records::RecordFailure;
//!
//! #[derive(Debug, thiserror::Error)]
//! enum ReportError {
//!     #[error("could not store the report: {0}")]
//!     Store(String),
//!     #[error("too many reports at a time")]
//!     Throttled,
//! }
//!
//! // An alarm and a redrive of the failure queue tell invocations apart by this name.
//! impl RecordFailure for ReportError {
//!     fn error_type(&self) -> Option<&str> {
//!         matches!(self, Self::Throttled).then_some("ThrottlingException")
//!     }
//! }
//! ```

use std::fmt;

use lambda_runtime::Diagnostic;
use tracing::error;

/// Why a handler could not handle a record.
pub trait RecordFailure: fmt::Display {
    /// What the failure of the invocation is called, if it has a name that operators know, such
    /// as `ThrottlingException`.
    fn error_type(&self) -> Option<&str> {
        None
    }
}

/// Why an event is to be delivered again.
#[derive(Debug, PartialEq, Eq)]
pub enum RecordsError {
    /// These records failed. The others of the event were handled.
    Records {
        /// How many records the event had.
        total: usize,
        /// What went wrong with each of those that failed.
        failures: Vec<String>,
        /// What the failures are called, if all have the same name.
        error_type: Option<String>,
    },
    /// This is not an event of the expected kind.
    NoRecords,
}

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records {
                total, failures, ..
            } => {
                let (failed, reasons) = (failures.len(), failures.join("; "));
                write!(f, "{failed} of {total} records failed: {reasons}")
            }
            Self::NoRecords => {
                f.write_str("the event has no \"Records\": send one as S3 or SNS does")
            }
        }
    }
}

impl std::error::Error for RecordsError {}

impl From<RecordsError> for Diagnostic {
    fn from(error: RecordsError) -> Self {
        let error_message = error.to_string();
        let error_type = match error {
            RecordsError::Records { error_type, .. } => {
                error_type.unwrap_or_else(|| "RecordsFailedError".into())
            }
            RecordsError::NoRecords => "InvalidEventError".into(),
        };
        Self {
            error_type,
            error_message,
        }
    }
}

/// A record that failed, for whatever reason. Every [`RecordFailure`] becomes one by `?`, so that a
/// handler may fail by errors of several types.
#[derive(Debug)]
pub struct Failed {
    reason: String,
    error_type: Option<String>,
}

impl Failed {
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl<E: RecordFailure> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            reason: error.to_string(),
            error_type: error.error_type().map(Into::into),
        }
    }
}

/// Hands every record to `handle`, one after the other, and fails if one of them
/// failed. A failure is reported with what the record is about.
pub(crate) async fn for_each_record<R>(
    records: &[R],
    about: impl Fn(&R) -> &str,
    handle: impl AsyncFn(&R) -> Result<(), Failed>,
) -> Result<(), RecordsError> {
    if records.is_empty() {
        return Err(RecordsError::NoRecords);
    }
    let mut failures = Vec::new();
    let mut error_types = Vec::new();
    for record in records {
        if let Err(Failed { reason, error_type }) = handle(record).await {
            let about = about(record);
            error!(about, reason, "record failed");
            failures.push(format!("{about:?}: {reason}"));
            error_types.push(error_type);
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    error_types.dedup();
    Err(RecordsError::Records {
        total: records.len(),
        failures,
        error_type: match error_types.as_mut_slice() {
            [of_all] => of_all.take(),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed")]
    struct Named(Option<&'static str>);

    impl RecordFailure for Named {
        fn error_type(&self) -> Option<&str> {
            self.0
        }
    }

    #[tokio::test]
    async fn an_invocation_fails_by_the_name_that_all_failures_have() {
        for (names, expected) in [
            (vec![Some("ThrottlingException")], "ThrottlingException"),
            (vec![Some("ThrottlingException"); 2], "ThrottlingException"),
            (vec![Some("A"), Some("B")], "RecordsFailedError"),
            (vec![Some("A"), None], "RecordsFailedError"),
            (vec![None], "RecordsFailedError"),
        ] {
            let fail = async |name: &Option<_>| Err(Failed::from(Named(*name)));
            let result = for_each_record(&names, |_| "record", fail).await;
            let diagnostic = Diagnostic::from(result.unwrap_err());
            assert_eq!(diagnostic.error_type, expected, "{names:?}");
        }
    }
}
