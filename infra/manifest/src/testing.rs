//! An app for tests of rules and templates.

use serde_json::Value;

use crate::app::App;
use crate::kind::{Bucket, DeclaredFunction, HttpApi, Publisher, Queue, Table, Topic};
use crate::manifest::Manifest;
use crate::stage::{Stage, Stages};

/// A shop, with one resource of each kind and the function `sell`, which does nothing yet.
pub(crate) struct Shop {
    pub(crate) app: Manifest,
    pub(crate) bucket: Bucket,
    pub(crate) table: Table,
    pub(crate) topic: Topic,
    pub(crate) publisher: Publisher,
    pub(crate) queue: Queue,
    pub(crate) http_api: HttpApi,
    pub(crate) sell: DeclaredFunction,
}

pub(crate) fn shop() -> Shop {
    let app = Manifest::new("shop");
    let topic = app.topic("orders");
    Shop {
        bucket: app.bucket("photos").variable("PHOTOS_BUCKET_NAME"),
        table: app.table("orders", "id"),
        publisher: app.publisher(&topic, "rekognition"),
        queue: app.queue("parcels"),
        http_api: app.http_api("shop"),
        sell: app.function("sell"),
        topic,
        app,
    }
}

/// The stage of a file with one.
pub(crate) fn stage(yaml: &str) -> Stage {
    let stages = Stages::parse(yaml).unwrap();
    let name = stages.names().next().unwrap();
    stages.get(name).unwrap()
}

/// The app on stage `dev`, with these settings.
pub(crate) fn resolve(app: &Manifest, settings: &str) -> App {
    app.resolve(&stage(&format!("dev: {{{settings}}}")))
        .unwrap()
}

/// The template's resources.
pub(crate) fn resources(app: &Manifest, settings: &str) -> Value {
    resolve(app, settings).template().to_value()["Resources"].clone()
}

/// What is wrong with the app on stage `dev`, with these settings.
pub(crate) fn complaints(app: &Manifest, settings: &str) -> Complaints {
    complaints_on(app, &format!("dev: {{{settings}}}"))
}

/// What is wrong with the app on the stage of this file.
pub(crate) fn complaints_on(app: &Manifest, yaml: &str) -> Complaints {
    let violations = app.resolve(&stage(yaml)).err().unwrap_or_default();
    Complaints(violations.iter().map(ToString::to_string).collect())
}

/// Messages of violations.
pub(crate) struct Complaints(pub(crate) Vec<String>);

impl Complaints {
    /// Asserts that there are exactly those with these parts, in this order.
    #[track_caller]
    pub(crate) fn are(&self, parts: &[&str]) {
        let Self(complaints) = self;
        assert_eq!(complaints.len(), parts.len(), "{complaints:#?}");
        for (complaint, part) in complaints.iter().zip(parts) {
            assert!(complaint.contains(part), "{complaint:?} lacks {part:?}");
        }
    }
}
