//! SQS queues, and the functions that handle their messages.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::{Grants, Kind};
use crate::check::{Check, Subject};
use crate::cloudformation::{DeletionPolicy, attribute, reference};
use crate::grant::Grant;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::name;
use crate::policy;
use crate::resource_id::Noun;
use crate::synthesis::Synthesis;
use crate::trigger_word::{Sample, Skeleton, TriggerWord};

mod messages;

#[cfg(test)]
mod tests;

pub use messages::Messages;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: Some(Grants {
        service: "sqs",
        call: "Queue::allow",
        actions: QueueAction::NAMES,
        rust: super::allow,
    }),
    has_url: false,
    is_at: |id, stack, service, name| service == "sqs" && super::is_made_up(id, stack, name),
    settings: super::no_settings,
    // What a function's failure queue needs is for every queue of the stack.
    deployer: |_| Vec::new(),
    triggers: &[TriggerWord {
        word: "queue",
        takes: "QUEUE",
        example: "parcels",
        about: "messages sent to the queue, in batches",
        declare: Some(|app, name, _| {
            let variable = name::environment_variable(name, "QUEUE_URL");
            format!("{app}.queue({name:?}).variable({variable:?})")
        }),
        call: |queue, _| format!(".trigger({queue}.messages())"),
        sample,
        skeleton: &Skeleton {
            handles: "messages of a queue",
            main: include_str!("queue/skeleton/main.rs"),
            dependencies: &["serde", "tracing"],
        },
        ..TriggerWord::DEFAULTS
    }],
};

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
fn sample(about: &Sample<'_>) -> Value {
    json!({"Records": [{
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": r#"{"id":"1"}"#,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1767605400000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1767605400005",
        },
        "messageAttributes": {},
        "md5OfBody": "e405fac593027bc534cf08cd4d2a5647",
        "eventSource": "aws:sqs",
        "eventSourceARN": about.arn("sqs", &about.made_up_name()),
        "awsRegion": about.names.region,
    }]})
}

static NOUN: Noun = Noun {
    noun: "queue",
    logical_id: "Queue",
    identifier: "queue",
    value: |id| reference(&id.logical_id()),
};

/// How long a queue may keep a message, in seconds.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const RETENTION_SECONDS: RangeInclusive<u32> = 60..=14 * 24 * 60 * 60;

/// An SQS queue: encrypted, reachable over TLS only.
///
/// If a function handles its messages, a message that the function fails on too often moves to the
/// function's failure queue.
#[derive(Clone, Debug)]
pub struct Queue(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    is_fifo: bool,
    retention_seconds: u32,
}

impl Manifest {
    /// Declares a standard queue. It delivers each message at least once, in no order.
    #[track_caller]
    pub fn queue(&self, name: &str) -> Queue {
        self.declare_queue(Named::by_caller(&NOUN, name), false)
    }

    /// Declares a FIFO queue. It delivers the messages of a group in the order in which they were
    /// sent, and takes a message that was sent twice within 5 minutes once: SQS tells equal messages
    /// by their body, unless the sender gives a deduplication ID.
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html>
    #[track_caller]
    pub fn fifo_queue(&self, name: &str) -> Queue {
        self.declare_queue(Named::by_caller(&NOUN, name), true)
    }

    fn declare_queue(&self, named: Named, is_fifo: bool) -> Queue {
        Queue(self.declare(Declaration {
            named,
            is_fifo,
            retention_seconds: 4 * 24 * 60 * 60,
        }))
    }
}

impl Queue {
    /// The environment variable that tells the queue's URL to every function that has a grant on
    /// it, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0.change(|queue| queue.named.variable = Some(name));
        self
    }

    /// How long the queue keeps a message that nobody deletes, in seconds: 4 days unless told.
    /// SQS counts from the time at which the message was sent, also after the message has moved to
    /// a failure queue, which keeps it for 14 days in all. For a FIFO queue, it counts anew there.
    pub fn retention_seconds(self, retention_seconds: u32) -> Self {
        self.0
            .change(|queue| queue.retention_seconds = retention_seconds);
        self
    }

    /// The messages of the queue, in batches.
    #[must_use]
    pub fn messages(&self) -> Messages {
        let Declaration { named, is_fifo, .. } = self.0.get();
        Messages::new(named.id, is_fifo)
    }

    /// Lets a function do `actions` to the queue's messages.
    #[must_use]
    pub fn allow<const N: usize>(&self, actions: [QueueAction; N]) -> Grant {
        let id = self.0.get().named.id;
        let arn = attribute(&id.logical_id(), "Arn");
        Grant::on_arn(id, actions.map(QueueAction::iam_action), &arn)
    }
}

iam_actions! {
    "sqs",
    /// What a function may do to a queue, in IAM's words. A function that handles the queue's
    /// messages by a trigger needs none of them: Lambda receives and deletes the messages.
    QueueAction {
        /// Show a received message again earlier or later.
        ChangeMessageVisibility,
        /// Delete a received message.
        DeleteMessage,
        /// Read the queue's settings, and how many messages there are.
        GetQueueAttributes,
        /// Receive messages.
        ReceiveMessage,
        /// Send messages, one or a batch.
        SendMessage,
    }
}

in_template!(Queue);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn check(&self, check: &mut Check<'_>) {
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        check.require(
            RETENTION_SECONDS.contains(&self.retention_seconds),
            &subject,
            format!("keeps messages for {} s", self.retention_seconds),
            format!(
                "set `retention_seconds` to {} to {}",
                RETENTION_SECONDS.start(),
                RETENTION_SECONDS.end()
            ),
        );
        self.check_readers(check);
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        let logical_id = self.named.id.logical_id();
        let mut properties = json!({
            "MessageRetentionPeriod": self.retention_seconds,
            "SqsManagedSseEnabled": true,
        });
        if self.is_fifo {
            properties["FifoQueue"] = json!(true);
            properties["ContentBasedDeduplication"] = json!(true);
        }
        for (function, triggers) in synthesis.invoked_by::<Messages>(&self.named.id) {
            for (origin, messages) in triggers {
                messages.set_queue(function, &mut properties);
                messages.synth(synthesis, function, origin);
            }
        }
        synthesis.tls_only(
            &logical_id,
            self.named.origin,
            "AWS::SQS::QueuePolicy",
            json!({
                "Queues": [reference(&logical_id)],
                "PolicyDocument": policy::tls_only("sqs:*", &attribute(&logical_id, "Arn")),
            }),
        );
        let queue = synthesis
            .tagged("AWS::SQS::Queue", properties)
            .deletion_policy(synthesis.deletion_policy(DeletionPolicy::RetainExceptOnCreate));
        synthesis.add(logical_id, self.named.origin, queue);
    }
}

impl Declaration {
    /// Functions that read one queue would compete for its messages: each message goes to one of
    /// them.
    fn check_readers(&self, check: &mut Check<'_>) {
        let mut reader: Option<&str> = None;
        for function in check.functions() {
            for (origin, messages) in function.triggers_of::<Messages>(&self.named.id) {
                messages.check(check, function, origin);
                let subject = Subject::of_function(function).at(origin);
                match reader {
                    None => reader = Some(&function.name),
                    Some(other) if other == function.name => check.require(
                        false,
                        &subject,
                        format!("has two triggers on the messages of {}", self.named.id),
                        "remove one of them",
                    ),
                    Some(other) => check.require(
                        false,
                        &subject,
                        format!(
                            "handles the messages of {}, as function `{other}` does; each message goes to one of them",
                            self.named.id
                        ),
                        "remove one of the triggers, or give each function a queue of its own",
                    ),
                }
            }
        }
    }
}
