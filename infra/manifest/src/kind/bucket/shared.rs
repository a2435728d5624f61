//! Events of a bucket that several functions handle.
//!
//! S3 tells EventBridge of every event of the bucket, and a rule for each function says which of
//! them are the function's.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html>

use serde_json::{Value, json};

use super::{BucketEvents, Filter};
use crate::cloudformation::sub;
use crate::kind::event_rule::Rule;
use crate::name;
use crate::resource_id::ResourceId;
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};

/// Events of a bucket by EventBridge, delivered asynchronously: a trigger.
#[derive(Clone, Debug)]
pub struct SharedBucketEvents(BucketEvents);

/// The events that a function gets by EventBridge.
pub(super) struct Shared(Filter);

impl BucketEvents {
    /// By EventBridge instead of a notification: any number of functions can handle an event then.
    /// The event has another form, see `runtime::eventbridge`. EventBridge asks for money for
    /// each event, and takes longer to deliver it.
    #[must_use]
    pub fn by_event_bridge(self) -> SharedBucketEvents {
        SharedBucketEvents(self)
    }
}

impl From<SharedBucketEvents> for Trigger {
    fn from(SharedBucketEvents(events): SharedBucketEvents) -> Self {
        let BucketEvents {
            bucket,
            label,
            cause,
            filter,
        } = events;
        let label = format!("{label}{}", filter.of_objects());
        Self::new(bucket, Invocation::Asynchronous, Shared(filter))
            .labelled(label)
            .telling_variables()
            .caused_by([cause.iam_action()])
    }
}

impl Shared {
    pub(super) fn filter(&self) -> &Filter {
        &self.0
    }

    fn pattern(&self, bucket: &ResourceId) -> Value {
        let Self(filter) = self;
        // What expires is deleted, to EventBridge.
        let detail_type = if filter.event_types.contains(&"s3:ObjectCreated:*") {
            "Object Created"
        } else {
            "Object Deleted"
        };
        let mut pattern = json!({
            "source": ["aws.s3"],
            "detail-type": [detail_type],
            "detail": {"bucket": {"name": [sub(&name::bucket(bucket.name()))]}},
        });
        // Of several operators, one would do.
        let key = match (&filter.prefix, &filter.suffix) {
            (None, None) => return pattern,
            (Some(prefix), None) => json!({"prefix": prefix}),
            (None, Some(suffix)) => json!({"suffix": suffix}),
            (Some(prefix), Some(suffix)) => json!({"wildcard": format!("{prefix}*{suffix}")}),
        };
        pattern["detail"]["object"] = json!({"key": [key]});
        pattern
    }
}

/// A rule for each trigger. Returns whether there is one.
pub(super) fn synth_rules(synthesis: &mut Synthesis<'_>, bucket: &ResourceId) -> bool {
    let functions = synthesis.invoked_by::<Shared>(bucket);
    for (function, triggers) in &functions {
        for (place, (origin, shared)) in triggers.iter().enumerate() {
            let number = match place {
                0 => String::new(),
                place => (place + 1).to_string(),
            };
            let rule = function.logical_id("EventRule");
            Rule {
                logical_id: format!("{}{rule}{number}", bucket.logical_id()),
                origin: *origin,
                bus: json!("default"),
                pattern: shared.pattern(bucket),
            }
            .synth(synthesis, &[(function, *origin)]);
        }
    }
    !functions.is_empty()
}
