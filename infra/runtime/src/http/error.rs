//! Why a request is not answered with what it asked for.

use std::fmt::Display;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The request is not well formed. Says what to change.
    #[error("{0}")]
    BadRequest(String),
    /// What it is about is not there. Says what.
    #[error("{0}")]
    NotFound(String),
    /// Nothing that a client should see or could act on: the reason is for the log.
    #[error("the request could not be served: try again later")]
    Internal(String),
}

impl HttpError {
    /// What failed behind the API.
    pub fn internal(reason: impl Display) -> Self {
        Self::Internal(reason.to_string())
    }

    /// What a function answers that knows no handler for the request's route. API Gateway sends no
    /// other routes than those that it is configured with, so the stack has a route that the
    /// function's code lacks: clients can do nothing about it.
    pub fn no_handler(request: &ApiGatewayV2httpRequest) -> Self {
        let route = request.route_key.as_deref().unwrap_or_default();
        Self::Internal(format!(
            "the function has no handler for the route {route:?}: add one, or take the route out of the HTTP API"
        ))
    }

    /// The status code, and the error's name.
    pub(crate) fn status(&self) -> (i64, &'static str) {
        match self {
            Self::BadRequest(_) => (400, "BadRequestError"),
            Self::NotFound(_) => (404, "NotFoundError"),
            Self::Internal(_) => (500, "InternalServerError"),
        }
    }
}
