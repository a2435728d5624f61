//! Searching among thousands of files: every combination of filters finds what a scan of the media
//! table finds, in the order of names, before the index has all items and after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat as Format};
use media::catalogue::{Catalogue, ChangeKind, ObjectChange};
use media::dynamodb::{DynamoCatalogue, PATIENCE, Tables};
use media::{MediaItem, MediaType};
use runtime::s3::{ObjectKey, Sequencer};
use runtime::{Aws, Environment};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::library::Stage;

/// Files that are written at a time.
const AT_ONCE: usize = 8;

const LABELS: [&str; 6] = ["Person", "Cat", "Dog", "Animal", "Phone Booth", "Café"];
const FOLDERS: [&str; 4] = ["", "holiday/", "holiday/2026/é ", "Zoo/"];

#[test]
fn every_search_finds_what_a_scan_finds_among_2000_files() {
    check(2_000, &["1000", "137"]);
}

#[test]
#[ignore = "takes minutes"]
fn long_every_search_finds_what_a_scan_finds_among_20_000_files() {
    // The emulator sorts a whole partition for each page, so there are few.
    check(20_000, &["1000"]);
}

/// Compares the answers with a scan of so many files, in pages of these sizes.
fn check(count: usize, limits: &[&str]) {
    let stage = Stage::start();
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(write(&stage, count));
    eprintln!(
        "{count} files: written within {:.1} s",
        started.elapsed().as_secs_f64()
    );

    let items = scan(&stage, &runtime);
    assert_eq!(items.len(), count);
    tell_latency(&stage, count, "by the table");
    check_searches(&stage, &items, &["1000"]);
    let now = SystemTime::now();
    let begun = index(&stage, now);
    // It waits, unless all of this took so long that the schedule has gone on with it.
    assert_ne!(begun["phase"], "complete", "there are items");
    let started = Instant::now();
    // An invocation goes on for minutes. The schedule may invoke the function too.
    let complete = (0..20).any(|_| index(&stage, now + PATIENCE * 2)["phase"] == "complete");
    assert!(complete, "the index has not all items");
    eprintln!(
        "{count} files: looked at within {:.1} s",
        started.elapsed().as_secs_f64()
    );
    tell_latency(&stage, count, "by the index");
    let started = Instant::now();
    check_searches(&stage, &items, limits);
    eprintln!(
        "{count} files: searched within {:.1} s",
        started.elapsed().as_secs_f64()
    );
    check_labels(&stage, &items);
}

/// Writes files as the functions do.
async fn write(stage: &Stage, count: usize) {
    let variables = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
    ];
    let tables = [
        "MEDIA_TABLE_NAME",
        "MEDIA_STATE_TABLE_NAME",
        "MEDIA_INDEX_TABLE_NAME",
    ];
    let environment = variables.into_iter().chain(tables);
    let environment: Environment = environment
        .map(|name| (name, stage.variable(name)))
        .collect();
    let aws = Aws::new(&environment).unwrap();
    let catalogue = DynamoCatalogue::new(&aws, Tables::named_by(&environment).unwrap());
    let mut writing = JoinSet::new();
    for number in 0..count {
        if writing.len() == AT_ONCE {
            writing.join_next().await.unwrap().unwrap();
        }
        let catalogue = catalogue.clone();
        writing.spawn(async move {
            let extension = ["jpg", "PNG", "mp4", "jpeg", "mov"][number % 5];
            let name = format!(
                "{}{:05}.{extension}",
                FOLDERS[number % 4],
                number * 7919 % count
            );
            let name = ObjectKey::new(name).unwrap();
            // Bit by bit, whether it has the label.
            let has = |(bit, _): &(usize, _)| (number >> bit) & 1 == 1;
            let labels = LABELS.iter().enumerate().filter(has);
            let labels = labels.map(|(_, label)| (*label).to_owned()).collect();
            let media_type = MediaType::of(&name).unwrap();
            let change = ObjectChange {
                name,
                sequencer: Sequencer::parse("01").unwrap(),
                kind: ChangeKind::Labelled { media_type, labels },
            };
            catalogue.record(&change).await.unwrap();
        });
    }
    while let Some(written) = writing.join_next().await {
        written.unwrap();
    }
}

/// The media table, read without the library.
fn scan(stage: &Stage, runtime: &tokio::runtime::Runtime) -> BTreeMap<String, MediaItem> {
    let table = stage.variable("MEDIA_TABLE_NAME");
    let items = runtime.block_on(async {
        let scan = stage.dynamodb().scan().table_name(table);
        let mut pages = scan.into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.unwrap());
        }
        items
    });
    let items = items.into_iter().map(|item| {
        let attributes: BTreeSet<_> = item.keys().map(String::as_str).collect();
        assert_eq!(attributes, BTreeSet::from(["labels", "name", "type"]));
        let name = item["name"].as_s().unwrap();
        let labels = item["labels"].as_l().unwrap().iter();
        let labels = labels.map(|label| label.as_s().unwrap().clone()).collect();
        let media_type = item["type"].as_s().unwrap().parse().unwrap();
        let item = MediaItem {
            name: ObjectKey::new(name).unwrap(),
            media_type,
            labels,
        };
        (name.clone(), item)
    });
    items.collect()
}

/// Invokes the function as its schedule does at this time.
fn index(stage: &Stage, time: SystemTime) -> Value {
    let time = DateTime::from(time).fmt(Format::DateTime).unwrap();
    let event = json!({"schedule": "index-media", "scheduledTime": time, "executionId": "test"});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), event.to_string()).unwrap();
    let payload = file.path().to_str().unwrap();
    let answer = stage.xtask_ok(&["invoke", "index-media", "--payload", payload]);
    serde_json::from_str(&answer).unwrap()
}

/// Prints how long a page of a label takes, as the median of a few.
fn tell_latency(stage: &Stage, count: usize, how: &str) {
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let started = Instant::now();
            assert_eq!(stage.get("/?label=Cat&limit=100").status, 200);
            started.elapsed()
        })
        .collect();
    times.sort();
    let median_ms = times[times.len() / 2].as_millis();
    eprintln!("{count} files: a page of a label {how} within {median_ms} ms");
}

/// All pages of a listing.
fn listed(stage: &Stage, query: &str, limit: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = stage.get(&format!("/?{query}limit={limit}{cursor}"));
        assert_eq!(reply.status, 200, "{query}: {reply:?}");
        let page = reply.json();
        let page = page.as_array().unwrap();
        found.extend(page.iter().cloned());
        match reply.header("next-cursor") {
            Some(next) => {
                assert_eq!(page.len().to_string(), limit, "{query}: a page is full");
                cursor = format!("&cursor={next}");
            }
            None => return found,
        }
    }
}

fn check_searches(stage: &Stage, items: &BTreeMap<String, MediaItem>, limits: &[&str]) {
    let prefixes = ["", "holiday/", "holiday/2026/é 0", "Zoo/00", "none"];
    let encoded = ["", "holiday/", "holiday/2026/%C3%A9+0", "Zoo/00", "none"];
    let types = [None, Some(MediaType::Image), Some(MediaType::Video)];
    let labels = [
        None,
        Some("Person"),
        Some("phone booth"),
        Some("CAFÉ"),
        Some("Bus"),
    ];
    for (prefix, encoded) in prefixes.iter().zip(encoded) {
        for media_type in types {
            for label in labels {
                let mut query = String::new();
                if !prefix.is_empty() {
                    query += &format!("startswith={encoded}&");
                }
                if let Some(media_type) = media_type {
                    query += &format!("media-type={media_type}&");
                }
                if let Some(label) = label {
                    let label = label.replace(' ', "%20").replace('É', "%C3%89");
                    query += &format!("label={label}&");
                }
                let passes = |item: &&MediaItem| {
                    let has = |label: &str| {
                        let mut labels = item.labels.iter();
                        labels.any(|has| has.to_lowercase() == label.to_lowercase())
                    };
                    item.name.as_str().starts_with(prefix)
                        && media_type.is_none_or(|media_type| item.media_type == media_type)
                        && label.is_none_or(has)
                };
                let expected: Vec<_> = items.values().filter(passes).map(to_json).collect();
                for limit in limits {
                    let found = listed(stage, &query, limit);
                    assert!(
                        found == expected,
                        "{query} finds {} of {}",
                        found.len(),
                        expected.len()
                    );
                }
            }
        }
    }
}

fn to_json(item: &MediaItem) -> Value {
    json!({
        "labels": item.labels,
        "name": item.name.as_str(),
        "type": item.media_type.as_str(),
    })
}

fn check_labels(stage: &Stage, items: &BTreeMap<String, MediaItem>) {
    stage.xtask_ok(&["wait", "--timeout", "20m"]);
    let mut counts = BTreeMap::new();
    for label in items.values().flat_map(|item| &item.labels) {
        let (_, count) = counts.entry(label.to_lowercase()).or_insert((label, 0));
        *count += 1;
    }
    let expected: Vec<_> = counts
        .iter()
        .map(|(_, (label, count))| json!({"label": label, "count": count}))
        .collect();
    assert_eq!(stage.get("/labels").json(), json!(expected));
    let some = counts
        .keys()
        .enumerate()
        .filter(|(_, label)| label.starts_with("ca"));
    let some: Vec<_> = some.map(|(at, _)| &expected[at]).collect();
    assert_eq!(stage.get("/labels?prefix=CA").json(), json!(some));
    let first = stage.get("/labels?limit=1");
    assert_eq!(first.json(), json!(expected[..1]));
    let cursor = first.header("next-cursor").unwrap();
    let second = stage.get(&format!("/labels?limit=1&cursor={cursor}"));
    assert_eq!(second.json(), json!(expected[1..2]));

    // A cursor of another listing, and texts that are too long.
    let long = "x".repeat(1025);
    for query in [
        format!("/?cursor={cursor}"),
        format!("/?label=Cat&cursor={cursor}"),
        format!("/?startswith={long}"),
        format!("/?label={long}"),
        format!("/labels?prefix={long}"),
    ] {
        assert_eq!(stage.get(&query).status, 400, "{query}");
    }
    assert_eq!(
        stage.get(&format!("/?label={}", &long[..300])).json(),
        json!([])
    );
}
