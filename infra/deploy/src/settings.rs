//! What says where a stage is deployed, and how often a call is tried.

use std::time::Duration;

/// How often a call is tried that AWS throttles or fails. Where one of five calls fails, one
/// of 400 000 fails so often.
pub(crate) const ATTEMPTS_MAX: u32 = 8;

/// The longest pause between two attempts. Eight of them end within a minute.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What a [`Target`](crate::Target) is resolved from. Unset fields come from the AWS
/// configuration: environment, profile, SSO, container or instance role.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The stage's region.
    pub region: Option<String>,
    /// An AWS-compatible endpoint for every service.
    pub endpoint_url: Option<String>,
    /// The only account that the stage may be deployed to.
    pub account: Option<String>,
    /// Fixed credentials (access key id, secret access key), for a local endpoint. With them,
    /// nothing of the caller's AWS configuration is used, and no proxy.
    pub static_credentials: Option<(String, String)>,
}
