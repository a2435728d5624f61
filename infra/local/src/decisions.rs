//! What the stage's functions were allowed and denied.
//!
//! The emulator decides on every request by the caller's policies, and counts its decisions
//! (`decisions.py`). From them, `cargo xtask grants` knows which resources an action was used on,
//! and whoever shows logs knows which grant a function lacks.

use serde::{Deserialize, Serialize};

/// What the emulator decided on one action of one caller on one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The caller's ARN: for a function, a session of its execution role.
    pub principal: String,
    /// IAM's name of the action.
    pub action: String,
    /// The ARN of the resource, `*` if there is none. Objects of a bucket are one resource.
    pub resource: String,
    /// How often it was allowed.
    pub allowed: u64,
    /// How often it was denied.
    pub denied: u64,
    /// When it was denied last, in milliseconds since the epoch; 0 if never.
    pub denied_at_ms: u64,
}

impl Decision {
    /// Lambda's name of the function that called. A session of an execution role has the
    /// function's name.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        let (_, session) = self.principal.split_once(":assumed-role/")?;
        Some(session.split_once('/')?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_known_by_its_session() {
        let of = |principal: &str| Decision {
            principal: principal.to_owned(),
            action: "s3:GetObject".to_owned(),
            resource: "*".to_owned(),
            allowed: 1,
            denied: 0,
            denied_at_ms: 0,
        };
        let session = of("arn:aws:sts::000000000000:assumed-role/app-dev-SellRole-1A/app-dev-sell");
        assert_eq!(session.function(), Some("app-dev-sell"));
        assert_eq!(of("arn:aws:iam::000000000000:user/eve").function(), None);
    }
}
