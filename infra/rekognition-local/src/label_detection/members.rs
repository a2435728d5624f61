//! Members of a request: how they are read, and what AWS allows.

use serde::de::DeserializeOwned;

use crate::protocol::{ApiError, ErrorKind};

/// The most characters of a `JobId` and a `ClientRequestToken`.
pub(super) const MAX_ID_LENGTH: usize = 64;

pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(
            ErrorKind::Serialization,
            format!("the request body is not valid: {error}"),
        )
    })
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidParameter, message)
}

/// Whether a value is letters, digits and some other characters.
pub(super) fn allowed(value: &str, others: &[u8]) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// Checks an optional member of letters, digits and some other characters.
pub(super) fn constraint(
    member: &str,
    value: Option<&str>,
    greatest: usize,
    others: &[u8],
) -> Result<(), ApiError> {
    if value.is_none_or(|value| value.len() <= greatest && allowed(value, others)) {
        return Ok(());
    }
    Err(invalid(format!(
        "{member} must have from 1 to {greatest} letters, digits and characters of `{}`",
        others.escape_ascii()
    )))
}

/// A member that has one of a few values.
pub(super) fn one_of<T: Default + DeserializeOwned>(
    member: &str,
    value: Option<String>,
) -> Result<T, ApiError> {
    let Some(value) = value else {
        return Ok(T::default());
    };
    serde_json::from_value(value.clone().into()).map_err(|error| {
        invalid(format!(
            "{member} is `{value}`, which is not one of its values: {error}"
        ))
    })
}
