//! The users table in DynamoDB.
//!
//! Both writes are on a condition: a user is created only where none is, and deleted only
//! where one is. The SDK repeats a write whose answer got lost, and then the condition
//! fails because of the write itself. So it is noted when an attempt ends without
//! DynamoDB's word on it, and a condition that fails after that counts as met.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_types::timeout::TimeoutConfig;
use runtime::service_error::describe;
use runtime::{Aws, Environment, MissingVariable, Service};

use crate::email::EmailAddress;
use crate::schema::Schema;
use crate::user::{User, UserId};

/// One attempt of one call, and all of them. DynamoDB answers in milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much one listing reads: pages of 1 MB, so about 1300 read units, and a few
/// seconds of an API call that may last 30.
pub const MAX_SCANNED_PAGES: usize = 10;

/// How many bytes of ids and e-mail addresses make a page. A thousand users of this stack have
/// less. Others may write an address of 400 KB, and each byte of it takes up to seven in a
/// Lambda response, which has 6 MB.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;

type Attributes = HashMap<String, AttributeValue>;

/// The users table.
#[derive(Debug, Clone)]
pub struct UsersTable {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) schema: Schema,
}

/// A call of DynamoDB that failed. Neither id nor e-mail address is in it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} in the users table: {reason}")]
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
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(TIMEOUT)
            .build();
        let config = aws_sdk_dynamodb::config::Builder::from(&aws.config(Service::DYNAMODB))
            .timeout_config(timeouts)
            .build();
        Ok(Self {
            client: Client::from_conf(config),
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
        let unanswered = Unanswered::default();
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
            .interceptor(unanswered.clone())
            .send()
            .await;
        match result {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(unanswered.any()),
                _ => Err(failed("create a user", describe(&error))),
            },
        }
    }

    /// Deletes a user. `false` if there is none.
    pub async fn delete(&self, id: &UserId) -> Result<bool, TableError> {
        let unanswered = Unanswered::default();
        let result = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key(&self.schema.key, text(id.as_str()))
            .condition_expression("attribute_exists(#key)")
            .expression_attribute_names("#key", &self.schema.key)
            .customize()
            .interceptor(unanswered.clone())
            .send()
            .await;
        match result {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(unanswered.any()),
                _ => Err(failed("delete a user", describe(&error))),
            },
        }
    }

    /// Up to `limit` users, from the one after `after` on.
    ///
    /// A page with fewer users than `limit` is the last one, with two exceptions: it ends
    /// before [`MAX_PAGE_BYTES`] and after [`MAX_SCANNED_PAGES`], with more to come.
    ///
    /// Writes of the last moments may be missing (the reads are eventually consistent).
    pub async fn scan(&self, limit: usize, after: Option<&UserId>) -> Result<Page, TableError> {
        let mut users = Vec::new();
        let mut start = after.map(|id| self.key_of(id));
        for _ in 0..MAX_SCANNED_PAGES {
            let output = self
                .client
                .scan()
                .table_name(&self.name)
                .projection_expression("#key, #email, #timestamp, #personal")
                .expression_attribute_names("#key", &self.schema.key)
                .expression_attribute_names("#email", &self.schema.email)
                .expression_attribute_names("#timestamp", &self.schema.timestamp)
                .expression_attribute_names("#personal", &self.schema.is_personal_email)
                // One more than asked for tells whether another page follows.
                .limit(i32::try_from(limit + 1 - users.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|error| failed("list users", describe(&error)))?;
            for attributes in output.items() {
                users.push(self.to_user(attributes)?);
            }
            let length = page_length(&users, limit);
            if length < users.len() {
                users.truncate(length);
                let next = users.last().map(|user| user.id.clone());
                return Ok(Page { users, next });
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let next = start.as_ref().map(|key| self.to_id(key)).transpose()?;
        Ok(Page { users, next })
    }

    fn key_of(&self, id: &UserId) -> Attributes {
        HashMap::from([(self.schema.key.clone(), text(id.as_str()))])
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

/// How many of these users make a page.
fn page_length(users: &[User], limit: usize) -> usize {
    let mut bytes = 0;
    let fitting = users.iter().take(limit).take_while(|user| {
        bytes += user.id.as_str().len() + user.email.as_ref().map_or(0, String::len);
        bytes <= MAX_PAGE_BYTES
    });
    // Even a page that is too large has one: else there would be no next.
    fitting.count().max(1)
}

/// Whether an attempt of a call ended without DynamoDB's word on it: with no answer at all, or
/// with a server error. What was to be written may be there or not. All else that DynamoDB
/// answers, throttling too, says that nothing was written.
#[derive(Debug, Clone, Default)]
struct Unanswered(Arc<AtomicBool>);

impl Unanswered {
    fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Unanswered {
    fn name(&self) -> &'static str {
        "Unanswered"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if response.is_none_or(|response| response.status().is_server_error()) {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = since_epoch.unwrap_or_default().as_millis();
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
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
    async fn a_throttled_attempt_has_deleted_nothing() {
        let wire = Wire::new([error(400, "ThrottlingException"), condition_failed()]);
        assert!(!delete(&wire).await.unwrap());
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
                message.starts_with(&format!("cannot {action} in the users table: AccessDenied")),
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
    async fn what_dynamodb_cuts_is_read_on() {
        let wire = Wire::new([
            (
                200,
                json!({"Items": named(&["a"]), "LastEvaluatedKey": {"Id": {"S": "a"}}}),
            ),
            (200, json!({"Items": named(&["b"])})),
        ]);
        let page = scan(&wire, 2, None).await.unwrap();
        assert_eq!(ids(&page), (vec!["a", "b"], None));
        let second = &wire.requests()[1].1;
        assert_eq!(
            (&second["ExclusiveStartKey"], &second["Limit"]),
            (&json!({"Id": {"S": "a"}}), &json!(2))
        );
    }

    #[tokio::test]
    async fn a_listing_reads_no_more_than_its_bound() {
        let empty = |_| {
            (
                200,
                json!({"Items": [], "LastEvaluatedKey": {"Id": {"S": "z"}}}),
            )
        };
        let wire = Wire::new((0..=MAX_SCANNED_PAGES).map(empty));
        let page = scan(&wire, 1, None).await.unwrap();
        assert_eq!(ids(&page), (vec![], Some("z")));
        assert_eq!(wire.requests().len(), MAX_SCANNED_PAGES);
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
