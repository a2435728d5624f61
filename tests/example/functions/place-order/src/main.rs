//! Takes an order, lists all of them, or tells who carries them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::ExitCode;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::Error;
use runtime::http::{HttpError, json_response, respond};
use runtime::parameters::Parameter;
use runtime::secrets::Secret;
use runtime::{Aws, Environment, Service};
use serde::Deserialize;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start()).await
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let counter = Counter {
        client: Client::new(&aws.config(Service::DYNAMODB)),
        table: environment.require("ORDERS_TABLE_NAME")?,
        carrier: Parameter::new(&aws, environment.require("CARRIER_URL_PARAMETER")?),
        carrier_key: Secret::new(&aws, environment.require("CARRIER_KEY_SECRET")?),
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

struct Counter {
    client: Client,
    table: String,
    carrier: Parameter,
    carrier_key: Secret,
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

    async fn take(&self, Order { id, photo }: Order) -> Result<Value, HttpError> {
        let body = json!({"id": id, "photo": photo});
        let put = self.client.put_item().table_name(&self.table);
        let put = put.item("id", AttributeValue::S(id));
        let put = match photo {
            Some(photo) => put.item("photo", AttributeValue::S(photo)),
            None => put,
        };
        put.send().await.map_err(HttpError::internal)?;
        Ok(body)
    }
}

fn to_json(order: &HashMap<String, AttributeValue>) -> Value {
    let text = |attribute: &str| order.get(attribute).and_then(|value| value.as_s().ok());
    json!({"id": text("id"), "photo": text("photo")})
}
