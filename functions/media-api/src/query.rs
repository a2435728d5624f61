//! The query string of a listing.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use media::dynamodb::Filter;
use media_http::ListParameters;
use runtime::http::{HttpError, PageLimit, key_of_cursor, query};
use runtime::s3::ObjectKey;

/// A thousand items stay far below the 6 MB of a Lambda response.
const LIMIT: PageLimit = PageLimit {
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
        Ok(Self {
            filter: Filter {
                name_prefix: startswith,
                media_type: media_type.transpose()?,
                label,
            },
            limit: LIMIT.of_text("query parameter limit", limit.as_deref())?,
            after: key_of_cursor("query parameter cursor", cursor.as_deref(), |name| {
                ObjectKey::new(name).ok()
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::MediaType;
    use runtime::http::page_response;
    use serde_json::json;

    fn parse(query: &str) -> Result<ListQuery, HttpError> {
        let mut request = ApiGatewayV2httpRequest::default();
        request.raw_query_string = Some(query.into());
        ListQuery::parse(&request)
    }

    /// The cursor of the page after this key.
    fn cursor(key: &str) -> String {
        let page = page_response(&json!([]), Some(key));
        page.headers["next-cursor"].to_str().unwrap().into()
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
        let query = format!(
            "startswith=a%2Bb+%252F&media-type=image&label=Phone%20Booth&limit=1000&cursor={}",
            cursor(name.as_str())
        );
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
    fn a_cursor_holds_a_name() {
        refusal(&format!("cursor={}", cursor("")));
    }
}
