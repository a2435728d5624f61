//! DynamoDB in memory.

mod expression;
mod tables;
#[cfg(test)]
mod tests;
mod units;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::interleaving::{Faults, Moment, pause};
use super::wire::aws_at;
use crate::aws::Aws;
use tables::{Refusal, Tables};
pub use units::Units;

/// A DynamoDB that holds tables in memory, and counts what requests cost. It answers the SDK's own
/// requests, so what a test sees is what the code asks for: operations, expressions, limits.
///
/// It knows what functions use: keys that are strings, secondary indexes with all attributes, the
/// operations on one item, `Query`, `Scan` and `TransactWriteItems`. It panics at anything else. A
/// secondary index is never behind its table.
///
/// ```
/// use runtime::dynamodb::text;
/// use runtime::testing::DynamoDb;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let dynamodb = DynamoDb::default().table("orders", &["id"]);
/// let client = runtime::dynamodb::client(&dynamodb.aws());
/// let put = client.put_item().table_name("orders").item("id", text("1"));
/// put.send().await.unwrap();
/// let units = dynamodb.take_units();
/// assert_eq!((units.requests, units.writes), (1, 1.0));
/// assert_eq!(dynamodb.items("orders").len(), 1);
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct DynamoDb {
    tables: Arc<Mutex<Tables>>,
    faults: Option<Faults>,
}

impl DynamoDb {
    /// With a table more, whose partition key and sort key are these attributes.
    #[must_use]
    pub fn table(self, name: &str, key: &[&'static str]) -> Self {
        self.tables().create(name, key);
        self
    }

    /// With a secondary index more of a table.
    #[must_use]
    pub fn index(self, table: &str, name: &'static str, key: &[&'static str]) -> Self {
        self.tables().create_index(table, name, key);
        self
    }

    /// The same tables, reached by calls that take time and fail by these faults, as in an
    /// [`interleaving`](super::interleaving). The SDK does not try a call again that failed.
    #[must_use]
    pub fn with_faults(&self, faults: &Faults) -> Self {
        Self {
            tables: self.tables.clone(),
            faults: Some(faults.clone()),
        }
    }

    /// An AWS with this DynamoDB.
    pub fn aws(&self) -> Aws {
        aws_at(SharedHttpConnector::new(self.clone()))
    }

    /// Stores an item, as DynamoDB writes it in JSON, at no cost.
    pub fn put(&self, table: &str, item: &Value) {
        self.tables().put(table, item);
    }

    /// The items of a table, in no order.
    pub fn items(&self, table: &str) -> Vec<Value> {
        self.tables().items(table)
    }

    /// What requests have cost since this was asked last.
    pub fn take_units(&self) -> Units {
        std::mem::take(&mut self.tables().units)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpConnector for DynamoDb {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let this = self.clone();
        // Not one that the SDK tries again: an interleaving has no clock for that.
        let fault = || {
            Err((
                "AccessDeniedException",
                json!({"message": "a fault on purpose"}),
            ))
        };
        HttpConnectorFuture::new(async move {
            let Some(faults) = &this.faults else {
                return Ok(response(this.tables().answer(&operation, &body)));
            };
            pause().await;
            if faults.strike(Moment::BeforeEffect) {
                return Ok(response(fault()));
            }
            let answer = this.tables().answer(&operation, &body);
            pause().await;
            if faults.strike(Moment::AfterEffect) {
                return Ok(response(fault()));
            }
            Ok(response(answer))
        })
    }
}

fn response(answer: Result<Value, Refusal>) -> HttpResponse {
    let (status, body) = match answer {
        Ok(body) => (200_u16, body),
        Err((exception, mut body)) => {
            body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{exception}").into();
            (400, body)
        }
    };
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()))
}
