//! The bodies of requests.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use runtime::http::{HttpError, PageLimit, json_body, key_of_cursor, optional_json_body};
use users::{EmailAddress, UserId};
use users_http::{CreateBody, DeleteBody, ScanBody};

const LIMIT: PageLimit = PageLimit {
    default: 100,
    max: 1000,
};

const CREATE_EXAMPLE: &str = r#"{"email": "name@example.com"}"#;
const DELETE_EXAMPLE: &str = r#"{"id": "0197a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b"}"#;
const SCAN_EXAMPLE: &str = r#"{"limit": 100, "cursor": "…"}"#;

/// What to list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScanQuery {
    pub(crate) limit: usize,
    pub(crate) after: Option<UserId>,
}

/// The address of the user to create.
pub(crate) fn email_to_create(
    request: &ApiGatewayV2httpRequest,
) -> Result<EmailAddress, HttpError> {
    let body: CreateBody = json_body(request, CREATE_EXAMPLE)?;
    EmailAddress::new(body.email)
        .map_err(|error| HttpError::BadRequest(format!("email is malformed: {error}")))
}

/// The id of the user to delete.
pub(crate) fn id_to_delete(request: &ApiGatewayV2httpRequest) -> Result<UserId, HttpError> {
    let body: DeleteBody = json_body(request, DELETE_EXAMPLE)?;
    UserId::new(body.id).map_err(|error| HttpError::BadRequest(format!("id is malformed: {error}")))
}

/// What to list. Without a body it is the first page.
pub(crate) fn scan_query(request: &ApiGatewayV2httpRequest) -> Result<ScanQuery, HttpError> {
    let body: Option<ScanBody> = optional_json_body(request, SCAN_EXAMPLE)?;
    let ScanBody { limit, cursor } = body.unwrap_or_default();
    Ok(ScanQuery {
        limit: LIMIT.of_number("limit", limit)?,
        after: key_of_cursor("cursor", cursor.as_deref(), |id| UserId::new(id).ok())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use runtime::http::cursor_of_key;

    fn request(body: Option<&str>) -> ApiGatewayV2httpRequest {
        let mut request = ApiGatewayV2httpRequest::default();
        request.body = body.map(String::from);
        request
    }

    fn in_base64(body: &[u8]) -> ApiGatewayV2httpRequest {
        let mut request = request(Some(&STANDARD.encode(body)));
        request.is_base64_encoded = true;
        request
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, HttpError>) -> String {
        match result {
            Err(HttpError::BadRequest(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_email_is_read_as_it_is_written() {
        let expected = EmailAddress::new("test@test.com").unwrap();
        for body in [
            r#"{"email": "test@test.com"}"#,
            " \r\n{\"email\":\"test\\u0040test.com\"}\t",
        ] {
            assert_eq!(email_to_create(&request(Some(body))).unwrap(), expected);
            assert_eq!(
                email_to_create(&in_base64(body.as_bytes())).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told() {
        for (body, told) in [
            ("", "it is not a JSON object"),
            ("{}", "missing field `email`"),
            (r#"{"email": null}"#, "invalid type: null"),
            (r#"{"email": ["a@b.co"]}"#, "invalid type: sequence"),
            (r#"{"email": "a@b.co", "id": "1"}"#, "unknown field `id`"),
        ] {
            let message = refusal(email_to_create(&request(Some(body))));
            assert!(message.contains(told), "{body}: {message}");
            assert!(
                message.starts_with(r#"the body must look like {"email": "name@example.com"}: "#),
                "{message}"
            );
        }
        refusal(email_to_create(&request(None)));
    }

    #[test]
    fn an_email_that_is_none_is_named() {
        let message = refusal(email_to_create(&request(Some(r#"{"email": ""}"#))));
        assert_eq!(
            message,
            "email is malformed: an e-mail address must have an \"@\""
        );
    }

    #[test]
    fn an_id_is_any_key() {
        let body = |id: &str| serde_json::json!({"id": id}).to_string();
        for id in ["4cgl4td0mufwl0wiqrepuba9k9", " ", "\0", &"é".repeat(1024)] {
            let read = id_to_delete(&request(Some(&body(id)))).unwrap();
            assert_eq!(read.as_str(), id);
        }
        for (id, told) in [
            ("", "must not be empty"),
            (&"x".repeat(2049), "at most 2048 bytes"),
        ] {
            let message = refusal(id_to_delete(&request(Some(&body(id)))));
            assert!(message.starts_with("id is malformed: "), "{message}");
            assert!(message.contains(told), "{message}");
        }
        let message = refusal(id_to_delete(&request(Some(r#"{"id": 1}"#))));
        assert!(message.contains("invalid type: integer `1`"), "{message}");
    }

    #[test]
    fn a_listing_needs_no_body() {
        let all = ScanQuery {
            limit: 100,
            after: None,
        };
        for body in [
            None,
            Some(""),
            Some(" \n"),
            Some("{}"),
            Some(r#"{"limit": null}"#),
        ] {
            assert_eq!(scan_query(&request(body)).unwrap(), all, "{body:?}");
        }
    }

    #[test]
    fn a_listing_has_a_limit_and_a_cursor() {
        let cursor = cursor_of_key("é");
        let body = format!(r#"{{"limit": 1000, "cursor": "{cursor}"}}"#);
        assert_eq!(
            scan_query(&request(Some(&body))).unwrap(),
            ScanQuery {
                limit: 1000,
                after: Some(UserId::new("é").unwrap()),
            }
        );
        for (body, told) in [
            (r#"{"limit": 0}"#, "limit is 0: use a number from 1 to 1000"),
            (r#"{"limit": 1001}"#, "limit is 1001"),
            (r#"{"limit": -1}"#, "limit is -1"),
            (r#"{"limit": 1.5}"#, "invalid type: floating point"),
            (r#"{"limit": 99999999999999999999}"#, "invalid type"),
            (r#"{"limit": "10"}"#, "invalid type: string"),
            (r#"{"cursor": "abc"}"#, "cursor is not one of this API's"),
            (r#"{"cursor": ""}"#, "cursor is not one of this API's"),
            (r#"{"cursor": "MTo"}"#, "cursor is not one of this API's"),
            (r#"{"cursor": 1}"#, "invalid type: integer"),
            (
                r#"{"Limit": 1}"#,
                "unknown field `Limit`, expected `limit` or `cursor`",
            ),
            ("[]", "it is not a JSON object"),
        ] {
            let message = refusal(scan_query(&request(Some(body))));
            assert!(message.contains(told), "{body}: {message}");
        }
    }

    proptest! {
        #[test]
        fn every_address_and_id_survives_the_journey(text in any::<String>()) {
            let create = serde_json::json!({"email": text}).to_string();
            let read = email_to_create(&in_base64(create.as_bytes())).ok();
            prop_assert_eq!(read, EmailAddress::new(text.clone()).ok());
            let delete = serde_json::json!({"id": text}).to_string();
            let read = id_to_delete(&request(Some(&delete))).ok();
            prop_assert_eq!(read, UserId::new(text).ok());
        }
    }
}
