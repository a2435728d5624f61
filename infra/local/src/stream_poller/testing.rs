//! An AWS with one stream, one function and one queue, for the calls of the poller.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

pub(super) const STREAM: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s";
pub(super) const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";
pub(super) const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:q";

/// Records of one answer of `GetRecords`.
const PAGE: usize = 2;

#[derive(Debug, Clone, Default)]
pub(super) struct FakeAws(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    shards: Vec<Shard>,
    poison: Option<u32>,
    missing_queue: u32,
    expired_iterators: u32,
    done: Vec<String>,
}

#[derive(Debug)]
struct Shard {
    id: &'static str,
    parent: Option<&'static str>,
    /// The records' sequence numbers.
    records: Vec<u32>,
}

impl FakeAws {
    /// Adds a shard that is closed.
    pub(super) fn shard(
        self,
        id: &'static str,
        parent: Option<&'static str>,
        records: impl IntoIterator<Item = u32>,
    ) -> Self {
        self.state().shards.push(Shard {
            id,
            parent,
            records: records.into_iter().collect(),
        });
        self
    }

    /// The function fails whenever it gets this record.
    pub(super) fn poison(self, sequence_number: u32) -> Self {
        self.state().poison = Some(sequence_number);
        self
    }

    /// The queue is not there for the first calls.
    pub(super) fn missing_queue(self, calls: u32) -> Self {
        self.state().missing_queue = calls;
        self
    }

    /// The first iterators have expired when they are used for a second page.
    pub(super) fn expired_iterators(self, count: u32) -> Self {
        self.state().expired_iterators = count;
        self
    }

    /// What was done: `invoke 1 2`, `no queue`, `send 1`.
    pub(super) fn done(&self) -> Vec<String> {
        self.state().done.clone()
    }

    pub(super) fn http_client(&self) -> SharedHttpClient {
        let connector = self.clone();
        http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone()))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl HttpConnector for FakeAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let target = request.headers().get("x-amz-target").unwrap_or("Invoke");
        let operation = target.rsplit('.').next().unwrap();
        HttpConnectorFuture::ready(Ok(self.state().answer(operation, &body)))
    }
}

fn success(body: &Value) -> HttpResponse {
    HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body.to_string()))
}

fn error(code: &str) -> HttpResponse {
    let body = json!({"__type": code}).to_string();
    HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body))
}

impl State {
    fn answer(&mut self, operation: &str, body: &Value) -> HttpResponse {
        match operation {
            "DescribeStream" => self.describe(body["ExclusiveStartShardId"].as_str()),
            "GetShardIterator" => self.iterator(body),
            "GetRecords" => self.records(body["ShardIterator"].as_str().unwrap()),
            "Invoke" => self.invoke(body),
            "GetQueueUrl" if self.missing_queue > 0 => {
                self.missing_queue -= 1;
                self.done.push("no queue".to_owned());
                error("com.amazonaws.sqs#QueueDoesNotExist")
            }
            "GetQueueUrl" => success(&json!({"QueueUrl": "http://127.0.0.1:1/q"})),
            "SendMessage" => {
                let message: Value =
                    serde_json::from_str(body["MessageBody"].as_str().unwrap()).unwrap();
                let first = &message["DDBStreamBatchInfo"]["startSequenceNumber"];
                self.done.push(format!("send {}", first.as_str().unwrap()));
                success(&json!({"MessageId": "m"}))
            }
            other => panic!("nobody should call {other}"),
        }
    }

    /// One shard a page.
    fn describe(&self, after: Option<&str>) -> HttpResponse {
        let index = after.map_or(0, |after| {
            let place = self.shards.iter().position(|shard| shard.id == after);
            place.unwrap() + 1
        });
        let shard = &self.shards[index];
        success(&json!({"StreamDescription": {
            "Shards": [{
                "ShardId": shard.id,
                "ParentShardId": shard.parent,
                "SequenceNumberRange": {
                    "StartingSequenceNumber": "0",
                    "EndingSequenceNumber": "9"
                }
            }],
            "LastEvaluatedShardId": self.shards.get(index + 1).map(|_| shard.id),
        }}))
    }

    /// An iterator is the shard's name and the index of the next record.
    fn iterator(&self, body: &Value) -> HttpResponse {
        let id = body["ShardId"].as_str().unwrap();
        let shard = self.shards.iter().find(|shard| shard.id == id).unwrap();
        let next = match body["ShardIteratorType"].as_str().unwrap() {
            "TRIM_HORIZON" => 0,
            "AFTER_SEQUENCE_NUMBER" => {
                let after: u32 = body["SequenceNumber"].as_str().unwrap().parse().unwrap();
                let place = shard.records.iter().position(|number| *number == after);
                place.unwrap() + 1
            }
            other => panic!("no test begins at {other}"),
        };
        success(&json!({"ShardIterator": format!("{id}/{next}")}))
    }

    fn records(&mut self, iterator: &str) -> HttpResponse {
        let (id, next) = iterator.split_once('/').unwrap();
        let next: usize = next.parse().unwrap();
        if next > 0 && self.expired_iterators > 0 {
            self.expired_iterators -= 1;
            return error("com.amazonaws.dynamodb.v20120810#ExpiredIteratorException");
        }
        let shard = self.shards.iter().find(|shard| shard.id == id).unwrap();
        let end = (next + PAGE).min(shard.records.len());
        let records: Vec<Value> = shard.records[next..end]
            .iter()
            .map(|number| {
                json!({"dynamodb": {
                    "SequenceNumber": number.to_string(),
                    "Keys": {"id": {"S": "a"}}
                }})
            })
            .collect();
        let more = (end < shard.records.len()).then(|| format!("{id}/{end}"));
        success(&json!({"Records": records, "NextShardIterator": more}))
    }

    fn invoke(&mut self, event: &Value) -> HttpResponse {
        let numbers: Vec<&str> = event["Records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap())
            .collect();
        self.done.push(format!("invoke {}", numbers.join(" ")));
        let mut answer = success(&Value::Null);
        let poison = self.poison.map(|number| number.to_string());
        if poison.is_some_and(|poison| numbers.contains(&poison.as_str())) {
            answer
                .headers_mut()
                .insert("x-amz-function-error", "Unhandled");
        }
        answer
    }
}
