//! The catalogue in DynamoDB.
//!
//! Three tables. Two have the partition key `name`:
//!
//! - the media table holds the items, and nothing else: `name`, `type`, `labels`;
//! - the state table holds a [`State`] per key: `sequencer`; `failure` if the
//!   object could not be labelled; `expires_at`, in seconds since the epoch and for
//!   DynamoDB's time to live, if the object was deleted.
//!
//! The index table has an entry for each list that an item is in ([`crate::lists`]), from which
//! listings are read: its partition key is `list`, its sort key `name`.
//!
//! One transaction writes item, state and entries ([`runtime::dynamodb::transact_write`]); if there
//! are too many entries for one, several do, of which readers see the last. DynamoDB serialises
//! transactions on the same item, which is what the [`Catalogue`]'s rule rests on.

mod backfill;
mod entry;
mod indexed;
mod item;
mod label_counts;
mod listing;
mod running;
mod thumbnail;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use runtime::dynamodb::{Attributes, client, text};
use runtime::s3::{ObjectKey, Sequencer};
use runtime::service_error::ServiceError;
use runtime::{Aws, Environment, MissingVariable};

use crate::catalogue::{
    Catalogue, CatalogueError, ChangeKind, MediaItem, ObjectChange, Outcome, State,
    TOMBSTONE_LIFETIME,
};
use crate::detector::Failure;

use indexed::Change;
use item::{failed, key_of, malformed, text_of, to_item};

pub use backfill::{Backfill, PATIENCE, Phase};
pub use label_counts::{DynamoLabelCounts, LabelChange, LabelCount, LabelPage};
pub use listing::{Filter, Page};
pub use running::DynamoJobs;

/// Names of the tables.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Holds the items.
    pub media: String,
    /// Holds the states.
    pub state: String,
    /// Holds the entries of the lists.
    pub index: String,
}

impl Tables {
    /// The tables that the stack's variables name.
    pub fn named_by(environment: &Environment) -> Result<Self, MissingVariable> {
        Ok(Self {
            media: environment.require("MEDIA_TABLE_NAME")?,
            state: environment.require("MEDIA_STATE_TABLE_NAME")?,
            index: environment.require("MEDIA_INDEX_TABLE_NAME")?,
        })
    }
}

/// The catalogue in DynamoDB's tables.
#[derive(Debug, Clone)]
pub struct DynamoCatalogue {
    client: Client,
    tables: Tables,
    /// Whether the index is known to have all items. Once it has, it does for ever.
    is_indexed: Arc<AtomicBool>,
}

/// What the catalogue knows of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A labelled file.
    Item(MediaItem),
    /// A file that cannot be labelled.
    Failed(Failure),
}

impl DynamoCatalogue {
    /// Builds the client.
    pub fn new(aws: &Aws, tables: Tables) -> Self {
        Self {
            client: client(aws),
            tables,
            is_indexed: Arc::default(),
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

    fn expect_item(&self, name: &ObjectKey) -> Result<TransactWriteItem, BuildError> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.media)
            .set_key(Some(key_of(name)))
            .condition_expression("attribute_exists(#name)")
            .expression_attribute_names("#name", "name");
        Ok(TransactWriteItem::builder()
            .condition_check(check.build()?)
            .build())
    }
}

impl Catalogue for DynamoCatalogue {
    async fn state(&self, name: &ObjectKey) -> Result<Option<State>, CatalogueError> {
        let attributes = self.get(&self.tables.state, name).await?;
        attributes.as_ref().map(to_state).transpose()
    }

    async fn record(&self, change: &ObjectChange) -> Result<Outcome, CatalogueError> {
        let item = match &change.kind {
            ChangeKind::Labelled { media_type, labels } => Some(MediaItem {
                name: change.name.clone(),
                media_type: *media_type,
                labels: labels.clone(),
            }),
            ChangeKind::Failed(_) | ChangeKind::Removed => None,
        };
        let with = self.advance(change).and_then(|state_write| {
            let item_write = match &item {
                Some(item) => self.put_item(item),
                None => self.delete_item(&change.name),
            };
            Ok(vec![state_write, item_write?])
        });
        let (name, item) = (&change.name, item.as_ref());
        let with = with.map_err(|error| failed("record", name.as_str(), error))?;
        self.write(&Change { name, item, with }).await
    }

    async fn save(
        &self,
        item: &MediaItem,
        seen: Option<&State>,
    ) -> Result<Outcome, CatalogueError> {
        let name = &item.name;
        let with = self
            .expect_state(name, seen)
            .and_then(|check| Ok(vec![check, self.put_item(item)?]));
        let with = with.map_err(|error| failed("save", name.as_str(), error))?;
        let item = Some(item);
        self.write(&Change { name, item, with }).await
    }
}

fn seconds_since_epoch() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}

fn tombstone_expiry() -> AttributeValue {
    let expiry = seconds_since_epoch() + TOMBSTONE_LIFETIME.as_secs();
    AttributeValue::N(expiry.to_string())
}

fn from_failure(failure: &Failure) -> AttributeValue {
    AttributeValue::M(HashMap::from([
        ("code".into(), text(&failure.code)),
        ("message".into(), text(&failure.message)),
    ]))
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
