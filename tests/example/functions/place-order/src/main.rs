//! Takes an order and says so on the event bus, lists all of them or those of a photo, or tells who
//! carries them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::ExitCode;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::Error;
use runtime::dynamodb::{PageKey, query_page, text};
use runtime::eventbridge::{EventBus, NewEvent};
use runtime::http::{
    HttpError, PageLimit, json_response, key_of_cursor, page_response, query_parameters, respond,
};
use runtime::parameters::Parameter;
use runtime::secrets::Secret;
use runtime::{Aws, Environment, Service};
use serde::Deserialize;
use serde_json::{Value, json};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bus = environment.require("SHOP_BUS_NAME")?;
    let counter = Counter {
        bus: EventBus::new(&aws, &bus, "shop"),
        client: Client::new(&aws.config(Service::DYNAMODB)),
        table: environment.require("ORDERS_TABLE_NAME")?,
        carrier: Parameter::new(&aws, environment.require("CARRIER_URL_PARAMETER")?),
        carrier_key: Secret::new(&aws, environment.require("CARRIER_KEY_SECRET")?),
        by_photo: environment.require("ORDERS_BY_PHOTO_INDEX_NAME")?,
    };
    runtime::serve(async |request: ApiGatewayV2httpRequest| {
        Ok::<_, Infallible>(respond(&request, counter.answer(&request).await))
    })
    .await
}

/// Who orders a photo. An order of no photo is taken, and cannot be shipped.
#[derive(Deserialize)]
struct Order {
    id: String,
    photo: Option<String>,
}

/// Where a page of the orders of a photo starts: by the key of the index and of the table.
const OF_PHOTO: PageKey = PageKey(&["photo", "placed_at", "id"]);

const LIMIT: PageLimit = PageLimit {
    default: 100,
    max: 1000,
};

struct Counter {
    bus: EventBus,
    client: Client,
    table: String,
    carrier: Parameter,
    carrier_key: Secret,
    by_photo: String,
}

impl Counter {
    async fn answer(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let body = match request.route_key.as_deref() {
            Some("POST /orders") => {
                let body = request.body.as_deref().unwrap_or_default();
                let order = serde_json::from_str(body);
                let no_order = |_| HttpError::BadRequest("send an order".to_owned());
                self.take(order.map_err(no_order)?).await?
            }
            Some("GET /carrier") => self.carrier().await?,
            _ => {
                let parameters = query_parameters(request, ["photo", "limit", "cursor"])?;
                if let [Some(photo), limit, cursor] = parameters {
                    return self.of_photo(photo, limit, cursor).await;
                }
                let scan = self.client.scan().table_name(&self.table).send().await;
                let orders = scan.map_err(HttpError::internal)?;
                orders.items().iter().map(to_json).collect()
            }
        };
        Ok(json_response(200, &body))
    }

    /// Where the carrier is, and how long our key to it is: nobody is told the key.
    async fn carrier(&self) -> Result<Value, HttpError> {
        let url = self.carrier.value().await.map_err(HttpError::internal)?;
        let key = self.carrier_key.value().await;
        let key = key.map_err(HttpError::internal)?;
        Ok(json!({"url": url.expose(), "key_bytes": key.expose().len()}))
    }

    /// The orders of a photo, by the time at which they were placed.
    async fn of_photo(
        &self,
        photo: String,
        limit: Option<String>,
        cursor: Option<String>,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let limit = LIMIT.of_text("query parameter limit", limit.as_deref())?;
        let to_key = |text: String| OF_PHOTO.parse(&text);
        let after = key_of_cursor("query parameter cursor", cursor.as_deref(), to_key)?;
        let query = self.client.query().table_name(&self.table);
        let query = query
            .index_name(&self.by_photo)
            .key_condition_expression("photo = :photo")
            .expression_attribute_values(":photo", text(photo));
        let page = query_page(&query, limit, after, <[_]>::len).await;
        let page = page.map_err(HttpError::internal)?;
        let orders: Vec<Value> = page.items.iter().map(to_json).collect();
        let last = page.next.and_then(|next| OF_PHOTO.to_text(&next));
        Ok(page_response(&orders, last.as_deref()))
    }

    async fn take(&self, Order { id, photo }: Order) -> Result<Value, HttpError> {
        let body = json!({"id": id, "photo": photo});
        let put = self.client.put_item().table_name(&self.table);
        let put = put.item("id", AttributeValue::S(id));
        let put = match photo {
            Some(photo) => put.item("photo", AttributeValue::S(photo)),
            None => put,
        };
        put.send().await.map_err(HttpError::internal)?;
        let placed = NewEvent::new("OrderPlaced", &body).map_err(HttpError::internal)?;
        self.bus.put(&[placed]).await.map_err(HttpError::internal)?;
        Ok(body)
    }
}

fn to_json(order: &HashMap<String, AttributeValue>) -> Value {
    let text = |attribute: &str| order.get(attribute).and_then(|value| value.as_s().ok());
    json!({"id": text("id"), "photo": text("photo")})
}
