//! Secrets of Secrets Manager, read when they are needed and [kept](crate::stored_value) for five
//! minutes.
//!
//! ```no_run
//! use runtime::secrets::Secret;
//! use runtime::{Aws, Environment};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! # async fn charge(_: &str) -> Result<bool, Box<dyn std::error::Error>> { Ok(true) }
//! let environment = Environment::of_process();
//! let aws = Aws::new(&environment)?;
//! let key = Secret::new(&aws, environment.require("PAYMENT_KEY_SECRET")?);
//! // A key that was rotated a minute ago is refused.
//! if !charge(key.value().await?.expose()).await? {
//!     charge(key.read_again().await?.expose()).await?;
//! }
//! # Ok(())
//! # }
//! ```

use std::time::SystemTime;

use aws_sdk_secretsmanager::Client;

use crate::aws::{Aws, Service};
use crate::service_error::ServiceError;
use crate::stored_value::Kept;
pub use crate::stored_value::{ReadError, Value};

/// A secret that is text, by its name.
#[derive(Debug)]
pub struct Secret {
    client: Client,
    kept: Kept,
}

impl Secret {
    /// The secret of this name, such as `shop-dev/payment-key`. Nothing is read yet. An attempt to
    /// read it has 3 s, all of them have 10 s.
    #[must_use]
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self {
            client: Client::new(&aws.config_with_timeouts(Service::SECRETS_MANAGER)),
            kept: Kept::new("secret", name.into()),
        }
    }

    /// The value, as it was within the last five minutes, or the last hour if it cannot be read.
    ///
    /// # Errors
    /// When it cannot be read, and none is known.
    pub async fn value(&self) -> Result<Value, ReadError> {
        self.kept.value(SystemTime::now(), self.read()).await
    }

    /// The value as it is now, for a caller whose old value was refused.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_again(&self) -> Result<Value, ReadError> {
        self.kept.read_again(SystemTime::now(), self.read()).await
    }

    async fn read(&self) -> Result<String, String> {
        let request = self.client.get_secret_value().secret_id(self.kept.name());
        let answer = request.send().await;
        let answer = answer.map_err(|error| ServiceError::of(&error).to_string())?;
        answer
            .secret_string
            .ok_or_else(|| "the secret is binary, not text".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Wire;

    #[tokio::test]
    async fn a_secret_is_asked_for_once_and_again_when_it_is_refused() {
        let answer = |value: &str| (200, json!({"Name": "shop-dev/key", "SecretString": value}));
        let wire = Wire::new([answer("old"), answer("new")]);
        let secret = Secret::new(&wire.aws(), "shop-dev/key");
        for _ in 0..2 {
            assert_eq!(secret.value().await.unwrap().expose(), "old");
        }
        assert_eq!(secret.read_again().await.unwrap().expose(), "new");
        let requests = wire.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].0, "secretsmanager.GetSecretValue");
        assert_eq!(requests[0].1, json!({"SecretId": "shop-dev/key"}));
    }

    #[tokio::test]
    async fn a_binary_secret_is_refused() {
        let wire = Wire::new([(200, json!({"SecretBinary": "AAEC"}))]);
        let secret = Secret::new(&wire.aws(), "shop-dev/key");
        let error = secret.value().await.unwrap_err().to_string();
        assert!(
            error.ends_with("shop-dev/key: the secret is binary, not text"),
            "{error}"
        );
    }
}
