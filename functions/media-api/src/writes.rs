//! Uploads and deletions, where the stage lets somebody do them.
//!
//! | route | answer |
//! |---|---|
//! | `POST /uploads` | a form by which S3 takes one object: of the key, type and size that the request names, within ten minutes |
//! | `DELETE /{name+}` | nothing, when the object is deleted; the catalogue follows by the event |
//!
//! A page of another origin can do neither in a browser: the browser tells which page it is.

use std::time::SystemTime;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::http::header::{HOST, ORIGIN};
use aws_sdk_s3::Client;
use media::MediaType;
use media_http::{Upload, UploadForm};
use runtime::Environment;
use runtime::http::{HttpError, json_body, json_response};
use runtime::s3::{BucketName, ObjectKey, Presigner};
use runtime::service_error::ServiceError;

/// What Rekognition labels at most.
/// <https://docs.aws.amazon.com/rekognition/latest/dg/limits.html>
const MAX_IMAGE_BYTES: u64 = 15 * 1024 * 1024;
/// What S3 takes in one form.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>
const MAX_VIDEO_BYTES: u64 = 5 * 1024 * 1024 * 1024;

const EXAMPLE: &str = r#"{"name": "dog.jpg", "type": "image/jpeg", "size": 1024}"#;

/// What may be written, and where.
#[derive(Debug)]
pub struct Writes {
    /// The media bucket.
    pub bucket: BucketName,
    /// Deletes objects.
    pub client: Client,
    /// The routes that the stage has of those for writers, as in `POST /uploads`.
    pub routes: Vec<String>,
}

impl Writes {
    /// The routes that the function's variable names.
    pub fn routes_named_by(environment: &Environment) -> Vec<String> {
        let routes = environment.get("WRITE_ROUTES").unwrap_or_default();
        let routes = routes.split(", ").filter(|route| !route.is_empty());
        routes.map(str::to_owned).collect()
    }

    pub(crate) fn can_upload(&self) -> bool {
        self.routes.iter().any(|route| route == "POST /uploads")
    }

    pub(crate) fn can_delete(&self) -> bool {
        self.routes.iter().any(|route| route == "DELETE /{name+}")
    }

    /// A form that uploads what the request names.
    pub(crate) fn form(
        &self,
        presigner: &Presigner,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        own_page(request)?;
        let Upload {
            name,
            content_type,
            size,
        } = json_body(request, EXAMPLE)?;
        let bad = |reason: String| HttpError::BadRequest(reason);
        let key = ObjectKey::new(name).map_err(|error| bad(error.to_string()))?;
        let (media_type, types) = types_of(&key).ok_or_else(|| {
            bad(format!(
                "{key:?} is not a media file: its name must end in .jpg, .jpeg, .png, .mp4, .mov, .avi or .flv"
            ))
        })?;
        let content_type = match &*content_type {
            "" => types[0],
            given => types.iter().find(|known| **known == given).ok_or_else(|| {
                bad(format!(
                    "type is {given:?}: a file of this name is {}",
                    types[0]
                ))
            })?,
        };
        let max = match media_type {
            MediaType::Image => MAX_IMAGE_BYTES,
            MediaType::Video => MAX_VIDEO_BYTES,
        };
        if !(1..=max).contains(&size) {
            let max = max / (1024 * 1024);
            return Err(bad(format!(
                "size is {size}: a file of this kind has 1 byte to {max} MB"
            )));
        }
        let form = presigner.form(&key, content_type, size, SystemTime::now());
        let form = form.map_err(HttpError::internal)?;
        let fields = form.fields.into_iter();
        let form = UploadForm {
            fields: fields
                .map(|(name, value)| [name.to_owned(), value])
                .collect(),
            url: form.url,
        };
        Ok(json_response(200, &form))
    }

    /// Deletes an object. One that is not there counts as deleted.
    pub(crate) async fn delete(
        &self,
        name: &ObjectKey,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        own_page(request)?;
        let deletion = self.client.delete_object().bucket(self.bucket.as_str());
        let deletion = deletion.key(name.as_str()).send().await;
        deletion
            .map_err(|error| HttpError::internal(ServiceError::of(&error).without_message("S3")))?;
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = 204;
        Ok(response)
    }
}

/// What a file of this name is, and the content types that it may have, the first by default. A
/// browser shows what comes from the bucket by its type, so none is among them that can hold a
/// script.
fn types_of(name: &ObjectKey) -> Option<(MediaType, &'static [&'static str])> {
    let media_type = MediaType::of(name)?;
    let extension = name.extension().unwrap_or_default().to_ascii_lowercase();
    let types: &[_] = match &*extension {
        "png" => &["image/png"],
        "mp4" => &["video/mp4"],
        "mov" => &["video/quicktime"],
        "avi" => &["video/x-msvideo", "video/avi", "video/vnd.avi"],
        "flv" => &["video/x-flv"],
        _ => &["image/jpeg"],
    };
    Some((media_type, types))
}

/// Refuses what a page of another origin has a browser send. Programs send neither header.
fn own_page(request: &ApiGatewayV2httpRequest) -> Result<(), HttpError> {
    let header = |name: &str| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let host = header(HOST.as_str()).unwrap_or_default();
    let origin = header(ORIGIN.as_str());
    let is_own = origin.is_none_or(|origin| {
        let at = origin.split_once("://").map(|(_, at)| at);
        at == Some(host)
    });
    let site = header("sec-fetch-site").unwrap_or("same-origin");
    if is_own && ["same-origin", "none"].contains(&site) {
        return Ok(());
    }
    Err(HttpError::BadRequest(
        "pages of other origins may not change the library".into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::encodings::Body;
    use aws_lambda_events::http::HeaderName;
    use runtime::testing::Wire;
    use serde_json::{Value, json};

    fn request(headers: &[(&'static str, &str)], body: &Value) -> ApiGatewayV2httpRequest {
        let mut request = ApiGatewayV2httpRequest::default();
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            request.headers.insert(name, value.parse().unwrap());
        }
        request.body = Some(body.to_string());
        request
    }

    async fn asked(headers: &[(&'static str, &str)], body: Value) -> Result<Value, String> {
        let aws = Wire::new([]).aws();
        let writes = writes(&aws);
        let presigner = Presigner::new(&aws, "amzn-s3-demo-bucket").await.unwrap();
        match writes.form(&presigner, &request(headers, &body)) {
            Ok(response) => {
                let Some(Body::Text(body)) = response.body else {
                    panic!("an answer is text");
                };
                Ok(serde_json::from_str(&body).unwrap())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn writes(aws: &runtime::Aws) -> Writes {
        Writes {
            bucket: BucketName::new("amzn-s3-demo-bucket"),
            client: runtime::s3::client(aws, "amzn-s3-demo-bucket"),
            routes: vec!["POST /uploads".into()],
        }
    }

    #[tokio::test]
    async fn a_form_is_for_the_name_type_and_size_that_were_asked_for() {
        let body = json!({"name": "a b.JPG", "type": "image/jpeg", "size": 7});
        let form = asked(&[], body).await.unwrap();
        assert_eq!(
            form["url"],
            "https://amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com/"
        );
        assert_eq!(form["fields"][0], json!(["key", "a b.JPG"]));
        assert_eq!(form["fields"][1], json!(["Content-Type", "image/jpeg"]));
        let body = json!({"name": "clip.mov", "size": 7});
        let form = asked(&[], body).await.unwrap();
        assert_eq!(
            form["fields"][1],
            json!(["Content-Type", "video/quicktime"])
        );
    }

    #[tokio::test]
    async fn what_cannot_be_uploaded_is_told() {
        for (name, content_type, size, told) in [
            ("notes.txt", "text/plain", 7, "not a media file"),
            ("uploads", "", 7, "not a media file"),
            ("", "", 7, "empty"),
            (
                "a.jpg",
                "image/svg+xml",
                7,
                "a file of this name is image/jpeg",
            ),
            ("a.jpg", "text/html", 7, "a file of this name is image/jpeg"),
            ("a.jpg", "image/jpeg", 0, "1 byte to 15 MB"),
            (
                "a.png",
                "image/png",
                15 * 1024 * 1024 + 1,
                "1 byte to 15 MB",
            ),
            ("a.mp4", "video/mp4", 6_u64 << 30, "1 byte to 5120 MB"),
        ] {
            let body = json!({"name": name, "type": content_type, "size": size});
            let refusal = asked(&[], body).await.unwrap_err();
            assert!(refusal.contains(told), "{name}: {refusal}");
        }
        asked(&[], json!({"name": "a.jpg"})).await.unwrap_err();
    }

    #[tokio::test]
    async fn pages_of_other_origins_are_refused() {
        let body = || json!({"name": "a.jpg", "size": 7});
        for headers in [
            &[("host", "api.example"), ("origin", "https://evil.example")][..],
            &[("host", "api.example"), ("origin", "null")],
            &[("host", "api.example"), ("sec-fetch-site", "cross-site")],
            &[("host", "api.example"), ("sec-fetch-site", "same-site")],
        ] {
            let refusal = asked(headers, body()).await.unwrap_err();
            assert!(refusal.contains("other origins"), "{refusal}");
        }
        let own = [
            ("host", "api.example"),
            ("origin", "https://api.example"),
            ("sec-fetch-site", "same-origin"),
        ];
        asked(&own, body()).await.unwrap();
    }

    #[tokio::test]
    async fn an_object_is_deleted() {
        let wire = Wire::new([(204, json!(""))]);
        let name = ObjectKey::new("a b.jpg").unwrap();
        let deletion = request(&[], &Value::Null);
        let response = writes(&wire.aws()).delete(&name, &deletion).await.unwrap();
        assert_eq!(response.status_code, 204);
        let url = "DELETE https://amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com/a%20b.jpg?x-id=DeleteObject";
        assert_eq!(wire.requests(), [(url.to_owned(), json!(""))]);

        let stranger = request(&[("sec-fetch-site", "cross-site")], &Value::Null);
        let refused = writes(&wire.aws()).delete(&name, &stranger).await;
        assert!(matches!(refused, Err(HttpError::BadRequest(_))));
    }

    #[test]
    fn the_stage_says_which_routes_there_are() {
        let routes = |text| {
            let environment = Environment::from_iter([("WRITE_ROUTES", text)]);
            Writes::routes_named_by(&environment)
        };
        assert!(routes("").is_empty());
        assert_eq!(
            routes("POST /uploads, DELETE /{name+}"),
            ["POST /uploads", "DELETE /{name+}"]
        );
    }
}
