//! The HTTP API of the media library: what it takes and answers.
//!
//! The function `media-api` reads and writes these types, and [`document`] describes them. A new
//! route has its types and its description here, its handler in `media-api`, and its trigger in
//! the app's declaration; `cargo xtask openapi --check` compares them.

use openapi::{Answer, Api, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `GET /`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ListParameters {
    /// Only items whose name begins with this text.
    #[schemars(length(min = 1))]
    pub startswith: Option<String>,
    /// Only items of this type.
    #[serde(rename = "media-type")]
    #[schemars(with = "Option<MediaType>")]
    pub media_type: Option<String>,
    /// Only items with exactly this label. Case counts.
    #[schemars(length(min = 1))]
    pub label: Option<String>,
    /// How many items a page has at most.
    #[schemars(with = "Option<u16>", range(min = 1, max = 1000), extend("default" = 100))]
    pub limit: Option<String>,
    /// The `Next-Cursor` of the page before. The other parameters must be the same.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub cursor: Option<String>,
}

/// The parameter in the path of `GET /{name+}`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ItemPath {
    /// The object's key, with `%` written as `%25` and `?` as `%3F`, because API Gateway decodes a
    /// path twice. Slashes may stand as they are, but not at the beginning.
    #[schemars(
        regex(pattern = r"^([^/%?]|%25|%3F)([^%?]|%25|%3F)*$"),
        length(max = 1024)
    )]
    pub name: String,
}

/// A media file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Item {
    /// Why the file can never be labelled. Only there if that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The names of the labels, distinct, in Rekognition's order.
    pub labels: Vec<String>,
    /// The object's key.
    pub name: String,
    /// The kind of file.
    #[serde(rename = "type")]
    pub media_type: MediaType,
}

/// The kind of a media file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MediaType {
    /// A picture.
    Image,
    /// A film.
    Video,
}

/// Why a file cannot be labelled.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// Rekognition's error code, such as `InvalidImageFormatException`.
    #[serde(rename = "Code")]
    pub code: String,
    /// The explanation.
    #[serde(rename = "Message")]
    pub message: String,
}

/// The API's description, an OpenAPI document in JSON.
#[must_use]
pub fn document() -> String {
    Api::new(
        "Media library",
        "1",
        "Finds photos and videos by what they show.",
    )
    .route(
        "GET /",
        Operation::new("listItems", "A page of the items that pass the filter")
            .query::<ListParameters>()
            .answer(Answer::new::<Vec<Item>>(200, "A page of items.").header::<String>(
                "Next-Cursor",
                "The `cursor` of the next page. The last page has none.",
            ))
            .bad_request(
                "a parameter is unknown, empty, repeated or has a bad value; the message says what is allowed",
            ),
    )
    .route(
        "GET /{name+}",
        Operation::new("getItem", "One item, or why its file cannot be labelled")
            .path::<ItemPath>()
            .answer(Answer::new::<Item>(200, "The item."))
            .not_found("the catalogue has no such file"),
    )
    .route("GET /openapi.json", Operation::of_document())
    .text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_names_in_json_are_those_of_the_tutorial() {
        let mut item = Item {
            error: None,
            labels: vec!["Dog".into()],
            name: "sample.jpg".into(),
            media_type: MediaType::Image,
        };
        assert_eq!(
            json!(item),
            json!({"labels": ["Dog"], "name": "sample.jpg", "type": "image"})
        );
        item.error = Some(Failure {
            code: "Broken".into(),
            message: "because".into(),
        });
        assert_eq!(
            json!(item)["error"],
            json!({"Code": "Broken", "Message": "because"})
        );
    }
}
