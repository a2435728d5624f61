//! How calls travel: what the user's environment and AWS configuration say of the way, and the
//! HTTP client that takes it.

pub(crate) mod answer;
pub(crate) mod certificates;
pub(crate) mod configuration;
pub(crate) mod environment;
pub(crate) mod http_client;
pub(crate) mod proxy;

pub use configuration::Endpoint;
