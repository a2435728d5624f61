//! The bodies of requests.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use runtime::http::{HttpError, from_cursor};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use users::{EmailAddress, UserId};

/// The longest body that is read, in bytes. No request needs a tenth of it.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// Users of a page, unless asked otherwise.
const DEFAULT_LIMIT: usize = 100;

/// The longest page.
const MAX_LIMIT: usize = 1000;

const CREATE_EXAMPLE: &str = r#"{"email": "name@example.com"}"#;
const DELETE_EXAMPLE: &str = r#"{"id": "0197a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b"}"#;
const SCAN_EXAMPLE: &str = r#"{"limit": 100, "cursor": "…"}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody {
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanBody {
    limit: Option<i64>,
    cursor: Option<String>,
}

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
    let body: CreateBody = parse(&text(request)?, CREATE_EXAMPLE)?;
    EmailAddress::new(body.email)
        .map_err(|error| HttpError::BadRequest(format!("email is malformed: {error}")))
}

/// The id of the user to delete.
pub(crate) fn id_to_delete(request: &ApiGatewayV2httpRequest) -> Result<UserId, HttpError> {
    let body: DeleteBody = parse(&text(request)?, DELETE_EXAMPLE)?;
    UserId::new(body.id).map_err(|error| HttpError::BadRequest(format!("id is malformed: {error}")))
}

/// What to list. Without a body it is the first page.
pub(crate) fn scan_query(request: &ApiGatewayV2httpRequest) -> Result<ScanQuery, HttpError> {
    let text = text(request)?;
    let body = if text.trim_ascii().is_empty() {
        ScanBody::default()
    } else {
        parse(&text, SCAN_EXAMPLE)?
    };
    Ok(ScanQuery {
        limit: body.limit.map_or(Ok(DEFAULT_LIMIT), to_limit)?,
        after: body.cursor.map(|cursor| to_id(&cursor)).transpose()?,
    })
}

/// The body as it was sent. HTTP API encodes in base64 what its content type does not call
/// text. `curl --data` sends such a type unless told otherwise.
fn text(request: &ApiGatewayV2httpRequest) -> Result<String, HttpError> {
    let bad = |reason: &str| HttpError::BadRequest(format!("the body {reason}"));
    let body = request.body.as_deref().unwrap_or_default();
    let text = if request.is_base64_encoded {
        let bytes = STANDARD.decode(body);
        let bytes = bytes.map_err(|_| bad("is said to be base64, and is not"))?;
        String::from_utf8(bytes).map_err(|_| bad("is not UTF-8"))?
    } else {
        body.to_owned()
    };
    if text.len() > MAX_BODY_BYTES {
        return Err(bad(&format!(
            "has {} bytes; at most {MAX_BODY_BYTES} are read",
            text.len()
        )));
    }
    Ok(text)
}

/// Reads a JSON object that has these fields and no others.
fn parse<T: DeserializeOwned>(text: &str, example: &str) -> Result<T, HttpError> {
    let bad = |reason: &str| {
        HttpError::BadRequest(format!("the body must be such as {example}: {reason}"))
    };
    let text = text.trim_ascii();
    // serde would take the fields from an array, too.
    if !text.starts_with('{') {
        return Err(bad("it is not a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| bad(&error.to_string()))
}

fn to_limit(limit: i64) -> Result<usize, HttpError> {
    let valid = usize::try_from(limit).ok();
    valid
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| {
            HttpError::BadRequest(format!(
                "limit is {limit}: use a number from 1 to {MAX_LIMIT}"
            ))
        })
}

fn to_id(cursor: &str) -> Result<UserId, HttpError> {
    from_cursor(cursor)
        .and_then(|id| UserId::new(id).ok())
        .ok_or_else(|| {
            HttpError::BadRequest(
                "cursor is not one of this API's: use the Next-Cursor header of the page before, or leave it out".into(),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use runtime::http::to_cursor;

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
            ("null", "it is not a JSON object"),
            ("email=test@test.com", "it is not a JSON object"),
            (r#"["test@test.com"]"#, "it is not a JSON object"),
            ("\u{feff}{}", "it is not a JSON object"),
            ("{}", "missing field `email`"),
            (r#"{"email": "a@b.co""#, "EOF while parsing"),
            (r#"{"email": "a@b.co"} {}"#, "trailing characters"),
            (r#"{"email": null}"#, "invalid type: null"),
            (r#"{"email": ["a@b.co"]}"#, "invalid type: sequence"),
            (
                r#"{"email": "\ud800@b.co"}"#,
                "unexpected end of hex escape",
            ),
            (r#"{"email": "a@b.co", "id": "1"}"#, "unknown field `id`"),
            (
                r#"{"email": "a@b.co", "email": "c@d.co"}"#,
                "duplicate field `email`",
            ),
        ] {
            let message = refusal(email_to_create(&request(Some(body))));
            assert!(message.contains(told), "{body}: {message}");
            assert!(
                message.starts_with(r#"the body must be such as {"email": "name@example.com"}: "#),
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
            "email is malformed: an e-mail address has an \"@\""
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
            ("", "is not empty"),
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
        let body = format!(r#"{{"limit": 1000, "cursor": "{}"}}"#, to_cursor("é"));
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

    #[test]
    fn base64_that_is_none_is_refused() {
        let mut not_base64 = request(Some("{}"));
        not_base64.is_base64_encoded = true;
        assert_eq!(
            refusal(scan_query(&not_base64)),
            "the body is said to be base64, and is not"
        );
        assert_eq!(
            refusal(scan_query(&in_base64(b"{}\xff"))),
            "the body is not UTF-8"
        );
    }

    #[test]
    fn the_longest_body_is_read_and_no_longer_one() {
        let body = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
        for make in [
            |body: &str| request(Some(body)),
            |body: &str| in_base64(body.as_bytes()),
        ] {
            assert!(scan_query(&make(&body(MAX_BODY_BYTES))).is_ok());
            assert_eq!(
                refusal(scan_query(&make(&body(MAX_BODY_BYTES + 1)))),
                "the body has 65537 bytes; at most 65536 are read"
            );
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
