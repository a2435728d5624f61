//! Descriptions of HTTP APIs as [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1) documents.
//!
//! An API is described beside the types that its function reads and writes. Their schemas are those
//! that serde's attributes make them, so a field that is renamed is renamed in the document as well.
//!
//! ```
//! use openapi::{Answer, Api, Operation};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// The parameters of a listing.
//! #[derive(Deserialize, JsonSchema)]
//! struct Listing {
//!     /// Only orders with this status.
//!     status: Option<String>,
//! }
//!
//! /// An order.
//! #[derive(Serialize, JsonSchema)]
//! struct Order {
//!     /// Identifies the order.
//!     id: String,
//! }
//!
//! let document = Api::new("Shop", "1", "What the shop sells.")
//!     .route(
//!         "GET /orders",
//!         Operation::new("listOrders", "List orders")
//!             .query::<Listing>()
//!             .answer(Answer::new::<Vec<Order>>(200, "A page of orders."))
//!             .bad_request("a parameter is unknown"),
//!     )
//!     .document();
//! let orders = &document["paths"]["/orders"]["get"];
//! assert_eq!(orders["parameters"][0]["name"], "status");
//! assert_eq!(document["components"]["schemas"]["Order"]["required"][0], "id");
//! ```
//!
//! - [`Api`] and [`Operation`] write a document, with the answers that API Gateway gives by itself;
//! - [`faults`] compares a document with the routes of an API;
//! - [`changes`] compares two documents, and tells which changes break clients;
//! - [`table`] is a part of a document for people.
//!
//! `schemars` was chosen because it follows serde's attributes, and because its schemas, JSON Schema
//! 2020-12, are those of OpenAPI 3.1. `utoipa` would have the descriptions at the handlers, whose
//! crates link the AWS SDK.

mod api;
mod comparison;
mod error_body;
mod operation;
mod reference;
mod schema;

pub use api::{Api, faults};
pub use comparison::{Change, changes};
pub use error_body::{ErrorBody, GatewayError};
pub use operation::{Answer, Operation};
pub use reference::{UnknownPart, table};
