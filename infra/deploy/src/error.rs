//! One error type for everything that talks to AWS: what failed, why, and what to do next.

use std::fmt;

use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// The result of a deploy operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation, in the three parts a user needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    what: String,
    why: Option<String>,
    hint: Option<String>,
}

/// The cause of an [`Error`], as far as callers act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No credentials were found, or they could not be read.
    NoCredentials,
    /// The credentials were refused: expired or invalid.
    RejectedCredentials,
    /// The endpoint could not be reached.
    Unreachable,
    /// The caller may not do this.
    AccessDenied,
    /// AWS asked to slow down, more often than the SDK retries.
    Throttled,
    /// The named thing does not exist.
    NotFound,
    /// The user was asked for approval and did not give it.
    NotApproved,
    /// Everything else.
    Other,
}

impl Error {
    /// An error that says what failed.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            kind: Kind::Other,
            what: what.into(),
            why: None,
            hint: None,
        }
    }

    /// Adds why it failed.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the kind.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The kind of the cause.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What failed.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Why it failed, if known.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// What to do next, if there is something.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Explains a failed AWS call. `what` completes "could not …".
    pub fn aws<E>(what: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let what = format!("could not {what}");
        if let SdkError::ServiceError(service) = error {
            let code = service.err().code().unwrap_or("UnknownError").to_owned();
            let message = service.err().message().unwrap_or("no message").to_owned();
            return Self::from_code(what, &code, &message);
        }
        let detail = DisplayErrorContext(error).to_string();
        Self::from_detail(what, error, detail)
    }

    fn from_code(what: String, code: &str, message: &str) -> Self {
        let error = Self::new(what).because(format!("{message} ({code})"));
        match code {
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => error
                .of_kind(Kind::RejectedCredentials)
                .hint("the session has expired: sign in again, for example with `aws sso login`, or renew AWS_SESSION_TOKEN"),
            "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
                let skewed = message.contains("not yet current") || message.contains("expired");
                error.of_kind(Kind::RejectedCredentials).hint(if skewed {
                    "this computer's clock differs from AWS's by more than five minutes: set it"
                } else {
                    "AWS does not accept these credentials: check AWS_PROFILE or AWS_ACCESS_KEY_ID, and whether the key is still active"
                })
            }
            "RequestTimeTooSkewed" => error
                .of_kind(Kind::RejectedCredentials)
                .hint("this computer's clock differs from AWS's by more than fifteen minutes: set it"),
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation"
            | "AuthorizationError" => {
                let hint = match denied_action(message) {
                    Some(action) => format!("the caller needs {action}: ask for it, or use a role that has it"),
                    None => "use a role that may do this".to_owned(),
                };
                error.of_kind(Kind::AccessDenied).hint(hint)
            }
            "Throttling" | "ThrottlingException" | "TooManyRequestsException"
            | "RequestLimitExceeded" | "SlowDown" => error
                .of_kind(Kind::Throttled)
                .hint("AWS limits the rate of these calls: wait a minute and try again"),
            "ResourceNotFoundException" | "NoSuchBucket" | "NoSuchKey" | "NotFound"
            | "ChangeSetNotFound" | "TrimmedDataAccessException" | "QueueDoesNotExist"
            | "AWS.SimpleQueueService.NonExistentQueue" => error.of_kind(Kind::NotFound),
            "ValidationError" if message.contains("does not exist") => error.of_kind(Kind::NotFound),
            _ => error,
        }
    }

    fn from_detail<E>(what: String, error: &SdkError<E, HttpResponse>, detail: String) -> Self {
        let lower = detail.to_lowercase();
        if lower.contains("credentials") || lower.contains("identity") {
            return Self::new(what)
                .because(if lower.contains("expired") {
                    "the AWS credentials have expired"
                } else {
                    "no AWS credentials were found"
                })
                .of_kind(Kind::NoCredentials)
                .hint("sign in (`aws sso login`, `aws configure`), set AWS_PROFILE, or use `--stage local`, which needs no account");
        }
        match error {
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => Self::new(what)
                .because("the AWS endpoint could not be reached")
                .of_kind(Kind::Unreachable)
                .hint("check the network, AWS_ENDPOINT_URL and the region"),
            _ => Self::new(what).because(detail),
        }
    }
}

/// The action in AWS's "is not authorized to perform: ACTION" messages.
fn denied_action(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("to perform: ")?;
    let action = rest.split_whitespace().next()?;
    action.contains(':').then_some(action)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.why {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_call_names_the_missing_action() {
        let error = Error::from_code(
            "could not create the change set".to_owned(),
            "AccessDenied",
            "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: cloudformation:CreateChangeSet on resource: arn:aws:cloudformation:eu-west-1:123456789012:stack/x/*",
        );
        assert_eq!(error.kind(), Kind::AccessDenied);
        assert_eq!(
            error.next_step(),
            Some(
                "the caller needs cloudformation:CreateChangeSet: ask for it, or use a role that has it"
            )
        );
    }

    #[test]
    fn an_expired_token_is_told_apart_from_a_wrong_key_and_a_wrong_clock() {
        let hint = |code: &str, message: &str| {
            Error::from_code(String::new(), code, message)
                .next_step()
                .unwrap_or_default()
                .to_owned()
        };
        assert!(
            hint(
                "ExpiredToken",
                "The security token included in the request is expired"
            )
            .contains("sign in again")
        );
        assert!(
            hint(
                "InvalidClientTokenId",
                "The security token included in the request is invalid."
            )
            .contains("does not accept")
        );
        assert!(
            hint(
                "SignatureDoesNotMatch",
                "Signature expired: 20261120T000000Z is now earlier than 20261120T001000Z"
            )
            .contains("clock")
        );
    }

    #[test]
    fn a_missing_stack_is_not_found() {
        let error = Error::from_code(
            String::new(),
            "ValidationError",
            "Stack with id media-query-dev does not exist",
        );
        assert_eq!(error.kind(), Kind::NotFound);
        let error = Error::from_code(
            String::new(),
            "ValidationError",
            "1 validation error detected",
        );
        assert_eq!(error.kind(), Kind::Other);
    }
}
