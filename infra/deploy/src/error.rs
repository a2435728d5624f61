//! One error type for everything that talks to AWS: what failed, why, and what to do next.

use std::fmt;

use crate::finding::Finding;

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
    kind: ErrorKind,
    what: String,
    why: Option<String>,
    hint: Option<String>,
    findings: Vec<Finding>,
}

/// The causes of an [`Error`] that callers act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
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
            kind: ErrorKind::Other,
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
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
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
    pub fn kind(&self) -> ErrorKind {
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

    /// The stack is not, or no longer, as it was taken to be.
    pub(crate) fn stale(self) -> Self {
        self.of_kind(ErrorKind::Stale)
            .hint("someone else is changing this stack: agree with them, then deploy again")
    }
}

/// What the innermost error says.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .unwrap_or(error)
        .to_string()
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

impl From<review::Error> for Error {
    fn from(error: review::Error) -> Self {
        Self::new("could not read the template").because(error.why)
    }
}
