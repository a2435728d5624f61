//! Counts how many items of the catalogue have each label.
//!
//! It follows the stream of the index table, whose entries say which item has which label. A batch is
//! added up before it is written. The rule, and how far a count may be off, is in
//! [`media::dynamodb::DynamoLabelCounts`].

use std::process::ExitCode;

use lambda_runtime::Error;
use media::catalogue::CatalogueError;
use media::dynamodb::{DynamoLabelCounts, LabelChange};
use media::lists;
use runtime::stream::{
    EventName, NumberedRecord, RecordError, StreamEvent, StreamResponse, UnnumberedRecord,
};
use runtime::{Aws, Environment, Service};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = CountLabels {
        counts: DynamoLabelCounts::named_by(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// The function, with what it works on.
#[derive(Debug)]
pub struct CountLabels {
    /// Where labels are counted.
    pub counts: DynamoLabelCounts,
}

/// Why a batch failed.
#[derive(Debug, thiserror::Error)]
enum CountError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl CountLabels {
    /// Handles one batch of records.
    pub async fn handle(&self, event: StreamEvent) -> Result<StreamResponse, UnnumberedRecord> {
        let count = async |records: &[NumberedRecord]| {
            let changes = records.iter().map(change).collect::<Result<Vec<_>, _>>()?;
            let changes = changes.into_iter().flatten().collect();
            self.counts.count(changes).await?;
            Ok::<_, CountError>(())
        };
        event.handle_together(count).await
    }
}

/// What a record adds to the count of a label. Nothing if the entry is of no label's list, or only
/// changes.
fn change(numbered: &NumberedRecord) -> Result<Option<LabelChange>, RecordError> {
    let record = &numbered.record;
    let (image, adds) = match record.event() {
        EventName::Insert => (record.new_image()?, 1),
        EventName::Remove => (record.old_image()?, -1),
        EventName::Modify => return Ok(None),
    };
    let list = image.text("list")?.unwrap_or_default();
    let Some(label) = lists::label_of(list) else {
        return Ok(None);
    };
    Ok(Some(LabelChange {
        sequence_number: numbered.sequence_number.clone(),
        label: label.to_owned(),
        written: image.text("label")?.map(String::from),
        adds,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use runtime::testing::DynamoDb;
    use runtime::testing::interleaving::{Faults, Moment};
    use serde_json::{Value, json};

    const EVENT: &str = include_str!("../../../assets/events/count-labels.json");

    fn function(dynamodb: &DynamoDb) -> CountLabels {
        let counts = DynamoLabelCounts::new(&dynamodb.aws(), "labels".into());
        CountLabels { counts }
    }

    fn dynamodb() -> DynamoDb {
        DynamoDb::default().table("labels", &["list", "label"])
    }

    fn record(number: u64, event: &str, label: &str) -> Value {
        let entry = json!({
            "list": {"S": format!("label:{}", label.to_lowercase())},
            "name": {"S": "photo.jpg"},
            "label": {"S": label},
        });
        let image = if event == "REMOVE" {
            "OldImage"
        } else {
            "NewImage"
        };
        json!({
            "eventName": event,
            "dynamodb": {
                "Keys": {"list": entry["list"], "name": entry["name"]},
                image: entry,
                "SequenceNumber": number.to_string(),
            },
        })
    }

    async fn handle(function: &CountLabels, records: &[Value]) -> Value {
        let event = serde_json::from_value(json!({"Records": records})).unwrap();
        serde_json::to_value(function.handle(event).await.unwrap()).unwrap()
    }

    async fn listed(function: &CountLabels, prefix: &str) -> Vec<(String, u64)> {
        let page = function.counts.list(prefix, 100, None).await.unwrap();
        page.labels
            .into_iter()
            .map(|count| (count.label, count.count))
            .collect()
    }

    fn counts(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
        counts
            .iter()
            .map(|(label, count)| ((*label).to_owned(), *count))
            .collect()
    }

    fn done() -> Value {
        json!({"batchItemFailures": []})
    }

    #[tokio::test]
    async fn the_sample_event_counts_a_label() {
        let function = function(&dynamodb());
        let event = serde_json::from_str(EVENT).unwrap();
        let response = function.handle(event).await.unwrap();
        assert_eq!(serde_json::to_value(response).unwrap(), done());
        assert_eq!(listed(&function, "").await, counts(&[("Cat", 1)]));
    }

    #[tokio::test]
    async fn a_batch_is_written_once_for_each_label() {
        let dynamodb = dynamodb();
        let function = function(&dynamodb);
        let mut records: Vec<_> = (1..=50)
            .map(|number| record(number, "INSERT", "Person"))
            .collect();
        records.push(record(51, "REMOVE", "PERSON"));
        records.push(record(52, "INSERT", "Pet"));
        records.push(record(53, "MODIFY", "Pet"));
        let mut of_all = record(54, "INSERT", "Pet");
        of_all["dynamodb"]["NewImage"]["list"] = json!({"S": "all"});
        records.push(of_all);
        assert_eq!(handle(&function, &records).await, done());
        assert_eq!(dynamodb.take_units().requests, 2);
        let both = counts(&[("PERSON", 49), ("Pet", 1)]);
        assert_eq!(listed(&function, "").await, both);
        assert_eq!(listed(&function, "P").await, both);
        assert_eq!(listed(&function, "pEt").await, both[1..]);
        assert_eq!(listed(&function, "Q").await, []);
        assert_eq!(listed(&function, &"p".repeat(1025)).await, []);
    }

    #[tokio::test]
    async fn labels_come_in_pages_without_those_of_no_item() {
        let function = function(&dynamodb());
        let labels = ["Ant", "bee", "Cat", "Dog", "emu"];
        let records: Vec<_> = (1..)
            .zip(labels)
            .map(|(number, label)| record(number, "INSERT", label))
            .chain([record(9, "REMOVE", "Cat")])
            .collect();
        handle(&function, &records).await;
        let first = function.counts.list("", 2, None).await.unwrap();
        assert_eq!(first.next.as_deref(), Some("bee"));
        let second = function
            .counts
            .list("", 2, first.next.as_deref())
            .await
            .unwrap();
        let found: Vec<_> = second
            .labels
            .iter()
            .map(|count| count.label.as_str())
            .collect();
        assert_eq!((found, second.next), (vec!["Dog", "emu"], None));
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_spoils_no_other() {
        let function = function(&dynamodb());
        let mut odd = record(2, "INSERT", "Dog");
        odd["dynamodb"]["NewImage"] = json!("odd");
        let records = [record(1, "INSERT", "Cat"), odd, record(3, "INSERT", "Bus")];
        let failed = json!({"batchItemFailures": [{"itemIdentifier": "2"}]});
        assert_eq!(handle(&function, &records).await, failed);
        assert_eq!(listed(&function, "").await, counts(&[("Cat", 1)]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Batches come again after a failure at any call, and by mistake, from any earlier record on.
        #[test]
        fn each_record_counts_once(
            labels in proptest::collection::vec((0..3_usize, any::<bool>()), 1..40),
            cuts in proptest::collection::vec((1..8_usize, 0..8_usize, 0..6_usize), 60),
        ) {
            const LABELS: [&str; 3] = ["Cat", "Dog", "Person"];
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let dynamodb = dynamodb();
            let faults = Faults::default();
            let failing = function(&dynamodb.with_faults(&faults));
            let records: Vec<_> = (1..)
                .zip(&labels)
                .map(|(number, (label, comes))| {
                    // Of one digit and of two: their order is that of numbers.
                    record(number, if *comes { "INSERT" } else { "REMOVE" }, LABELS[*label])
                })
                .collect();
            let mut handled = 0;
            // In the end, all is well.
            let mut cuts = cuts.iter().chain(std::iter::repeat(&(8, 0, 5)));
            while handled < records.len() {
                let (length, back, fault) = cuts.next().unwrap();
                let from = handled.saturating_sub(*back);
                let to = (handled + length).min(records.len());
                faults.clear();
                match fault {
                    0 => faults.add(Moment::BeforeEffect),
                    1 => faults.add(Moment::AfterEffect),
                    _ => {}
                }
                let answer = runtime.block_on(handle(&failing, &records[from..to]));
                if answer == done() {
                    handled = handled.max(to);
                }
            }
            let expected: Vec<_> = LABELS
                .iter()
                .enumerate()
                .map(|(at, label)| {
                    let of_label = labels.iter().filter(|(label, _)| *label == at);
                    let sum: i64 = of_label.map(|(_, comes)| if *comes { 1 } else { -1 }).sum();
                    ((*label).to_owned(), sum)
                })
                .filter(|(_, sum)| *sum > 0)
                .map(|(label, sum)| (label, sum.unsigned_abs()))
                .collect();
            faults.clear();
            prop_assert_eq!(runtime.block_on(listed(&failing, "")), expected);
        }
    }
}
