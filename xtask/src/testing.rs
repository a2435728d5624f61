//! An app for the tests of this crate.

use manifest::Manifest;
use manifest::kinds::TableAction::GetItem;

use crate::workspace::Workspace;

/// Two functions, each behind an HTTP API of its own.
pub(crate) fn app() -> Manifest {
    let app = Manifest::new("shop");
    let orders = app.table("orders", "id").variable("ORDERS_TABLE_NAME");
    let shop = app.http_api("shop").variable("SHOP_URL");
    let stock = app.http_api("stock").variable("STOCK_URL");
    app.function("take-order")
        .trigger(shop.get("/"))
        .grant(orders.allow([GetItem]));
    app.function("count-stock").trigger(stock.get("/"));
    app
}

/// The cargo workspace that this crate is in, with that app.
pub(crate) fn workspace() -> Workspace {
    Workspace::new(app, None, None)
}
