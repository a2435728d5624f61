//! Gives each user an object in the user bucket, and takes it away when the user is deleted
//! or expires.
//!
//! A record of the stream says that a user was created or deleted. By now, the opposite may be
//! true again, so for either the function looks at the table and brings the object in step with
//! it. The rule, and why no order of records goes wrong, is in [`users::user_data`].

use std::process::ExitCode;

use lambda_runtime::Error;
use runtime::stream::{
    self, EventName, StreamEvent, StreamRecord, StreamResponse, UnnumberedRecord,
};
use runtime::{Aws, Environment, Service};
use users::s3::S3UserData;
use users::stream::{RecordError, user_of};
use users::user_data::{ReconcileError, Reconciled, UserData, Users, reconcile};
use users::{Schema, UsersTable};

/// Runs the function in Lambda.
pub fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "users"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = environment.require("USER_BUCKET_NAME")?;
    let function = HandleUserStream {
        schema: Schema::named_by(&environment)?,
        users: UsersTable::new(&aws, &environment)?,
        user_data: S3UserData::new(&aws, &bucket),
    };
    aws.open_connections(&[Service::DYNAMODB, Service::s3(&bucket)])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// The function, with what it works on.
#[derive(Debug)]
pub struct HandleUserStream<U, D> {
    /// The names in the users table.
    pub schema: Schema,
    /// The users table.
    pub users: U,
    /// The user bucket.
    pub user_data: D,
}

/// How a record was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The user's object was brought in step with the user.
    Object(Reconciled),
    /// The event is none of this function's.
    Skipped,
}

/// Why a record failed.
#[derive(Debug, thiserror::Error)]
enum HandleError {
    #[error(transparent)]
    Record(#[from] stream::RecordError),
    #[error(transparent)]
    User(#[from] RecordError),
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

impl<U: Users, D: UserData> HandleUserStream<U, D> {
    /// Handles one batch of records.
    pub async fn handle(&self, event: StreamEvent) -> Result<StreamResponse, UnnumberedRecord> {
        let handle_record = async |record: &StreamRecord| self.handle_record(record).await;
        event.handle_in_order(handle_record).await
    }

    async fn handle_record(&self, record: &StreamRecord) -> Result<Outcome, HandleError> {
        match record.event() {
            EventName::Insert | EventName::Remove => {
                let user = user_of(record, &self.schema)?;
                let reconciled = reconcile(&self.users, &self.user_data, &user).await?;
                Ok(Outcome::Object(reconciled))
            }
            // The event source mapping's filter lets none through.
            EventName::Modify => Ok(Outcome::Skipped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use serde_json::{Value, json};
    use users::UserId;
    use users::user_data::UserDataKey;

    const EVENT: &str = include_str!("../../../assets/events/handle-user-stream.json");

    const CREATED: &str = "019b8d5a-3f60-7cc2-a2b4-5d6e7f809102";
    const EXPIRED: &str = "019b8d5a-1a2b-7e3c-94d5-0a1b2c3d4e5f";

    #[derive(Default)]
    struct Table(BTreeSet<UserId>);

    impl Users for Table {
        async fn exists(&self, user: &UserId) -> Result<bool, ReconcileError> {
            Ok(self.0.contains(user))
        }
    }

    /// A bucket that refuses the objects of a user named "poison".
    #[derive(Default)]
    struct Bucket(RefCell<BTreeSet<UserDataKey>>);

    impl UserData for Bucket {
        async fn put(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
            if key.as_str() == "poison/userdata" {
                let (action, reason) = ("put", "AccessDenied".into());
                return Err(ReconcileError::UserData { action, reason });
            }
            self.0.borrow_mut().insert(key.clone());
            Ok(())
        }

        async fn delete(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
            self.0.borrow_mut().remove(key);
            Ok(())
        }
    }

    /// The function at a table with this key that has these users, and at a bucket with their
    /// objects if so.
    fn function(key: &str, users: &[&str], objects: &[&str]) -> HandleUserStream<Table, Bucket> {
        let id = |user: &&str| UserId::new(*user).unwrap();
        let objects = objects.iter().map(|user| UserDataKey::of(&id(user)));
        HandleUserStream {
            schema: Schema {
                key: key.into(),
                email: "email".into(),
                timestamp: "timestamp".into(),
                is_personal_email: "IsPersonalEmail".into(),
            },
            users: Table(users.iter().map(id).collect()),
            user_data: Bucket(RefCell::new(objects.collect())),
        }
    }

    /// Handles a batch. The answer, and the keys of the objects that there are afterwards.
    async fn handled(
        function: &HandleUserStream<Table, Bucket>,
        event: Value,
    ) -> (Value, Vec<String>) {
        let event = serde_json::from_value(event).unwrap();
        let response = function.handle(event).await.unwrap();
        let objects = function.user_data.0.borrow();
        let objects = objects.iter().map(|key| key.as_str().to_owned()).collect();
        (serde_json::to_value(response).unwrap(), objects)
    }

    /// The sample event's first record, about this user of the source's table.
    fn record(event_name: &str, name: &str, sequence_number: &str) -> Value {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        let mut record = event["Records"][0].take();
        record["eventName"] = event_name.into();
        record["dynamodb"]["Keys"] = json!({"name": {"S": name}});
        record["dynamodb"]["SequenceNumber"] = sequence_number.into();
        record
    }

    fn done() -> Value {
        json!({"batchItemFailures": []})
    }

    #[tokio::test]
    async fn the_sample_event_gives_an_object_and_takes_one() {
        let function = function("id", &[CREATED], &[EXPIRED]);
        for _ in 0..2 {
            let event = serde_json::from_str(EVENT).unwrap();
            let objects = vec![format!("{CREATED}/userdata")];
            assert_eq!(handled(&function, event).await, (done(), objects));
        }
    }

    #[tokio::test]
    async fn the_sources_table_is_keyed_by_name() {
        let function = function("name", &["john", "a/b"], &["jane"]);
        let records = [
            record("INSERT", "john", "1"),
            record("REMOVE", "jane", "2"),
            record("INSERT", "a/b", "3"),
        ];
        let objects = vec!["a%2Fb/userdata".into(), "john/userdata".into()];
        assert_eq!(
            handled(&function, json!({"Records": records})).await,
            (done(), objects)
        );
    }

    #[tokio::test]
    async fn a_late_record_follows_the_table() {
        let function = function("name", &["john"], &["jane"]);
        let records = [record("REMOVE", "john", "1"), record("INSERT", "jane", "2")];
        let (response, objects) = handled(&function, json!({"Records": records})).await;
        assert_eq!((response, objects), (done(), vec!["john/userdata".into()]));
    }

    #[tokio::test]
    async fn a_modification_is_skipped() {
        let function = function("name", &["john"], &[]);
        let records = [record("MODIFY", "john", "1")];
        let handled = handled(&function, json!({"Records": records})).await;
        assert_eq!(handled, (done(), vec![]));
    }

    #[tokio::test]
    async fn a_failed_record_ends_the_batch_and_is_reported() {
        let mut without_key = record("INSERT", "", "2");
        without_key["dynamodb"]["Keys"] = json!({"other": {"S": "john"}});
        for poison in [record("INSERT", "poison", "2"), without_key] {
            let function = function("name", &["john", "poison", "jane"], &[]);
            let records = [
                record("INSERT", "john", "1"),
                poison,
                record("INSERT", "jane", "3"),
            ];
            let failed = json!({"batchItemFailures": [{"itemIdentifier": "2"}]});
            assert_eq!(
                handled(&function, json!({"Records": records})).await,
                (failed, vec!["john/userdata".into()])
            );
        }
    }
}
