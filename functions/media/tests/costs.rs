//! What a search costs, and what an upload does, by DynamoDB's published rules: counted from the
//! requests that the adapter makes, on a DynamoDB in memory with a thousand, a hundred thousand and a
//! million items. The figures are those of docs/explanation/search.md.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::time::{Duration, Instant, SystemTime};

use media::catalogue::{Catalogue, ChangeKind, ObjectChange};
use media::dynamodb::{DynamoCatalogue, Filter, Tables};
use media::{MediaType, lists};
use runtime::s3::{ObjectKey, Sequencer};
use runtime::testing::{DynamoDb, Units};
use serde_json::{Value, json};

/// The labels of a typical photo. The item has 200 bytes with them.
const LABELS: [&str; 8] = [
    "Person", "Clothing", "Outdoors", "Nature", "Footwear", "Mountain", "Walking", "Backpack",
];

fn dynamodb() -> DynamoDb {
    DynamoDb::default()
        .table("media", &["name"])
        .table("state", &["name"])
        .table("index", &["list", "name"])
        .index("index", "by-type", &["typed_list", "name"])
}

fn catalogue(dynamodb: &DynamoDb) -> DynamoCatalogue {
    let tables = Tables {
        media: "media".into(),
        state: "state".into(),
        index: "index".into(),
    };
    DynamoCatalogue::new(&dynamodb.aws(), tables)
}

fn labels() -> Vec<String> {
    LABELS.map(String::from).to_vec()
}

/// Names are so long that an item has 200 bytes.
const FOLDER: &str =
    "pictures-of-holidays-and-of-other-days-with-friends/2026/november/the-trip-to-the-mountains";

/// Every hundredth file is a video.
fn name(number: usize) -> ObjectKey {
    let extension = if number.is_multiple_of(100) {
        "mp4"
    } else {
        "jpg"
    };
    let folder = FOLDER;
    ObjectKey::new(format!("{folder}/{number:07}.{extension}")).unwrap()
}

/// The media table's item of a file, and its entries in the lists of all files and of one label. The
/// other seven lists would cost memory, and no request reads them.
fn fill(dynamodb: &DynamoDb, count: usize) {
    let texts: Vec<Value> = LABELS.iter().map(|label| json!({"S": label})).collect();
    for number in 0..count {
        let name = name(number);
        let media_type = MediaType::of(&name).unwrap();
        let item = json!({
            "name": {"S": name.as_str()},
            "type": {"S": media_type.as_str()},
            "labels": {"L": texts},
        });
        dynamodb.put("media", &item);
        for list in [lists::ALL, "label:person"] {
            let mut entry = item.clone();
            entry["list"] = json!({"S": list});
            entry["typed_list"] = json!({"S": lists::of_type(media_type, list)});
            let (attribute, value) = match list {
                lists::ALL => ("version", "0123456789abcdef0123456789abcdef"),
                _ => ("label", "Person"),
            };
            entry[attribute] = json!({"S": value});
            dynamodb.put("index", &entry);
        }
    }
}

/// The catalogue whose index has all items, as an instance of the function has it after its first
/// request.
async fn indexed(dynamodb: &DynamoDb, new: &DynamoDb) -> DynamoCatalogue {
    let fresh = catalogue(new);
    fresh
        .backfill(SystemTime::now(), Duration::ZERO)
        .await
        .unwrap();
    for entry in new.items("index") {
        dynamodb.put("index", &entry);
    }
    let catalogue = catalogue(dynamodb);
    let warm = catalogue.list(&Filter::default(), 1, None).await;
    warm.unwrap();
    catalogue
}

/// What each of the listings is called, and its filter.
fn filters() -> Vec<(&'static str, Filter)> {
    let prefix = format!("{FOLDER}/000");
    let prefix = prefix.as_str();
    let filter = |prefix: Option<&str>, media_type, label: Option<&str>| Filter {
        name_prefix: prefix.map(String::from),
        media_type,
        label: label.map(String::from),
    };
    let (video, person) = (Some(MediaType::Video), Some("Person"));
    vec![
        ("all", filter(None, None, None)),
        ("label", filter(None, None, person)),
        ("media-type", filter(None, video, None)),
        ("startswith", filter(Some(prefix), None, None)),
        ("label, media-type", filter(None, video, person)),
        ("label, startswith", filter(Some(prefix), None, person)),
        ("all three", filter(Some(prefix), video, person)),
    ]
}

/// How long a page takes: reading and writing requests and answers, and a DynamoDB that needs no time on a network.
async fn median_time(catalogue: &DynamoCatalogue, filter: &Filter) -> Duration {
    let mut times = Vec::new();
    for _ in 0..9 {
        let started = Instant::now();
        catalogue.list(filter, 100, None).await.unwrap();
        times.push(started.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

async fn check_size(count: usize) {
    let dynamodb = dynamodb();
    fill(&dynamodb, count);
    let before = catalogue(&dynamodb);
    let label = filters().remove(1).1;
    let started = Instant::now();
    let by_scan = before.list(&label, 100, None).await.unwrap();
    let took = started.elapsed();
    let scan = dynamodb.take_units();
    println!(
        "{count:>9} items | before, label     | {:>7} read units | {:>3} requests | {took:.1?}",
        scan.reads, scan.requests
    );

    let after = indexed(&dynamodb, &self::dynamodb()).await;
    for (called, filter) in filters() {
        let took = median_time(&after, &filter).await;
        dynamodb.take_units();
        let page = after.list(&filter, 100, None).await.unwrap();
        let units = dynamodb.take_units();
        let (reads, items) = (units.reads, page.items.len());
        println!(
            "{count:>9} items | {called:<17} | {reads:>7} read units | {:>3} requests | {took:.1?} | {items} items",
            units.requests
        );
        assert!(items == 100 || page.next.is_none(), "a page is full");
        assert!(
            reads <= 5.0,
            "{called} reads {reads} units at {count} items"
        );
        assert_eq!(units.requests, 1, "{called}");
        if filter == label {
            assert_eq!(page, by_scan, "both ways list the same");
        }
    }
    // The next page costs the same.
    let next = after
        .list(&label, 100, by_scan.next.as_ref())
        .await
        .unwrap();
    assert!(next.items[0].name > by_scan.items[99].name);
    assert!(dynamodb.take_units().reads <= 5.0);
}

#[tokio::test]
async fn a_page_costs_what_its_items_cost() {
    for count in [1_000, 100_000] {
        check_size(count).await;
    }
}

/// Run it as `cargo test -p media --test costs -- --ignored`. It takes 3 GB of memory.
#[tokio::test]
#[ignore = "takes minutes"]
async fn long_a_page_costs_the_same_in_a_million_items() {
    check_size(1_000_000).await;
}

async fn cost(dynamodb: &DynamoDb, sequencer: &str, kind: ChangeKind) -> Units {
    let change = ObjectChange {
        name: name(1),
        sequencer: Sequencer::parse(sequencer).unwrap(),
        kind,
    };
    dynamodb.take_units();
    catalogue(dynamodb).record(&change).await.unwrap();
    dynamodb.take_units()
}

#[tokio::test]
async fn an_upload_writes_an_entry_for_each_label() {
    let dynamodb = dynamodb();
    let labelled = |labels: Vec<String>| ChangeKind::Labelled {
        media_type: MediaType::Image,
        labels,
    };
    let units = |requests, reads, writes, index_writes| Units {
        requests,
        reads,
        writes,
        index_writes,
    };
    // State and item, and nine entries, twice each in a transaction; each entry once in the secondary
    // index.
    let new = cost(&dynamodb, "01", labelled(labels())).await;
    assert_eq!(new, units(2, 1.0, 22.0, 9.0));
    let mut other = labels();
    other[7] = "Tent".into();
    let replaced = cost(&dynamodb, "02", labelled(other)).await;
    assert_eq!(replaced, units(2, 1.0, 24.0, 10.0));
    let removed = cost(&dynamodb, "03", ChangeKind::Removed).await;
    assert_eq!(removed, units(2, 1.0, 22.0, 9.0));

    // A video on which very much is seen.
    let many: Vec<_> = (0..300).map(|number| format!("Label {number}")).collect();
    let steps = cost(&dynamodb, "04", labelled(many)).await;
    println!("300 labels: {steps:?}");
    assert!(steps.writes <= 2.0 * (300.0 + 50.0), "{steps:?}");
}
