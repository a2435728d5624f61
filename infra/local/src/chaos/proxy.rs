use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use percent_encoding::percent_decode_str;
use traces::{Cause, What};
use tracing::debug;

use super::call::{self, Call, Effect, Fault};
use crate::server::{BoxError, Server, client, refusal, remove_hop_by_hop};
use crate::{Error, Observer};

/// A server that stands for an endpoint of AWS services, passes every call on to it, and
/// lets some of them fail as the services themselves fail. Dropping it stops it.
///
/// Which ones is up to a function that is shown each call: a share of them, or the third
/// call of an operation. Requests reach the endpoint as they were signed, with the `Host`
/// header of this server; answers come back as they are.
#[derive(Debug)]
pub struct FaultProxy(Server);

impl FaultProxy {
    /// Listens on 127.0.0.1 at `port` (0: any that is free) for calls to `endpoint`, which
    /// need not run yet.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), local::Error> {
    /// use local::{Effect, Fault, FaultProxy};
    ///
    /// let proxy = FaultProxy::start(0, "http://127.0.0.1:4566", |call| {
    ///     (call.operation == "ExecuteChangeSet" && call.number == 1)
    ///         .then_some(Fault::Disconnected(Effect::Done))
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    pub async fn start(
        port: u16,
        endpoint: &str,
        decide: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::observed(port, endpoint, decide, None).await
    }

    /// As [`Self::start`], and has faults noted.
    pub(super) async fn observed(
        port: u16,
        endpoint: &str,
        decide: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static,
        observer: Option<Observer>,
    ) -> Result<Self, Error> {
        let proxy = Arc::new(Proxy {
            client: client(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            numbers: Mutex::default(),
            decide: Box::new(decide),
            observer,
        });
        let answer = move |request| {
            let proxy = Arc::clone(&proxy);
            async move { proxy.answer(request).await }
        };
        Server::start("the fault proxy", port, answer)
            .await
            .map(Self)
    }

    /// The endpoint to use instead of the one behind.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port())
    }

    /// Accepts no more connections, and waits a moment for answers under way.
    pub async fn shutdown(self) {
        self.0.shutdown().await;
    }
}

type Body = Either<Incoming, Full<Bytes>>;

struct Proxy {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: String,
    /// Of the last call of each operation.
    numbers: Mutex<HashMap<(String, String), u64>>,
    decide: Box<Decide>,
    observer: Option<Observer>,
}

/// The invocation that a call names in its trace header, see `observed.py`.
fn invocation_of(headers: &HeaderMap) -> Option<Cause> {
    let header = headers.get("x-amzn-trace-id")?.to_str().ok()?;
    // SDKs encode what is not allowed in all headers.
    let header = percent_decode_str(header).decode_utf8().ok()?;
    let parent = header
        .split(';')
        .find_map(|part| part.strip_prefix("Parent="));
    parent.map(|parent| Cause::Invocation(parent.to_owned()))
}

type Decide = dyn Fn(&Call) -> Option<Fault> + Send + Sync;

impl Proxy {
    /// Where it fails, the connection is to be closed. If the endpoint did not answer, the
    /// caller sees what it would see without the proxy.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        if let Err(stranger) = loopback::admit(request.headers()) {
            let refused = refusal(StatusCode::FORBIDDEN, stranger.message());
            return Ok(refused.map(Either::Right));
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let (protocol, mut call) = call::understand(&head, &body);
        call.number = self.number(&call);
        let fault = (self.decide)(&call);
        let forwarded = Request::from_parts(head, Full::new(body));
        let Some(fault) = fault else {
            return Ok(self.forward(forwarded).await?.map(Either::Left));
        };
        debug!(?call, ?fault, "injected");
        if let Some(observer) = &self.observer {
            observer.add(What::Fault(traces::Fault {
                title: format!("fault: {} {}, {fault}", call.service, call.operation),
                causes: invocation_of(forwarded.headers()).into_iter().collect(),
            }));
        }
        if fault.effect() == Effect::Done {
            // To the end, so that it has surely happened.
            self.forward(forwarded).await?.into_body().collect().await?;
        }
        call::answer(protocol, &call, fault)
            .map(|response| response.map(Either::Right))
            .ok_or_else(|| "the connection is cut off on purpose".into())
    }

    fn number(&self, call: &Call) -> u64 {
        // Counting does not panic half-way.
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let operation = (call.service.clone(), call.operation.clone());
        let number = numbers.entry(operation).or_default();
        *number += 1;
        *number
    }

    async fn forward(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, BoxError> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        *request.uri_mut() = format!("{}{path}", self.endpoint).parse::<Uri>()?;
        remove_hop_by_hop(request.headers_mut());
        let mut response = self.client.request(request).await?;
        remove_hop_by_hop(response.headers_mut());
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_sdk_lambda::config::BehaviorVersion;
    use aws_sdk_lambda::config::retry::RetryConfig;
    use aws_types::SdkConfig;
    use aws_types::region::Region;
    use http::StatusCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// An endpoint that answers with what it sees, and counts.
    struct Endpoint {
        server: Server,
        calls: Arc<AtomicU64>,
    }

    impl Endpoint {
        async fn start() -> Self {
            let calls = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&calls);
            let answer = move |request: Request<Incoming>| {
                let counted = Arc::clone(&counted);
                async move {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let seen = format!(
                        "{} {}\nhost: {}\nauthorization: {}\n\n{}",
                        head.method,
                        head.uri,
                        head.headers["host"].to_str().unwrap(),
                        head.headers["authorization"].to_str().unwrap(),
                        String::from_utf8_lossy(&body)
                    );
                    let mut response = Response::new(Full::<Bytes>::from(seen));
                    *response.status_mut() = StatusCode::IM_A_TEAPOT;
                    response.headers_mut().insert("x-amz-crc32", 42.into());
                    Ok::<_, Infallible>(response)
                }
            };
            Self {
                server: Server::start("a test", 0, answer).await.unwrap(),
                calls,
            }
        }

        async fn behind(
            &self,
            decide: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static,
        ) -> FaultProxy {
            let endpoint = format!("http://127.0.0.1:{}", self.server.port());
            FaultProxy::start(0, &endpoint, decide).await.unwrap()
        }

        fn calls(&self) -> u64 {
            self.calls.load(Ordering::Relaxed)
        }
    }

    /// Sends a signed request by a new connection. Nothing if it ends without an answer.
    async fn send(
        proxy: &FaultProxy,
        service: &str,
        request: http::request::Builder,
        body: &'static str,
    ) -> Option<(StatusCode, HeaderMap, String)> {
        let scope = format!("Credential=A/20260101/us-east-1/{service}/aws4_request, ");
        let request = request
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 {scope}Signature=0"),
            )
            .body(Full::from(body))
            .unwrap();
        let (head, body) = client().request(request).await.ok()?.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(proxy.url().starts_with("http://127.0.0.1:"));
        Some((
            head.status,
            head.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        ))
    }

    fn put_item(proxy: &FaultProxy) -> http::request::Builder {
        Request::post(proxy.url()).header("x-amz-target", "DynamoDB_20120810.PutItem")
    }

    #[tokio::test]
    async fn a_fault_is_noted_with_the_invocation_that_met_it() {
        let endpoint = Endpoint::start().await;
        let observer = Observer::new().unwrap();
        let url = format!("http://127.0.0.1:{}", endpoint.server.port());
        let decide = |call: &Call| (call.number == 1).then_some(Fault::Throttled);
        let proxy = FaultProxy::observed(0, &url, decide, Some(observer.clone()));
        let proxy = proxy.await.unwrap();
        for _ in 0..2 {
            let request = put_item(&proxy).header(
                "x-amzn-trace-id",
                "Root=1-6b0912b3-27571efda6b7ee528b710164%3BParent=ff1f1576aaa61d6d;Sampled=0",
            );
            send(&proxy, "dynamodb", request, "{}").await.unwrap();
        }
        let noted: Vec<What> = observer.noted().map(|noted| noted.what).collect();
        let fault = What::Fault(traces::Fault {
            title: "fault: dynamodb PutItem, throttled".to_owned(),
            causes: vec![Cause::Invocation("ff1f1576aaa61d6d".to_owned())],
        });
        assert_eq!(noted, [fault]);
    }

    #[tokio::test]
    async fn requests_and_answers_pass_as_they_are() {
        let endpoint = Endpoint::start().await;
        let proxy = endpoint.behind(|_| None).await;
        let mut stream = TcpStream::connect(proxy.url().trim_start_matches("http://"))
            .await
            .unwrap();
        let request = "PUT /bucket/a%2Fb+c%20?x=%20&y HTTP/1.1\r\nHost: bucket.localhost:1\r\n\
            Authorization: AWS4-HMAC-SHA256 Signature=0\r\nTransfer-Encoding: chunked\r\n\
            Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 418 "), "{head}");
        assert!(head.contains("x-amz-crc32: 42"), "{head}");
        assert_eq!(
            body,
            "PUT /bucket/a%2Fb+c%20?x=%20&y\nhost: bucket.localhost:1\n\
             authorization: AWS4-HMAC-SHA256 Signature=0\n\nhello"
        );
    }

    #[tokio::test]
    async fn the_nth_call_of_an_operation_can_be_chosen() {
        let endpoint = Endpoint::start().await;
        let proxy = endpoint
            .behind(|call| {
                (call.operation == "PutItem" && call.number == 2).then_some(Fault::Throttled)
            })
            .await;
        let mut statuses = Vec::new();
        for operation in ["PutItem", "GetItem", "GetItem", "PutItem", "PutItem"] {
            let target = format!("DynamoDB_20120810.{operation}");
            let request = Request::post(proxy.url()).header("x-amz-target", target);
            let (status, ..) = send(&proxy, "dynamodb", request, "{}").await.unwrap();
            statuses.push(status.as_u16());
        }
        assert_eq!(statuses, [418, 418, 418, 400, 418]);
        assert_eq!(endpoint.calls(), 4);
    }

    #[tokio::test]
    async fn a_call_takes_effect_if_only_its_answer_is_lost() {
        for (effect, calls) in [(Effect::Missing, 0), (Effect::Done, 1)] {
            for fault in [
                Fault::InternalError(effect),
                Fault::Unavailable(effect),
                Fault::Disconnected(effect),
            ] {
                let endpoint = Endpoint::start().await;
                let proxy = endpoint.behind(move |_| Some(fault)).await;
                let answer = send(&proxy, "dynamodb", put_item(&proxy), "{}").await;
                let status = answer.map(|(status, ..)| status.as_u16());
                let expected = match fault {
                    Fault::InternalError(_) => Some(500),
                    Fault::Unavailable(_) => Some(503),
                    Fault::Throttled | Fault::Disconnected(_) => None,
                };
                assert_eq!((status, endpoint.calls()), (expected, calls), "{fault:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_is_gone_is_a_connection_that_ends() {
        let endpoint = Endpoint::start().await;
        let proxy = endpoint.behind(|_| None).await;
        endpoint.server.shutdown().await;
        let answer = send(&proxy, "dynamodb", put_item(&proxy), "{}").await;
        assert_eq!(answer, None);
    }

    #[tokio::test]
    async fn errors_have_the_form_of_their_service() {
        let endpoint = Endpoint::start().await;
        for (fault, expected) in [
            (
                Fault::Throttled,
                r#"503 application/xml <?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Rate exceeded (an injected fault)</Message><RequestId>injected-1</RequestId></Error>"#,
            ),
            (
                Fault::InternalError(Effect::Missing),
                r#"500 application/xml <?xml version="1.0" encoding="UTF-8"?>
<Error><Code>InternalError</Code><Message>An internal error occurred (an injected fault)</Message><RequestId>injected-1</RequestId></Error>"#,
            ),
        ] {
            let proxy = endpoint.behind(move |_| Some(fault)).await;
            let request = Request::get(format!("{}/bucket/key", proxy.url()));
            let (status, headers, body) = send(&proxy, "s3", request, "").await.unwrap();
            let content_type = headers["content-type"].to_str().unwrap();
            assert_eq!(
                format!("{} {content_type} {body}", status.as_u16()),
                expected
            );
            assert_eq!(headers["x-amz-request-id"], "injected-1");

            let head = Request::head(format!("{}/bucket/key", proxy.url()));
            let (head_status, _, body) = send(&proxy, "s3", head, "").await.unwrap();
            assert_eq!((head_status, body.as_str()), (status, ""));
        }

        let proxy = endpoint.behind(|_| Some(Fault::Throttled)).await;
        let mut codes = Vec::new();
        for _ in 0..2 {
            let (status, _, body) = send(&proxy, "dynamodb", put_item(&proxy), "{}")
                .await
                .unwrap();
            assert_eq!(status, StatusCode::BAD_REQUEST);
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            codes.push(body["__type"].as_str().unwrap().to_owned());
        }
        assert_eq!(
            codes,
            [
                "com.amazon.coral.availability#ThrottlingException",
                "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
            ]
        );
    }

    /// Answers well to whatever the SDKs of the test below ask.
    async fn services() -> Server {
        let answer = async |request: Request<Incoming>| {
            let authorization = request.headers()["authorization"]
                .to_str()
                .unwrap()
                .to_owned();
            let body = if authorization.contains("/sns/") {
                "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
            } else {
                "{}"
            };
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body)))
        };
        Server::start("a test", 0, answer).await.unwrap()
    }

    #[tokio::test]
    async fn sdks_try_again_after_every_fault() {
        let server = services().await;
        let endpoint = format!("http://127.0.0.1:{}", server.port());
        for fault in [
            Fault::Throttled,
            Fault::InternalError(Effect::Missing),
            Fault::InternalError(Effect::Done),
            Fault::Unavailable(Effect::Missing),
            Fault::Unavailable(Effect::Done),
            Fault::Disconnected(Effect::Missing),
            Fault::Disconnected(Effect::Done),
        ] {
            let calls = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&calls);
            let proxy = FaultProxy::start(0, &endpoint, move |call| {
                counted.fetch_add(1, Ordering::Relaxed);
                // Of the two codes of throttling, the third call has the same as the first.
                (call.number < 3).then_some(fault)
            })
            .await
            .unwrap();
            let config = SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .endpoint_url(proxy.url())
                .region(Region::from_static("us-east-1"))
                .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                    "A", "S", None, None, "a test",
                )))
                .retry_config(
                    RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)),
                )
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build();
            let number = |expected: u64| {
                assert_eq!(calls.swap(0, Ordering::Relaxed), expected, "{fault:?}");
            };
            let dynamodb = aws_sdk_dynamodb::Client::new(&config);
            dynamodb.list_tables().send().await.unwrap();
            number(3);
            let s3 = aws_sdk_s3::Client::from_conf(
                aws_sdk_s3::config::Builder::from(&config)
                    .force_path_style(true)
                    .build(),
            );
            s3.get_object().bucket("b").key("k").send().await.unwrap();
            number(3);
            let sns = aws_sdk_sns::Client::new(&config);
            sns.publish()
                .topic_arn("arn")
                .message("m")
                .send()
                .await
                .unwrap();
            number(3);
            let lambda = aws_sdk_lambda::Client::new(&config);
            lambda.invoke().function_name("f").send().await.unwrap();
            number(3);
        }
    }
}
