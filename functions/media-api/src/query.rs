//! The query string of a listing.
//!
//! A cursor holds the filter's fingerprint and the name after which the next page starts. So one of
//! another filter is refused, and not taken for a place in this listing.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use media::dynamodb::Filter;
use media::lists::MAX_LABEL_BYTES;
use media_http::ListParameters;
use runtime::http::{HttpError, PageLimit, key_of_cursor, query};
use runtime::s3::{MAX_KEY_BYTES, ObjectKey};

/// A thousand items stay far below the 6 MB of a Lambda response.
pub(crate) const LIMIT: PageLimit = PageLimit {
    default: 100,
    max: 1000,
};

/// What to list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListQuery {
    pub(crate) filter: Filter,
    pub(crate) limit: usize,
    pub(crate) after: Option<ObjectKey>,
}

impl ListQuery {
    /// How many files a page for people has: their URLs are long.
    pub(crate) const TILES: usize = 24;

    /// Reads the query string of a page for people, which a form may have made: a field that was
    /// left empty is not there.
    pub(crate) fn of_form(request: &ApiGatewayV2httpRequest) -> Result<Self, HttpError> {
        let given = request.raw_query_string.as_deref().unwrap_or_default();
        let filled = given.split('&').filter(|pair| !pair.ends_with('='));
        let mut pairs: Vec<String> = filled.map(str::to_owned).collect();
        if !pairs.iter().any(|pair| pair.starts_with("limit=")) {
            pairs.push(format!("limit={}", Self::TILES));
        }
        pairs.retain(|pair| !pair.is_empty());
        let mut request = request.clone();
        request.raw_query_string = Some(pairs.join("&"));
        Self::parse(&request)
    }

    /// Reads the request's query string. Every parameter may be there once, with a value.
    pub(crate) fn parse(request: &ApiGatewayV2httpRequest) -> Result<Self, HttpError> {
        let ListParameters {
            startswith,
            media_type,
            label,
            limit,
            cursor,
        } = query(request)?;
        let media_type = media_type.map(|name| {
            name.parse().map_err(|error| {
                HttpError::BadRequest(format!("query parameter media-type: {error}"))
            })
        });
        let filter = Filter {
            name_prefix: at_most(MAX_KEY_BYTES, "startswith", startswith)?,
            media_type: media_type.transpose()?,
            label: at_most(MAX_LABEL_BYTES, "label", label)?,
        };
        let limit = LIMIT.of_text("query parameter limit", limit.as_deref())?;
        let fingerprint = filter.fingerprint();
        let after = key_of_cursor("query parameter cursor", cursor.as_deref(), |key| {
            let name = key.strip_prefix(&fingerprint)?;
            let prefix = filter.name_prefix.as_deref().unwrap_or_default();
            ObjectKey::new(name)
                .ok()
                .filter(|_| name.starts_with(prefix))
        })?;
        Ok(Self {
            filter,
            limit,
            after,
        })
    }

    /// What the cursor of the page after this name holds.
    pub(crate) fn cursor_key(&self, name: &ObjectKey) -> String {
        format!("{}{name}", self.filter.fingerprint())
    }
}

/// A text that is not longer than anything that it could find.
pub(crate) fn at_most(
    bytes: usize,
    parameter: &str,
    text: Option<String>,
) -> Result<Option<String>, HttpError> {
    match &text {
        Some(text) if text.len() > bytes => Err(HttpError::BadRequest(format!(
            "query parameter {parameter} has {} bytes: use {bytes} at most",
            text.len()
        ))),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::MediaType;
    use runtime::http::cursor_of_key;

    fn parse(query: &str) -> Result<ListQuery, HttpError> {
        let mut request = ApiGatewayV2httpRequest::default();
        request.raw_query_string = Some(query.into());
        ListQuery::parse(&request)
    }

    /// The cursor of the page after this name, of the listing that this query asks for.
    fn cursor(query: &str, name: &str) -> String {
        let name = ObjectKey::new(name).unwrap();
        let key = parse(query).unwrap().cursor_key(&name);
        cursor_of_key(&key)
    }

    fn refusal(query: &str) -> String {
        match parse(query) {
            Err(HttpError::BadRequest(message)) => message,
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn nothing_asks_for_the_first_page_of_all() {
        let all = ListQuery {
            filter: Filter::default(),
            limit: 100,
            after: None,
        };
        assert_eq!(parse("").unwrap(), all);
    }

    #[test]
    fn every_parameter_is_read_and_decoded_once() {
        let name = ObjectKey::new("a+b %2F é.jpg").unwrap();
        let filter = "startswith=a%2Bb+%252F&media-type=image&label=Phone%20Booth";
        let cursor = cursor(filter, name.as_str());
        let query = format!("{filter}&limit=1000&cursor={cursor}");
        assert_eq!(
            parse(&query).unwrap(),
            ListQuery {
                filter: Filter {
                    name_prefix: Some("a+b %2F".into()),
                    media_type: Some(MediaType::Image),
                    label: Some("Phone Booth".into()),
                },
                limit: 1000,
                after: Some(name),
            }
        );
    }

    #[test]
    fn a_form_leaves_fields_empty() {
        let mut request = ApiGatewayV2httpRequest::default();
        request.raw_query_string = Some("label=&media-type=video&startswith=".into());
        let query = ListQuery::of_form(&request).unwrap();
        assert_eq!(query, parse("media-type=video&limit=24").unwrap());
        request.raw_query_string = Some("limit=3".into());
        assert_eq!(ListQuery::of_form(&request).unwrap().limit, 3);
    }

    #[test]
    fn a_label_may_hold_a_comma() {
        let query = parse("label=a,b").unwrap();
        assert_eq!(query.filter.label.as_deref(), Some("a,b"));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_allowed() {
        for (query, told) in [
            (
                "startwith=a",
                "unknown query parameter \"startwith\": use startswith, media-type",
            ),
            ("Label=a", "unknown query parameter \"Label\""),
            ("label=", "label is empty"),
            ("label", "label is empty"),
            ("label=a&label=b", "label is repeated"),
            (
                "media-type=audio",
                "unknown media type \"audio\": use \"image\" or \"video\"",
            ),
            ("limit=0", "limit is \"0\": use a number from 1 to 1000"),
            ("limit=1001", "limit is \"1001\""),
            ("limit=-1", "limit is \"-1\""),
            ("limit=ten", "limit is \"ten\""),
            ("cursor=abc", "cursor is not one of this API's"),
            ("cursor=%F0", "malformed"),
            ("label=100%", "malformed"),
        ] {
            let message = refusal(query);
            assert!(message.contains(told), "{query}: {message}");
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_filter_only() {
        let filters = [
            "",
            "label=Cat",
            "media-type=image",
            "startswith=a",
            "label=Cat&startswith=a",
        ];
        for of in filters {
            for with in filters {
                let query = format!("{with}&cursor={}", cursor(of, "a.jpg"));
                let query = query.trim_start_matches('&');
                if of == with {
                    assert_eq!(parse(query).unwrap().after, ObjectKey::new("a.jpg").ok());
                } else {
                    let message = refusal(query);
                    assert!(
                        message.contains("cursor is not one of this API's"),
                        "{message}"
                    );
                }
            }
        }
        let other_limit = format!("limit=7&cursor={}", cursor("limit=9", "a.jpg"));
        assert!(parse(&other_limit).is_ok());
        let other_case = format!("label=CAT&cursor={}", cursor("label=cat", "a.jpg"));
        assert!(parse(&other_case).is_ok());
        refusal(&format!(
            "startswith=a&cursor={}",
            cursor("startswith=a", "b.jpg")
        ));
        // Those of earlier versions held the name alone.
        refusal("cursor=MTphLmpwZw");
    }

    #[test]
    fn texts_that_find_nothing_for_their_length_are_refused() {
        let long = |parameter: &str, length| format!("{parameter}={}", "x".repeat(length));
        for parameter in ["startswith", "label"] {
            assert!(parse(&long(parameter, 1024)).is_ok());
            let told = format!("query parameter {parameter} has 1025 bytes: use 1024 at most");
            assert_eq!(refusal(&long(parameter, 1025)), told);
        }
        assert!(parse(&long("label", 300)).is_ok());
    }
}
