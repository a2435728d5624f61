//! Keeps each user's flag right that says whether the e-mail address is a personal one.
//!
//! The flag is written only when an address was set or changed and the flag is wrong for it.
//! The rule, and why no order of records goes wrong, is in [`users::personal_email`].

use std::process::ExitCode;

use lambda_runtime::Error;
use runtime::stream::{self, StreamEvent, StreamRecord, StreamResponse, UnnumberedRecord};
use runtime::{Aws, Environment, Service};
use users::personal_email::{Corrected, FlagError, Flags, PersonalDomains, correction};
use users::stream::{RecordError, user_of};
use users::{Schema, UsersTable};

/// Runs the function in Lambda.
pub fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "users"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = CheckEmail {
        schema: Schema::named_by(&environment)?,
        domains: environment.require("PERSONAL_EMAIL_DOMAINS")?.parse()?,
        flags: UsersTable::new(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// The function, with what it works on.
#[derive(Debug)]
pub struct CheckEmail<F> {
    /// The names in the users table.
    pub schema: Schema,
    /// Domains at which addresses are personal.
    pub domains: PersonalDomains,
    /// Where flags are written.
    pub flags: F,
}

/// How a record was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It demanded a write.
    Flag(Corrected),
    /// It demanded none.
    NothingToDo,
}

/// Why a record failed.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Record(#[from] stream::RecordError),
    #[error(transparent)]
    User(#[from] RecordError),
    #[error(transparent)]
    Flag(#[from] FlagError),
}

impl<F: Flags> CheckEmail<F> {
    /// Handles one batch of records.
    pub async fn handle(&self, event: StreamEvent) -> Result<StreamResponse, UnnumberedRecord> {
        let check_record = async |record: &StreamRecord| self.check_record(record).await;
        event.handle_in_order(check_record).await
    }

    async fn check_record(&self, record: &StreamRecord) -> Result<Outcome, CheckError> {
        let user = user_of(record, &self.schema)?;
        match correction(record, &self.schema, &self.domains)? {
            Some(correction) => Ok(Outcome::Flag(self.flags.correct(&user, &correction).await?)),
            None => Ok(Outcome::NothingToDo),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use serde_json::{Value, json};
    use users::UserId;
    use users::personal_email::Correction;

    const EVENT: &str = include_str!("../../../assets/events/check-email.json");

    /// Keeps the writes, and refuses those of a user named "poison".
    #[derive(Default)]
    struct Written(RefCell<Vec<(String, Correction)>>);

    impl Flags for Written {
        async fn correct(
            &self,
            user: &UserId,
            correction: &Correction,
        ) -> Result<Corrected, FlagError> {
            if user.as_str() == "poison" {
                let reason = "AccessDeniedException".into();
                return Err(FlagError { reason });
            }
            let write = (user.to_string(), correction.clone());
            self.0.borrow_mut().push(write);
            Ok(Corrected::Written)
        }
    }

    /// Handles a batch of a table whose key and attributes are called so. The writes, and the
    /// answer.
    async fn checked(
        [key, email, is_personal_email]: [&str; 3],
        event: Value,
    ) -> (Vec<(String, Correction)>, Value) {
        let function = CheckEmail {
            schema: Schema {
                key: key.into(),
                email: email.into(),
                timestamp: "timestamp".into(),
                is_personal_email: is_personal_email.into(),
            },
            domains: "gmail.com,outlook.com,hotmail.com".parse().unwrap(),
            flags: Written::default(),
        };
        let event = serde_json::from_value(event).unwrap();
        let response = function.handle(event).await.unwrap();
        let response = serde_json::to_value(response).unwrap();
        (function.flags.0.into_inner(), response)
    }

    const OURS: [&str; 3] = ["id", "email", "IsPersonalEmail"];
    const SOURCES: [&str; 3] = ["Id", "Email", "IsPersonalEmail"];

    fn write(user: &str, email: &str, is_personal: bool) -> (String, Correction) {
        let email = email.into();
        (user.into(), Correction::OfAddress { email, is_personal })
    }

    /// A record of the creation of a user in the source's table.
    fn created(id: &str, email: &Value, sequence_number: &str) -> Value {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        let mut record = event["Records"][0].take();
        record["dynamodb"]["Keys"] = json!({"Id": {"S": id}});
        record["dynamodb"]["NewImage"] = json!({"Id": {"S": id}, "Email": email});
        record["dynamodb"]["SequenceNumber"] = sequence_number.into();
        record
    }

    fn done() -> Value {
        json!({"batchItemFailures": []})
    }

    #[tokio::test]
    async fn the_sample_event_demands_two_writes() {
        let event = serde_json::from_str(EVENT).unwrap();
        let writes = vec![
            write(
                "019b8d5a-3f60-7cc2-a2b4-5d6e7f809102",
                "john@gmail.com",
                true,
            ),
            write(
                "019b8d5a-1a2b-7e3c-94d5-0a1b2c3d4e5f",
                "jane@outlook.com",
                true,
            ),
        ];
        assert_eq!(checked(OURS, event).await, (writes, done()));
    }

    #[tokio::test]
    async fn the_sources_examples_get_their_flags() {
        let event = json!({"Records": [
            created("ID1", &json!({"S": "john@example.com"}), "1"),
            created("ID2", &json!({"S": "john@gmail.com"}), "2"),
        ]});
        let writes = vec![
            write("ID1", "john@example.com", false),
            write("ID2", "john@gmail.com", true),
        ];
        assert_eq!(checked(SOURCES, event).await, (writes, done()));
    }

    #[tokio::test]
    async fn the_functions_own_write_does_not_set_it_going_again() {
        let mut record = created("ID2", &json!({"S": "john@gmail.com"}), "1");
        record["eventName"] = "MODIFY".into();
        let change = &mut record["dynamodb"];
        change["OldImage"] = change["NewImage"].clone();
        change["NewImage"]["IsPersonalEmail"] = json!({"BOOL": true});
        let event = json!({"Records": [record]});
        assert_eq!(checked(SOURCES, event).await, (vec![], done()));
    }

    #[tokio::test]
    async fn a_failed_record_ends_the_batch_and_is_reported() {
        let address = &json!({"S": "john@gmail.com"});
        for poison in [
            created("poison", address, "2"),
            created("ID2", &json!({"N": "7"}), "2"),
            created("", address, "2"),
        ] {
            let event = json!({"Records": [
                created("ID1", address, "1"),
                poison,
                created("ID3", address, "3"),
            ]});
            let (writes, response) = checked(SOURCES, event).await;
            assert_eq!(writes, [write("ID1", "john@gmail.com", true)]);
            assert_eq!(
                response,
                json!({"batchItemFailures": [{"itemIdentifier": "2"}]})
            );
        }
    }
}
