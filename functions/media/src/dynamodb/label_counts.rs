//! How many items each label has.
//!
//! One table, with the partition key `list`, of which there is one, and the sort key `label`, the
//! label in lower case. `count` is the number of its items, `written` the label as it is written.
//!
//! The counts follow the stream of the index table: each entry that comes or goes is one more or one
//! less. They are added up for a batch before they are written, so a label of a thousand uploads is
//! written a few times and not a thousand. That would count a batch twice that is delivered twice.
//! Therefore `last` keeps the sequence number of the last record that was counted, and a record that is
//! not after it is left out. All entries of a label have the same partition key, so their records are in
//! one shard, in order, and their sequence numbers grow.
//!
//! A count is off where that does not hold: if DynamoDB has split the entries of one label over several
//! partitions (above 1000 write units a second), and if records were given up.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use runtime::dynamodb::{self, Attributes, client, outcome, query_page, text};
use runtime::service_error::ServiceError;
use runtime::{Aws, Environment, MissingVariable};

use super::item::{failed, malformed, text_of};
use crate::catalogue::CatalogueError;
use crate::lists::{self, MAX_LABEL_BYTES};

const LIST: &str = "list";
const LABEL: &str = "label";
/// The only list.
const LABELS: &str = "labels";
/// A sequence number has at most so many digits.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html>
const SEQUENCE_NUMBER_DIGITS: usize = 40;
/// How often others may count the same label at the same moment.
const ATTEMPTS: usize = 5;

/// Counts of labels in a DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoLabelCounts {
    client: Client,
    table: String,
}

/// An item has got a label, or has it no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelChange {
    /// Of the record that tells of it.
    pub sequence_number: String,
    /// The label in lower case.
    pub label: String,
    /// The label as it is written, if that is known.
    pub written: Option<String>,
    /// 1 or -1.
    pub adds: i64,
}

/// A label, and how many items have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCount {
    /// The label as it is written.
    pub label: String,
    /// About so many items have it.
    pub count: u64,
}

/// A part of a listing of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelPage {
    /// The labels, in the order of their lower case.
    pub labels: Vec<LabelCount>,
    /// Where the next page starts: after this label in lower case. `None` after the last page.
    pub next: Option<String>,
}

impl DynamoLabelCounts {
    /// Builds the client, for the table that the stack's variable names.
    pub fn named_by(aws: &Aws, environment: &Environment) -> Result<Self, MissingVariable> {
        let table = environment.require("MEDIA_LABELS_TABLE_NAME")?;
        Ok(Self::new(aws, table))
    }

    /// Builds the client for this table.
    pub fn new(aws: &Aws, table: String) -> Self {
        let client = client(aws);
        Self { client, table }
    }

    /// Counts changes, which are in the order of their records. Those that are counted already are left
    /// out.
    pub async fn count(&self, changes: Vec<LabelChange>) -> Result<(), CatalogueError> {
        let mut by_label: BTreeMap<String, Vec<LabelChange>> = BTreeMap::new();
        for mut change in changes {
            let number = change.sequence_number;
            change.sequence_number = format!("{number:0>SEQUENCE_NUMBER_DIGITS$}");
            let label = by_label.entry(change.label.clone()).or_default();
            label.push(change);
        }
        for (label, changes) in by_label {
            self.count_label(&label, changes).await?;
        }
        Ok(())
    }

    async fn count_label(
        &self,
        label: &str,
        mut changes: Vec<LabelChange>,
    ) -> Result<(), CatalogueError> {
        for _ in 0..ATTEMPTS {
            let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
                return Ok(());
            };
            if self.add(label, first, last, &changes).await? == dynamodb::Outcome::Written {
                return Ok(());
            }
            let counted = self.last_counted(label).await?;
            changes.retain(|change| change.sequence_number > counted);
        }
        Err(failed("count", label, "others count it all the time"))
    }

    async fn add(
        &self,
        label: &str,
        first: &LabelChange,
        last: &LabelChange,
        changes: &[LabelChange],
    ) -> Result<dynamodb::Outcome, CatalogueError> {
        let adds: i64 = changes.iter().map(|change| change.adds).sum();
        let written = changes
            .iter()
            .rev()
            .find_map(|change| change.written.as_ref());
        let set = match written {
            Some(_) => "SET #last = :last, #written = :written ADD #count :adds",
            None => "SET #last = :last ADD #count :adds",
        };
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(label)))
            .update_expression(set)
            .condition_expression("attribute_not_exists(#last) OR #last < :first")
            .expression_attribute_names("#last", "last")
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":first", text(&first.sequence_number))
            .expression_attribute_values(":last", text(&last.sequence_number))
            .expression_attribute_values(":adds", AttributeValue::N(adds.to_string()));
        if let Some(written) = written {
            update = update
                .expression_attribute_names("#written", "written")
                .expression_attribute_values(":written", text(written));
        }
        let result = outcome(update.send().await);
        result.map_err(|error| failed("count", label, error))
    }

    async fn last_counted(&self, label: &str) -> Result<String, CatalogueError> {
        let get = self.client.get_item().table_name(&self.table);
        let get = get.set_key(Some(key(label))).consistent_read(true);
        let output = get.send().await;
        let output = output.map_err(|error| failed("count", label, ServiceError::of(&error)))?;
        let item = output.item.unwrap_or_default();
        Ok(text_of(&item, "last")?.to_owned())
    }

    /// Up to `limit` labels that begin with `prefix`, in upper or lower case, from the one after `after`
    /// on, which must be [`LabelPage::next`] of the same prefix.
    pub async fn list(
        &self,
        prefix: &str,
        limit: usize,
        after: Option<&str>,
    ) -> Result<LabelPage, CatalogueError> {
        let prefix = lists::folded(prefix);
        // A sort key has no more, and a longer condition is an error.
        if prefix.len() > MAX_LABEL_BYTES {
            let labels = Vec::new();
            return Ok(LabelPage { labels, next: None });
        }
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#list = :list")
            .filter_expression("#count > :none")
            .expression_attribute_names("#list", LIST)
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":list", text(LABELS))
            .expression_attribute_values(":none", AttributeValue::N("0".into()));
        if !prefix.is_empty() {
            query = query
                .key_condition_expression("#list = :list AND begins_with(#label, :prefix)")
                .expression_attribute_names("#label", LABEL)
                .expression_attribute_values(":prefix", text(prefix));
        }
        let page = query_page(&query, limit, after.map(key), <[_]>::len).await;
        let page = page.map_err(|error| failed("list", "the labels", error))?;
        let next = page.next.as_ref().map(|next| text_of(next, LABEL));
        Ok(LabelPage {
            labels: page.items.iter().map(to_count).collect::<Result<_, _>>()?,
            next: next.transpose()?.map(String::from),
        })
    }
}

fn key(label: &str) -> Attributes {
    Attributes::from([(LIST.into(), text(LABELS)), (LABEL.into(), text(label))])
}

fn to_count(item: &Attributes) -> Result<LabelCount, CatalogueError> {
    let count = item.get("count").and_then(|count| count.as_n().ok());
    let count = count.and_then(|count| count.parse().ok());
    let label = match item.get("written") {
        Some(_) => text_of(item, "written")?,
        None => text_of(item, LABEL)?,
    };
    Ok(LabelCount {
        label: label.to_owned(),
        count: count.ok_or_else(|| malformed(item, "its attribute \"count\" is not a number"))?,
    })
}
