//! Items as DynamoDB has them.

use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use runtime::dynamodb::{Attributes, text};
use runtime::s3::ObjectKey;

use crate::catalogue::{CatalogueError, MediaItem};
use crate::media_type::UnknownMediaType;

pub(super) fn failed(action: &'static str, name: &str, reason: impl Display) -> CatalogueError {
    CatalogueError {
        action,
        name: name.into(),
        reason: reason.to_string(),
    }
}

pub(super) fn key_of(name: &ObjectKey) -> Attributes {
    Attributes::from([("name".into(), text(name.as_str()))])
}

/// A text attribute. Only this crate writes the tables, so one that is missing or of another
/// type is damage, and is reported rather than guessed.
pub(super) fn text_of<'a>(
    attributes: &'a Attributes,
    attribute: &str,
) -> Result<&'a str, CatalogueError> {
    match attributes.get(attribute) {
        Some(AttributeValue::S(value)) => Ok(value),
        _ => Err(malformed(
            attributes,
            format!("its attribute {attribute:?} is not text"),
        )),
    }
}

pub(super) fn malformed(attributes: &Attributes, reason: impl Display) -> CatalogueError {
    let name = attributes.get("name").and_then(|name| name.as_s().ok());
    failed(
        "read",
        name.map_or("an item without a name", String::as_str),
        reason,
    )
}

pub(super) fn to_name(attributes: &Attributes) -> Result<ObjectKey, CatalogueError> {
    ObjectKey::new(text_of(attributes, "name")?).map_err(|error| malformed(attributes, error))
}

pub(super) fn to_item(attributes: &Attributes) -> Result<MediaItem, CatalogueError> {
    Ok(MediaItem {
        name: to_name(attributes)?,
        media_type: text_of(attributes, "type")?
            .parse()
            .map_err(|error: UnknownMediaType| malformed(attributes, error))?,
        labels: texts_of(attributes, "labels")?,
    })
}

/// A list of texts.
pub(super) fn texts_of(
    attributes: &Attributes,
    attribute: &str,
) -> Result<Vec<String>, CatalogueError> {
    let texts = attributes
        .get(attribute)
        .and_then(|texts| texts.as_l().ok());
    let texts =
        texts.and_then(|texts| texts.iter().map(|text| text.as_s().ok().cloned()).collect());
    texts.ok_or_else(|| {
        malformed(
            attributes,
            format_args!("its attribute {attribute:?} is not a list of texts"),
        )
    })
}
