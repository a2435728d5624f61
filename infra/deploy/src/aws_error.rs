//! What a failed call of AWS says, and what can be done about it.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;

use crate::denial::Denial;
use crate::error::{CHECK_NETWORK, Error, ErrorKind, PROXY_PASSWORD, root_cause};
use crate::network::answer::{answered, may_be_of_aws, not_of_aws, printable};
use crate::network::http_client::{Cause, NoAnswer};

impl Error {
    /// Explains a failed AWS call. `what` completes "could not …".
    pub fn aws<E>(what: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let what = format!("could not {what}");
        match error {
            SdkError::ServiceError(service) => {
                let (code, raw) = (service.err().code(), service.raw());
                if code.is_none() && !may_be_of_aws(raw) {
                    return not_of_aws(what, raw);
                }
                // An answer without a body, as to HEAD, says only its status.
                let code = match (code, raw.status().as_u16()) {
                    (Some(code), _) => code,
                    (None, 403) => "AccessDenied",
                    (None, 404) => "NotFound",
                    (None, 500..) => "ServiceUnavailable",
                    (None, _) => "UnknownError",
                };
                let message = service.err().message().unwrap_or("no message");
                let error = Self::from_code(what, &printable(code), &printable(message));
                return match answered(raw) {
                    Some(by) if error.kind() == ErrorKind::Unavailable && !by.is_aws() => {
                        error.hint(format!("the fault is not AWS's: see what {} logs", by.by))
                    }
                    _ => error,
                };
            }
            SdkError::ResponseError(response) if !may_be_of_aws(response.raw()) => {
                return not_of_aws(what, response.raw());
            }
            _ => {}
        }
        // That of a service which gives credentials comes first: it says more than that there
        // are none.
        if let Some(no_answer) = cause_of(error) {
            return Self::from_no_answer(what, no_answer);
        }
        if let Some(credentials) = cause_of(error) {
            return Self::from_credentials(what, credentials);
        }
        match error {
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => Self::new(what)
                .because(format!(
                    "the AWS endpoint could not be reached: {}",
                    root_cause(error)
                ))
                .of_kind(ErrorKind::Unreachable)
                .hint(CHECK_NETWORK),
            SdkError::ResponseError(_) => Self::new(what).because(format!(
                "the answer of AWS could not be read: {}",
                root_cause(error)
            )),
            _ => Self::new(what).because(root_cause(error)),
        }
    }

    /// Explains why something other than AWS's API did not answer.
    pub(crate) fn no_answer(what: &str, error: &ConnectorError) -> Self {
        match cause_of(error) {
            Some(no_answer) => Self::from_no_answer(what.to_owned(), no_answer),
            None => Self::new(what)
                .because(root_cause(error))
                .of_kind(ErrorKind::Unreachable)
                .hint(CHECK_NETWORK),
        }
    }

    fn from_no_answer(what: String, no_answer: &NoAnswer) -> Self {
        Self::new(what)
            .because(no_answer.to_string())
            .of_kind(ErrorKind::Unreachable)
            .hint(match no_answer.cause {
                Cause::Certificate => "if a proxy or firewall inspects TLS here, name the file of its certificate authority in AWS_CA_BUNDLE",
                Cause::ProxyPassword => PROXY_PASSWORD,
                Cause::Protocol => "check the scheme, the host and the port in AWS_ENDPOINT_URL and HTTPS_PROXY",
                Cause::Network => CHECK_NETWORK,
            })
    }

    /// The codes are those of "Common error types" and of the services' own references.
    pub(crate) fn from_code(what: String, code: &str, message: &str) -> Self {
        let error = Self::new(what).because(format!("{message} ({code})"));
        match code {
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => error
                .of_kind(ErrorKind::ExpiredCredentials)
                .hint("the session has expired: sign in again, for example with `aws sso login`, or renew AWS_SESSION_TOKEN"),
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => error.skewed(),
            "SignatureDoesNotMatch" | "InvalidSignatureException"
                if message.contains("not yet current") || message.contains("expired") =>
            {
                error.skewed()
            }
            "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature"
            | "InvalidToken" | "MissingAuthenticationToken" | "MissingAuthenticationTokenException"
            | "AuthFailure" => error
                .of_kind(ErrorKind::RejectedCredentials)
                .hint("AWS does not accept these credentials: check AWS_PROFILE or AWS_ACCESS_KEY_ID, and whether the key is still active"),
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation"
            | "AuthorizationError" | "NotAuthorized" => {
                let hint = Denial::parse(message)
                    .map_or_else(|| "use a role that may do this".to_owned(), |denial| denial.hint());
                error.of_kind(ErrorKind::AccessDenied).hint(hint)
            }
            "Throttling" | "ThrottlingException" | "ThrottledException" | "TooManyRequestsException"
            | "RequestLimitExceeded" | "SlowDown" => error
                .of_kind(ErrorKind::Throttled)
                .hint("AWS limits the rate of these calls: wait a minute and try again"),
            "InternalFailure" | "InternalError" | "ServiceUnavailable" | "ServiceException"
            | "ServiceUnavailableException" | "InternalServerError" => error
                .of_kind(ErrorKind::Unavailable)
                .hint("AWS has a fault, which is usually short: try again; https://health.aws.amazon.com lists longer ones"),
            "ResourceNotFoundException" | "NoSuchEntity" | "NoSuchBucket" | "NoSuchKey" | "NotFound"
            | "ChangeSetNotFound" | "TrimmedDataAccessException" | "QueueDoesNotExist"
            | "AWS.SimpleQueueService.NonExistentQueue" => error.of_kind(ErrorKind::NotFound),
            "InvalidChangeSetStatus" | "OperationInProgressException" | "TokenAlreadyExistsException" => {
                error.stale()
            }
            // CloudFormation says most things with one code, so only its words tell them apart.
            "ValidationError" if is_out_of_date(message) => error.stale(),
            "ValidationError" if message.contains("does not exist") => error.of_kind(ErrorKind::NotFound),
            "ValidationError" if message.contains("TerminationProtection") => error
                .hint("the stack is protected: `aws cloudformation update-termination-protection --no-enable-termination-protection` lifts it"),
            _ => error,
        }
    }

    fn skewed(self) -> Self {
        self.of_kind(ErrorKind::ClockSkew)
            .hint("this computer's clock differs from AWS's by minutes: set it")
    }

    fn from_credentials(what: String, error: &CredentialsError) -> Self {
        // A service that gives credentials has refused to.
        if let Some(metadata) = cause_of::<ErrorMetadata>(error)
            && let (Some(code), Some(message)) = (metadata.code(), metadata.message())
        {
            return Self::from_code(what, &printable(code), &printable(message));
        }
        let reason = printable(root_cause(error).trim());
        let lower = reason.to_lowercase();
        if lower.contains("expired") {
            return Self::new(what)
                .because(format!("the AWS credentials have expired: {reason}"))
                .of_kind(ErrorKind::ExpiredCredentials)
                .hint("sign in again, for example with `aws sso login`");
        }
        let error = Self::new(what).of_kind(ErrorKind::NoCredentials).hint(
            "sign in (`aws sso login`, `aws configure`), set AWS_PROFILE, or use `--stage local`, which needs no account",
        );
        error.because(format!("no AWS credentials were found: {reason}"))
    }
}

/// Whether CloudFormation says that the stack is in another state than the request needs.
fn is_out_of_date(message: &str) -> bool {
    message.contains("_IN_PROGRESS")
        || message.contains("state and can not be")
        || message.contains("already exists and cannot be created again")
}

/// The error of this type that another was caused by, such as that of the credentials'
/// provider which kept a request from being sent.
fn cause_of<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests;
