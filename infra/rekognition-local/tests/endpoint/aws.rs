//! S3, STS, SNS and the authorizer: one small server that records what it is asked.

use std::{
    env, fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde_json::json;
use tokio::time::sleep;

use crate::server::serve;

/// A request that the server of [`Aws`] got.
pub(crate) struct Asked {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    /// A parameter of AWS's query protocol.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let url = format!("http://localhost/?{}", self.body);
        let pairs = url.split_once('?').unwrap().1.split('&');
        let encoded = pairs
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)?
            .1;
        Some(decoded(encoded))
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits = |rest: &mut std::str::Bytes<'_>| [rest.next().unwrap(), rest.next().unwrap()];
        bytes.push(match byte {
            b'%' => u8::from_str_radix(str::from_utf8(&digits(&mut rest)).unwrap(), 16).unwrap(),
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// What S3 holds, and what STS and SNS are asked.
#[derive(Default)]
pub(crate) struct Aws {
    pub(crate) asked: Mutex<Vec<Asked>>,
}

impl Aws {
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let aws = Arc::new(Self::default());
        let server = Arc::clone(&aws);
        let url = serve(move |request| {
            let server = Arc::clone(&server);
            async move { server.answer(request).await }
        });
        (aws, url.await)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (status, body) = if parts.method == Method::POST {
            let asked = Asked {
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let answer = answer(&asked);
            self.asked.lock().unwrap().push(asked);
            answer
        } else {
            object(parts.uri.path())
        };
        let length = body.len();
        let body = if parts.method == Method::HEAD {
            vec![]
        } else {
            body
        };
        Response::builder()
            .status(status)
            .header("content-length", length)
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    }

    /// Waits for a request with an action of the query protocol.
    pub(crate) async fn asked<T>(&self, action: &str, read: impl Fn(&Asked) -> T) -> T {
        loop {
            let is_it = |asked: &&Asked| asked.parameter("Action").as_deref() == Some(action);
            if let Some(asked) = self.asked.lock().unwrap().iter().find(is_it) {
                return read(asked);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn object(path: &str) -> (u16, Vec<u8>) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    match path {
        "/videos/a%20b%2B%C3%A9.mp4" => {
            (200, fs::read(here.join("../../assets/sample.mp4")).unwrap())
        }
        "/videos/red.avi" => (200, fs::read(here.join("tests/videos/plain.avi")).unwrap()),
        "/videos/h265.mp4" => (200, fs::read(here.join("tests/videos/h265.mp4")).unwrap()),
        "/videos/cut.mp4" => {
            let mut bytes = fs::read(here.join("../../assets/sample.mp4")).unwrap();
            bytes.truncate(bytes.len() / 2);
            (200, bytes)
        }
        "/videos/noise.mp4" => (200, b"no video".to_vec()),
        _ => (404, vec![]),
    }
}

/// STS, SNS and the authorizer.
fn answer(asked: &Asked) -> (u16, Vec<u8>) {
    const CREDENTIALS: &str = "<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
        <SessionToken>token</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>";
    let body = match asked.parameter("Action").as_deref() {
        Some("AssumeRole") => {
            format!("<AssumeRoleResponse><AssumeRoleResult>{CREDENTIALS}</AssumeRoleResult></AssumeRoleResponse>")
        }
        Some("Publish") => {
            "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".to_owned()
        }
        _ => {
            // The caller `nobody` may do nothing, all others may do everything but read what is called secret.
            let is_denied = asked.header("authorization").contains("Credential=nobody/")
                || asked.header("x-authorize-resource").contains("secret");
            let message = format!("not {}", asked.header("x-authorize-action"));
            let denial = json!({"__type": "AccessDeniedException", "Message": message});
            return if is_denied { (400, denial.to_string().into_bytes()) } else { (200, b"{}".to_vec()) };
        }
    };
    (200, body.into_bytes())
}
