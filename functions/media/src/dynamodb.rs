//! The catalogue in DynamoDB.
//!
//! Two tables, both with the partition key `name`:
//!
//! - the media table holds the items, and nothing else: `name`, `type`, `labels`;
//! - the state table holds a [`State`] per key: `sequencer`; `failure` if the
//!   object could not be labelled; `expires_at`, in seconds since the epoch and for
//!   DynamoDB's time to live, if the object was deleted.
//!
//! One `TransactWriteItems` writes both. DynamoDB serialises transactions on the
//! same item, which is what the [`Catalogue`]'s rule rests on. When it cannot, it
//! cancels one with `TransactionConflict`, and that one is tried again here. The
//! SDK's own retries repeat a transaction under the same client token, so an answer
//! that got lost does not turn a recorded change into a superseded one.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use aws_smithy_types::timeout::TimeoutConfig;
use runtime::service_error::describe;
use runtime::{Aws, Environment, MissingVariable, Service};

use crate::catalogue::{
    Catalogue, CatalogueError, ChangeKind, MediaItem, ObjectChange, Outcome, State,
    TOMBSTONE_LIFETIME,
};
use crate::detector::Failure;
use crate::key::ObjectKey;
use crate::media_type::{MediaType, UnknownMediaType};
use crate::sequencer::Sequencer;

/// Conflicting transactions last for milliseconds; these attempts span a second.
const TRANSACTION_ATTEMPTS: u32 = 7;
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// One attempt of one call, and all of them. DynamoDB answers in milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much one listing reads: pages of 1 MB, so about 1300 read units, and a few
/// seconds of an API call that may last 30.
pub const MAX_SCANNED_PAGES: usize = 10;

type Attributes = HashMap<String, AttributeValue>;

/// Names of the two tables.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Holds the items.
    pub media: String,
    /// Holds the states.
    pub state: String,
}

impl Tables {
    /// The tables that the stack's variables name.
    pub fn named_by(environment: &Environment) -> Result<Self, MissingVariable> {
        Ok(Self {
            media: environment.require("MEDIA_TABLE_NAME")?,
            state: environment.require("MEDIA_STATE_TABLE_NAME")?,
        })
    }
}

/// The catalogue in two DynamoDB tables.
#[derive(Debug, Clone)]
pub struct DynamoCatalogue {
    client: Client,
    tables: Tables,
}

/// What the catalogue knows of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A labelled file.
    Item(MediaItem),
    /// A file that cannot be labelled.
    Failed(Failure),
}

/// Which items to list. Every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The name begins with this text.
    pub name_prefix: Option<String>,
    /// The file is of this kind.
    pub media_type: Option<MediaType>,
    /// One of the labels is exactly this.
    pub label: Option<String>,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The items, in the table's order.
    pub items: Vec<MediaItem>,
    /// Where the next page starts: after this name. `None` after the last page.
    pub next: Option<ObjectKey>,
}

impl DynamoCatalogue {
    /// Builds the client.
    pub fn new(aws: &Aws, tables: Tables) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(TIMEOUT)
            .build();
        let config = aws_sdk_dynamodb::config::Builder::from(&aws.config(Service::DYNAMODB))
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(config),
            tables,
        }
    }

    /// What is known of one name. Sees every write that ended before.
    pub async fn find(&self, name: &ObjectKey) -> Result<Option<Entry>, CatalogueError> {
        if let Some(attributes) = self.get(&self.tables.media, name).await? {
            return Ok(Some(Entry::Item(to_item(&attributes)?)));
        }
        let state = self.state(name).await?;
        Ok(state.and_then(|state| state.failure).map(Entry::Failed))
    }

    /// Up to `limit` items that pass the filter, from the one after `after` on.
    ///
    /// DynamoDB filters what it has read, a megabyte at a time. This reads on until
    /// the page is full or the table ends, so a page with fewer items than `limit`
    /// is the last one, with one exception: after [`MAX_SCANNED_PAGES`] the listing is
    /// cut, and may have fewer items, even none, with more to come.
    ///
    /// Writes of the last moments may be missing (the reads are eventually consistent).
    pub async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<&ObjectKey>,
    ) -> Result<Page, CatalogueError> {
        let mut items = Vec::new();
        let mut start = after.map(key_of);
        for _ in 0..MAX_SCANNED_PAGES {
            let output = self
                .scan(filter)
                // Without a filter, no item is read in vain: one more than asked for
                // tells whether another page follows.
                .set_limit(
                    (*filter == Filter::default())
                        .then(|| i32::try_from(limit + 1 - items.len()).unwrap_or(i32::MAX)),
                )
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|error| failed("list", "the items", describe(&error)))?;
            for attributes in output.items() {
                items.push(to_item(attributes)?);
            }
            if items.len() > limit {
                items.truncate(limit);
                let next = items.last().map(|item| item.name.clone());
                return Ok(Page { items, next });
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let next = start.as_ref().map(to_name).transpose()?;
        Ok(Page { items, next })
    }

    fn scan(&self, filter: &Filter) -> ScanFluentBuilder {
        let mut scan = self.client.scan().table_name(&self.tables.media);
        let mut conditions = Vec::new();
        if let Some(prefix) = &filter.name_prefix {
            conditions.push("begins_with(#name, :prefix)");
            scan = scan
                .expression_attribute_names("#name", "name")
                .expression_attribute_values(":prefix", text(prefix));
        }
        if let Some(media_type) = filter.media_type {
            conditions.push("#type = :type");
            scan = scan
                .expression_attribute_names("#type", "type")
                .expression_attribute_values(":type", text(media_type.as_str()));
        }
        if let Some(label) = &filter.label {
            conditions.push("contains(#labels, :label)");
            scan = scan
                .expression_attribute_names("#labels", "labels")
                .expression_attribute_values(":label", text(label));
        }
        scan.set_filter_expression((!conditions.is_empty()).then(|| conditions.join(" AND ")))
    }

    async fn get(
        &self,
        table: &str,
        name: &ObjectKey,
    ) -> Result<Option<Attributes>, CatalogueError> {
        let output = self
            .client
            .get_item()
            .table_name(table)
            .set_key(Some(key_of(name)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("read", name.as_str(), describe(&error)))?;
        Ok(output.item)
    }

    /// The state of the change's key after it, written only when the change is new.
    fn advance(&self, change: &ObjectChange) -> Result<TransactWriteItem, BuildError> {
        let mut put = Put::builder()
            .table_name(&self.tables.state)
            .item("name", text(change.name.as_str()))
            .item("sequencer", text(change.sequencer.as_str()))
            .condition_expression("attribute_not_exists(#sequencer) OR #sequencer < :sequencer")
            .expression_attribute_names("#sequencer", "sequencer")
            .expression_attribute_values(":sequencer", text(change.sequencer.as_str()));
        match &change.kind {
            ChangeKind::Labelled { .. } => {}
            ChangeKind::Failed(failure) => put = put.item("failure", from_failure(failure)),
            ChangeKind::Removed => put = put.item("expires_at", tombstone_expiry()),
        }
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    fn put_item(&self, item: &MediaItem) -> Result<TransactWriteItem, BuildError> {
        let labels = item.labels.iter().map(text).collect();
        let put = Put::builder()
            .table_name(&self.tables.media)
            .item("name", text(item.name.as_str()))
            .item("type", text(item.media_type.as_str()))
            .item("labels", AttributeValue::L(labels))
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn delete_item(&self, name: &ObjectKey) -> Result<TransactWriteItem, BuildError> {
        let delete = Delete::builder()
            .table_name(&self.tables.media)
            .set_key(Some(key_of(name)))
            .build()?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    fn expect_state(
        &self,
        name: &ObjectKey,
        seen: Option<&State>,
    ) -> Result<TransactWriteItem, BuildError> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.state)
            .set_key(Some(key_of(name)))
            .expression_attribute_names("#sequencer", "sequencer");
        let check = match seen {
            None => check.condition_expression("attribute_not_exists(#sequencer)"),
            Some(state) => check
                .condition_expression("#sequencer = :seen")
                .expression_attribute_values(":seen", text(state.sequencer.as_str())),
        };
        Ok(TransactWriteItem::builder()
            .condition_check(check.build()?)
            .build())
    }

    /// Does both writes or none.
    async fn transact(
        &self,
        action: &'static str,
        name: &ObjectKey,
        writes: Result<[TransactWriteItem; 2], BuildError>,
    ) -> Result<Outcome, CatalogueError> {
        let writes = writes.map_err(|error| failed(action, name.as_str(), error))?;
        let mut attempt = 1;
        loop {
            let request = self.client.transact_write_items();
            let result = request
                .set_transact_items(Some(writes.to_vec()))
                .send()
                .await;
            let Err(error) = result else {
                return Ok(Outcome::Recorded);
            };
            match error.as_service_error().and_then(cancellation) {
                Some(Cancellation::Condition) => return Ok(Outcome::Superseded),
                Some(Cancellation::Contention) if attempt < TRANSACTION_ATTEMPTS => {
                    tokio::time::sleep(FIRST_BACKOFF * 2_u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                _ => return Err(failed(action, name.as_str(), describe(&error))),
            }
        }
    }
}

impl Catalogue for DynamoCatalogue {
    async fn state(&self, name: &ObjectKey) -> Result<Option<State>, CatalogueError> {
        let attributes = self.get(&self.tables.state, name).await?;
        attributes.as_ref().map(to_state).transpose()
    }

    async fn record(&self, change: &ObjectChange) -> Result<Outcome, CatalogueError> {
        let item_write = match &change.kind {
            ChangeKind::Labelled { media_type, labels } => self.put_item(&MediaItem {
                name: change.name.clone(),
                media_type: *media_type,
                labels: labels.clone(),
            }),
            ChangeKind::Failed(_) | ChangeKind::Removed => self.delete_item(&change.name),
        };
        let writes = self
            .advance(change)
            .and_then(|state_write| Ok([state_write, item_write?]));
        self.transact("record", &change.name, writes).await
    }

    async fn save(
        &self,
        item: &MediaItem,
        seen: Option<&State>,
    ) -> Result<Outcome, CatalogueError> {
        let writes = self
            .expect_state(&item.name, seen)
            .and_then(|check| Ok([check, self.put_item(item)?]));
        self.transact("save", &item.name, writes).await
    }
}

/// Why DynamoDB cancelled a transaction, as far as there is something to do about it.
enum Cancellation {
    /// The state has moved on.
    Condition,
    /// Another transaction on the same items, or too many requests: try again.
    Contention,
}

fn cancellation(error: &TransactWriteItemsError) -> Option<Cancellation> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return None;
    };
    let has = |codes: &[&str]| {
        let mut reasons = cancelled.cancellation_reasons().iter();
        reasons.any(|reason| reason.code().is_some_and(|code| codes.contains(&code)))
    };
    if has(&["ConditionalCheckFailed"]) {
        Some(Cancellation::Condition)
    } else if has(&[
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ]) {
        Some(Cancellation::Contention)
    } else {
        None
    }
}

fn failed(action: &'static str, name: &str, reason: impl Display) -> CatalogueError {
    CatalogueError {
        action,
        name: name.into(),
        reason: reason.to_string(),
    }
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn key_of(name: &ObjectKey) -> Attributes {
    HashMap::from([("name".into(), text(name.as_str()))])
}

fn tombstone_expiry() -> AttributeValue {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    AttributeValue::N((since_epoch + TOMBSTONE_LIFETIME).as_secs().to_string())
}

fn from_failure(failure: &Failure) -> AttributeValue {
    AttributeValue::M(HashMap::from([
        ("code".into(), text(&failure.code)),
        ("message".into(), text(&failure.message)),
    ]))
}

/// A text attribute. Only this crate writes the tables, so one that is missing or of another
/// type is damage, and is reported rather than guessed.
fn text_of<'a>(attributes: &'a Attributes, attribute: &str) -> Result<&'a str, CatalogueError> {
    match attributes.get(attribute) {
        Some(AttributeValue::S(value)) => Ok(value),
        _ => Err(malformed(
            attributes,
            format!("its attribute {attribute:?} is no text"),
        )),
    }
}

fn malformed(attributes: &Attributes, reason: impl Display) -> CatalogueError {
    let name = attributes.get("name").and_then(|name| name.as_s().ok());
    failed(
        "read",
        name.map_or("an item without a name", String::as_str),
        reason,
    )
}

fn to_name(attributes: &Attributes) -> Result<ObjectKey, CatalogueError> {
    ObjectKey::new(text_of(attributes, "name")?).map_err(|error| malformed(attributes, error))
}

fn to_item(attributes: &Attributes) -> Result<MediaItem, CatalogueError> {
    let labels = match attributes.get("labels") {
        Some(AttributeValue::L(labels)) => labels
            .iter()
            .map(|label| label.as_s().cloned())
            .collect::<Result<_, _>>()
            .map_err(|_| malformed(attributes, "one of its labels is no text"))?,
        _ => return Err(malformed(attributes, "its attribute \"labels\" is no list")),
    };
    Ok(MediaItem {
        name: to_name(attributes)?,
        media_type: text_of(attributes, "type")?
            .parse()
            .map_err(|error: UnknownMediaType| malformed(attributes, error))?,
        labels,
    })
}

fn to_state(attributes: &Attributes) -> Result<State, CatalogueError> {
    let failure = match attributes.get("failure") {
        None => None,
        Some(AttributeValue::M(failure)) => Some(Failure {
            code: text_of(failure, "code")?.into(),
            message: text_of(failure, "message")?.into(),
        }),
        Some(_) => return Err(malformed(attributes, "its attribute \"failure\" is no map")),
    };
    Ok(State {
        sequencer: Sequencer::parse(text_of(attributes, "sequencer")?)
            .map_err(|error| malformed(attributes, error))?,
        failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_catalogue;
    use runtime::testing::Wire;
    use serde_json::{Value, json};

    fn catalogue(wire: &Wire) -> DynamoCatalogue {
        DynamoCatalogue::new(
            &wire.aws(),
            Tables {
                media: "media".into(),
                state: "state".into(),
            },
        )
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(name).unwrap()
    }

    fn change(kind: ChangeKind) -> ObjectChange {
        ObjectChange {
            name: key("dog.jpg"),
            sequencer: Sequencer::parse("0055aed600").unwrap(),
            kind,
        }
    }

    fn labelled() -> ChangeKind {
        ChangeKind::Labelled {
            media_type: MediaType::Image,
            labels: vec!["Dog".into(), "Animal".into()],
        }
    }

    fn failure() -> Failure {
        Failure {
            code: "ImageTooLargeException".into(),
            message: "too large".into(),
        }
    }

    fn dog() -> MediaItem {
        MediaItem {
            name: key("dog.jpg"),
            media_type: MediaType::Image,
            labels: vec!["Dog".into(), "Animal".into()],
        }
    }

    fn dog_attributes() -> Value {
        json!({
            "name": {"S": "dog.jpg"},
            "type": {"S": "image"},
            "labels": {"L": [{"S": "Dog"}, {"S": "Animal"}]},
        })
    }

    fn named(name: &str) -> Value {
        json!({"name": {"S": name}, "type": {"S": "image"}, "labels": {"L": []}})
    }

    fn cancelled(codes: [&str; 2]) -> (u16, Value) {
        (
            400,
            json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": format!("Transaction cancelled: {codes:?}"),
                "CancellationReasons": codes.map(|code| json!({"Code": code})),
            }),
        )
    }

    /// The two writes of the only transaction on the wire.
    fn transaction(wire: &Wire) -> [Value; 2] {
        let requests = wire.requests();
        let [(operation, body)] = requests.as_slice() else {
            panic!("one request expected: {requests:?}");
        };
        assert_eq!(operation, "DynamoDB_20120810.TransactWriteItems");
        serde_json::from_value(body["TransactItems"].clone()).unwrap()
    }

    fn state_write(item: &Value) -> Value {
        json!({"Put": {
            "TableName": "state",
            "Item": item,
            "ConditionExpression": "attribute_not_exists(#sequencer) OR #sequencer < :sequencer",
            "ExpressionAttributeNames": {"#sequencer": "sequencer"},
            "ExpressionAttributeValues": {":sequencer": {"S": "0055AED6"}},
        }})
    }

    #[tokio::test]
    async fn labels_and_state_are_written_together() {
        let wire = Wire::new([(200, json!({}))]);
        let outcome = catalogue(&wire).record(&change(labelled())).await.unwrap();
        assert_eq!(outcome, Outcome::Recorded);
        assert_eq!(
            transaction(&wire),
            [
                state_write(&json!({"name": {"S": "dog.jpg"}, "sequencer": {"S": "0055AED6"}})),
                json!({"Put": {"TableName": "media", "Item": dog_attributes()}}),
            ]
        );
    }

    #[tokio::test]
    async fn a_failure_is_kept_in_the_state_and_the_item_goes() {
        let wire = Wire::new([(200, json!({}))]);
        let kind = ChangeKind::Failed(failure());
        catalogue(&wire).record(&change(kind)).await.unwrap();
        assert_eq!(
            transaction(&wire),
            [
                state_write(&json!({
                    "name": {"S": "dog.jpg"},
                    "sequencer": {"S": "0055AED6"},
                    "failure": {"M": {
                        "code": {"S": "ImageTooLargeException"},
                        "message": {"S": "too large"},
                    }},
                })),
                json!({"Delete": {"TableName": "media", "Key": {"name": {"S": "dog.jpg"}}}}),
            ]
        );
    }

    #[tokio::test]
    async fn a_removal_leaves_a_tombstone_that_expires() {
        let now = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs()
        };
        let lifetime = 30 * 24 * 60 * 60;
        let wire = Wire::new([(200, json!({}))]);
        let before = now();
        catalogue(&wire)
            .record(&change(ChangeKind::Removed))
            .await
            .unwrap();
        let [state, item] = transaction(&wire);
        let expires_at = &state["Put"]["Item"]["expires_at"]["N"];
        let seconds: u64 = expires_at.as_str().unwrap().parse().unwrap();
        assert!((before + lifetime..=now() + lifetime).contains(&seconds));
        assert_eq!(
            state,
            state_write(&json!({
                "name": {"S": "dog.jpg"},
                "sequencer": {"S": "0055AED6"},
                "expires_at": {"N": expires_at},
            }))
        );
        assert_eq!(
            item,
            json!({"Delete": {"TableName": "media", "Key": {"name": {"S": "dog.jpg"}}}})
        );
    }

    #[tokio::test]
    async fn saving_checks_the_state_that_was_seen() {
        let seen = State {
            sequencer: Sequencer::parse("0A").unwrap(),
            failure: None,
        };
        let put = json!({"Put": {"TableName": "media", "Item": dog_attributes()}});
        for (seen, condition) in [
            (
                Some(&seen),
                json!({
                    "ConditionExpression": "#sequencer = :seen",
                    "ExpressionAttributeValues": {":seen": {"S": "0A"}},
                }),
            ),
            (
                None,
                json!({"ConditionExpression": "attribute_not_exists(#sequencer)"}),
            ),
        ] {
            let wire = Wire::new([(200, json!({}))]);
            let outcome = catalogue(&wire).save(&dog(), seen).await.unwrap();
            assert_eq!(outcome, Outcome::Recorded);
            let mut check = condition;
            check["TableName"] = "state".into();
            check["Key"] = json!({"name": {"S": "dog.jpg"}});
            check["ExpressionAttributeNames"] = json!({"#sequencer": "sequencer"});
            assert_eq!(
                transaction(&wire),
                [json!({"ConditionCheck": check}), put.clone()]
            );
        }
    }

    #[tokio::test]
    async fn a_failed_condition_is_superseded_and_no_error() {
        for codes in [
            ["ConditionalCheckFailed", "None"],
            ["ConditionalCheckFailed", "TransactionConflict"],
        ] {
            let wire = Wire::new([cancelled(codes)]);
            let outcome = catalogue(&wire).record(&change(labelled())).await.unwrap();
            assert_eq!(outcome, Outcome::Superseded);
            assert_eq!(wire.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_conflict_is_tried_again() {
        let wire = Wire::new([
            cancelled(["TransactionConflict", "None"]),
            cancelled(["None", "TransactionConflict"]),
            (200, json!({})),
        ]);
        let outcome = catalogue(&wire).record(&change(labelled())).await.unwrap();
        assert_eq!(outcome, Outcome::Recorded);
        assert_eq!(wire.requests().len(), 3);
    }

    #[tokio::test]
    async fn an_endless_conflict_is_an_error() {
        let conflicts =
            (0..TRANSACTION_ATTEMPTS).map(|_| cancelled(["TransactionConflict", "None"]));
        let wire = Wire::new(conflicts);
        let error = catalogue(&wire)
            .record(&change(labelled()))
            .await
            .unwrap_err();
        assert_eq!(wire.requests().len(), TRANSACTION_ATTEMPTS as usize);
        assert!(
            error.to_string().starts_with(
                "could not record \"dog.jpg\" in the catalogue: TransactionCanceledException: "
            ),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_denial_is_an_error_that_names_it() {
        let wire = Wire::new([(
            400,
            json!({
                "__type": "com.amazon.coral.service#AccessDeniedException",
                "Message": "not authorized to perform: dynamodb:PutItem",
            }),
        )]);
        let error = catalogue(&wire)
            .record(&change(labelled()))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("AccessDeniedException: not authorized to perform: dynamodb:PutItem"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_state_is_read_consistently() {
        let wire = Wire::new([
            (
                200,
                json!({"Item": {
                    "name": {"S": "dog.jpg"},
                    "sequencer": {"S": "0055AED6"},
                    "failure": {"M": {
                        "code": {"S": "ImageTooLargeException"},
                        "message": {"S": "too large"},
                    }},
                }}),
            ),
            (200, json!({})),
        ]);
        let catalogue = catalogue(&wire);
        assert_eq!(
            catalogue.state(&key("dog.jpg")).await.unwrap(),
            Some(State {
                sequencer: Sequencer::parse("0055AED6").unwrap(),
                failure: Some(failure()),
            })
        );
        assert_eq!(catalogue.state(&key("dog.jpg")).await.unwrap(), None);
        assert_eq!(
            wire.requests()[0],
            (
                "DynamoDB_20120810.GetItem".into(),
                json!({
                    "TableName": "state",
                    "Key": {"name": {"S": "dog.jpg"}},
                    "ConsistentRead": true,
                })
            )
        );
    }

    #[tokio::test]
    async fn finds_items_then_failures() {
        let wire = Wire::new([
            (200, json!({"Item": dog_attributes()})),
            (200, json!({})),
            (
                200,
                json!({"Item": {
                    "name": {"S": "dog.jpg"},
                    "sequencer": {"S": "01"},
                    "failure": {"M": {
                        "code": {"S": "ImageTooLargeException"},
                        "message": {"S": "too large"},
                    }},
                }}),
            ),
            (200, json!({})),
            (
                200,
                json!({"Item": {"name": {"S": "dog.jpg"}, "sequencer": {"S": "01"}}}),
            ),
        ]);
        let catalogue = catalogue(&wire);
        let name = key("dog.jpg");
        assert_eq!(
            catalogue.find(&name).await.unwrap(),
            Some(Entry::Item(dog()))
        );
        assert_eq!(
            catalogue.find(&name).await.unwrap(),
            Some(Entry::Failed(failure()))
        );
        assert_eq!(catalogue.find(&name).await.unwrap(), None);
        let tables: Vec<_> = wire
            .requests()
            .into_iter()
            .map(|(_, body)| body["TableName"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(tables, ["media", "media", "state", "media", "state"]);
    }

    #[tokio::test]
    async fn every_filter_is_an_expression() {
        let wire = Wire::new([(200, json!({"Items": [dog_attributes()]}))]);
        let filter = Filter {
            name_prefix: Some("do".into()),
            media_type: Some(MediaType::Image),
            label: Some("Dog".into()),
        };
        let page = catalogue(&wire).list(&filter, 10, None).await.unwrap();
        assert_eq!(
            page,
            Page {
                items: vec![dog()],
                next: None
            }
        );
        assert_eq!(
            wire.requests(),
            [(
                "DynamoDB_20120810.Scan".into(),
                json!({
                    "TableName": "media",
                    "FilterExpression":
                        "begins_with(#name, :prefix) AND #type = :type AND contains(#labels, :label)",
                    "ExpressionAttributeNames": {"#name": "name", "#type": "type", "#labels": "labels"},
                    "ExpressionAttributeValues": {
                        ":prefix": {"S": "do"},
                        ":type": {"S": "image"},
                        ":label": {"S": "Dog"},
                    },
                })
            )]
        );
    }

    #[tokio::test]
    async fn pages_are_filled_across_scans() {
        let wire = Wire::new([
            (
                200,
                json!({"Items": [named("a"), named("b")], "LastEvaluatedKey": {"name": {"S": "x"}}}),
            ),
            (
                200,
                json!({"Items": [named("c"), named("d")], "LastEvaluatedKey": {"name": {"S": "y"}}}),
            ),
        ]);
        let page = catalogue(&wire)
            .list(&Filter::default(), 3, Some(&key("_")))
            .await
            .unwrap();
        let names: Vec<_> = page.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(page.next, Some(key("c")));
        let requests = wire.requests();
        assert_eq!(
            requests[0].1,
            json!({
                "TableName": "media",
                "Limit": 4,
                "ExclusiveStartKey": {"name": {"S": "_"}},
            })
        );
        assert_eq!(
            requests[1].1["ExclusiveStartKey"],
            json!({"name": {"S": "x"}})
        );
        assert_eq!(requests[1].1["Limit"], 2);
    }

    #[tokio::test]
    async fn a_page_that_ends_with_the_table_is_the_last() {
        let wire = Wire::new([(200, json!({"Items": [named("a"), named("b")]}))]);
        let page = catalogue(&wire)
            .list(&Filter::default(), 2, None)
            .await
            .unwrap();
        assert_eq!((page.items.len(), page.next), (2, None));
    }

    #[tokio::test]
    async fn a_listing_reads_no_more_than_its_bound() {
        let empty = |_| {
            (
                200,
                json!({"Items": [], "LastEvaluatedKey": {"name": {"S": "x"}}}),
            )
        };
        let wire = Wire::new((0..=MAX_SCANNED_PAGES).map(empty));
        let filter = Filter {
            label: Some("Dog".into()),
            ..Filter::default()
        };
        let page = catalogue(&wire).list(&filter, 2, None).await.unwrap();
        assert_eq!(
            page,
            Page {
                items: vec![],
                next: Some(key("x"))
            }
        );
        assert_eq!(wire.requests().len(), MAX_SCANNED_PAGES);
    }

    #[tokio::test]
    async fn damage_is_reported() {
        let damaged = json!({"name": {"S": "dog.jpg"}, "type": {"S": "image"}});
        let wire = Wire::new([(200, json!({"Items": [damaged]}))]);
        let error = catalogue(&wire)
            .list(&Filter::default(), 1, None)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not read \"dog.jpg\" in the catalogue: its attribute \"labels\" is no list"
        );
    }

    /// Run it with the variables of a stage, as in
    /// `cargo xtask local -- cargo test -p media -- --ignored`.
    #[tokio::test]
    #[ignore = "needs DynamoDB, named by the environment variables of a stage"]
    async fn dynamodb_keeps_the_contract() {
        let environment = Environment::of_process();
        let tables = Tables::named_by(&environment).unwrap();
        let catalogue = DynamoCatalogue::new(&Aws::new(&environment).unwrap(), tables);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let prefix = format!("contract/{}/", started.as_nanos());
        check_catalogue(&catalogue, &prefix, async |name| {
            match catalogue.find(name).await.unwrap() {
                Some(Entry::Item(item)) => Some(item),
                Some(Entry::Failed(_)) | None => None,
            }
        })
        .await;

        let filter = Filter {
            name_prefix: Some(prefix.clone()),
            ..Filter::default()
        };
        let all = catalogue.list(&filter, 1000, None).await.unwrap();
        let mut paged = Vec::new();
        let mut after = None;
        loop {
            let page = catalogue.list(&filter, 2, after.as_ref()).await.unwrap();
            paged.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((paged, None), (all.items.clone(), all.next));

        for item in all.items {
            catalogue
                .record(&ObjectChange {
                    name: item.name.clone(),
                    sequencer: Sequencer::parse("FF").unwrap(),
                    kind: ChangeKind::Removed,
                })
                .await
                .unwrap();
        }
    }
}
