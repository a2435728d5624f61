//! How long a photo takes from its upload to its item on a local stage:
//!
//! - the first photo after a start,
//! - photos that are uploaded one after the other,
//! - a hundred photos that are uploaded at once.
//!
//! `cargo bench -p acceptance --bench first_label --profile dev`, which compiles no dependency anew. The time begins
//! before `PutObject` and ends with the answer that has the item. The item is looked for in the media table by
//! `GetItem`, and through the media API; all hundred by `Scan` and by the API's listing.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

mod library;

use std::time::{Duration, Instant};

use acceptance::{http_get, workspace};
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use aws_sdk_s3::primitives::ByteStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::library::Stage;

/// Starts of a stage for each way to look.
const STARTS: usize = 3;

/// Photos that are uploaded one after the other.
const SINGLES: usize = 20;

/// Photos that are uploaded at once.
const PHOTOS_AT_ONCE: usize = 100;

/// Between two looks at one item.
const PAUSE: Duration = Duration::from_millis(5);

/// Between two looks at all items. Each look costs the stage some milliseconds of its time.
const PAUSE_OF_ALL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
enum Look {
    Table,
    Api,
}

#[derive(Default)]
struct Figures {
    first: Vec<Duration>,
    singles: Vec<Duration>,
    at_once: Vec<Duration>,
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!(
        "{:<6} {:>12} {:>12} {:>12} {:>16}",
        "", "first", "single p50", "single p90", "100 at once"
    );
    for look in [Look::Table, Look::Api] {
        let mut figures = Figures::default();
        for _ in 0..STARTS {
            let mut stage = Stage::start();
            runtime.block_on(measure(&stage, look, &mut figures));
            stage.stop();
        }
        let Figures {
            first,
            singles,
            at_once,
        } = &mut figures;
        println!(
            "{:<6} {:>9.0} ms {:>9.0} ms {:>9.0} ms {:>14.1} s",
            match look {
                Look::Table => "table",
                Look::Api => "API",
            },
            quantile(first, 0.5) * 1e3,
            quantile(singles, 0.5) * 1e3,
            quantile(singles, 0.9) * 1e3,
            quantile(at_once, 0.5),
        );
    }
    println!(
        "medians of {STARTS} starts, {SINGLES} single photos and {PHOTOS_AT_ONCE} at once in each"
    );
}

async fn measure(stage: &Stage, look: Look, figures: &mut Figures) {
    let photos = Photos::new();
    let library = Library {
        s3: stage.s3(),
        dynamodb: stage.dynamodb(),
        bucket: stage.variable("MEDIA_BUCKET_NAME").to_owned(),
        table: stage.variable("MEDIA_TABLE_NAME").to_owned(),
        api: stage.variable("API_URL").trim_end_matches('/').to_owned(),
        look,
    };
    for n in 0..=SINGLES {
        let key = format!("single-{n}.jpg");
        let started = Instant::now();
        library.upload(&key, photos.photo(n)).await;
        library.item(&key, PAUSE).await;
        if n == 0 {
            figures.first.push(started.elapsed());
        } else {
            figures.singles.push(started.elapsed());
        }
    }
    let key = |n| format!("at-once-{n}.jpg");
    let started = Instant::now();
    let mut uploads = JoinSet::new();
    for n in 0..PHOTOS_AT_ONCE {
        let (library, photo) = (library.clone(), photos.photo(n));
        uploads.spawn(async move { library.upload(&key(n), photo).await });
    }
    uploads.join_all().await;
    library.items(1 + SINGLES + PHOTOS_AT_ONCE).await;
    figures.at_once.push(started.elapsed());
}

/// Photos that differ from each other.
struct Photos(Vec<Vec<u8>>);

impl Photos {
    fn new() -> Self {
        let read = |name| std::fs::read(workspace().join("assets").join(name)).unwrap();
        Self(vec![read("sample.jpg"), read("othersample.jpg")])
    }

    /// One of the photos, with its number in a comment.
    fn photo(&self, n: usize) -> Vec<u8> {
        const START_OF_IMAGE_BYTES: usize = 2;
        let photo = &self.0[n % self.0.len()];
        let (start, rest) = photo.split_at(START_OF_IMAGE_BYTES);
        let comment = n.to_be_bytes();
        let length = u16::try_from(2 + comment.len()).unwrap().to_be_bytes();
        [start, &[0xff, 0xfe], &length, &comment, rest].concat()
    }
}

/// A stage's media library.
#[derive(Clone)]
struct Library {
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    bucket: String,
    table: String,
    api: String,
    look: Look,
}

impl Library {
    async fn upload(&self, key: &str, photo: Vec<u8>) {
        let put = self.s3.put_object().bucket(&self.bucket).key(key);
        put.body(ByteStream::from(photo)).send().await.unwrap();
    }

    /// Returns when the item is there.
    async fn item(&self, key: &str, pause: Duration) {
        let started = Instant::now();
        while !self.has(key).await {
            assert!(
                started.elapsed() < acceptance::EVENT_PATIENCE,
                "{key} has no item"
            );
            sleep(pause).await;
        }
    }

    /// Returns when so many items are there.
    async fn items(&self, count: usize) {
        let started = Instant::now();
        while self.count().await < count {
            assert!(
                started.elapsed() < acceptance::EVENT_PATIENCE,
                "there are no {count} items"
            );
            sleep(PAUSE_OF_ALL).await;
        }
    }

    async fn count(&self) -> usize {
        match self.look {
            Look::Table => {
                let scan = self.dynamodb.scan().table_name(&self.table);
                let scanned = scan.select(Select::Count).send().await.unwrap();
                usize::try_from(scanned.count).unwrap()
            }
            Look::Api => {
                let url = format!("{}/?limit=1000", self.api);
                let listed = tokio::task::spawn_blocking(move || http_get(&url).json())
                    .await
                    .unwrap();
                listed.as_array().unwrap().len()
            }
        }
    }

    async fn has(&self, key: &str) -> bool {
        match self.look {
            Look::Table => {
                let get = self.dynamodb.get_item().table_name(&self.table);
                let name = AttributeValue::S(key.to_owned());
                let got = get.key("name", name).send().await.unwrap();
                got.item.is_some()
            }
            Look::Api => {
                let url = format!("{}/{key}", self.api);
                tokio::task::spawn_blocking(move || http_get(&url).status == 200)
                    .await
                    .unwrap()
            }
        }
    }
}

/// In seconds.
fn quantile(times: &mut [Duration], quantile: f64) -> f64 {
    times.sort();
    let last = times.len().saturating_sub(1);
    times[(quantile * last as f64).round() as usize].as_secs_f64()
}
