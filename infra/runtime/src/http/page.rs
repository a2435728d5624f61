//! Listings that come in pages.

use std::fmt;

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use aws_lambda_events::http::header::{HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::answer::json_response;
use super::error::HttpError;

const NEXT_CURSOR: HeaderName = HeaderName::from_static("next-cursor");

/// What tells our cursors from other base64 texts, and from later forms of them.
const CURSOR_PREFIX: &str = "1:";

/// How many items a page has.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Unless the request says.
    pub default: usize,
    /// At most. An answer of a Lambda function has 6 MB.
    pub max: usize,
}

impl PageLimit {
    /// The limit that a query string gives. `field` is what errors call it.
    pub fn of_text(self, field: &str, given: Option<&str>) -> Result<usize, HttpError> {
        let Some(text) = given else {
            return Ok(self.default);
        };
        self.check(field, format_args!("{text:?}"), text.parse().ok())
    }

    /// The limit that a JSON body gives. `field` is what errors call it.
    pub fn of_number(self, field: &str, given: Option<i64>) -> Result<usize, HttpError> {
        let Some(number) = given else {
            return Ok(self.default);
        };
        let limit = usize::try_from(number).ok();
        self.check(field, format_args!("{number}"), limit)
    }

    fn check(
        self,
        field: &str,
        given: fmt::Arguments<'_>,
        limit: Option<usize>,
    ) -> Result<usize, HttpError> {
        let max = self.max;
        let valid = limit.filter(|limit| (1..=max).contains(limit));
        valid.ok_or_else(|| {
            HttpError::BadRequest(format!("{field} is {given}: use a number from 1 to {max}"))
        })
    }
}

/// The key after which the page with this cursor starts, if there is a cursor. `field` is what
/// errors call it, and `to_key` refuses a text that is not a key of the listing.
pub fn key_of_cursor<K>(
    field: &str,
    cursor: Option<&str>,
    to_key: impl FnOnce(String) -> Option<K>,
) -> Result<Option<K>, HttpError> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let key = from_cursor(cursor).and_then(to_key);
    key.map(Some).ok_or_else(|| {
        HttpError::BadRequest(format!(
            "{field} is not one of this API's: use the Next-Cursor header of the page before, or leave it out"
        ))
    })
}

/// One page of a listing. `last` is the key of its last item, if there is another page.
pub fn page_response(items: &impl Serialize, last: Option<&str>) -> ApiGatewayV2httpResponse {
    let mut response = json_response(200, items);
    // Base64 is always a header value.
    let cursor = last.and_then(|key| HeaderValue::try_from(cursor_of_key(key)).ok());
    let headers = cursor.map(|cursor| (NEXT_CURSOR, cursor));
    response.headers.extend(headers);
    response
}

/// The cursor of the page after `key`, which [`page_response`] puts into a header. Clients pass it on as it is; only
/// [`key_of_cursor`] knows that it holds a key.
pub fn cursor_of_key(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{CURSOR_PREFIX}{key}"))
}

/// The key that a cursor holds. `None` if no answer of ours had this cursor.
fn from_cursor(cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.strip_prefix(CURSOR_PREFIX).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives_its_cursor() {
        for key in ["a", "reports/2026/é 🐕.pdf", "1:x", "\0"] {
            assert_eq!(from_cursor(&cursor_of_key(key)).as_deref(), Some(key));
        }
    }

    #[test]
    fn only_our_cursors_are_taken() {
        for text in ["order-1", "2:order-1", "1"] {
            assert_eq!(from_cursor(&URL_SAFE_NO_PAD.encode(text)), None, "{text}");
        }
        for cursor in ["abc", "%", "MTp4=", "MTr_"] {
            assert_eq!(from_cursor(cursor), None, "{cursor}");
        }
    }

    const LIMIT: PageLimit = PageLimit {
        default: 100,
        max: 1000,
    };

    #[test]
    fn a_limit_is_within_its_bounds() {
        assert_eq!(LIMIT.of_text("limit", None), Ok(100));
        assert_eq!(LIMIT.of_text("limit", Some("1")), Ok(1));
        assert_eq!(LIMIT.of_number("limit", None), Ok(100));
        assert_eq!(LIMIT.of_number("limit", Some(1000)), Ok(1000));
        let refused = |told: &str| Err(HttpError::BadRequest(told.into()));
        for text in ["0", "1001", "-1", "ten", ""] {
            let told = format!("limit is {text:?}: use a number from 1 to 1000");
            assert_eq!(LIMIT.of_text("limit", Some(text)), refused(&told));
        }
        for number in [0, 1001, -1] {
            let told = format!("limit is {number}: use a number from 1 to 1000");
            assert_eq!(LIMIT.of_number("limit", Some(number)), refused(&told));
        }
    }

    #[test]
    fn a_cursor_holds_a_key_of_the_listing() {
        let number = |key: String| key.parse::<u8>().ok();
        let read = |cursor: Option<&str>| key_of_cursor("cursor", cursor, number);
        assert_eq!(read(None), Ok(None));
        assert_eq!(read(Some(&cursor_of_key("7"))), Ok(Some(7)));
        for cursor in ["7", "", &cursor_of_key("seven")] {
            let Err(HttpError::BadRequest(message)) = read(Some(cursor)) else {
                panic!("{cursor}");
            };
            let expected = "cursor is not one of this API's: use the Next-Cursor header";
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
