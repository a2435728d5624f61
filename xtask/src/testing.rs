//! An app for the tests of this crate.

use std::path::Path;

use manifest::Manifest;
use manifest::kinds::{BucketAction::PutObject, ItemChange::Insert, TableAction::GetItem};

use crate::workspace::Workspace;

/// A shop: two functions behind an HTTP API each, and one behind a table's stream.
pub(crate) fn app() -> Manifest {
    let app = Manifest::new("shop");
    let orders = app.table("orders", "id").variable("ORDERS_TABLE_NAME");
    let receipts = app.bucket("receipts").variable("RECEIPT_BUCKET_NAME");
    let parcels = app.topic("parcels").variable("PARCELS_TOPIC_ARN");
    let carrier = app
        .publisher(&parcels, "carrier")
        .variable("CARRIER_ROLE_ARN");
    let shop = app.http_api("shop").variable("SHOP_URL");
    let stock = app.http_api("stock").variable("STOCK_URL");
    app.function("take-order")
        .trigger(shop.get("/"))
        .grant(orders.allow([GetItem]));
    app.function("count-stock").trigger(stock.get("/"));
    app.function("pack-order")
        .trigger(orders.item_changes([Insert]))
        .grant(receipts.allow([PutObject]))
        .grant(carrier.pass())
        .environment("GREETING", "Thank you");
    app
}

/// The cargo workspace that this crate is in, with that app in a folder of its own.
pub(crate) fn workspace_in(folder: &Path) -> Workspace {
    Workspace::new(app, None, Some(folder.to_owned()))
}

/// The cargo workspace that this crate is in, with that app.
pub(crate) fn workspace() -> Workspace {
    Workspace::new(app, None, None)
}
