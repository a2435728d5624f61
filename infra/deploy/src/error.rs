//! One error type for everything that talks to AWS: what failed, why, and what to do next.

use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;

use crate::answer::{answered, may_be_of_aws, not_of_aws, printable};
use crate::explain::Finding;
use crate::http_client::{Cause, NoAnswer};

/// The hint where a proxy asks who calls.
pub(crate) const PROXY_PASSWORD: &str =
    "the proxy asks for a user and password: put them into its URL, http://USER:PASSWORD@HOST:PORT";
/// The hint where a call did not reach its endpoint.
pub(crate) const CHECK_NETWORK: &str =
    "check the network, HTTPS_PROXY, AWS_ENDPOINT_URL and the region";

/// The result of a deploy operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation, in the three parts a user needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    what: String,
    why: Option<String>,
    hint: Option<String>,
    findings: Vec<Finding>,
}

/// The cause of an [`Error`], as far as callers act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No credentials were found, or they could not be read.
    NoCredentials,
    /// The session has expired.
    ExpiredCredentials,
    /// AWS does not know the credentials, or no longer accepts them.
    RejectedCredentials,
    /// The clock of this computer is wrong, so AWS refused the signatures.
    ClockSkew,
    /// The endpoint could not be reached, or did not answer.
    Unreachable,
    /// Something else answered in place of AWS: a proxy, a firewall, a guest network.
    NotAws,
    /// A variable or a file of the AWS configuration says what cannot be used.
    Configuration,
    /// AWS had errors of its own, more often than the SDK retries.
    Unavailable,
    /// The caller may not do this.
    AccessDenied,
    /// AWS asked to slow down, more often than the SDK retries.
    Throttled,
    /// The named thing does not exist.
    NotFound,
    /// The stack is not, or no longer, as the request took it to be: someone else changed it.
    Stale,
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
            findings: Vec::new(),
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

    /// Adds what CloudFormation's validation found.
    #[must_use]
    pub(crate) fn concerning(mut self, findings: &[Finding]) -> Self {
        self.findings = findings.to_vec();
        self
    }

    /// What CloudFormation's validation found, where it is the cause.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
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
                    Some(by) if error.kind == Kind::Unavailable && !by.is_aws() => {
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
                .of_kind(Kind::Unreachable)
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
                .of_kind(Kind::Unreachable)
                .hint(CHECK_NETWORK),
        }
    }

    fn from_no_answer(what: String, no_answer: &NoAnswer) -> Self {
        Self::new(what)
            .because(no_answer.to_string())
            .of_kind(Kind::Unreachable)
            .hint(match no_answer.cause {
                Cause::Certificate => "if a proxy or firewall inspects TLS here, name the file of its certificate authority in AWS_CA_BUNDLE",
                Cause::ProxyPassword => PROXY_PASSWORD,
                Cause::Protocol => "check the scheme, the host and the port in AWS_ENDPOINT_URL and HTTPS_PROXY",
                Cause::Network => CHECK_NETWORK,
            })
    }

    /// The codes are those of "Common error types" and of the services' own references.
    fn from_code(what: String, code: &str, message: &str) -> Self {
        let error = Self::new(what).because(format!("{message} ({code})"));
        match code {
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => error
                .of_kind(Kind::ExpiredCredentials)
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
                .of_kind(Kind::RejectedCredentials)
                .hint("AWS does not accept these credentials: check AWS_PROFILE or AWS_ACCESS_KEY_ID, and whether the key is still active"),
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation"
            | "AuthorizationError" | "NotAuthorized" => {
                let hint = Denial::parse(message)
                    .map_or_else(|| "use a role that may do this".to_owned(), |denial| denial.hint());
                error.of_kind(Kind::AccessDenied).hint(hint)
            }
            "Throttling" | "ThrottlingException" | "ThrottledException" | "TooManyRequestsException"
            | "RequestLimitExceeded" | "SlowDown" => error
                .of_kind(Kind::Throttled)
                .hint("AWS limits the rate of these calls: wait a minute and try again"),
            "InternalFailure" | "InternalError" | "ServiceUnavailable" | "ServiceException"
            | "ServiceUnavailableException" | "InternalServerError" => error
                .of_kind(Kind::Unavailable)
                .hint("the fault is AWS's, and mostly passes: try again; https://health.aws.amazon.com tells of longer ones"),
            "ResourceNotFoundException" | "NoSuchEntity" | "NoSuchBucket" | "NoSuchKey" | "NotFound"
            | "ChangeSetNotFound" | "TrimmedDataAccessException" | "QueueDoesNotExist"
            | "AWS.SimpleQueueService.NonExistentQueue" => error.of_kind(Kind::NotFound),
            "InvalidChangeSetStatus" | "OperationInProgressException" | "TokenAlreadyExistsException" => {
                error.stale()
            }
            // CloudFormation says most things with one code, so only its words tell them apart.
            "ValidationError" if is_out_of_date(message) => error.stale(),
            "ValidationError" if message.contains("does not exist") => error.of_kind(Kind::NotFound),
            "ValidationError" if message.contains("TerminationProtection") => error
                .hint("the stack is protected: `aws cloudformation update-termination-protection --no-enable-termination-protection` lifts it"),
            _ => error,
        }
    }

    /// The stack is not, or no longer, as it was taken to be.
    pub(crate) fn stale(self) -> Self {
        self.of_kind(Kind::Stale)
            .hint("someone else is changing this stack: agree with them, then deploy again")
    }

    fn skewed(self) -> Self {
        self.of_kind(Kind::ClockSkew)
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
                .of_kind(Kind::ExpiredCredentials)
                .hint("sign in again, for example with `aws sso login`");
        }
        let error = Self::new(what).of_kind(Kind::NoCredentials).hint(
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

/// What the innermost error says.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .unwrap_or(error)
        .to_string()
}

/// What AWS says when a policy forbids something: "User: ARN is not authorized to perform:
/// ACTION on resource: ARN because REASON".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial<'a> {
    pub(crate) action: &'a str,
    pub(crate) resource: Option<&'a str>,
    reason: &'a str,
}

impl<'a> Denial<'a> {
    pub(crate) fn parse(message: &'a str) -> Option<Self> {
        let (_, rest) = message.split_once("not authorized to perform: ")?;
        let action = rest.split_whitespace().next()?;
        let resource = rest.split_once("on resource: ").and_then(|(_, resource)| {
            let resource = resource.split_whitespace().next()?;
            Some(resource.trim_matches(['.', ',', ';', '"']))
        });
        action.contains(':').then_some(Self {
            action: action.trim_end_matches(['.', ',', ';', '"']),
            resource,
            reason: rest,
        })
    }

    pub(crate) fn hint(&self) -> String {
        let on = self
            .resource
            .map(|resource| format!(" on {resource}"))
            .unwrap_or_default();
        let action = self.action;
        let says = |words: &str| self.reason.contains(words);
        if says("service control policy") {
            format!(
                "the organisation's policies (SCP) forbid {action}{on}: only its administrators can change that"
            )
        } else if says("permissions boundary") {
            format!("the caller's permissions boundary leaves out {action}{on}")
        } else if says("explicit deny") {
            format!("a policy denies {action}{on} explicitly, which no other policy can allow")
        } else {
            format!("the caller needs {action}{on}: ask for it, or use a role that has it")
        }
    }
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
mod tests;
