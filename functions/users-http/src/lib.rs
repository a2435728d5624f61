//! The HTTP API of the users: what it takes and answers.
//!
//! The function `users-api` reads and writes these types, and [`document`] describes them. A new
//! route has its types and its description here, its handler in `users-api`, and its trigger in
//! the app's declaration; `cargo xtask openapi --check` compares them.

use openapi::{Answer, Api, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of `POST /create`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBody {
    /// The e-mail address of the new user.
    #[schemars(email, length(max = 254), example = &"name@example.com")]
    pub email: String,
}

/// The body of `POST /delete`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteBody {
    /// Which user to delete: 1 to 2048 bytes.
    #[schemars(length(min = 1, max = 2048), example = &"0197a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b")]
    pub id: String,
}

/// The body of `POST /scan`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanBody {
    /// How many users a page has at most.
    #[schemars(range(min = 1, max = 1000), extend("default" = 100))]
    pub limit: Option<i64>,
    /// The `Next-Cursor` of the page before.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub cursor: Option<String>,
}

/// A user. The names in JSON are always these, whatever the table calls its attributes. What is not
/// in the table, or not of the right type, is left out: other programs may write there too.
#[derive(Debug, Serialize, JsonSchema)]
pub struct User {
    /// Whether the e-mail address is one of a provider for private persons. Found out after the
    /// user was created.
    #[serde(rename = "IsPersonalEmail", skip_serializing_if = "Option::is_none")]
    pub is_personal_email: Option<bool>,
    /// The e-mail address, as it is in the table: it may have been written without a check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Identifies the user. The API makes UUIDs of version 7.
    pub id: String,
    /// When the user was created, in milliseconds since 1970.
    #[serde(rename = "timestamp", skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<i64>,
}

/// That a user is deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// Which user is deleted, as `user <id> deleted`.
    pub message: String,
}

/// The API's description, an OpenAPI document in JSON.
#[must_use]
pub fn document() -> String {
    const BAD_BODY: &str =
        "the body, or what is in it, is not as described; the message says what to send";
    Api::new("Users", "1", "Creates, deletes and lists users.")
        .route(
            "POST /create",
            Operation::new("createUser", "The new user")
                .body::<CreateBody>()
                .answer(Answer::new::<User>(200, "The new user."))
                .bad_request(BAD_BODY),
        )
        .route(
            "POST /delete",
            Operation::new("deleteUser", "That the user is deleted")
                .body::<DeleteBody>()
                .answer(Answer::new::<Deleted>(200, "The user is deleted."))
                .bad_request(BAD_BODY)
                .not_found("there is no user to delete"),
        )
        .route(
            "POST /scan",
            Operation::new("listUsers", "A page of users")
                .optional_body::<ScanBody>()
                .answer(
                    Answer::new::<Vec<User>>(200, "A page of users.").header::<String>(
                        "Next-Cursor",
                        "The `cursor` of the next page. The last page has none.",
                    ),
                )
                .bad_request(BAD_BODY),
        )
        .route("GET /openapi.json", Operation::of_document())
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_names_in_json_are_fixed() {
        let mut user = User {
            is_personal_email: Some(false),
            email: Some("test@test.com".into()),
            id: "1".into(),
            timestamp_ms: Some(1_520_547_428_623),
        };
        assert_eq!(
            json!(user),
            json!({"id": "1", "email": "test@test.com", "timestamp": 1_520_547_428_623_u64, "IsPersonalEmail": false})
        );
        (user.email, user.timestamp_ms, user.is_personal_email) = (None, None, None);
        assert_eq!(json!(user), json!({"id": "1"}));
    }
}
