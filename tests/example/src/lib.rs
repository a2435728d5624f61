//! A shop for photos: the app that the framework's tests run on.
//!
//! It is as small as the tests allow. Each function has one kind of trigger.

use manifest::Manifest;
use manifest::kinds::{
    BucketAction::*, Cors, EventBusAction::*, IndexAction::Query, ItemChange::*, Key, Match,
    TableAction::*,
};

/// Declares the app.
#[must_use]
pub fn app() -> Manifest {
    let app = Manifest::new("shop");

    let photos = app.bucket("photos").variable("PHOTOS_BUCKET_NAME");
    let receipts = app.bucket("receipts").variable("RECEIPTS_BUCKET_NAME");
    let catalogue = app.table("photos", "name").variable("PHOTOS_TABLE_NAME");
    let orders = app
        .table("orders", "id")
        .time_to_live("expires_at")
        .variable("ORDERS_TABLE_NAME");
    let parcels = app.queue("parcels").variable("PARCELS_QUEUE_URL");
    let stock_taking = app
        .schedule("stock-taking", "cron(0 3 29 2 ? *)")
        .time_zone("Europe/Zurich");
    let by_photo = orders
        .index("by-photo", "photo")
        .sort_key(Key::number("placed_at"))
        .keys_only()
        .variable("ORDERS_BY_PHOTO_INDEX_NAME");
    let ledger = app
        .table("ledger", "item")
        .time_to_live("expires_at")
        .variable("LEDGER_TABLE_NAME");
    let counts = app.table("counts", "counter").variable("COUNTS_TABLE_NAME");
    // An operator stores them.
    let carrier = app
        .parameter("carrier-url")
        .variable("CARRIER_URL_PARAMETER");
    let carrier_key = app.secret("carrier-key").variable("CARRIER_KEY_SECRET");
    let bus = app.event_bus("shop").variable("SHOP_BUS_NAME");
    let placed = app.event_rule(
        &bus,
        "order-placed",
        r#"{"source": ["shop"], "detail-type": ["OrderPlaced"], "detail": {"id": [{"anything-but": {"prefix": "test-"}}]}}"#,
    );
    // Pages of other origins may use one of the two.
    let shop = app.http_api("shop").variable("SHOP_URL");
    let counter = app
        .http_api("orders")
        .variable("ORDERS_URL")
        .cors(Cors::origins(["*"]));

    let kiosk = app.function_url("kiosk").variable("KIOSK_URL");
    let feed = app
        .function_url("feed")
        .variable("FEED_URL")
        .public()
        .cors(Cors::origins(["*"]));

    app.function("file-photo")
        .timeout_seconds(30)
        .trigger(photos.object_created())
        .grant(photos.allow([GetObject, ListBucket]))
        .grant(catalogue.allow([PutItem]));

    app.function("serve-shop")
        .trigger(shop.get("/"))
        .trigger(shop.get("/{name+}"))
        .trigger(kiosk.requests())
        .grant(catalogue.allow([GetItem, Scan]));

    app.function("place-order")
        .trigger(counter.get("/orders"))
        .trigger(counter.post("/orders"))
        .trigger(counter.get("/carrier"))
        .trigger(feed.requests())
        .grant(orders.allow([PutItem, Scan]))
        .grant(by_photo.allow([Query]))
        .grant(bus.allow([PutEvents]))
        .grant(carrier.read())
        .grant(carrier_key.read());

    app.function("ship-order")
        .timeout_seconds(30)
        .trigger(orders.item_changes([Insert]))
        .grant(receipts.allow([PutObject]));

    app.function("count-orders")
        .timeout_seconds(30)
        .trigger(
            orders
                .item_changes([Insert, Modify, Remove])
                .where_new("photo", Match::string())
                .or()
                .where_old("photo", Match::string()),
        )
        .grant(orders.allow([GetItem, Scan]))
        .grant(ledger.allow([GetItem, PutItem, Scan]))
        .grant(counts.allow([UpdateItem]));

    app.function("audit")
        .trigger(placed.matched())
        .trigger(photos.object_created().by_event_bridge())
        .grant(receipts.allow([PutObject]));

    app.function("pack-order")
        .trigger(parcels.messages().batch_size(5).max_receive_count(2))
        .grant(orders.allow([GetItem]))
        .grant(receipts.allow([PutObject]));

    app.function("take-stock")
        .trigger(stock_taking.fires())
        .grant(catalogue.allow([Scan]))
        .grant(receipts.allow([PutObject]));

    app
}
