//! Items, ledger and counters in DynamoDB.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use lambda_runtime::Diagnostic;

use super::event::{CountEvent, CountResponse, Place, Recount};
use super::rule::{Contribution, CountError, Entry, Ledger, difference, recount, settle};
use crate::dynamodb::{Attributes, Outcome, PageKey, outcome, scan_page, text, transact_write};
use crate::service_error::ServiceError;
use crate::stream::StreamRecord;

/// The ledger's partition key, a string.
const ITEM: &str = "item";
/// What the item has added: a map of numbers.
const CONTRIBUTION: &str = "contribution";
const VERSION: &str = "version";
/// The ledger's time to live. Only entries of items that are gone have it.
const EXPIRES_AT: &str = "expires_at";
/// The counters' partition key, a string.
const COUNTER: &str = "counter";
const COUNT: &str = "count";

/// How long the version of an item that is gone is kept. A record waits for a day in the stream, and
/// its message for 14 days in a failure queue.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// Counters that a transaction can change beside the entry.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const COUNTERS_MAX: usize = 99;
/// How long one invocation recounts.
const RECOUNT: Duration = Duration::from_secs(10);
/// How many items are read at a time to be recounted.
const RECOUNT_PAGE: usize = 100;

/// Counts of a table's items, and where they are kept.
///
/// Of the ledger, the partition key must be `item`, a string, and the time to live `expires_at`. Of
/// the counters, the partition key must be `counter`, a string. The attribute `count` has a
/// counter's value; a counter may be 0.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Of all three tables.
    pub client: Client,
    /// The table of the items, by its name.
    pub items: String,
    /// The attributes of its key.
    pub key: PageKey,
    /// What an item adds to which counter; or why it cannot be told, without any of its values.
    pub contribution: fn(&Attributes) -> Result<Contribution, String>,
    /// The table of the ledger.
    pub ledger: String,
    /// The table of the counters.
    pub counters: String,
}

impl Counts {
    /// Counts the items of a batch of records, up to the first that cannot be counted; or goes on
    /// with a recount.
    pub async fn handle(&self, event: CountEvent) -> Result<CountResponse, Diagnostic> {
        match event {
            CountEvent::Records(records) => {
                let count = async |record: &StreamRecord| {
                    let key = self.key.parse(&record.key_json());
                    let item = key.and_then(|key| self.key.to_text(&key));
                    settle(self, &item.ok_or(CountError::Key(self.key.0))?).await?;
                    Ok::<_, CountError>(())
                };
                let response = records.handle_in_order(count).await?;
                Ok(CountResponse::Records(response))
            }
            CountEvent::Recount(Recount { recount }) => {
                let recounted = self.recount(recount).await;
                recounted.map_err(|error| Diagnostic {
                    error_type: "RecountError".into(),
                    error_message: error.to_string(),
                })
            }
        }
    }

    async fn recount(&self, mut place: Place) -> Result<CountResponse, CountError> {
        let began = Instant::now();
        let mut looked_at = 0;
        while began.elapsed() < RECOUNT {
            let key = if place.in_ledger {
                PageKey(&[ITEM])
            } else {
                self.key
            };
            let table = if place.in_ledger {
                &self.ledger
            } else {
                &self.items
            };
            let after = place.after.as_deref().map(|after| {
                let after = key.parse(after);
                after.ok_or(CountError::Key(key.0))
            });
            let scan = self.client.scan().table_name(table).consistent_read(true);
            let page = scan_page(&scan, RECOUNT_PAGE, after.transpose()?, <[_]>::len);
            let page = page.await.map_err(failed("list the items"))?;
            for found in &page.items {
                let item = if place.in_ledger {
                    string(found, ITEM).map(String::from)
                } else {
                    key.to_text(found)
                };
                recount(self, &item.ok_or(CountError::Key(key.0))?).await?;
                looked_at += 1;
            }
            place.after = page.next.and_then(|next| key.to_text(&next));
            if place.after.is_none() {
                if place.in_ledger {
                    return Ok(CountResponse::Recount {
                        looked_at,
                        recount: None,
                    });
                }
                place.in_ledger = true;
            }
        }
        Ok(CountResponse::Recount {
            looked_at,
            recount: Some(place),
        })
    }

    /// The item of a table with this key. Every write that ended before is seen.
    async fn get(&self, table: &str, key: Attributes) -> Result<Option<Attributes>, ServiceError> {
        let get = self
            .client
            .get_item()
            .table_name(table)
            .consistent_read(true);
        let output = get.set_key(Some(key)).send().await;
        let output = output.map_err(|error| ServiceError::of(&error))?;
        Ok(output.item)
    }
}

impl Ledger for Counts {
    async fn entry(&self, item: &str) -> Result<Entry, CountError> {
        let key = Attributes::from([(ITEM.to_owned(), text(item))]);
        let entry = self.get(&self.ledger, key).await;
        let entry = entry.map_err(failed("read the ledger"))?;
        entry
            .as_ref()
            .map_or_else(|| Ok(Entry::default()), to_entry)
    }

    async fn due(&self, item: &str) -> Result<Contribution, CountError> {
        let key = self.key.parse(item).ok_or(CountError::Key(self.key.0))?;
        let item = self.get(&self.items, key).await;
        match item.map_err(failed("read the item"))? {
            Some(item) => (self.contribution)(&item).map_err(CountError::Contribution),
            None => Ok(Contribution::new()),
        }
    }

    async fn book(
        &self,
        item: &str,
        entry: &Entry,
        due: &Contribution,
    ) -> Result<Outcome, CountError> {
        let difference = difference(&entry.contribution, due);
        if difference.len() > COUNTERS_MAX {
            return Err(CountError::TooManyCounters(difference.len()));
        }
        let written = to_item(item, entry.version + 1, due);
        let condition = match entry.version {
            0 => "attribute_not_exists(#version)",
            _ => "#version = :version",
        };
        let read = (entry.version > 0).then(|| number(&entry.version));
        let read = read.map(|version| Attributes::from([(":version".to_owned(), version)]));
        let booked = if difference.is_empty() {
            let put = self.client.put_item().table_name(&self.ledger);
            let put = put
                .set_item(Some(written))
                .condition_expression(condition)
                .expression_attribute_names("#version", VERSION)
                .set_expression_attribute_values(read);
            // An answer that got lost makes the condition fail, and then the item is counted again.
            outcome(put.send().await)
        } else {
            let put = Put::builder()
                .table_name(&self.ledger)
                .set_item(Some(written))
                .condition_expression(condition)
                .expression_attribute_names("#version", VERSION)
                .set_expression_attribute_values(read)
                .build();
            let counters = difference.iter();
            let counters = counters.map(|(counter, adds)| {
                let update = Update::builder()
                    .table_name(&self.counters)
                    .key(COUNTER, text(counter))
                    .update_expression("ADD #count :adds")
                    .expression_attribute_names("#count", COUNT)
                    .expression_attribute_values(":adds", number(adds));
                let update = update.build();
                update.map(|update| TransactWriteItem::builder().update(update).build())
            });
            let put = put.map(|put| TransactWriteItem::builder().put(put).build());
            let writes: Result<Vec<_>, _> = std::iter::once(put).chain(counters).collect();
            let writes = writes.map_err(|error| CountError::Contribution(error.to_string()))?;
            transact_write(&self.client, &writes).await
        };
        booked.map_err(failed("write the counts"))
    }
}

fn failed(action: &'static str) -> impl Fn(ServiceError) -> CountError {
    move |reason| CountError::Table { action, reason }
}

fn number(value: &impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn string<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    let value = attributes.get(name)?.as_s().ok()?;
    Some(value)
}

fn to_item(item: &str, version: u64, contribution: &Contribution) -> Attributes {
    let adds = contribution.iter();
    let adds = adds.map(|(counter, adds)| (counter.clone(), number(adds)));
    let mut entry = Attributes::from([
        (ITEM.to_owned(), text(item)),
        (VERSION.to_owned(), number(&version)),
        (CONTRIBUTION.to_owned(), AttributeValue::M(adds.collect())),
    ]);
    if contribution.is_empty() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let expires_at = now.unwrap_or_default() + KEPT;
        entry.insert(EXPIRES_AT.to_owned(), number(&expires_at.as_secs()));
    }
    entry
}

fn to_entry(item: &Attributes) -> Result<Entry, CountError> {
    let version = item.get(VERSION).and_then(|version| version.as_n().ok());
    let version = version.and_then(|version| version.parse().ok());
    let contribution = item.get(CONTRIBUTION).and_then(|adds| adds.as_m().ok());
    let contribution = contribution.ok_or(CountError::Entry(CONTRIBUTION))?.iter();
    let contribution = contribution.map(|(counter, adds)| {
        let adds = adds.as_n().ok().and_then(|adds| adds.parse().ok());
        Some((counter.clone(), adds?))
    });
    Ok(Entry {
        contribution: contribution
            .collect::<Option<_>>()
            .ok_or(CountError::Entry(CONTRIBUTION))?,
        version: version.ok_or(CountError::Entry(VERSION))?,
    })
}
