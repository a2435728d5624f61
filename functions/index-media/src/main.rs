//! Gives items of the catalogue the entries that they lack in the index.
//!
//! Functions that change an item write its entries with it. What is left to do is the work of this
//! function, which a schedule invokes:
//!
//! - items of a stage that is older than the index have no entries: see [`media::dynamodb::Backfill`].
//!   Each invocation goes on for [`BUDGET`], until all items have theirs;
//! - an item with very many labels is written in steps, and a function may be killed between two of
//!   them. The rest is done here.
//!
//! It answers how far it is.

use std::process::ExitCode;
use std::time::Duration;

use lambda_runtime::{Diagnostic, Error};
use media::catalogue::CatalogueError;
use media::dynamodb::{DynamoCatalogue, Tables};
use runtime::schedule::ScheduleEvent;
use runtime::{Aws, Environment, Service};
use serde::Serialize;
use tracing::info;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = IndexMedia {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// How long one invocation goes on with the backfill. It looks at the clock about every ten seconds.
pub const BUDGET: Duration = Duration::from_secs(180);

/// The function, with what it works on.
#[derive(Debug)]
pub struct IndexMedia {
    /// The catalogue with its index.
    pub catalogue: DynamoCatalogue,
}

/// What an invocation has come to.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What the backfill is at: `waiting`, `items`, `entries` or `complete`.
    pub phase: &'static str,
    /// Names that it has looked at in this phase.
    pub names: u64,
    /// Items whose writing was ended for a function that was killed.
    pub finished: usize,
}

/// Why an invocation did not come to its end. The next one goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexError(CatalogueError);

impl From<IndexError> for Diagnostic {
    fn from(error: IndexError) -> Self {
        Self {
            error_type: "IndexError".into(),
            error_message: error.0.to_string(),
        }
    }
}

impl IndexMedia {
    /// Handles one event. Time is as of the schedule.
    pub async fn handle(&self, event: ScheduleEvent) -> Result<Progress, IndexError> {
        let now = event.scheduled_time;
        let finished = self.catalogue.finish_entries(now).await;
        let finished = finished.map_err(IndexError)?;
        let backfill = self.catalogue.backfill(now, BUDGET).await;
        let backfill = backfill.map_err(IndexError)?;
        let (phase, names) = (backfill.phase.as_str(), backfill.names);
        info!(phase, names, finished, "index brought forward");
        Ok(Progress {
            phase,
            names,
            finished,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::catalogue::{Catalogue, ChangeKind, ObjectChange};
    use media::dynamodb::{Filter, PATIENCE, Tables};
    use media::{MediaItem, MediaType};
    use runtime::s3::{ObjectKey, Sequencer};
    use runtime::testing::DynamoDb;
    use serde_json::{Value, json};

    const EVENT: &str = include_str!("../../../assets/events/index-media.json");

    fn event(later: Duration) -> ScheduleEvent {
        let event: ScheduleEvent = serde_json::from_str(EVENT).unwrap();
        ScheduleEvent {
            scheduled_time: event.scheduled_time + later,
            ..event
        }
    }

    fn dynamodb() -> DynamoDb {
        DynamoDb::default()
            .table("media", &["name"])
            .table("state", &["name"])
            .table("index", &["list", "name"])
            .index("index", "by-type", &["typed_list", "name"])
    }

    fn function(dynamodb: &DynamoDb) -> IndexMedia {
        let tables = Tables {
            media: "media".into(),
            state: "state".into(),
            index: "index".into(),
        };
        let catalogue = DynamoCatalogue::new(&dynamodb.aws(), tables);
        IndexMedia { catalogue }
    }

    /// Puts an item as a stage without an index did.
    fn put_old(dynamodb: &DynamoDb, name: &str, label: &str) {
        let labels = json!({"L": [{"S": label}]});
        let item = json!({"name": {"S": name}, "type": {"S": "image"}, "labels": labels});
        dynamodb.put("media", &item);
    }

    async fn names(function: &IndexMedia, label: &str) -> Vec<String> {
        let filter = Filter {
            label: Some(label.into()),
            ..Filter::default()
        };
        let page = function.catalogue.list(&filter, 1000, None).await.unwrap();
        page.items
            .iter()
            .map(|item| item.name.to_string())
            .collect()
    }

    #[tokio::test]
    async fn a_new_stage_has_nothing_to_do() {
        let dynamodb = dynamodb();
        let function = function(&dynamodb);
        let progress = function.handle(event(Duration::ZERO)).await.unwrap();
        assert_eq!(progress.phase, "complete");
        dynamodb.take_units();
        function.handle(event(Duration::ZERO)).await.unwrap();
        let units = dynamodb.take_units();
        assert_eq!((units.requests, units.writes), (2, 0.0), "{units:?}");
    }

    #[tokio::test]
    async fn a_stage_whose_files_are_all_deleted_waits_for_earlier_code() {
        let dynamodb = dynamodb();
        let state = json!({"name": {"S": "old.jpg"}, "sequencer": {"S": "01"}});
        dynamodb.put("state", &state);
        let function = function(&dynamodb);
        let progress = function.handle(event(Duration::ZERO)).await.unwrap();
        assert_eq!(progress.phase, "waiting");
        // As an invocation of earlier code does that is still at work.
        put_old(&dynamodb, "late.jpg", "Cat");
        let progress = function.handle(event(PATIENCE)).await.unwrap();
        assert_eq!(progress.phase, "complete");
        assert_eq!(names(&function, "cat").await, ["late.jpg"]);
    }

    #[tokio::test]
    async fn old_items_are_found_before_and_after_they_have_entries() {
        let dynamodb = dynamodb();
        for number in 0..1200 {
            let label = if number % 2 == 0 { "Cat" } else { "Dog" };
            put_old(&dynamodb, &format!("{number:04}.jpg"), label);
        }
        let function = function(&dynamodb);
        let cats = names(&function, "cat").await;
        assert_eq!(cats.len(), 600);
        assert!(cats.is_sorted());

        let waits = function.handle(event(Duration::ZERO)).await.unwrap();
        assert_eq!(waits.phase, "waiting");
        assert_eq!(function.handle(event(PATIENCE / 2)).await.unwrap(), waits);
        // An item that is there before it has entries, and is replaced and deleted meanwhile.
        for (sequencer, kind) in [("02", ChangeKind::Removed), ("01", ChangeKind::Removed)] {
            let name = ObjectKey::new("0000.jpg").unwrap();
            let sequencer = Sequencer::parse(sequencer).unwrap();
            let change = ObjectChange {
                name,
                sequencer,
                kind,
            };
            function.catalogue.record(&change).await.unwrap();
        }
        let done = function.handle(event(PATIENCE)).await.unwrap();
        assert_eq!(done.phase, "complete");
        // The item, and its label.
        assert_eq!(dynamodb.items("index").len(), 1199 * 2 + 1);
        dynamodb.take_units();
        assert_eq!(names(&function, "cat").await, cats[1..]);
        assert_eq!(dynamodb.take_units().requests, 2);
    }

    #[tokio::test]
    async fn entries_of_items_that_earlier_code_has_deleted_go() {
        let dynamodb = dynamodb();
        let function = function(&dynamodb);
        put_old(&dynamodb, "old.jpg", "Cat");
        function.handle(event(Duration::ZERO)).await.unwrap();
        let item = MediaItem {
            name: ObjectKey::new("new.jpg").unwrap(),
            media_type: MediaType::Image,
            labels: vec!["Dog".into()],
        };
        function.catalogue.save(&item, None).await.unwrap();
        // Earlier code knows no entries.
        let client = runtime::dynamodb::client(&dynamodb.aws());
        let delete = client.delete_item().table_name("media");
        let name = runtime::dynamodb::text("new.jpg");
        delete.key("name", name).send().await.unwrap();

        function.handle(event(PATIENCE)).await.unwrap();
        let left = dynamodb.items("index").into_iter();
        let left = left.filter(|entry: &Value| entry["name"]["S"] == "new.jpg");
        assert_eq!(left.count(), 0);
        assert_eq!(names(&function, "Cat").await, ["old.jpg"]);
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told() {
        let dynamodb = DynamoDb::default();
        let error = function(&dynamodb).handle(event(Duration::ZERO)).await;
        let diagnostic = Diagnostic::from(error.unwrap_err());
        assert_eq!(diagnostic.error_type, "IndexError");
        let told = diagnostic.error_message;
        assert!(told.contains("ResourceNotFoundException"), "{told}");
    }
}
