//! Messages of a queue, which a function handles in batches.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::QueueAction;
use crate::check::{Check, Subject};
use crate::cloudformation::attribute;
use crate::function::{Declaration, Function};
use crate::origin::Origin;
use crate::policy;
use crate::resource_id::ResourceId;
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};

/// Messages of one batch.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>
const BATCH_SIZE: RangeInclusive<u32> = 1..=10_000;
/// Likewise, of a FIFO queue.
const FIFO_BATCH_SIZE: RangeInclusive<u32> = 1..=10;
/// From a batch of more messages on, Lambda has to wait for them, by the same page.
const BATCH_SIZE_WITHOUT_WINDOW_MAX: u32 = 10;
/// How long Lambda may wait for a batch to fill, in seconds, by the same page.
const BATCHING_WINDOW_SECONDS: RangeInclusive<u32> = 0..=300;
/// Lambda does not wait for messages of a FIFO queue.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html>
const FIFO_BATCHING_WINDOW_SECONDS: RangeInclusive<u32> = 0..=0;
/// Batches in work at a time.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
const MAX_CONCURRENCY: RangeInclusive<u32> = 2..=1000;
/// How often a message may be received.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>
const MAX_RECEIVE_COUNT: RangeInclusive<u32> = 1..=1000;
/// How long SQS may hide a received message, in seconds, by the same page.
const VISIBILITY_TIMEOUT_SECONDS: RangeInclusive<u32> = 0..=12 * 60 * 60;
/// How much longer than the function may take AWS recommends to hide its messages.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
const VISIBILITY_TIMEOUTS: u32 = 6;

/// The messages of a queue. Lambda receives them and invokes the function with a batch at a time.
/// A trigger.
///
/// The function says which messages of a batch it failed on, and Lambda deletes the others. SQS
/// shows a failed message again when its visibility timeout is over, and moves it to the function's
/// failure queue when it was received [`max_receive_count`](Self::max_receive_count) times.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
#[derive(Clone, Debug)]
pub struct Messages {
    queue: ResourceId,
    is_fifo: bool,
    batch_size: u32,
    batching_window_seconds: u32,
    max_concurrency: Option<u32>,
    max_receive_count: u32,
    visibility_timeout_seconds: Option<u32>,
}

impl Messages {
    pub(super) fn new(queue: ResourceId, is_fifo: bool) -> Self {
        Self {
            queue,
            is_fifo,
            batch_size: 10,
            batching_window_seconds: 0,
            max_concurrency: None,
            max_receive_count: 5,
            visibility_timeout_seconds: None,
        }
    }

    /// The most messages of a batch: 10 unless told.
    #[must_use]
    pub fn batch_size(mut self, batch_size: u32) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// How long Lambda waits for a batch to fill, in seconds: 0 unless told.
    #[must_use]
    pub fn batching_window_seconds(mut self, batching_window_seconds: u32) -> Self {
        self.batching_window_seconds = batching_window_seconds;
        self
    }

    /// The most batches in work at a time: unless told, as many as the function's and the account's
    /// concurrency allow. A message of a FIFO queue also waits for the batches of its group.
    #[must_use]
    pub fn max_concurrency(mut self, max_concurrency: u32) -> Self {
        self.max_concurrency = Some(max_concurrency);
        self
    }

    /// How often Lambda receives a message, before SQS moves it to the failure queue: 5 times unless
    /// told. It also counts when the function is throttled.
    #[must_use]
    pub fn max_receive_count(mut self, max_receive_count: u32) -> Self {
        self.max_receive_count = max_receive_count;
        self
    }

    /// How long SQS hides a message that Lambda has received, in seconds: unless told, six times
    /// the function's timeout and the batching window. A failed message is handled again after it.
    #[must_use]
    pub fn visibility_timeout_seconds(mut self, visibility_timeout_seconds: u32) -> Self {
        self.visibility_timeout_seconds = Some(visibility_timeout_seconds);
        self
    }
}

impl From<Messages> for Trigger {
    fn from(messages: Messages) -> Self {
        let queue = messages.queue.clone();
        let invocation = Invocation::Queue {
            is_fifo: messages.is_fifo,
        };
        let statement = receive_statement(&queue);
        Self::new(queue, invocation, messages)
            .labelled("message")
            .with_statements(vec![statement])
            .caused_by([QueueAction::SendMessage.iam_action()])
    }
}

impl Messages {
    /// What is wrong with the trigger of `function`, which stands at `origin`.
    pub(super) fn check(&self, check: &mut Check<'_>, function: &Declaration, origin: Origin) {
        let subject = Subject::new(format!(
            "function `{}` on the messages of {}",
            function.name, self.queue
        ))
        .at(origin);
        let (batch_size, window) = if self.is_fifo {
            (FIFO_BATCH_SIZE, FIFO_BATCHING_WINDOW_SECONDS)
        } else {
            (BATCH_SIZE, BATCHING_WINDOW_SECONDS)
        };
        let mut settings = vec![
            ("batch_size", self.batch_size, batch_size),
            (
                "batching_window_seconds",
                self.batching_window_seconds,
                window,
            ),
            (
                "max_receive_count",
                self.max_receive_count,
                MAX_RECEIVE_COUNT,
            ),
        ];
        let optional = [
            ("max_concurrency", self.max_concurrency, MAX_CONCURRENCY),
            (
                "visibility_timeout_seconds",
                self.visibility_timeout_seconds,
                VISIBILITY_TIMEOUT_SECONDS,
            ),
        ];
        settings.extend(
            optional
                .into_iter()
                .filter_map(|(setting, value, range)| Some((setting, value?, range))),
        );
        for (setting, value, range) in settings {
            let (start, end) = (range.start(), range.end());
            let remedy = if start == end {
                format!("set it to {start}, which is all that a FIFO queue takes")
            } else {
                format!("set it to {start} to {end}")
            };
            let problem = format!("has a `{setting}` of {value}");
            check.require(range.contains(&value), &subject, problem, remedy);
        }
        check.require(
            self.is_fifo
                || self.batch_size <= BATCH_SIZE_WITHOUT_WINDOW_MAX
                || self.batching_window_seconds > 0,
            &subject,
            format!(
                "has a `batch_size` of {} without a `batching_window_seconds`",
                self.batch_size
            ),
            format!(
                "set `batching_window_seconds` to 1 or more, or `batch_size` to {BATCH_SIZE_WITHOUT_WINDOW_MAX} or less"
            ),
        );
        self.check_timeout(check, subject.clone(), function);
        self.check_failure_queue(check, &subject, function);
    }

    /// Lambda refuses a queue that shows messages again while the function still handles them.
    fn check_timeout(&self, check: &mut Check<'_>, subject: Subject, function: &Declaration) {
        let Some(visibility_timeout_seconds) = self.visibility_timeout_seconds else {
            return;
        };
        let (timeout_seconds, subject) = check.effective_timeout(subject, function);
        check.require(
            timeout_seconds <= visibility_timeout_seconds,
            &subject,
            format!(
                "may take {timeout_seconds} s, but its messages are hidden for {visibility_timeout_seconds} s"
            ),
            "raise `visibility_timeout_seconds`, or lower `timeout_seconds`",
        );
    }

    /// SQS moves messages of a FIFO queue to a FIFO queue only, and Lambda sends what it gives up to
    /// a standard queue only.
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>
    /// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>
    fn check_failure_queue(
        &self,
        check: &mut Check<'_>,
        subject: &Subject,
        function: &Declaration,
    ) {
        let others = function
            .triggers
            .iter()
            .map(|trigger| &trigger.what)
            .filter(|trigger| match trigger.invocation() {
                Invocation::Synchronous => false,
                Invocation::Queue { is_fifo } => !is_fifo,
                Invocation::Asynchronous | Invocation::Stream { .. } => true,
            });
        let other = others.map(Trigger::source).next();
        if let (true, Some(other)) = (self.is_fifo, other) {
            check.require(
                false,
                subject,
                format!("handles a FIFO queue and events of {other}, whose failures cannot share a failure queue"),
                "let another function handle one of them",
            );
        }
    }

    /// What the queue must be like for `function` to handle its messages.
    pub(super) fn set_queue(&self, function: &Function, properties: &mut Value) {
        let recommended =
            VISIBILITY_TIMEOUTS * function.timeout_seconds() + self.batching_window_seconds;
        properties["VisibilityTimeout"] =
            json!(self.visibility_timeout_seconds.unwrap_or(recommended));
        properties["RedrivePolicy"] = json!({
            "deadLetterTargetArn": function.failure_queue_arn(),
            "maxReceiveCount": self.max_receive_count,
        });
    }

    /// Lambda refuses a mapping until the function's role may receive messages. It may once the
    /// function exists: its policy is part of the role.
    pub(super) fn synth(&self, synthesis: &mut Synthesis<'_>, function: &Function, origin: Origin) {
        let queue_id = self.queue.logical_id();
        let mut properties = json!({
            "EventSourceArn": attribute(&queue_id, "Arn"),
            "FunctionName": synthesis.mapped(function),
            "BatchSize": self.batch_size,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        });
        if !self.is_fifo {
            properties["MaximumBatchingWindowInSeconds"] = json!(self.batching_window_seconds);
        }
        if let Some(max_concurrency) = self.max_concurrency {
            properties["ScalingConfig"] = json!({"MaximumConcurrency": max_concurrency});
        }
        let mapping = synthesis.tagged("AWS::Lambda::EventSourceMapping", properties);
        let logical_id = format!("{queue_id}{}", function.logical_id("EventSourceMapping"));
        synthesis.add(logical_id, origin, mapping);
    }
}

/// What Lambda does by the function's role to receive a queue's messages, and to delete those that
/// are handled.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
fn receive_statement(queue: &ResourceId) -> Value {
    let queue = queue.logical_id();
    let receive = ["DeleteMessage", "GetQueueAttributes", "ReceiveMessage"]
        .map(|action| format!("sqs:{action}"));
    policy::allow(
        &format!("Receive{queue}Messages"),
        &receive,
        &attribute(&queue, "Arn"),
    )
}
