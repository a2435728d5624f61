//! An AWS for tests that answers from a script, in the forms that AWS documents.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudformation::config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;

mod answers;

pub(crate) use answers::*;

use crate::change_set::ChangeSet;
use crate::network::certificates::Authorities;
use crate::network::http_client::{Client, Limits};
use crate::network::proxy::Proxies;
use crate::plan::{Plan, plan};
use crate::poll::PollInterval;
use crate::progress::{Decide, Progress, Question};
use crate::settings::ATTEMPTS_MAX;
use crate::stack::{StackSpec, Store};
use crate::target::Target;

/// The stack of the tests.
pub(crate) const STACK: &str = "app-dev";
pub(crate) const STACK_ID: &str = "arn:aws:cloudformation:eu-west-1:123456789012:stack/app-dev/8f0e1c40-c5f1-11f0-9b0a-0a58a9feac02";
const ACCOUNT: &str = "123456789012";
pub(crate) const TEMPLATE: &str = "Resources: {}";

/// An answer: a status and a body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    body: String,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// A query API's action, or method and path, as in `HEAD /bucket/key`.
    pub(crate) operation: String,
    /// A query API's parameters.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The whole body.
    pub(crate) body: String,
}

/// The other end of the SDK's connection. Each operation has answers of its own, and gives
/// the last of them for ever.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aws(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    answers: Vec<(String, VecDeque<Answer>)>,
    effects: Vec<(String, String, VecDeque<Answer>)>,
    requests: Vec<Request>,
    faults: Option<Faults>,
    unreachable: bool,
    /// How many more requests there are before the process at the other end is killed.
    requests_left: Option<usize>,
}

impl Script {
    fn take_effect(&mut self, cause: &str) {
        let effects = std::mem::take(&mut self.effects);
        let (now, later): (Vec<_>, Vec<_>) = effects
            .into_iter()
            .partition(|(trigger, ..)| cause.starts_with(trigger.as_str()));
        self.effects = later;
        for (_, operation, answers) in now {
            self.answers.retain(|(name, _)| *name != operation);
            self.answers.push((operation, answers));
        }
    }
}

/// Faults in one of five calls. Half of them lose the request, half lose the answer.
#[derive(Debug)]
struct Faults {
    state: u64,
    injected: usize,
}

impl Faults {
    /// A step of xorshift64.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn strike(&mut self) -> Option<Fault> {
        if !self.next().is_multiple_of(5) {
            return None;
        }
        self.injected += 1;
        Some(match self.next() % 4 {
            0 => Fault::Throttled,
            1 => Fault::Unavailable,
            2 => Fault::Unreachable,
            _ => Fault::AnswerLost,
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Throttled,
    Unavailable,
    Unreachable,
    AnswerLost,
}

impl Aws {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers an operation. One of S3 or Lambda is named by how it begins, and the longest
    /// name that fits is taken.
    pub(crate) fn on(self, operation: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.0
            .lock()
            .unwrap()
            .answers
            .push((operation.to_owned(), answers.into_iter().collect()));
        self
    }

    /// Answers a query API's operation that has `value` among its parameters.
    pub(crate) fn on_for(self, operation: &str, value: &str, answer: Answer) -> Self {
        self.on(&format!("{operation} {value}"), [answer])
    }

    /// Lets every connection break.
    pub(crate) fn unreachable(self) -> Self {
        self.0.lock().unwrap().unreachable = true;
        self
    }

    /// From the first request for `cause` on, answers `operation` otherwise.
    pub(crate) fn after(
        self,
        cause: &str,
        operation: &str,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Self {
        self.0.lock().unwrap().effects.push((
            cause.to_owned(),
            operation.to_owned(),
            answers.into_iter().collect(),
        ));
        self
    }

    /// Kills the process at the other end after some requests: the last one has its effect,
    /// and no answer.
    pub(crate) fn kill_after(&self, requests: usize) {
        self.0.lock().unwrap().requests_left = Some(requests);
    }

    /// The process is started again; returns whether it had been killed.
    pub(crate) fn start_again(&self) -> bool {
        self.0.lock().unwrap().requests_left.take() == Some(0)
    }

    /// Lets one of five calls fail, in an order that `seed` decides.
    pub(crate) fn faulty(self, seed: u64) -> Self {
        self.0.lock().unwrap().faults = Some(Faults {
            state: seed,
            injected: 0,
        });
        self
    }

    pub(crate) fn faults(&self) -> usize {
        let script = self.0.lock().unwrap();
        script.faults.as_ref().map_or(0, |faults| faults.injected)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.0.lock().unwrap().requests.clone()
    }

    /// The operations, in order, without those that only look.
    pub(crate) fn effects(&self) -> Vec<String> {
        const LOOKS: [&str; 8] = [
            "Describe", "Get", "List", "HEAD ", "GET ", "Simulate", "Filter", "Receive",
        ];
        let requests = self.requests().into_iter();
        requests
            .map(|request| request.operation)
            .filter(|operation| !LOOKS.iter().any(|look| operation.starts_with(look)))
            .collect()
    }

    /// The requests of an operation.
    pub(crate) fn calls(&self, operation: &str) -> Vec<Request> {
        let requests = self.requests().into_iter();
        requests
            .filter(|request| request.operation.starts_with(operation))
            .collect()
    }

    /// A place to deploy to, which is this AWS. Waits hardly take time.
    pub(crate) fn target(&self) -> Target {
        Self::target_of(&self.config())
    }

    /// As [`target`](Self::target), with other credentials.
    pub(crate) fn target_with(&self, credentials: SharedCredentialsProvider) -> Target {
        let config = self.config().into_builder();
        Self::target_of(&config.credentials_provider(credentials).build())
    }

    fn target_of(config: &SdkConfig) -> Target {
        Target {
            region: "eu-west-1".to_owned(),
            account: ACCOUNT.to_owned(),
            poll: PollInterval {
                first: Duration::ZERO,
                longest: Duration::ZERO,
            },
            ..Target::from_config(config, http_client(), Vec::new())
        }
    }

    /// The way to this AWS.
    pub(crate) fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS_MAX)
                    .with_initial_backoff(Duration::from_micros(1)),
            )
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build()
    }

    fn answer(&self, request: Request) -> Result<Answer, ConnectorError> {
        let mut script = self.0.lock().unwrap();
        let killed = || Err(ConnectorError::user("killed".into()));
        if script.requests_left == Some(0) {
            return killed();
        }
        let reset = || Err(ConnectorError::io("connection reset by peer".into()));
        if script.unreachable {
            return reset();
        }
        let fault = script.faults.as_mut().and_then(Faults::strike);
        match fault {
            Some(Fault::Throttled) => return Ok(request.throttled()),
            Some(Fault::Unavailable) => return Ok(Answer::new(503, "")),
            Some(Fault::Unreachable) => return reset(),
            Some(Fault::AnswerLost) | None => {}
        }
        let operation = request.operation.clone();
        let values: Vec<String> = request.parameters.values().cloned().collect();
        script.requests.push(request);
        let answers = script
            .answers
            .iter_mut()
            .filter(|(name, _)| {
                operation.starts_with(name.as_str())
                    || name.split_once(' ').is_some_and(|(name, value)| {
                        operation == name && values.iter().any(|given| given == value)
                    })
            })
            .max_by_key(|(name, _)| name.len());
        let answer = match answers {
            Some((_, answers)) if answers.len() > 1 => answers.pop_front(),
            Some((_, answers)) => answers.front().cloned(),
            None => None,
        };
        script.take_effect(&operation);
        if let Some(left) = &mut script.requests_left {
            *left -= 1;
            if *left == 0 {
                return killed();
            }
        }
        match (answer, fault) {
            (Some(_), Some(Fault::AnswerLost)) => Ok(Answer::new(500, "")),
            (Some(answer), _) => Ok(answer),
            (None, _) => Err(ConnectorError::user(
                format!("the script has no answer to {operation}").into(),
            )),
        }
    }
}

impl HttpConnector for Aws {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.clone();
        HttpConnectorFuture::new(async move {
            let body = request.take_body().collect().await;
            let body = body.map_err(ConnectorError::io)?;
            let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            let owner = request.headers().get("x-amz-expected-bucket-owner");
            let owner = owner.map(str::to_owned);
            let request = Request::new(&request, body);
            assert!(
                !request.is_of_s3() || owner.as_deref() == Some(ACCOUNT) || request.asks_whose(),
                "{} does not say whose bucket it is for",
                request.operation
            );
            let answer = aws.answer(request)?;
            Ok(HttpResponse::new(
                answer.status.try_into().unwrap(),
                SdkBody::from(answer.body),
            ))
        })
    }
}

impl Request {
    fn new(request: &HttpRequest, body: String) -> Self {
        let form = request
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.contains("x-www-form-urlencoded"));
        let parameters: BTreeMap<String, String> = if form {
            body.split('&').filter_map(parameter).collect()
        } else {
            BTreeMap::new()
        };
        let uri = request.uri().strip_prefix("https://").unwrap();
        let (host, path) = uri.split_at(uri.find('/').unwrap_or(uri.len()));
        let bucket = host.split_once(".s3.").map(|(bucket, _)| bucket);
        let operation = match (
            parameters.get("Action"),
            request.headers().get("x-amz-target"),
        ) {
            (Some(action), _) => action.clone(),
            (None, Some(target)) => target.rsplit('.').next().unwrap().to_owned(),
            (None, None) => {
                let bucket = bucket.map(|bucket| format!("/{bucket}"));
                let path = percent_decode_str(path).decode_utf8_lossy();
                format!("{} {}{path}", request.method(), bucket.unwrap_or_default())
            }
        };
        Self {
            operation,
            parameters,
            body,
        }
    }

    fn is_of_s3(&self) -> bool {
        self.operation.contains(" /") && !self.operation.contains(" /2015-03-31/")
    }

    /// Whether it is a look at a bucket, which may be of anybody.
    fn asks_whose(&self) -> bool {
        let bucket = self.operation.strip_prefix("HEAD /");
        bucket.is_some_and(|bucket| !bucket.trim_end_matches('/').contains('/'))
    }

    /// Each service's own way to ask for less.
    fn throttled(&self) -> Answer {
        if !self.parameters.is_empty() {
            query_error("Throttling", "Rate exceeded")
        } else if self.operation.contains(" /2015-03-31/") {
            lambda_error(429, "TooManyRequestsException", "Rate exceeded")
        } else if self.is_of_s3() {
            s3_error(503, "SlowDown", "Please reduce your request rate.")
        } else {
            let body = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
            Answer::new(400, body)
        }
    }

    /// A query API's parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

fn parameter(pair: &str) -> Option<(String, String)> {
    let (key, value) = pair.split_once('=')?;
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    Some((decode(key), decode(value)))
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
        }
    }
}

/// What the tests deploy: an app of one function, whose code has this key.
pub(crate) fn spec(key: &str) -> StackSpec<'static> {
    StackSpec {
        parameters: BTreeMap::from([
            ("ArtifactBucket".to_owned(), "artifacts".to_owned()),
            ("ApiCode".to_owned(), key.to_owned()),
        ]),
        tags: tags(),
        store: Some(Store {
            bucket: "artifacts",
            prefix: "app/dev/",
        }),
        functions: BTreeMap::from([("app-dev-api".to_owned(), "ApiCode".to_owned())]),
        ..StackSpec::new(STACK, TEMPLATE)
    }
}

pub(crate) fn tags() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app".to_owned(), "app".to_owned()),
        ("stage".to_owned(), "dev".to_owned()),
    ])
}

/// Two versions of the function's code: key and hash as Lambda states it.
pub(crate) const CODE_A: (&str, &str) = (
    "app/dev/api-559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd.zip",
    "VZrq0IJk1XldOQlxjN0Fq9SVcuhP5VWQ7vMaiKCP3/0=",
);
pub(crate) const CODE_B: (&str, &str) = (
    "app/dev/api-df7e70e5021544f4834bbee64a9e3789febc4be81470df629cad6ddb03320a5c.zip",
    "335w5QIVRPSDS77mSp43if68S+gUcN9inK1t2wMyClw=",
);

/// The user of the tests: hears progress, and answers every question the same.
#[derive(Debug, Default)]
pub(crate) struct User {
    pub(crate) says_yes: bool,
    heard: Mutex<Vec<Progress>>,
    asked: Mutex<Vec<Question>>,
}

impl User {
    pub(crate) fn who_says(says_yes: bool) -> Self {
        Self {
            says_yes,
            ..Self::default()
        }
    }

    pub(crate) fn report(&self) -> impl Fn(Progress) + Sync + '_ {
        |progress| self.heard.lock().unwrap().push(progress)
    }

    pub(crate) fn decide(&self) -> impl Fn(&Question) -> bool + Sync + '_ {
        |question| {
            self.asked.lock().unwrap().push(question.clone());
            self.says_yes
        }
    }

    pub(crate) fn heard(&self) -> Vec<Progress> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }
}

/// Nobody is there to answer.
pub(crate) const NOBODY: Decide<'static> = &|question| panic!("nobody expects {question}");

/// An AWS where a stack can be planned for and deployed; what differs is told on top.
pub(crate) fn willing() -> Aws {
    Aws::new()
        .on("ListChangeSets", [change_sets(&[])])
        .on("GetTemplate", [template(TEMPLATE)])
        .on("CreateChangeSet", [change_set_created()])
        .on("DescribeChangeSet", [change_set_ready()])
        .on(
            "DescribeEvents",
            [query("DescribeEvents", "<OperationEvents/>")],
        )
        .on("DeleteChangeSet", [query("DeleteChangeSet", "")])
        .on("ExecuteChangeSet", [query("ExecuteChangeSet", "")])
        .on("DescribeStackEvents", [events(&[])])
        .on("ListStackResources", [resources(&[])])
        .on("DeleteStack", [query("DeleteStack", "")])
        .on("PUT /artifacts/app/dev/deployments/", [empty(200)])
        .on(
            "GET /2015-03-31/functions/",
            [function("app-dev-api", CODE_A.1, "Successful")],
        )
}

/// A client that goes through no proxy and trusts nobody.
pub(crate) fn http_client() -> Client {
    let (proxies, authorities) = (Proxies::default(), Authorities::default());
    Client::new(proxies, authorities, Limits::USUAL, Arc::new(|_| {})).unwrap()
}

/// An AWS where code A is deployed.
pub(crate) fn updatable() -> Aws {
    willing().on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
}

pub(crate) fn busy() -> Answer {
    query_error(
        "ValidationError",
        &format!("Stack:{STACK_ID} is in UPDATE_IN_PROGRESS state and can not be updated."),
    )
}

/// The change set that is made for new code.
pub(crate) async fn planned(aws: &Aws) -> ChangeSet {
    match plan(&aws.target(), &spec(CODE_B.0), NOBODY, &|_| {}).await {
        Ok(Plan::Changes(changes)) => changes,
        other => panic!("{other:?}"),
    }
}

/// A change set that creates a stack.
pub(crate) fn new_stack_change_set() -> ChangeSet {
    ChangeSet {
        stack: STACK.to_owned(),
        creates_stack: true,
        changes: Vec::new(),
        warnings: Vec::new(),
        reverts_drift: false,
        id: change_set_id(),
        stack_id: STACK_ID.to_owned(),
    }
}
