//! An app for the tests of this crate.

use manifest::Manifest;
use manifest::kinds::BucketAction::GetObject;
use manifest::kinds::ItemChange::Insert;
use manifest::kinds::TableAction::PutItem;

use crate::model::AppModel;

/// A shop with one resource of each kind that has a page.
pub(crate) fn shop() -> AppModel {
    let app = Manifest::new("shop");
    let orders = app.table("orders", "id").variable("ORDERS_TABLE_NAME");
    let photos = app.bucket("photos").variable("PHOTOS_BUCKET_NAME");
    let topic = app.topic("orders").variable("ORDERS_TOPIC_ARN");
    let parcels = app.queue("parcels").variable("PARCELS_QUEUE_URL");
    let nightly = app.schedule("nightly", "cron(0 3 * * ? *)");
    let shop = app.http_api("shop").variable("SHOP_URL");
    app.function("sell")
        .trigger(shop.get("/"))
        .trigger(photos.object_created())
        .grant(photos.allow([GetObject]))
        .grant(orders.allow([PutItem]));
    app.function("pack")
        .trigger(orders.item_changes([Insert]))
        .trigger(topic.published());
    app.function("send")
        .trigger(parcels.messages())
        .trigger(nightly.fires());
    let stages = manifest::Stages::parse("local:\n  region: us-east-1\n").unwrap();
    AppModel::of(&app.resolve(&stages.get("local").unwrap()).unwrap())
}
