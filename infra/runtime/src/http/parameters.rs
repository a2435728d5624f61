//! Parameters: in query strings and in paths.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::error::HttpError;
use crate::form;

/// The query parameters that are the fields of `T`, texts that may be left out. Each may be there
/// once, with a value, and no others.
///
/// The query string is taken raw and decoded here, once: in the map that HTTP API makes of it, a
/// repeated parameter cannot be told from a value with a comma.
///
/// ```
/// use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
///
/// #[derive(serde::Deserialize)]
/// struct Listing {
///     #[serde(rename = "paid-by")]
///     paid_by: Option<String>,
/// }
///
/// let mut request = ApiGatewayV2httpRequest::default();
/// request.raw_query_string = Some("paid-by=ada".into());
/// let listing: Listing = runtime::http::query(&request)?;
/// assert_eq!(listing.paid_by.as_deref(), Some("ada"));
/// # Ok::<_, runtime::http::HttpError>(())
/// ```
pub fn query<T: DeserializeOwned>(request: &ApiGatewayV2httpRequest) -> Result<T, HttpError> {
    let pairs = pairs(request, fields_of::<T>())?.into_iter();
    let fields = pairs.map(|(name, value)| (name, Value::String(value)));
    // The type has a field that is required, or is not text.
    serde_json::from_value(Value::Object(fields.collect())).map_err(HttpError::internal)
}

/// The values of the query parameters with these names, as [`query`] reads them.
pub fn query_parameters<const N: usize>(
    request: &ApiGatewayV2httpRequest,
    names: [&str; N],
) -> Result<[Option<String>; N], HttpError> {
    let mut values = [const { None }; N];
    for (name, value) in pairs(request, &names)? {
        if let Some(place) = names.iter().position(|known| *known == name) {
            values[place] = Some(value);
        }
    }
    Ok(values)
}

/// The path parameters that are the fields of `T`. HTTP API has decoded them.
pub fn path<T: DeserializeOwned>(request: &ApiGatewayV2httpRequest) -> Result<T, HttpError> {
    let pairs = request.path_parameters.iter();
    let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
    // The stack's route has other parameters than the code.
    T::deserialize(MapDeserializer::new(pairs)).map_err(|error: de::value::Error| {
        HttpError::Internal(format!("the route has other path parameters: {error}"))
    })
}

/// The parameters of a query string. Their names are among these, and their values are not empty.
fn pairs(
    request: &ApiGatewayV2httpRequest,
    names: &[&str],
) -> Result<Vec<(String, String)>, HttpError> {
    let query = request.raw_query_string.as_deref().unwrap_or_default();
    let pairs = form::decode_pairs(query).map_err(|error| {
        HttpError::BadRequest(format!("the query string is malformed: {error}"))
    })?;
    let bad = |message: String| Err(HttpError::BadRequest(message));
    let mut read: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs {
        if !names.contains(&name.as_str()) {
            return bad(format!(
                "unknown query parameter {name:?}: use {}",
                alternatives(names)
            ));
        }
        if value.is_empty() {
            return bad(format!(
                "query parameter {name} is empty: give it a value or leave it out"
            ));
        }
        if read.iter().any(|(known, _)| *known == name) {
            return bad(format!("query parameter {name} is repeated: give it once"));
        }
        read.push((name, value));
    }
    Ok(read)
}

/// The names of the fields of a struct, which serde tells to whom the struct is to be read from.
fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &[&str] = &[];
    // Nothing is read, and that is the error.
    let _ = T::deserialize(Fields(&mut fields));
    fields
}

struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(de::Error::custom("only the fields are of interest"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
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
    use serde::Deserialize;

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

    #[derive(Debug, PartialEq, Deserialize)]
    struct Listing {
        #[serde(rename = "paid-by")]
        paid_by: Option<String>,
        limit: Option<String>,
    }

    #[test]
    fn the_fields_of_a_struct_are_the_names() {
        let mut request = ApiGatewayV2httpRequest::default();
        let mut read = |text: &str| {
            request.raw_query_string = Some(text.into());
            query::<Listing>(&request)
        };
        let listing = |paid_by: Option<&str>, limit: Option<&str>| Listing {
            paid_by: paid_by.map(String::from),
            limit: limit.map(String::from),
        };
        assert_eq!(read(""), Ok(listing(None, None)));
        assert_eq!(read("limit=7"), Ok(listing(None, Some("7"))));
        assert_eq!(
            read("limit=7&paid-by=a%2Bb+c"),
            Ok(listing(Some("a+b c"), Some("7")))
        );
        let unknown = "unknown query parameter \"paid_by\": use paid-by or limit";
        assert_eq!(
            read("paid_by=x"),
            Err(HttpError::BadRequest(unknown.into()))
        );
        let repeated = "query parameter limit is repeated: give it once";
        assert_eq!(
            read("limit=7&limit=7"),
            Err(HttpError::BadRequest(repeated.into()))
        );
    }

    #[test]
    fn path_parameters_are_fields() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct OrderPath {
            id: String,
        }
        let mut request = ApiGatewayV2httpRequest::default();
        assert!(matches!(
            path::<OrderPath>(&request),
            Err(HttpError::Internal(_))
        ));
        request.path_parameters = [("id".to_owned(), "a/b %".to_owned())].into();
        let id = "a/b %".into();
        assert_eq!(path(&request), Ok(OrderPath { id }));
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
