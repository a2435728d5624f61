//! The catalogue in DynamoDB.
//!
//! Two tables, both with the partition key `name`:
//!
//! - the media table holds the items, and nothing else: `name`, `type`, `labels`;
//! - the state table holds a [`State`] per key: `sequencer`; `failure` if the
//!   object could not be labelled; `expires_at`, in seconds since the epoch and for
//!   DynamoDB's time to live, if the object was deleted.
//!
//! One transaction writes both ([`runtime::dynamodb::transact_write`]). DynamoDB serialises
//! transactions on the same item, which is what the [`Catalogue`]'s rule rests on.

mod running;
mod thumbnail;

use std::collections::HashMap;
use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use runtime::dynamodb::{self, Attributes, client, scan_page, text, transact_write};
use runtime::s3::{ObjectKey, Sequencer};
use runtime::service_error::ServiceError;
use runtime::{Aws, Environment, MissingVariable};

use crate::catalogue::{
    Catalogue, CatalogueError, ChangeKind, MediaItem, ObjectChange, Outcome, State,
    TOMBSTONE_LIFETIME,
};
use crate::detector::Failure;
use crate::media_type::{MediaType, UnknownMediaType};

pub use running::DynamoJobs;

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
        Self {
            client: client(aws),
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
    /// A page with fewer items than `limit` is the last one, with one exception: a listing ends
    /// after [`runtime::dynamodb::MAX_SCANNED_PAGES`], with more to come.
    ///
    /// Writes of the last moments may be missing (the reads are eventually consistent).
    pub async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<&ObjectKey>,
    ) -> Result<Page, CatalogueError> {
        let scan = self.scan(filter);
        let page = scan_page(&scan, limit, after.map(key_of), <[_]>::len).await;
        let page = page.map_err(|error| failed("list", "the items", error))?;
        Ok(Page {
            items: page.items.iter().map(to_item).collect::<Result<_, _>>()?,
            next: page.next.as_ref().map(to_name).transpose()?,
        })
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
            .map_err(|error| failed("read", name.as_str(), ServiceError::of(&error)))?;
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
        match transact_write(&self.client, &writes).await {
            Ok(dynamodb::Outcome::Written) => Ok(Outcome::Recorded),
            Ok(dynamodb::Outcome::ConditionFailed) => Ok(Outcome::Superseded),
            Err(error) => Err(failed(action, name.as_str(), error)),
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

fn failed(action: &'static str, name: &str, reason: impl Display) -> CatalogueError {
    CatalogueError {
        action,
        name: name.into(),
        reason: reason.to_string(),
    }
}

fn key_of(name: &ObjectKey) -> Attributes {
    Attributes::from([("name".into(), text(name.as_str()))])
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
            format!("its attribute {attribute:?} is not text"),
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
            .map_err(|_| malformed(attributes, "one of its labels is not text"))?,
        _ => {
            return Err(malformed(
                attributes,
                "its attribute \"labels\" is not a list",
            ));
        }
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
        Some(_) => {
            return Err(malformed(
                attributes,
                "its attribute \"failure\" is not a map",
            ));
        }
    };
    Ok(State {
        sequencer: Sequencer::parse(text_of(attributes, "sequencer")?)
            .map_err(|error| malformed(attributes, error))?,
        failure,
    })
}

#[cfg(test)]
mod tests;
