//! Query strings.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;

use super::error::HttpError;
use crate::form;

/// The values of these query parameters. Each may be there once, with a value, and no others.
///
/// The query string is taken raw and decoded here, once: in the map that HTTP API makes of it, a
/// repeated parameter cannot be told from a value with a comma.
pub fn query_parameters<const N: usize>(
    request: &ApiGatewayV2httpRequest,
    names: [&str; N],
) -> Result<[Option<String>; N], HttpError> {
    let query = request.raw_query_string.as_deref().unwrap_or_default();
    let pairs = form::decode_pairs(query).map_err(|error| {
        HttpError::BadRequest(format!("the query string is malformed: {error}"))
    })?;
    let bad = |message: String| Err(HttpError::BadRequest(message));
    let mut values = [const { None }; N];
    for (name, value) in pairs {
        let Some(place) = names.iter().position(|known| *known == name) else {
            return bad(format!(
                "unknown query parameter {name:?}: use {}",
                alternatives(&names)
            ));
        };
        if value.is_empty() {
            return bad(format!(
                "query parameter {name} is empty: give it a value or leave it out"
            ));
        }
        if values[place].replace(value).is_some() {
            return bad(format!("query parameter {name} is repeated: give it once"));
        }
    }
    Ok(values)
}

/// As in "a, b or c".
fn alternatives(names: &[&str]) -> String {
    match names {
        [] => "none".into(),
        [only] => (*only).into(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<[Option<String>; 3], String> {
        let mut request = ApiGatewayV2httpRequest::default();
        request.raw_query_string = Some(query.into());
        match query_parameters(&request, ["status", "note", "limit"]) {
            Ok(values) => Ok(values),
            Err(HttpError::BadRequest(message)) => Err(message),
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn every_parameter_is_read_and_decoded_once() {
        assert_eq!(read(""), Ok([None, None, None]));
        assert_eq!(
            read("limit=7&note=a%2Bb+%252F,c"),
            Ok([None, Some("a+b %2F,c".into()), Some("7".into())])
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_allowed() {
        for (query, told) in [
            (
                "state=paid",
                "unknown query parameter \"state\": use status, note or limit",
            ),
            ("Status=paid", "unknown query parameter \"Status\""),
            ("status=", "status is empty"),
            ("status", "status is empty"),
            ("status=a&status=b", "status is repeated"),
            ("note=%F0", "malformed"),
            ("note=100%", "malformed"),
        ] {
            let message = read(query).unwrap_err();
            assert!(message.contains(told), "{query}: {message}");
        }
    }

    #[test]
    fn the_names_to_use_are_listed() {
        assert_eq!(alternatives(&[]), "none");
        assert_eq!(alternatives(&["a"]), "a");
        assert_eq!(alternatives(&["a", "b"]), "a or b");
    }
}
