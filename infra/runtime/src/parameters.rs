//! Parameters of Systems Manager Parameter Store, read when they are needed and
//! [kept](crate::stored_value) for five minutes.
//!
//! ```no_run
//! use runtime::parameters::Parameter;
//! use runtime::{Aws, Environment, Service};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = Environment::of_process();
//! let aws = Aws::new(&environment)?;
//! let carrier = Parameter::new(&aws, environment.require("CARRIER_URL_PARAMETER")?);
//! aws.open_connections(&[Service::SSM]).await;
//! // For each event: a call of Systems Manager every five minutes.
//! let url = carrier.value().await?;
//! println!("{} bytes", url.expose().len());
//! # Ok(())
//! # }
//! ```

use std::time::SystemTime;

use aws_sdk_ssm::Client;

use crate::aws::{Aws, Service};
use crate::service_error::ServiceError;
use crate::stored_value::Kept;
pub use crate::stored_value::{ReadError, Value};

/// A parameter, a `String` or a `SecureString`, by its name.
#[derive(Debug)]
pub struct Parameter {
    client: Client,
    kept: Kept,
}

impl Parameter {
    /// The parameter of this name, such as `/shop-dev/carrier-url`. Nothing is read yet. An attempt
    /// to read it has 3 s, all of them have 10 s.
    #[must_use]
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self {
            client: Client::new(&aws.config_with_timeouts(Service::SSM)),
            kept: Kept::new("parameter", name.into()),
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
        let request = self.client.get_parameter().name(self.kept.name());
        let answer = request.with_decryption(true).send().await;
        let answer = answer.map_err(|error| ServiceError::of(&error).to_string())?;
        let value = answer.parameter.and_then(|parameter| parameter.value);
        value.ok_or_else(|| "the answer has no value".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Wire;

    #[tokio::test]
    async fn a_parameter_is_decrypted_and_asked_for_once() {
        let answer = json!({"Parameter": {"Name": "/shop-dev/tax", "Value": "7"}});
        let wire = Wire::new([(200, answer)]);
        let parameter = Parameter::new(&wire.aws(), "/shop-dev/tax");
        for _ in 0..2 {
            assert_eq!(parameter.value().await.unwrap().expose(), "7");
        }
        let [(operation, body)] = &wire.requests()[..] else {
            panic!("one request");
        };
        assert_eq!(operation, "AmazonSSM.GetParameter");
        assert_eq!(
            *body,
            json!({"Name": "/shop-dev/tax", "WithDecryption": true})
        );
    }

    #[tokio::test]
    async fn a_parameter_that_is_not_there_is_told_by_name() {
        let wire = Wire::new([(400, json!({"__type": "ParameterNotFound"}))]);
        let parameter = Parameter::new(&wire.aws(), "/shop-dev/tax");
        let error = parameter.value().await.unwrap_err().to_string();
        let start = "could not read parameter /shop-dev/tax: ParameterNotFound";
        assert!(error.starts_with(start), "{error}");
    }
}
