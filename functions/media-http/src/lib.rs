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
    #[schemars(length(min = 1, max = 1024))]
    pub startswith: Option<String>,
    /// Only items of this type.
    #[serde(rename = "media-type")]
    #[schemars(with = "Option<MediaType>")]
    pub media_type: Option<String>,
    /// Only items with this label. Case does not count.
    #[schemars(length(min = 1, max = 1024))]
    pub label: Option<String>,
    /// How many items a page has at most.
    #[schemars(with = "Option<u16>", range(min = 1, max = 1000), extend("default" = 100))]
    pub limit: Option<String>,
    /// The `Next-Cursor` of the page before. The other parameters must be the same.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub cursor: Option<String>,
}

/// The parameters of `GET /labels`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct LabelParameters {
    /// Only labels that begin with this text. Case does not count.
    #[schemars(length(min = 1, max = 1024))]
    pub prefix: Option<String>,
    /// How many labels a page has at most.
    #[schemars(with = "Option<u16>", range(min = 1, max = 1000), extend("default" = 100))]
    pub limit: Option<String>,
    /// The `Next-Cursor` of the page before. The prefix must be the same.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub cursor: Option<String>,
}

/// A label of the catalogue.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Label {
    /// About how many files have the label: the count follows the catalogue.
    pub count: u64,
    /// The label's name.
    pub label: String,
}

/// The parameter in the path of `GET /{name+}`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ItemPath {
    /// The object's key, with `%` written as `%25` and `?` as `%3F`, because API Gateway decodes a
    /// path twice. Slashes may stand as they are, but not at the beginning.
    #[schemars(regex(pattern = r"^[^/?][^?]*$"), length(max = 1024))]
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

/// The body of `POST /uploads`: the file to upload.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The object's key. Its extension must be that of a media file.
    #[schemars(length(min = 1, max = 1024), example = &"dog.jpg")]
    pub name: String,
    /// The content type, one that the extension allows. Without it, the extension decides.
    #[serde(rename = "type", default)]
    #[schemars(example = &"image/jpeg")]
    pub content_type: String,
    /// The file's size in bytes: at most 15 MB for a picture and 5 GB for a video.
    #[schemars(range(min = 1))]
    pub size: u64,
}

/// A form by which Amazon S3 takes one object, for ten minutes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UploadForm {
    /// Names and values of the fields, which come before the field `file`.
    pub fields: Vec<[String; 2]>,
    /// Where to send the form.
    pub url: String,
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
            ).or_page())
            .bad_request(
                "a parameter is unknown, empty, repeated or has a bad value; the message says what is allowed",
            ),
    )
    .route(
        "GET /{name+}",
        Operation::new("getItem", "One item, or why its file cannot be labelled")
            .path::<ItemPath>()
            .answer(Answer::new::<Item>(200, "The item.").or_page())
            .answer(
                Answer::empty(307, "The file is at another URL, if `Accept` prefers a picture or a video.")
                    .header::<String>("Location", "A URL of Amazon S3 that works for minutes."),
            )
            .not_found("the catalogue has no such file"),
    )
    .route(
        "GET /labels",
        Operation::new("listLabels", "A page of the labels, with about how many files have each")
            .query::<LabelParameters>()
            .answer(Answer::new::<Vec<Label>>(200, "A page of labels, in order.").header::<String>(
                "Next-Cursor",
                "The `cursor` of the next page. The last page has none.",
            ))
            .bad_request(
                "a parameter is unknown, empty, repeated or has a bad value; the message says what is allowed",
            ),
    )
    .route(
        "POST /uploads",
        Operation::new("createUpload", "A form that uploads one file to Amazon S3")
            .body::<Upload>()
            .answer(Answer::new::<UploadForm>(200, "The form."))
            .bad_request("the body is not as described, or a page of another origin sent it"),
    )
    .route(
        "DELETE /{name+}",
        Operation::new("deleteItem", "Nothing: the file is deleted")
            .path::<ItemPath>()
            .answer(Answer::empty(
                204,
                "The file is deleted, or was not there. The catalogue follows.",
            ))
            .bad_request("a page of another origin sent the request")
            .not_found("no media file can have this name"),
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
