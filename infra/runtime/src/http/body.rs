//! The bodies of requests.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;

use super::error::HttpError;

/// The longest body that is read, in bytes. API Gateway lets 10 MB through.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Reads a body that must be a JSON object. Its fields are those of `T`, which decides by
/// `#[serde(deny_unknown_fields)]` whether it takes others. Errors show `example`.
pub fn json_body<T: DeserializeOwned>(
    request: &ApiGatewayV2httpRequest,
    example: &str,
) -> Result<T, HttpError> {
    parse(&text(request)?, example)
}

/// As [`json_body`], for a body that may be left out.
pub fn optional_json_body<T: DeserializeOwned>(
    request: &ApiGatewayV2httpRequest,
    example: &str,
) -> Result<Option<T>, HttpError> {
    let text = text(request)?;
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    parse(&text, example).map(Some)
}

/// The body as it was sent. HTTP API encodes in base64 what its content type does not call
/// text. `curl --data` sends such a type unless told otherwise.
fn text(request: &ApiGatewayV2httpRequest) -> Result<String, HttpError> {
    let bad = |reason: &str| HttpError::BadRequest(format!("the body {reason}"));
    let body = request.body.as_deref().unwrap_or_default();
    let text = if request.is_base64_encoded {
        let bytes = STANDARD.decode(body);
        let bytes = bytes.map_err(|_| bad("is not base64, although the event says so"))?;
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

fn parse<T: DeserializeOwned>(text: &str, example: &str) -> Result<T, HttpError> {
    let bad = |reason: &str| {
        HttpError::BadRequest(format!("the body must look like {example}: {reason}"))
    };
    let text = text.trim_ascii();
    // serde would take the fields from an array, too.
    if !text.starts_with('{') {
        return Err(bad("it is not a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| bad(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        id: String,
    }

    const EXAMPLE: &str = r#"{"id": "order-1"}"#;

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

    fn order(request: &ApiGatewayV2httpRequest) -> Result<Order, String> {
        match json_body(request, EXAMPLE) {
            Ok(order) => Ok(order),
            Err(HttpError::BadRequest(message)) => Err(message),
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn a_body_is_read_as_it_is_written() {
        let expected = Order { id: "a@b".into() };
        for body in [r#"{"id": "a@b"}"#, " \r\n{\"id\":\"a\\u0040b\"}\t"] {
            assert_eq!(order(&request(Some(body))).as_ref(), Ok(&expected));
            assert_eq!(order(&in_base64(body.as_bytes())).as_ref(), Ok(&expected));
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told() {
        for (body, told) in [
            ("", "it is not a JSON object"),
            ("null", "it is not a JSON object"),
            ("id=order-1", "it is not a JSON object"),
            (r#"["order-1"]"#, "it is not a JSON object"),
            ("\u{feff}{}", "it is not a JSON object"),
            ("{}", "missing field `id`"),
            (r#"{"id": "1""#, "EOF while parsing"),
            (r#"{"id": "1"} {}"#, "trailing characters"),
            (r#"{"id": null}"#, "invalid type: null"),
            (r#"{"id": ["1"]}"#, "invalid type: sequence"),
            (r#"{"id": "\ud800"}"#, "unexpected end of hex escape"),
            (r#"{"id": "1", "cents": 7}"#, "unknown field `cents`"),
            (r#"{"id": "1", "id": "2"}"#, "duplicate field `id`"),
        ] {
            let message = order(&request(Some(body))).unwrap_err();
            assert!(message.contains(told), "{body}: {message}");
            assert!(
                message.starts_with(r#"the body must look like {"id": "order-1"}: "#),
                "{message}"
            );
        }
        assert!(order(&request(None)).is_err());
    }

    #[test]
    fn only_an_optional_body_may_be_left_out() {
        for body in [None, Some(""), Some(" \n")] {
            let read = optional_json_body::<Order>(&request(body), EXAMPLE);
            assert_eq!(read, Ok(None));
        }
        let read = optional_json_body(&request(Some(EXAMPLE)), EXAMPLE);
        let id = "order-1".into();
        assert_eq!(read, Ok(Some(Order { id })));
        for body in ["[]", "null", "{}"] {
            assert!(optional_json_body::<Order>(&request(Some(body)), EXAMPLE).is_err());
        }
    }

    #[test]
    fn base64_that_is_none_is_refused() {
        let mut not_base64 = request(Some("{}"));
        not_base64.is_base64_encoded = true;
        assert_eq!(
            order(&not_base64).unwrap_err(),
            "the body is not base64, although the event says so"
        );
        assert_eq!(
            order(&in_base64(b"{}\xff")).unwrap_err(),
            "the body is not UTF-8"
        );
    }

    #[test]
    fn the_longest_body_is_read_and_no_longer_one() {
        let body = |bytes: usize| format!("{EXAMPLE}{}", " ".repeat(bytes - EXAMPLE.len()));
        for make in [
            |body: &str| request(Some(body)),
            |body: &str| in_base64(body.as_bytes()),
        ] {
            assert!(order(&make(&body(MAX_BODY_BYTES))).is_ok());
            assert_eq!(
                order(&make(&body(MAX_BODY_BYTES + 1))).unwrap_err(),
                "the body has 65537 bytes; at most 65536 are read"
            );
        }
    }

    proptest! {
        #[test]
        fn every_text_survives_the_journey(id in any::<String>()) {
            let body = serde_json::json!({"id": id}).to_string();
            prop_assert_eq!(order(&request(Some(&body))), Ok(Order { id: id.clone() }));
            prop_assert_eq!(order(&in_base64(body.as_bytes())), Ok(Order { id }));
        }
    }
}
