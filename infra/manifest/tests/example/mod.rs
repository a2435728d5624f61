//! An app with every kind of resource, for tests of what holds for any app.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]
#![allow(dead_code, reason = "each test uses a part of it")]

use manifest::kinds::{
    BucketAction::*, Cors, EventBusAction::*, ItemChange::*, Key, Match, QueueAction::*,
    TableAction::*,
};
use manifest::kinds::{IndexAction, TableAction};
use manifest::{App, Grant, LogLevel, Manifest, Stages};

/// A shop whose photos are labelled, whose orders are packed, shipped and refunded, and whose films
/// are watched.
pub(crate) fn shop() -> Manifest {
    let app = Manifest::new("shop");
    let photos = app.bucket("photos").variable("PHOTOS_BUCKET_NAME");
    let orders = app
        .table("orders", "id")
        .variable("ORDERS_TABLE_NAME")
        .key_variable("ORDERS_KEY_ATTRIBUTE");
    let sessions = app
        .table("sessions", "token")
        .time_to_live("expires_at")
        .variable("SESSIONS_TABLE_NAME");
    let refunds = app
        .table("refunds", "customer")
        .sort_key(Key::number("asked_at"))
        .variable("REFUNDS_TABLE_NAME");
    let by_status = refunds
        .index("by-status", "status")
        .sort_key(Key::number("asked_at"))
        .include(["sum"])
        .variable("REFUNDS_BY_STATUS_INDEX_NAME");
    let hook = app
        .function_url("hook")
        .variable("HOOK_URL")
        .public()
        .cors(Cors::origins(["https://example.com"]));
    let films = app.topic("films").variable("FILMS_TOPIC_ARN");
    let rekognition = app
        .publisher(&films, "rekognition")
        .variable("FILMS_ROLE_ARN");
    let nightly = app
        .schedule("nightly", "cron(0 3 * * ? *)")
        .time_zone("Europe/Zurich");
    let bus = app.event_bus("orders").variable("ORDERS_BUS_NAME");
    let paid = app.event_rule(&bus, "order-paid", r#"{"detail-type": ["OrderPaid"]}"#);
    let shop = app
        .http_api("shop")
        .variable("SHOP_URL")
        .cors(Cors::origins(["*"]).expose_headers(["next-cursor"]));
    let admin = app.http_api("admin").variable("ADMIN_URL");
    let parcels = app
        .queue("parcels")
        .retention_seconds(14 * 24 * 60 * 60)
        .variable("PARCELS_QUEUE_URL");
    let claims = app.fifo_queue("claims").variable("CLAIMS_QUEUE_URL");
    let carriers = app.parameter("carriers").variable("CARRIERS_PARAMETER");
    let carrier_key = app
        .secret("carrier-key")
        .key("alias/shop")
        .variable("CARRIER_KEY_SECRET");

    app.function("watch-film")
        .description("Has each film labelled")
        .log_level(LogLevel::Trace)
        .timeout_seconds(60)
        .trigger(photos.object_created().prefix("films/"))
        .grant(rekognition.pass())
        .grant(Grant::unscoped(
            "rekognition:StartLabelDetection",
            "a job has no ARN to restrict the action to",
        ));
    app.function("resize-photo")
        .trigger(photos.object_created().prefix("photos/").suffix(".jpg"))
        .trigger(photos.object_removed())
        .grant(
            photos
                .allow([GetObject, PutObject, ListBucket])
                .recursive("photos are resized into another prefix"),
        );
    app.function("file-film")
        .trigger(films.published())
        .trigger(paid.matched())
        .variable_of(&photos)
        .grant(orders.allow([PutItem]));
    app.function("notify-order-shippers")
        .timeout_seconds(60)
        .trigger(orders.item_changes([Insert, Remove]))
        .trigger(nightly.fires())
        .trigger(paid.matched())
        .trigger(photos.object_created().suffix(".pdf").by_event_bridge())
        .grant(orders.allow([GetItem]))
        .grant(carriers.read())
        .grant(carrier_key.read())
        .environment("CARRIERS", "pigeon,snail");
    app.function("pay-refund")
        .trigger(hook.requests())
        .trigger(
            refunds
                .item_changes([Insert, Modify])
                .where_new("status", "granted")
                .where_new("paid_at", Match::no_number())
                .or()
                .where_new("urgent", true),
        )
        .grant(
            refunds
                .allow([TableAction::Query, UpdateItem])
                .recursive("a refund that is paid matches no filter"),
        )
        .grant(by_status.allow([IndexAction::Query]));
    app.function("pack-parcel")
        .trigger(
            parcels
                .messages()
                .batch_size(20)
                .batching_window_seconds(1)
                .max_concurrency(2)
                .max_receive_count(10)
                .visibility_timeout_seconds(600),
        )
        .grant(orders.allow([GetItem]))
        .grant(
            parcels
                .allow([SendMessage])
                .long_recursive("a parcel goes back to the queue until there is a box for it"),
        );
    app.function("settle-claim").trigger(claims.messages());
    app.function("serve-shop")
        .trigger(shop.get("/"))
        .trigger(shop.get("/orders/{id}"))
        .trigger(shop.post("/orders"))
        .trigger(admin.get("/{path+}"))
        .grant(sessions.allow([GetItem]))
        .grant(orders.allow([PutItem, Scan]))
        .grant(bus.allow([PutEvents]))
        .grant(parcels.allow([SendMessage]))
        .grant(claims.allow([SendMessage]));
    app
}

/// Stages of the shop: development, production, this machine, and one with every setting.
pub(crate) const STAGES: &str = include_str!("stages.yaml");

/// The shop on the stages of `yaml`.
pub(crate) fn resolve(yaml: &str) -> Vec<App> {
    let stages = Stages::parse(yaml).unwrap();
    stages
        .names()
        .map(|name| shop().resolve(&stages.get(name).unwrap()).unwrap())
        .collect()
}

/// The shop on all of its stages.
pub(crate) fn apps() -> Vec<App> {
    resolve(STAGES)
}
