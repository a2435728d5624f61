//! The bodies of answers that tell what went wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the function answers instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// The error's name.
    #[serde(rename = "Code")]
    pub code: String,
    /// The error's name, and what to change.
    #[serde(rename = "Message")]
    pub message: String,
}

/// What API Gateway answers in place of the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayError {
    /// What is wrong.
    pub message: String,
}
