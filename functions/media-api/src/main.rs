//! The HTTP API of the catalogue.
//!
//! | route | answer |
//! |---|---|
//! | `GET /` | a JSON array of items; the parameters `startswith`, `media-type`, `label` narrow it in any combination |
//! | `GET /labels` | a JSON array of labels and of how many items have them; `prefix` narrows it |
//! | `GET /{name+}` | one item |
//! | `GET /openapi.json` | the API's description |
//! | `POST /uploads`, `DELETE /{name+}` | see [`writes`]; only on stages that let somebody write |
//!
//! The types of parameters and answers are in [`media_http`], which describes them. A browser gets pages instead, see
//! [`gallery`]: the header `Accept` decides.
//!
//! The names of media files end in an extension, so no file is called `labels`.
//!
//! A listing comes in order, in pages of `limit` items (100 unless given, at most 1000).
//! When there is more, the header `Next-Cursor` holds the `cursor` of the next page: follow
//! the header, not the length.
//!
//! A file that can never be labelled has no item and is in no listing. Asked for by
//! name it has no labels, and an `error` that says why.
//!
//! Errors have the body `{"Code": "…", "Message": "…"}`.
//!
//! HTTP API decodes the name in the path; it is used as it comes.

pub mod gallery;
mod labels;
mod query;
pub mod writes;

use std::convert::Infallible;
use std::process::ExitCode;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_runtime::Error;
use media::dynamodb::{DynamoCatalogue, DynamoLabelCounts, Entry, Tables};
use media::{MediaItem, MediaType};
use media_http::{Failure, Item, ItemPath};
use runtime::http::{HttpError, json_response, json_text_response, page_response, path, respond};
use runtime::s3::{ObjectKey, Presigner};
use runtime::{Aws, Environment, Service};

use crate::gallery::{Gallery, Wanted};
use crate::query::ListQuery;
use crate::writes::Writes;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let media = media::media_bucket(&environment)?;
    let thumbnails = environment.require("THUMBNAILS_BUCKET_NAME")?;
    let function = MediaApi {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        labels: DynamoLabelCounts::named_by(&aws, &environment)?,
        gallery: Gallery {
            media: Presigner::new(&aws, media.as_str()).await?,
            thumbnails: Presigner::new(&aws, &thumbnails).await?,
        },
        writes: Writes {
            client: runtime::s3::client(&aws, media.as_str()),
            routes: Writes::routes_named_by(&environment),
            bucket: media,
        },
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |request| Ok::<_, Infallible>(function.handle(request).await)).await
}

/// The API's description.
const DOCUMENT: &str = include_str!("../../../openapi/media.json");

/// The function, with what it works on.
#[derive(Debug)]
pub struct MediaApi {
    /// Where items are read.
    pub catalogue: DynamoCatalogue,
    /// Where labels are read.
    pub labels: DynamoLabelCounts,
    /// Makes pages.
    pub gallery: Gallery,
    /// Uploads and deletes.
    pub writes: Writes,
}

impl MediaApi {
    /// Answers one request. Whatever goes wrong is an answer too.
    pub async fn handle(&self, request: ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        let wanted = Wanted::of(&request);
        let answer = match request.route_key.as_deref() {
            Some("GET /") if wanted == Wanted::Page => {
                let (catalogue, writes) = (&self.catalogue, &self.writes);
                self.gallery.list(catalogue, writes, &request).await
            }
            Some("GET /") => self.list(&request).await,
            Some("GET /labels") => labels::list(&self.labels, &request).await,
            Some("GET /openapi.json") => Ok(json_text_response(200, DOCUMENT)),
            Some("GET /{name+}") => self.get(&request, wanted).await,
            Some("POST /uploads") => self.writes.form(&self.gallery.media, &request),
            Some("DELETE /{name+}") => match media_file(&request) {
                Ok((name, _)) => self.writes.delete(&name, &request).await,
                Err(error) => Err(error),
            },
            _ => Err(HttpError::no_handler(&request)),
        };
        self.gallery.finish(wanted, respond(&request, answer))
    }

    async fn list(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let query = ListQuery::parse(request)?;
        let (filter, after) = (&query.filter, query.after.as_ref());
        let page = self.catalogue.list(filter, query.limit, after).await;
        let page = page.map_err(HttpError::internal)?;
        let items: Vec<Item> = page.items.into_iter().map(to_answer).collect();
        let next = page.next.map(|name| query.cursor_key(&name));
        Ok(page_response(&items, next.as_deref()))
    }

    async fn get(
        &self,
        request: &ApiGatewayV2httpRequest,
        wanted: Wanted,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let (name, media_type) = media_file(request)?;
        let entry = self.catalogue.find(&name).await;
        let (item, failure) = match entry.map_err(HttpError::internal)? {
            Some(Entry::Item(item)) => (item, None),
            Some(Entry::Failed(failure)) => {
                let labels = Vec::new();
                let item = MediaItem {
                    name,
                    media_type,
                    labels,
                };
                (item, Some(failure))
            }
            None => return Err(not_found(name.as_str())),
        };
        match wanted {
            Wanted::Page => self.gallery.item(&item, failure.as_ref(), &self.writes),
            Wanted::File => self.gallery.file(&item.name),
            Wanted::Json => {
                let mut answer = to_answer(item);
                answer.error = failure.map(|failure| Failure {
                    code: failure.code,
                    message: failure.message,
                });
                Ok(json_response(200, &answer))
            }
        }
    }
}

/// The file that the path names. A name that no object can have is one that is not found.
fn media_file(request: &ApiGatewayV2httpRequest) -> Result<(ObjectKey, MediaType), HttpError> {
    let ItemPath { name: path_name } = path(request)?;
    let name = ObjectKey::new(&path_name).map_err(|_| not_found(&path_name))?;
    let media_type = MediaType::of(&name).ok_or_else(|| not_found(&path_name))?;
    Ok((name, media_type))
}

fn not_found(name: &str) -> HttpError {
    HttpError::NotFound(format!("Media file ({name}) not found"))
}

fn to_answer(item: MediaItem) -> Item {
    Item {
        error: None,
        labels: item.labels,
        name: item.name.as_str().to_owned(),
        media_type: match item.media_type {
            MediaType::Image => media_http::MediaType::Image,
            MediaType::Video => media_http::MediaType::Video,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::dynamodb::Tables;
    use runtime::s3::{BucketName, Presigner};
    use runtime::testing::Wire;
    use serde_json::{Value, json};

    const LIST: &str = include_str!("../../../assets/events/media-api.json");
    const GET: &str = include_str!("../../../assets/events/http-get.json");

    async fn api(wire: &Wire) -> MediaApi {
        let tables = Tables {
            media: "media".into(),
            state: "state".into(),
            index: "index".into(),
        };
        let aws = wire.aws();
        let presigner = async |bucket| Presigner::new(&aws, bucket).await.unwrap();
        MediaApi {
            catalogue: DynamoCatalogue::new(&aws, tables),
            labels: DynamoLabelCounts::new(&aws, "labels".into()),
            gallery: Gallery {
                media: presigner("media").await,
                thumbnails: presigner("thumbnails").await,
            },
            writes: Writes {
                bucket: BucketName::new("media"),
                client: runtime::s3::client(&aws, "media"),
                routes: vec!["POST /uploads".into(), "DELETE /{name+}".into()],
            },
        }
    }

    /// The index has all items.
    pub(crate) fn indexed() -> (u16, Value) {
        let number = |number: &str| json!({"N": number});
        let progress = json!({
            "phase": {"S": "complete"},
            "names": number("0"),
            "since": number("0"),
            "step": number("1"),
        });
        (200, json!({"Item": progress}))
    }

    /// What Lambda would send for the answer to this event.
    async fn answer(wire: &Wire, event: &Value) -> Value {
        let request = serde_json::from_value(event.clone()).unwrap();
        serde_json::to_value(api(wire).await.handle(request).await).unwrap()
    }

    fn list_event(query: &str) -> Value {
        let mut event: Value = serde_json::from_str(LIST).unwrap();
        event["rawQueryString"] = query.into();
        event
    }

    fn get_event(name: &str) -> Value {
        let mut event: Value = serde_json::from_str(GET).unwrap();
        event["pathParameters"] = json!({"name": name});
        event
    }

    fn attributes(name: &str) -> Value {
        json!({
            "name": {"S": name},
            "type": {"S": "image"},
            "labels": {"L": [{"S": "Dog"}, {"S": "Animal"}]},
        })
    }

    #[tokio::test]
    async fn the_sample_listing_asks_for_images_with_a_label() {
        let found = json!({"Items": [attributes("sample.jpg")]});
        let wire = Wire::new([indexed(), (200, found)]);
        let answer = answer(&wire, &serde_json::from_str(LIST).unwrap()).await;
        assert_eq!(answer["statusCode"], 200);
        assert_eq!(
            answer["headers"],
            json!({"content-type": "application/json", "vary": "accept"})
        );
        assert_eq!(
            answer["body"],
            r#"[{"labels":["Dog","Animal"],"name":"sample.jpg","type":"image"}]"#
        );
        assert_eq!(
            wire.requests()[1].1["ExpressionAttributeValues"],
            json!({":list": {"S": "image:label:dog"}})
        );
    }

    #[tokio::test]
    async fn videos_are_listed_by_their_type() {
        let mut video = attributes("sample.mp4");
        video["type"] = json!({"S": "video"});
        let wire = Wire::new([indexed(), (200, json!({"Items": [video]}))]);
        let answer = answer(&wire, &list_event("media-type=video")).await;
        assert_eq!(
            answer["body"],
            r#"[{"labels":["Dog","Animal"],"name":"sample.mp4","type":"video"}]"#
        );
        assert_eq!(
            wire.requests()[1].1["ExpressionAttributeValues"],
            json!({":list": {"S": "video:all"}})
        );
    }

    #[tokio::test]
    async fn pages_are_linked_by_a_header() {
        let two = json!({"Items": [attributes("a é.jpg"), attributes("b.jpg")]});
        let none = (200, json!({"Items": []}));
        let wire = Wire::new([indexed(), (200, two), indexed(), none]);
        let first = answer(&wire, &list_event("limit=1")).await;
        assert_eq!(
            first["body"],
            r#"[{"labels":["Dog","Animal"],"name":"a é.jpg","type":"image"}]"#
        );
        let cursor = first["headers"]["next-cursor"].as_str().unwrap();
        let second = answer(&wire, &list_event(&format!("limit=1&cursor={cursor}"))).await;
        assert_eq!(
            (&second["body"], &second["headers"]["next-cursor"]),
            (&json!("[]"), &Value::Null)
        );
        assert_eq!(
            wire.requests()[3].1["ExclusiveStartKey"],
            json!({"list": {"S": "all"}, "name": {"S": "a é.jpg"}})
        );
    }

    #[tokio::test]
    async fn the_sample_item_is_returned() {
        let wire = Wire::new([(200, json!({"Item": attributes("sample.jpg")}))]);
        let answer = answer(&wire, &serde_json::from_str(GET).unwrap()).await;
        assert_eq!(answer["statusCode"], 200);
        assert_eq!(
            answer["body"],
            r#"{"labels":["Dog","Animal"],"name":"sample.jpg","type":"image"}"#
        );
    }

    #[tokio::test]
    async fn a_name_is_used_as_it_comes() {
        for name in ["a b+c%20%.jpg", "holiday/2024/%2F é 🐕.png"] {
            let wire = Wire::new([(200, json!({"Item": attributes(name)}))]);
            assert_eq!(answer(&wire, &get_event(name)).await["statusCode"], 200);
            assert_eq!(wire.requests()[0].1["Key"], json!({"name": {"S": name}}));
        }
    }

    #[tokio::test]
    async fn an_unknown_name_is_not_found() {
        let wire = Wire::new([(200, json!({})), (200, json!({}))]);
        let unknown = answer(&wire, &get_event("noexists.jpg")).await;
        assert_eq!(unknown["statusCode"], 404);
        assert_eq!(
            unknown["headers"],
            json!({"content-type": "application/json", "vary": "accept"})
        );
        assert_eq!(
            unknown["body"],
            r#"{"Code":"NotFoundError","Message":"NotFoundError: Media file (noexists.jpg) not found"}"#
        );
        for name in ["notes.txt", "", &format!("{}.jpg", "x".repeat(1024))] {
            let wire = Wire::new([]);
            assert_eq!(answer(&wire, &get_event(name)).await["statusCode"], 404);
        }
    }

    #[test]
    fn no_file_has_the_name_of_a_route() {
        for route in ["labels", "uploads", "openapi.json"] {
            let name = ObjectKey::new(route).unwrap();
            assert_eq!(MediaType::of(&name), None, "{route}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_with_the_name() {
        for (name, media_type, code) in [
            ("broken.jpg", "image", "InvalidImageFormatException"),
            ("broken.mp4", "video", "LabelDetectionFailed"),
            ("old.flv", "video", "UnsupportedVideoFormat"),
        ] {
            let state = json!({
                "name": {"S": name},
                "sequencer": {"S": "01"},
                "failure": {"M": {"code": {"S": code}, "message": {"S": "because"}}},
            });
            let wire = Wire::new([(200, json!({})), (200, json!({"Item": state}))]);
            let answer = answer(&wire, &get_event(name)).await;
            assert_eq!(answer["statusCode"], 200);
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!(
                body,
                json!({
                    "name": name,
                    "type": media_type,
                    "labels": [],
                    "error": {"Code": code, "Message": "because"},
                })
            );
        }
    }

    #[tokio::test]
    async fn a_bad_query_reads_nothing() {
        let wire = Wire::new([]);
        let answer = answer(&wire, &list_event("media-type=audio")).await;
        assert_eq!(answer["statusCode"], 400);
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["Code"], "BadRequestError");
        let message = body["Message"].as_str().unwrap();
        assert!(
            message.starts_with("BadRequestError: query parameter media-type"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn the_description_is_the_one_that_is_kept() {
        let mut event = list_event("");
        event["routeKey"] = "GET /openapi.json".into();
        let answer = answer(&Wire::new([]), &event).await;
        assert_eq!(answer["statusCode"], 200);
        assert_eq!(answer["body"], media_http::document());
    }

    #[tokio::test]
    async fn a_route_that_the_code_lacks_reads_nothing() {
        let wire = Wire::new([]);
        let mut event = list_event("");
        event["routeKey"] = "GET /other".into();
        assert_eq!(answer(&wire, &event).await["statusCode"], 500);
        assert_eq!(wire.requests(), []);
    }

    #[tokio::test]
    async fn details_of_an_internal_error_stay_inside() {
        let denied = json!({"__type": "AccessDeniedException", "Message": "arn:aws:iam::1:role/x"});
        let wire = Wire::new([(400, denied)]);
        let answer = answer(&wire, &get_event("sample.jpg")).await;
        assert_eq!(answer["statusCode"], 500);
        assert_eq!(
            answer["body"],
            r#"{"Code":"InternalServerError","Message":"InternalServerError: the request could not be served: try again later"}"#
        );
    }
}
