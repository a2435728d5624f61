//! The operations StartLabelDetection and GetLabelDetection.

mod get;
mod members;
mod start;
#[cfg(test)]
mod tests;

pub use get::{GetRequest, GetResponse};
pub use start::StartResponse;
