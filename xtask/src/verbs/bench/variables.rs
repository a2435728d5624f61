//! The environment variables that the template gives to functions, with values that are made up.

use std::collections::BTreeMap;

use manifest::App;
use serde_json::Value;

use crate::error::{CliError, Result};

/// The name of every bucket: the one that AWS's documents use, and sample events with them.
const BUCKET: &str = "amzn-s3-demo-bucket";

/// What the template says of functions' variables.
pub(super) struct Template(Value);

impl Template {
    pub(super) fn of(app: &App) -> Result<Self> {
        let template = serde_yaml::from_str(&app.synth().template);
        template
            .map(Self)
            .map_err(|error| CliError::new(format!("could not read the template: {error}")))
    }

    /// The variables of a function of this name.
    pub(super) fn variables(&self, function: &str) -> BTreeMap<String, String> {
        let name = format!("${{AWS::StackName}}-{function}");
        let resources = self.0["Resources"].as_object().into_iter().flatten();
        let properties = resources
            .map(|(_, resource)| &resource["Properties"])
            .find(|properties| properties["FunctionName"]["Fn::Sub"] == name.as_str());
        let variables = properties.map(|properties| &properties["Environment"]["Variables"]);
        let variables = variables.and_then(Value::as_object).into_iter().flatten();
        variables
            .map(|(name, value)| (name.clone(), self.value(value)))
            .collect()
    }

    /// What stands for a value that only a deployment tells.
    fn value(&self, value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Object(function) => {
                let reference = &function.get("Ref").or_else(|| function.get("Fn::GetAtt"));
                let name = reference.and_then(|name| name.as_str().or_else(|| name[0].as_str()));
                let resource = |name| &self.0["Resources"][name]["Type"];
                match (name, name.map(resource).and_then(Value::as_str)) {
                    (Some(name), Some("AWS::SNS::Topic")) => {
                        format!("arn:aws:sns:us-east-1:000000000000:{name}")
                    }
                    (Some(name), Some("AWS::IAM::Role")) => {
                        format!("arn:aws:iam::000000000000:role/{name}")
                    }
                    (Some(name), _) => name.to_owned(),
                    // Buckets have names that are put together.
                    (None, _) => BUCKET.to_owned(),
                }
            }
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest::Stage;

    use super::*;
    use crate::testing;

    #[test]
    fn functions_have_the_variables_of_the_template() {
        let app = testing::app()
            .resolve(&Stage::with_defaults("dev"))
            .unwrap();
        let template = Template::of(&app).unwrap();
        let expected = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter();
            pairs
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        assert_eq!(
            template.variables("pack-order"),
            expected(&[
                (
                    "CARRIER_ROLE_ARN",
                    "arn:aws:iam::000000000000:role/ParcelsPublisherRole"
                ),
                ("GREETING", "Thank you"),
                ("ORDERS_TABLE_NAME", "OrdersTable"),
                (
                    "PARCELS_TOPIC_ARN",
                    "arn:aws:sns:us-east-1:000000000000:ParcelsTopic"
                ),
                ("RECEIPT_BUCKET_NAME", BUCKET),
            ])
        );
        assert_eq!(template.variables("count-stock"), expected(&[]));
    }
}
