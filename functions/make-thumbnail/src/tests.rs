use std::cell::RefCell;
use std::collections::BTreeMap;

use media::catalogue::CatalogueError;
use runtime::s3::Sequencer;
use serde_json::{Value, json};

use super::*;
use crate::picture::Unreadable;

const EVENT: &str = include_str!("../../../assets/events/make-thumbnail.json");
const PHOTO: &[u8] = include_bytes!("../../../assets/sample.jpg");

/// A catalogue that has these names.
struct Names(Vec<&'static str>);

impl Standings for Names {
    async fn standing(&self, name: &ObjectKey) -> Result<Standing, CatalogueError> {
        Ok(Standing {
            sequencer: Sequencer::parse("01").ok(),
            has_item: self.0.contains(&name.as_str()),
        })
    }

    async fn names(
        &self,
        after: Option<&ObjectKey>,
        _: usize,
    ) -> Result<(Vec<ObjectKey>, bool), CatalogueError> {
        // Pages of one name.
        let mut rest = self
            .0
            .iter()
            .filter(|name| after.is_none_or(|after| **name > after.as_str()));
        let name = rest.next().map(|name| ObjectKey::new(*name).unwrap());
        Ok((name.into_iter().collect(), rest.next().is_some()))
    }
}

/// A bucket in which every picture has this content, "gone.jpg" is missing, and "poison.jpg" is denied.
struct Files(&'static [u8]);

impl Pictures for Files {
    async fn read(&self, name: &ObjectKey, known: Option<&str>) -> Result<Picture, ThumbnailError> {
        let version = format!("{} bytes", self.0.len());
        match name.as_str() {
            "poison.jpg" => Err(ThumbnailError::Bucket {
                action: "read",
                object: "picture",
                reason: "AccessDenied".into(),
            }),
            "gone.jpg" => Ok(Picture::Gone),
            _ if known == Some(&version) => Ok(Picture::AsBefore),
            _ => {
                let file = Ok(self.0.to_vec());
                Ok(Picture::New { version, file })
            }
        }
    }
}

type Made = Result<Vec<u8>, Unreadable>;

/// Thumbnails with their versions, and how often one was written.
#[derive(Default)]
struct Written(
    RefCell<BTreeMap<ThumbnailKey, (String, Made)>>,
    RefCell<usize>,
);

impl Thumbnails for Written {
    async fn version(&self, key: &ThumbnailKey) -> Result<Option<String>, ThumbnailError> {
        Ok(self.0.borrow().get(key).map(|(version, _)| version.clone()))
    }

    async fn put(
        &self,
        key: &ThumbnailKey,
        version: &str,
        made: &Made,
    ) -> Result<(), ThumbnailError> {
        *self.1.borrow_mut() += 1;
        let written = (version.to_owned(), made.clone());
        self.0.borrow_mut().insert(key.clone(), written);
        Ok(())
    }

    async fn delete(&self, key: &ThumbnailKey) -> Result<(), ThumbnailError> {
        self.0.borrow_mut().remove(key);
        Ok(())
    }
}

type Function = MakeThumbnail<Names, Files, Written>;

fn function(names: &[&'static str], content: &'static [u8]) -> Function {
    MakeThumbnail {
        catalogue: Names(names.to_vec()),
        pictures: Files(content),
        thumbnails: Written::default(),
    }
}

fn key(name: &str) -> ThumbnailKey {
    ThumbnailKey::of(&ObjectKey::new(name).unwrap())
}

impl Function {
    fn made(&self, name: &str) -> Option<Made> {
        let written = self.thumbnails.0.borrow();
        written.get(&key(name)).map(|(_, made)| made.clone())
    }
}

/// The sample event with a record of each of these names.
fn event(names: &[&str]) -> StreamEvent {
    let sample: Value = serde_json::from_str(EVENT).unwrap();
    let record = |(index, name): (usize, &&str)| {
        let mut record = sample["Records"][0].clone();
        record["dynamodb"]["Keys"] = json!({"name": {"S": name}});
        record["dynamodb"]["SequenceNumber"] = (index + 1).to_string().into();
        record
    };
    let records: Vec<_> = names.iter().enumerate().map(record).collect();
    serde_json::from_value(json!({"Records": records})).unwrap()
}

#[tokio::test]
async fn the_sample_event_makes_one_once() {
    let function = function(&["sample.jpg"], PHOTO);
    for _ in 0..2 {
        let response = function.handle(serde_json::from_str(EVENT).unwrap()).await;
        assert_eq!(response.unwrap().batch_item_failures.len(), 0);
    }
    assert!(function.made("sample.jpg").unwrap().is_ok());
    assert_eq!(*function.thumbnails.1.borrow(), 1);
}

#[tokio::test]
async fn a_picture_that_left_the_catalogue_has_none() {
    let function = function(&[], PHOTO);
    let left = ("of before".into(), Ok(vec![]));
    function
        .thumbnails
        .0
        .borrow_mut()
        .insert(key("a.jpg"), left);
    function.handle(event(&["a.jpg"])).await.unwrap();
    assert_eq!(function.made("a.jpg"), None);
}

/// Its deletion will be recorded, and until then nobody should see it.
#[tokio::test]
async fn a_picture_that_left_the_bucket_has_none_before_the_catalogue_knows() {
    let function = function(&["gone.jpg"], PHOTO);
    let left = ("of before".into(), Ok(vec![]));
    let thumbnails = &function.thumbnails.0;
    thumbnails.borrow_mut().insert(key("gone.jpg"), left);
    function.handle(event(&["gone.jpg"])).await.unwrap();
    assert_eq!(function.made("gone.jpg"), None);
}

#[tokio::test]
async fn a_video_has_none() {
    let function = function(&["clip.mp4", "notes.txt"], PHOTO);
    let names = ["clip.mp4", "notes.txt"];
    function.handle(event(&names)).await.unwrap();
    assert!(function.thumbnails.0.borrow().is_empty());
}

#[tokio::test]
async fn what_is_no_picture_has_a_placeholder_and_the_record_is_done() {
    let function = function(&["a.jpg"], b"text");
    let response = function.handle(event(&["a.jpg"])).await.unwrap();
    assert_eq!(response.batch_item_failures.len(), 0);
    assert_eq!(function.made("a.jpg"), Some(Err(Unreadable::Format)));
}

#[tokio::test]
async fn a_failed_record_ends_the_batch_and_is_reported() {
    let function = function(&["a.jpg", "poison.jpg", "b.jpg"], PHOTO);
    let response = function
        .handle(event(&["a.jpg", "poison.jpg", "b.jpg"]))
        .await;
    let failures = response.unwrap().batch_item_failures;
    assert_eq!(failures[0].item_identifier.as_deref(), Some("2"));
    assert!(function.made("a.jpg").is_some() && function.made("b.jpg").is_none());
}

#[tokio::test]
async fn a_backfill_reads_page_after_page_and_tells_what_failed() {
    let names = ["a.jpg", "b.mp4", "c.jpg", "poison.jpg", "z.jpg"];
    let function = function(&names, PHOTO);
    let progress = function.backfill(Backfill::default()).await.unwrap();
    let expected = Progress {
        handled: 5,
        failed: vec!["poison.jpg".into()],
        next: None,
    };
    assert_eq!(progress, expected);
    assert!(
        ["a.jpg", "c.jpg", "z.jpg"]
            .iter()
            .all(|name| function.made(name).is_some())
    );
    let after = Some("c.jpg".into());
    let rest = function.backfill(Backfill { after }).await.unwrap();
    assert_eq!(rest.handled, 2);
    assert_eq!(*function.thumbnails.1.borrow(), 3);
}
