//! Lists the photos, or tells one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::ExitCode;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::Error;
use runtime::http::{HttpError, json_response, respond};
use runtime::{Aws, Environment, Service};
use serde_json::{Value, json};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let shop = Shop {
        client: Client::new(&aws.config(Service::DYNAMODB)),
        table: environment.require("PHOTOS_TABLE_NAME")?,
    };
    runtime::serve(async |request: ApiGatewayV2httpRequest| {
        Ok::<_, Infallible>(respond(&request, shop.answer(&request).await))
    })
    .await
}

struct Shop {
    client: Client,
    table: String,
}

impl Shop {
    async fn answer(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let body = match request.path_parameters.get("name") {
            None => {
                let scan = self.client.scan().table_name(&self.table).send().await;
                let photos = scan.map_err(HttpError::internal)?;
                photos.items().iter().map(to_json).collect()
            }
            Some(name) => {
                let get = self.client.get_item().table_name(&self.table);
                let get = get.key("name", AttributeValue::S(name.clone()));
                let photo = get.send().await.map_err(HttpError::internal)?.item;
                let not_found = || HttpError::NotFound(format!("there is no photo {name}"));
                to_json(&photo.ok_or_else(not_found)?)
            }
        };
        Ok(json_response(200, &body))
    }
}

fn to_json(photo: &HashMap<String, AttributeValue>) -> Value {
    let text = |attribute: &str| photo.get(attribute).and_then(|value| value.as_s().ok());
    json!({"name": text("name"), "etag": text("etag")})
}
