//! What the rules of [`user_data`](crate::user_data) and
//! [`personal_email`](crate::personal_email) ask of the users table.

use aws_sdk_dynamodb::types::AttributeValue;
use runtime::dynamodb::{Outcome, outcome, text};
use runtime::service_error::ServiceError;

use crate::personal_email::{Corrected, Correction, FlagError, Flags};
use crate::table::UsersTable;
use crate::user::UserId;
use crate::user_data::{ReconcileError, Users};

impl Users for UsersTable {
    async fn exists(&self, user: &UserId) -> Result<bool, ReconcileError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(&self.schema.key, text(user.as_str()))
            .consistent_read(true)
            .projection_expression("#key")
            .expression_attribute_names("#key", &self.schema.key)
            .send()
            .await
            .map_err(|error| ReconcileError::Users(ServiceError::of(&error).to_string()))?;
        Ok(output.item.is_some())
    }
}

impl Flags for UsersTable {
    async fn correct(
        &self,
        user: &UserId,
        correction: &Correction,
    ) -> Result<Corrected, FlagError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(&self.schema.key, text(user.as_str()))
            .update_expression("SET #flag = :flag")
            .expression_attribute_names("#email", &self.schema.email)
            .expression_attribute_names("#flag", &self.schema.is_personal_email);
        // Both conditions are false of an item that does not exist.
        let update = match correction {
            Correction::OfAddress { email, is_personal } => update
                .condition_expression(
                    "#email = :email AND (attribute_not_exists(#flag) OR #flag <> :flag)",
                )
                .expression_attribute_values(":email", text(email))
                .expression_attribute_values(":flag", AttributeValue::Bool(*is_personal)),
            Correction::OfNone => update
                .condition_expression(
                    "(attribute_not_exists(#email) OR attribute_type(#email, :null)) AND #flag = :wrong",
                )
                .expression_attribute_values(":null", text("NULL"))
                .expression_attribute_values(":wrong", AttributeValue::Bool(true))
                .expression_attribute_values(":flag", AttributeValue::Bool(false)),
        };
        match outcome(update.send().await) {
            Ok(Outcome::Written) => Ok(Corrected::Written),
            Ok(Outcome::ConditionFailed) => Ok(Corrected::Superseded),
            Err(error) => Err(FlagError {
                reason: error.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::Environment;
    use runtime::testing::Wire;
    use serde_json::{Value, json};

    fn table(wire: &Wire) -> UsersTable {
        let environment = Environment::from_iter([
            ("USERS_TABLE_NAME", "users"),
            ("USERS_KEY_ATTRIBUTE", "name"),
            ("USERS_EMAIL_ATTRIBUTE", "Email"),
            ("USERS_TIMESTAMP_ATTRIBUTE", "timestamp"),
            ("USERS_IS_PERSONAL_EMAIL_ATTRIBUTE", "IsPersonalEmail"),
        ]);
        UsersTable::new(&wire.aws(), &environment).unwrap()
    }

    fn john() -> UserId {
        UserId::new("john").unwrap()
    }

    #[tokio::test]
    async fn a_user_is_looked_up_consistently_and_by_key_only() {
        let found = json!({"Item": {"name": {"S": "john"}}});
        for (answer, exists) in [(found, true), (json!({}), false)] {
            let wire = Wire::new([(200, answer)]);
            assert_eq!(table(&wire).exists(&john()).await, Ok(exists));
            assert_eq!(
                wire.requests(),
                [(
                    "DynamoDB_20120810.GetItem".into(),
                    json!({
                        "TableName": "users",
                        "Key": {"name": {"S": "john"}},
                        "ConsistentRead": true,
                        "ProjectionExpression": "#key",
                        "ExpressionAttributeNames": {"#key": "name"},
                    })
                )]
            );
        }
    }

    #[tokio::test]
    async fn a_flag_is_written_on_condition() {
        let wire = Wire::new([(200, json!({})), (200, json!({}))]);
        let address = Correction::OfAddress {
            email: "john@gmail.com".into(),
            is_personal: true,
        };
        for correction in [address, Correction::OfNone] {
            let corrected = table(&wire).correct(&john(), &correction).await;
            assert_eq!(corrected, Ok(Corrected::Written));
        }
        let request = |condition: &str, values: Value| {
            (
                "DynamoDB_20120810.UpdateItem".to_owned(),
                json!({
                    "TableName": "users",
                    "Key": {"name": {"S": "john"}},
                    "UpdateExpression": "SET #flag = :flag",
                    "ConditionExpression": condition,
                    "ExpressionAttributeNames": {"#email": "Email", "#flag": "IsPersonalEmail"},
                    "ExpressionAttributeValues": values,
                }),
            )
        };
        assert_eq!(
            wire.requests(),
            [
                request(
                    "#email = :email AND (attribute_not_exists(#flag) OR #flag <> :flag)",
                    json!({":email": {"S": "john@gmail.com"}, ":flag": {"BOOL": true}}),
                ),
                request(
                    "(attribute_not_exists(#email) OR attribute_type(#email, :null)) AND #flag = :wrong",
                    json!({":null": {"S": "NULL"}, ":wrong": {"BOOL": true}, ":flag": {"BOOL": false}}),
                ),
            ]
        );
    }

    #[tokio::test]
    async fn a_refused_write_is_superseded_and_any_other_failure_an_error() {
        let exception = |name: &str| {
            let name = format!("com.amazonaws.dynamodb.v20120810#{name}");
            (400, json!({"__type": name, "message": "No."}))
        };
        let wire = Wire::new([
            exception("ConditionalCheckFailedException"),
            exception("AccessDeniedException"),
        ]);
        let table = table(&wire);
        let refused = table.correct(&john(), &Correction::OfNone).await;
        assert_eq!(refused, Ok(Corrected::Superseded));
        let error = table
            .correct(&john(), &Correction::OfNone)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not write the flag: AccessDeniedException: No. (AWS request id unknown)"
        );
    }
}
