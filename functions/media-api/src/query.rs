//! The query string of a listing.

use media::dynamodb::Filter;
use media::form;
use media::key::ObjectKey;
use runtime::http::{HttpError, from_cursor};

/// Items of a page, unless asked otherwise.
const DEFAULT_LIMIT: usize = 100;

/// The longest page. A thousand items stay far below the 6 MB of a Lambda response.
const MAX_LIMIT: usize = 1000;

/// What to list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListQuery {
    pub(crate) filter: Filter,
    pub(crate) limit: usize,
    pub(crate) after: Option<ObjectKey>,
}

impl ListQuery {
    /// Reads a query string, still encoded. Every parameter may be there once, with
    /// a value.
    pub(crate) fn parse(query: &str) -> Result<Self, HttpError> {
        let bad = |message: String| Err(HttpError::BadRequest(message));
        let pairs = form::decode_pairs(query).map_err(|error| {
            HttpError::BadRequest(format!("the query string is malformed: {error}"))
        })?;
        let [mut prefix, mut media_type, mut label, mut limit, mut cursor] = [const { None }; 5];
        for (name, value) in pairs {
            let parameter = match name.as_str() {
                "startswith" => &mut prefix,
                "media-type" => &mut media_type,
                "label" => &mut label,
                "limit" => &mut limit,
                "cursor" => &mut cursor,
                _ => {
                    return bad(format!(
                        "unknown query parameter {name:?}: use startswith, media-type, label, limit or cursor"
                    ));
                }
            };
            if value.is_empty() {
                return bad(format!(
                    "query parameter {name} is empty: give it a value or leave it out"
                ));
            }
            if parameter.replace(value).is_some() {
                return bad(format!("query parameter {name} is repeated: give it once"));
            }
        }
        Ok(Self {
            filter: Filter {
                name_prefix: prefix,
                media_type: match media_type {
                    None => None,
                    Some(name) => match name.parse() {
                        Ok(media_type) => Some(media_type),
                        Err(error) => return bad(format!("query parameter media-type: {error}")),
                    },
                },
                label,
            },
            limit: limit.map_or(Ok(DEFAULT_LIMIT), |limit| to_limit(&limit))?,
            after: cursor.map(|cursor| to_name(&cursor)).transpose()?,
        })
    }
}

fn to_limit(text: &str) -> Result<usize, HttpError> {
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| {
        HttpError::BadRequest(format!(
            "query parameter limit is {text:?}: use a number from 1 to {MAX_LIMIT}"
        ))
    })
}

fn to_name(cursor: &str) -> Result<ObjectKey, HttpError> {
    from_cursor(cursor)
        .and_then(|name| ObjectKey::new(name).ok())
        .ok_or_else(|| {
            HttpError::BadRequest(
                "query parameter cursor is not one of this API's: use the Next-Cursor header of the page before, or leave it out".into(),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::MediaType;
    use runtime::http::to_cursor;

    fn refusal(query: &str) -> String {
        match ListQuery::parse(query) {
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
        assert_eq!(ListQuery::parse("").unwrap(), all);
    }

    #[test]
    fn every_parameter_is_read_and_decoded_once() {
        let name = ObjectKey::new("a+b %2F é.jpg").unwrap();
        let query = format!(
            "startswith=a%2Bb+%252F&media-type=image&label=Phone%20Booth&limit=1000&cursor={}",
            to_cursor(name.as_str())
        );
        assert_eq!(
            ListQuery::parse(&query).unwrap(),
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
    fn a_label_may_hold_a_comma() {
        let query = ListQuery::parse("label=a,b").unwrap();
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
        refusal(&format!("cursor={}", to_cursor("")));
    }
}
