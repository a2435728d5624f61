//! The users table in DynamoDB.
//!
//! Both writes are on a condition: a user is created only where none is, and deleted only
//! where one is. The SDK repeats a write whose answer got lost, and then the condition
//! fails because of the write itself: see [`LostAnswers`].

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use runtime::dynamodb::{Attributes, LostAnswers, Outcome, client, scan_page, text};
use runtime::{Aws, Environment, MissingVariable};

use crate::email::EmailAddress;
use crate::schema::Schema;
use crate::user::{User, UserId};

/// How many bytes of ids and e-mail addresses make a page. A thousand users of this stack have
/// less. Others may write an address of 400 KB, and each byte of it takes up to seven in a
/// Lambda response, which has 6 MB.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;

/// The users table.
#[derive(Debug, Clone)]
pub struct UsersTable {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) schema: Schema,
}

/// A call of DynamoDB that failed. Neither id nor e-mail address is in it.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} in the users table: {reason}")]
pub struct TableError {
    /// What was to be done.
    pub action: &'static str,
    /// What DynamoDB said, or why it could not be reached.
    pub reason: String,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The users, in the table's order.
    pub users: Vec<User>,
    /// Where the next page starts: after this user. `None` after the last page.
    pub next: Option<UserId>,
}

impl UsersTable {
    /// Builds the client. The stack's variables name the table and what is in it.
    pub fn new(aws: &Aws, environment: &Environment) -> Result<Self, MissingVariable> {
        Ok(Self {
            client: client(aws),
            name: environment.require("USERS_TABLE_NAME")?,
            schema: Schema::named_by(environment)?,
        })
    }

    /// Creates a user, under a new id. No user is ever overwritten.
    pub async fn create(&self, email: &EmailAddress) -> Result<User, TableError> {
        let timestamp_ms = now_ms();
        loop {
            let id = UserId::generate();
            if self.put(&id, email, timestamp_ms).await? {
                return Ok(User {
                    id,
                    email: Some(email.as_str().into()),
                    timestamp_ms: Some(timestamp_ms),
                    is_personal_email: None,
                });
            }
        }
    }

    /// Writes a user, unless there is one with this id. Whether it was written.
    async fn put(
        &self,
        id: &UserId,
        email: &EmailAddress,
        timestamp_ms: i64,
    ) -> Result<bool, TableError> {
        let lost = LostAnswers::default();
        let result = self
            .client
            .put_item()
            .table_name(&self.name)
            .item(&self.schema.key, text(id.as_str()))
            .item(&self.schema.email, text(email.as_str()))
            .item(
                &self.schema.timestamp,
                AttributeValue::N(timestamp_ms.to_string()),
            )
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", &self.schema.key)
            .customize()
            .interceptor(lost.clone())
            .send()
            .await;
        let outcome = lost.outcome(result);
        let outcome = outcome.map_err(|error| failed("create a user", error))?;
        Ok(outcome == Outcome::Written)
    }

    /// Deletes a user. `false` if there is none.
    pub async fn delete(&self, id: &UserId) -> Result<bool, TableError> {
        let lost = LostAnswers::default();
        let result = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key(&self.schema.key, text(id.as_str()))
            .condition_expression("attribute_exists(#key)")
            .expression_attribute_names("#key", &self.schema.key)
            .customize()
            .interceptor(lost.clone())
            .send()
            .await;
        let outcome = lost.outcome(result);
        let outcome = outcome.map_err(|error| failed("delete a user", error))?;
        Ok(outcome == Outcome::Written)
    }

    /// Up to `limit` users, from the one after `after` on.
    ///
    /// A page with fewer users than `limit` is the last one, with two exceptions: it ends
    /// before [`MAX_PAGE_BYTES`] and after [`runtime::dynamodb::MAX_SCANNED_PAGES`], with more to
    /// come.
    ///
    /// Writes of the last moments may be missing (the reads are eventually consistent).
    pub async fn scan(&self, limit: usize, after: Option<&UserId>) -> Result<Page, TableError> {
        let scan = self
            .client
            .scan()
            .table_name(&self.name)
            .projection_expression("#key, #email, #timestamp, #personal")
            .expression_attribute_names("#key", &self.schema.key)
            .expression_attribute_names("#email", &self.schema.email)
            .expression_attribute_names("#timestamp", &self.schema.timestamp)
            .expression_attribute_names("#personal", &self.schema.is_personal_email);
        let after = after.map(|id| self.key_of(id));
        let page = scan_page(&scan, limit, after, |items| self.page_length(items)).await;
        let page = page.map_err(|error| failed("list users", error))?;
        let users = page.items.iter().map(|item| self.to_user(item));
        Ok(Page {
            users: users.collect::<Result<_, _>>()?,
            next: page.next.map(|key| self.to_id(&key)).transpose()?,
        })
    }

    /// How many of these items make a page.
    fn page_length(&self, items: &[Attributes]) -> usize {
        let length = |item: &Attributes, name| {
            let value = item.get(name).and_then(|value| value.as_s().ok());
            value.map_or(0, String::len)
        };
        let mut bytes = 0;
        let fitting = items.iter().take_while(|item| {
            bytes += length(item, &self.schema.key) + length(item, &self.schema.email);
            bytes <= MAX_PAGE_BYTES
        });
        fitting.count()
    }

    fn key_of(&self, id: &UserId) -> Attributes {
        Attributes::from([(self.schema.key.clone(), text(id.as_str()))])
    }

    /// Every item has a key. If it is none of ours, the names that the stack declares are not
    /// those of the table.
    fn to_id(&self, attributes: &Attributes) -> Result<UserId, TableError> {
        let key = attributes.get(&self.schema.key);
        key.and_then(|key| UserId::new(key.as_s().ok()?).ok())
            .ok_or_else(|| {
                let reason = format!("its key is not a string named {:?}", self.schema.key);
                failed("list users", reason)
            })
    }

    fn to_user(&self, attributes: &Attributes) -> Result<User, TableError> {
        let attribute = |name: &str| attributes.get(name);
        Ok(User {
            id: self.to_id(attributes)?,
            email: attribute(&self.schema.email).and_then(|email| email.as_s().ok().cloned()),
            timestamp_ms: attribute(&self.schema.timestamp)
                .and_then(|timestamp| timestamp.as_n().ok()?.parse().ok()),
            is_personal_email: attribute(&self.schema.is_personal_email)
                .and_then(|personal| personal.as_bool().ok().copied()),
        })
    }
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = since_epoch.unwrap_or_default().as_millis();
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

fn failed(action: &'static str, reason: impl Display) -> TableError {
    TableError {
        action,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::testing::Wire;
    use serde_json::{Value, json};

    const PUT: &str = "DynamoDB_20120810.PutItem";
    const DELETE: &str = "DynamoDB_20120810.DeleteItem";
    const SCAN: &str = "DynamoDB_20120810.Scan";

    fn table(wire: &Wire) -> UsersTable {
        let environment = Environment::from_iter([
            ("USERS_TABLE_NAME", "users"),
            ("USERS_KEY_ATTRIBUTE", "Id"),
            ("USERS_EMAIL_ATTRIBUTE", "Email"),
            ("USERS_TIMESTAMP_ATTRIBUTE", "Created"),
            ("USERS_IS_PERSONAL_EMAIL_ATTRIBUTE", "Personal"),
        ]);
        UsersTable::new(&wire.aws(), &environment).unwrap()
    }

    fn error(status: u16, code: &str) -> (u16, Value) {
        (status, json!({"__type": code, "message": "because"}))
    }

    fn condition_failed() -> (u16, Value) {
        error(400, "ConditionalCheckFailedException")
    }

    fn id(text: &str) -> UserId {
        UserId::new(text).unwrap()
    }

    async fn create(wire: &Wire) -> Result<User, TableError> {
        let email = EmailAddress::new("John@GMAIL.com").unwrap();
        table(wire).create(&email).await
    }

    async fn delete(wire: &Wire) -> Result<bool, TableError> {
        table(wire).delete(&id("ID1")).await
    }

    #[tokio::test]
    async fn a_user_is_written_under_the_names_of_the_table() {
        let wire = Wire::new([(200, json!({}))]);
        let before = now_ms();
        let user = create(&wire).await.unwrap();
        let timestamp = user.timestamp_ms.unwrap();
        assert!((before..=now_ms()).contains(&timestamp), "{timestamp}");
        assert_eq!(user.email.as_deref(), Some("John@GMAIL.com"));
        assert_eq!(
            wire.requests(),
            [(
                PUT.into(),
                json!({
                    "TableName": "users",
                    "Item": {
                        "Id": {"S": user.id.as_str()},
                        "Email": {"S": "John@GMAIL.com"},
                        "Created": {"N": timestamp.to_string()},
                    },
                    "ConditionExpression": "attribute_not_exists(#key)",
                    "ExpressionAttributeNames": {"#key": "Id"},
                })
            )]
        );
    }

    #[tokio::test]
    async fn an_id_that_is_taken_is_left_alone() {
        let wire = Wire::new([condition_failed(), (200, json!({}))]);
        let user = create(&wire).await.unwrap();
        let ids: Vec<_> = wire
            .requests()
            .iter()
            .map(|(_, body)| body["Item"]["Id"]["S"].clone())
            .collect();
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids[1], user.id.as_str());
    }

    #[tokio::test]
    async fn a_user_is_created_once_though_the_answer_was_lost() {
        let wire = Wire::new([error(500, "InternalServerError"), condition_failed()]);
        let user = create(&wire).await.unwrap();
        let requests = wire.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0], requests[1]);
        assert_eq!(requests[1].1["Item"]["Id"]["S"], user.id.as_str());
    }

    #[tokio::test]
    async fn a_user_is_deleted_if_there_is_one() {
        let wire = Wire::new([(200, json!({}))]);
        assert!(delete(&wire).await.unwrap());
        assert_eq!(
            wire.requests(),
            [(
                DELETE.into(),
                json!({
                    "TableName": "users",
                    "Key": {"Id": {"S": "ID1"}},
                    "ConditionExpression": "attribute_exists(#key)",
                    "ExpressionAttributeNames": {"#key": "Id"},
                })
            )]
        );
        assert!(!delete(&Wire::new([condition_failed()])).await.unwrap());
    }

    #[tokio::test]
    async fn a_user_that_a_lost_answer_was_about_is_deleted() {
        let wire = Wire::new([error(500, "InternalServerError"), condition_failed()]);
        assert!(delete(&wire).await.unwrap());
    }

    #[tokio::test]
    async fn what_dynamodb_says_is_in_the_error() {
        let denied = || Wire::new([error(400, "AccessDeniedException")]);
        for (error, action) in [
            (create(&denied()).await.unwrap_err(), "create a user"),
            (delete(&denied()).await.unwrap_err(), "delete a user"),
            (scan(&denied(), 1, None).await.unwrap_err(), "list users"),
        ] {
            let message = error.to_string();
            assert!(
                message.starts_with(&format!(
                    "could not {action} in the users table: AccessDenied"
                )),
                "{message}"
            );
        }
    }

    async fn scan(wire: &Wire, limit: usize, after: Option<&str>) -> Result<Page, TableError> {
        table(wire).scan(limit, after.map(id).as_ref()).await
    }

    fn named(ids: &[&str]) -> Vec<Value> {
        ids.iter().map(|id| json!({"Id": {"S": id}})).collect()
    }

    /// The ids of a page, and where the next starts.
    fn ids(page: &Page) -> (Vec<&str>, Option<&str>) {
        let ids = page.users.iter().map(|user| user.id.as_str());
        (ids.collect(), page.next.as_ref().map(UserId::as_str))
    }

    #[tokio::test]
    async fn users_are_read_by_the_names_of_the_table() {
        let item = json!({
            "Id": {"S": "ID2"},
            "Email": {"S": "john@gmail.com"},
            "Created": {"N": "1520547428623"},
            "Personal": {"BOOL": true},
        });
        let wire = Wire::new([(200, json!({"Items": [item]}))]);
        let page = scan(&wire, 10, Some("ID1")).await.unwrap();
        assert_eq!(
            page,
            Page {
                users: vec![User {
                    id: id("ID2"),
                    email: Some("john@gmail.com".into()),
                    timestamp_ms: Some(1_520_547_428_623),
                    is_personal_email: Some(true),
                }],
                next: None,
            }
        );
        assert_eq!(
            wire.requests(),
            [(
                SCAN.into(),
                json!({
                    "TableName": "users",
                    "ProjectionExpression": "#key, #email, #timestamp, #personal",
                    "ExpressionAttributeNames": {
                        "#key": "Id",
                        "#email": "Email",
                        "#timestamp": "Created",
                        "#personal": "Personal",
                    },
                    "Limit": 11,
                    "ExclusiveStartKey": {"Id": {"S": "ID1"}},
                })
            )]
        );
    }

    #[tokio::test]
    async fn what_others_wrote_is_listed_as_far_as_it_is_understood() {
        for item in [
            json!({"Id": {"S": "ID1"}}),
            json!({"Id": {"S": "ID1"}, "Email": {"N": "1"}, "Created": {"S": "now"}, "Personal": {"S": "yes"}}),
            json!({"Id": {"S": "ID1"}, "Email": {"NULL": true}, "Created": {"N": "1.5"}, "Personal": {"NULL": true}}),
            json!({"Id": {"S": "ID1"}, "Created": {"N": "1E+40"}, "Email": {"L": []}}),
        ] {
            let wire = Wire::new([(200, json!({"Items": [item]}))]);
            let user = User {
                id: id("ID1"),
                email: None,
                timestamp_ms: None,
                is_personal_email: None,
            };
            assert_eq!(scan(&wire, 1, None).await.unwrap().users, [user]);
        }
    }

    #[tokio::test]
    async fn a_full_page_tells_whether_another_follows() {
        let all = Wire::new([(200, json!({"Items": named(&["a", "b"])}))]);
        let page = scan(&all, 2, None).await.unwrap();
        assert_eq!(ids(&page), (vec!["a", "b"], None));

        let more =
            json!({"Items": named(&["a", "b", "c"]), "LastEvaluatedKey": {"Id": {"S": "c"}}});
        let page = scan(&Wire::new([(200, more)]), 2, None).await.unwrap();
        assert_eq!(ids(&page), (vec!["a", "b"], Some("b")));
    }

    #[tokio::test]
    async fn a_page_of_huge_users_is_cut() {
        let huge = |id: &str| json!({"Id": {"S": id}, "Email": {"S": "x".repeat(300 * 1024)}});
        let items = json!({"Items": [huge("a"), huge("b"), huge("c")]});
        let page = scan(&Wire::new([(200, items)]), 10, None).await.unwrap();
        assert_eq!(ids(&page), (vec!["a"], Some("a")));

        let email = "x".repeat(MAX_PAGE_BYTES);
        let items = json!({"Items": [{"Id": {"S": "a"}, "Email": {"S": email}}]});
        let page = scan(&Wire::new([(200, items)]), 10, None).await.unwrap();
        assert_eq!(ids(&page), (vec!["a"], None));
    }

    #[tokio::test]
    async fn a_key_of_another_name_is_reported() {
        let items = json!({"Items": [{"id": {"S": "a"}}]});
        let error = scan(&Wire::new([(200, items)]), 1, None).await.unwrap_err();
        assert!(error.to_string().contains("\"Id\""), "{error}");
    }
}
