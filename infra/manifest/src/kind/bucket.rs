//! S3 buckets, and their notifications of functions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::http_api::{CORS_MAX_AGE_SECONDS, HttpApi};
use super::{Grants, Kind};
use crate::check::{Check, Subject};
use crate::cloudformation::{DeletionPolicy, attribute, reference, sub};
use crate::grant::Grant;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::name;
use crate::policy;
use crate::resource_id::{Noun, ResourceId};
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};
use crate::trigger_word::{Sample, Skeleton, TriggerWord};

mod deployer;
mod shared;

#[cfg(test)]
mod tests;

use shared::Shared;
pub use shared::SharedBucketEvents;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: Some(Grants {
        service: "s3",
        call: "Bucket::allow",
        actions: BucketAction::NAMES,
        rust: super::allow,
    }),
    has_url: false,
    is_at,
    settings: super::no_settings,
    deployer: deployer::statements,
    triggers: &[
        TriggerWord {
            word: "object-created",
            about: "objects written to the bucket",
            call: |bucket, _| format!(".trigger({bucket}.object_created())"),
            events: |_| vec!["ObjectCreated:".to_owned()],
            sample: |about| sample(about, "ObjectCreated:Put"),
            ..OBJECTS
        },
        TriggerWord {
            word: "object-removed",
            about: "objects deleted from the bucket, or expired",
            call: |bucket, _| format!(".trigger({bucket}.object_removed())"),
            events: |_| {
                vec![
                    "ObjectRemoved:".to_owned(),
                    "LifecycleExpiration:".to_owned(),
                ]
            },
            sample: |about| sample(about, "ObjectRemoved:Delete"),
            ..OBJECTS
        },
    ],
};

/// What the words of the kind have in common. A bucket holds data, so none is declared by the way.
const OBJECTS: TriggerWord = TriggerWord {
    takes: "BUCKET",
    example: "photos",
    declare: None,
    skeleton: &Skeleton {
        handles: "events of a bucket",
        main: include_str!("bucket/skeleton/main.rs"),
        dependencies: &["tracing"],
    },
    ..TriggerWord::DEFAULTS
};

static NOUN: Noun = Noun {
    noun: "bucket",
    logical_id: "Bucket",
    identifier: "bucket",
    value: |id| sub(&name::bucket(id.name())),
};

/// The longest name of a bucket, in characters.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
const NAME_MAX: usize = 63;
/// The longest name of a region, in characters: `us-isof-south-1`.
const REGION_NAME_MAX: usize = 15;
/// The longest prefix or suffix of a notification, in bytes: that of a key.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const FILTER_MAX: usize = 1024;

/// An S3 bucket: encrypted, closed to the public, reachable over TLS only.
#[derive(Clone, Debug)]
pub struct Bucket(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    forms_of: Option<ResourceId>,
}

impl Manifest {
    /// Declares a bucket; its name in AWS also carries app, stage, account and region.
    #[track_caller]
    pub fn bucket(&self, name: &str) -> Bucket {
        Bucket(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            forms_of: None,
        }))
    }
}

impl Bucket {
    /// The environment variable that tells the bucket's name to every function with
    /// a grant on it, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0.change(|bucket| bucket.named.variable = Some(name));
        self
    }

    /// Pages of an HTTP API may upload objects by forms that a function has signed, where the
    /// stage lets somebody [write](super::Requests::for_writers) by the API. Pages of other origins
    /// may not.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>
    pub fn forms_of(self, http_api: &HttpApi) -> Self {
        let http_api = http_api.id();
        self.0.change(|bucket| bucket.forms_of = Some(http_api));
        self
    }

    /// Objects written, by whatever call wrote them.
    #[must_use]
    pub fn object_created(&self) -> BucketEvents {
        self.events(
            "object created",
            &["s3:ObjectCreated:*"],
            BucketAction::PutObject,
        )
    }

    /// Objects gone, whether deleted by a call or expired by a lifecycle rule: S3
    /// announces the two as different events.
    #[must_use]
    pub fn object_removed(&self) -> BucketEvents {
        self.events(
            "object removed",
            &["s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"],
            BucketAction::DeleteObject,
        )
    }

    /// Lets a function do `actions` to the bucket and its objects.
    #[must_use]
    pub fn allow<const N: usize>(&self, actions: [BucketAction; N]) -> Grant {
        let id = self.id();
        let (on_bucket, on_objects): (Vec<_>, Vec<_>) = actions
            .into_iter()
            .partition(|action| matches!(action, BucketAction::ListBucket));
        let iam = |actions: Vec<BucketAction>| {
            policy::sorted(actions.into_iter().map(BucketAction::iam_action))
        };
        let arn = name::bucket_arn(id.name());
        let objects = format!("{}Objects", id.logical_id());
        let statements = [
            (id.logical_id(), on_bucket, sub(&arn)),
            (objects, on_objects, sub(&format!("{arn}/*"))),
        ]
        .into_iter()
        .filter(|(_, actions, _)| !actions.is_empty())
        .map(|(sid, actions, resource)| policy::allow(&sid, &iam(actions), &resource))
        .collect();
        Grant::scoped(id, actions.map(BucketAction::iam_action), statements)
    }

    pub(crate) fn id(&self) -> ResourceId {
        self.0.get().named.id
    }

    fn events(
        &self,
        label: &'static str,
        event_types: &'static [&'static str],
        cause: BucketAction,
    ) -> BucketEvents {
        BucketEvents {
            bucket: self.id(),
            label,
            cause,
            filter: Filter {
                event_types,
                prefix: None,
                suffix: None,
            },
        }
    }
}

iam_actions! {
    "s3",
    /// What a function may do to a bucket, in IAM's words.
    BucketAction {
        /// Read objects.
        GetObject,
        /// Write objects.
        PutObject,
        /// Delete objects.
        DeleteObject,
        /// List keys. Without it, S3 answers "access denied" for a key that does not exist.
        ListBucket,
    }
}

/// Events of a bucket, delivered asynchronously: a trigger.
///
/// S3 notifies one function of an event. Several functions share the events of a bucket by the
/// keys of its objects: by prefixes, by suffixes or by both, as long as no key has both of two
/// functions. Or they get them [by EventBridge](Self::by_event_bridge).
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>
#[derive(Clone, Debug)]
pub struct BucketEvents {
    bucket: ResourceId,
    label: &'static str,
    cause: BucketAction,
    filter: Filter,
}

/// The events that a function is notified of.
#[derive(Clone, Debug)]
struct Filter {
    event_types: &'static [&'static str],
    prefix: Option<String>,
    suffix: Option<String>,
}

impl BucketEvents {
    /// Only of objects whose keys begin so.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.filter.prefix = Some(prefix.to_owned());
        self
    }

    /// Only of objects whose keys end so, such as `.jpg`. S3 tells capital letters from small
    /// ones.
    #[must_use]
    pub fn suffix(mut self, suffix: &str) -> Self {
        self.filter.suffix = Some(suffix.to_owned());
        self
    }
}

impl From<BucketEvents> for Trigger {
    fn from(events: BucketEvents) -> Self {
        let BucketEvents {
            bucket,
            label,
            cause,
            filter,
        } = events;
        let label = format!("{label}{}", filter.of_objects());
        Self::new(bucket, Invocation::Asynchronous, filter)
            .labelled(label)
            .telling_variables()
            .caused_by([cause.iam_action()])
    }
}

impl Filter {
    /// What it asks of keys: S3's name of the rule, and its value.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [("prefix", &self.prefix), ("suffix", &self.suffix)];
        parts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// Whether there is a key that both let through.
    fn overlaps(&self, other: &Self) -> bool {
        let (prefix, suffix) = (text(&self.prefix), text(&self.suffix));
        let (other_prefix, other_suffix) = (text(&other.prefix), text(&other.suffix));
        (prefix.starts_with(other_prefix) || other_prefix.starts_with(prefix))
            && (suffix.ends_with(other_suffix) || other_suffix.ends_with(suffix))
    }

    /// How messages tell which objects it is about.
    fn of_objects(&self) -> String {
        let parts = self.parts().map(|(part, text)| format!("{part} `{text}`"));
        let parts: Vec<String> = parts.collect();
        match parts.as_slice() {
            [] => String::new(),
            parts => format!(" with {}", parts.join(" and ")),
        }
    }
}

fn text(filter: &Option<String>) -> &str {
    filter.as_deref().unwrap_or_default()
}

in_template!(Bucket);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn check(&self, check: &mut Check<'_>) {
        let region = check.stage().region.as_ref();
        let region = region.map_or(REGION_NAME_MAX, String::len);
        let rest = self.named.id.name().len() + name::ACCOUNT_DIGITS + region + "---".len();
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        check.length_in_stack(&subject, rest, NAME_MAX);

        let mut taken: BTreeMap<&str, Vec<(&str, &Filter)>> = BTreeMap::new();
        for function in check.functions() {
            for (origin, shared) in function.triggers_of::<Shared>(&self.named.id) {
                let subject = Subject::of_function(function).at(origin);
                self.check_filter(check, &subject, shared.filter());
            }
            for (origin, filter) in function.triggers_of::<Filter>(&self.named.id) {
                let subject = Subject::of_function(function).at(origin);
                self.check_filter(check, &subject, filter);
                for event_type in filter.event_types {
                    let others = taken.entry(event_type).or_default();
                    for (other, of_other) in others.iter() {
                        check.require(
                            !filter.overlaps(of_other),
                            &subject,
                            format!(
                                "handles {event_type} of {}{}, as function `{other}` does{}; S3 notifies one of each event",
                                self.named.id,
                                filter.of_objects(),
                                of_other.of_objects(),
                            ),
                            "remove one of the triggers, let one function do both, tell them apart by `prefix` or `suffix`, or let one get them `by_event_bridge`",
                        );
                    }
                    others.push((&function.name, filter));
                }
            }
        }
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        let mut notifications = self.notifications(synthesis);
        notifications.by_event_bridge = shared::synth_rules(synthesis, &self.named.id);
        self.synth_bucket(synthesis, notifications);
    }
}

impl Declaration {
    /// S3 takes other characters in an encoded form only.
    fn check_filter(&self, check: &mut Check<'_>, subject: &Subject, filter: &Filter) {
        for (part, text) in filter.parts() {
            check.require(
                (1..=FILTER_MAX).contains(&text.len()),
                subject,
                format!(
                    "handles events of {} with a {part} of {} bytes",
                    self.named.id,
                    text.len()
                ),
                format!("use 1 to {FILTER_MAX}, or remove it"),
            );
            check.require(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"/!-_.'()".contains(&byte)),
                subject,
                format!(
                    "handles events of {} with the {part} `{text}`, which S3 does not take as it is",
                    self.named.id
                ),
                "use letters, digits and / ! - _ . ' ( )",
            );
        }
    }

    /// The permissions to notify functions, and the notifications.
    fn notifications(&self, synthesis: &mut Synthesis<'_>) -> Notifications {
        let logical_id = self.named.id.logical_id();
        let mut found = Notifications::default();
        for (function, triggers) in synthesis.invoked_by::<Filter>(&self.named.id) {
            let permission_id = format!("{logical_id}{}", function.logical_id("Permission"));
            // `SourceAccount` as well as `SourceArn`: a bucket's ARN names no account, and a
            // deleted bucket's name may be taken by another one.
            synthesis.permission(
                permission_id.clone(),
                triggers[0].0,
                function,
                "s3.amazonaws.com",
                json!({
                    "SourceAccount": reference("AWS::AccountId"),
                    "SourceArn": sub(&name::bucket_arn(self.named.id.name())),
                }),
            );
            found.permissions.push(permission_id);
            for (_, filter) in triggers {
                found
                    .configurations
                    .extend(filter.event_types.iter().map(|event_type| {
                        filter.configuration(event_type, &synthesis.invoked(function))
                    }));
            }
        }
        found
    }

    /// Not versioned: S3 announces the removal of an old version of an object and the
    /// removal of the object by the same event.
    fn synth_bucket(&self, synthesis: &mut Synthesis<'_>, notifications: Notifications) {
        let logical_id = self.named.id.logical_id();
        let mut properties = json!({
            "BucketName": sub(&name::bucket(self.named.id.name())),
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}},
            ]},
            "LifecycleConfiguration": {"Rules": [{
                "Id": "AbortIncompleteMultipartUploads",
                "Status": "Enabled",
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            }]},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": true,
                "BlockPublicPolicy": true,
                "IgnorePublicAcls": true,
                "RestrictPublicBuckets": true,
            },
        });
        if !notifications.configurations.is_empty() {
            properties["NotificationConfiguration"]["LambdaConfigurations"] =
                json!(notifications.configurations);
        }
        if notifications.by_event_bridge {
            properties["NotificationConfiguration"]["EventBridgeConfiguration"] =
                json!({"EventBridgeEnabled": true});
        }
        let forms_of = self.forms_of.as_ref();
        let forms_of = forms_of.filter(|api| synthesis.stage().lets_write(api.name()));
        if let Some(http_api) = forms_of {
            properties["CorsConfiguration"]["CorsRules"] = json!([{
                "AllowedMethods": ["POST"],
                "AllowedOrigins": [attribute(&http_api.logical_id(), "ApiEndpoint")],
                "MaxAge": CORS_MAX_AGE_SECONDS,
            }]);
        }
        let arn = attribute(&logical_id, "Arn");
        let objects = sub(&format!("${{{logical_id}.Arn}}/*"));
        synthesis.tls_only(
            &logical_id,
            self.named.origin,
            "AWS::S3::BucketPolicy",
            json!({
                "Bucket": reference(&logical_id),
                "PolicyDocument": policy::tls_only("s3:*", &json!([arn, objects])),
            }),
        );
        let bucket = synthesis
            .tagged("AWS::S3::Bucket", properties)
            // S3 refuses a notification that it is not permitted to deliver.
            .depends_on(notifications.permissions)
            // Its name is fixed: left behind by a failed creation, it would be in the way of the
            // next one.
            .deletion_policy(synthesis.deletion_policy(DeletionPolicy::RetainExceptOnCreate));
        synthesis.add(logical_id, self.named.origin, bucket);
    }
}

/// Of a bucket.
#[derive(Default)]
struct Notifications {
    /// The logical IDs of the functions' permissions.
    permissions: Vec<String>,
    configurations: Vec<Value>,
    /// Whether EventBridge is told of every event as well.
    by_event_bridge: bool,
}

impl Filter {
    fn configuration(&self, event_type: &str, function: &Value) -> Value {
        let mut configuration = json!({"Event": event_type, "Function": function});
        let rules = self
            .parts()
            .map(|(name, value)| json!({"Name": name, "Value": value}));
        let rules: Vec<Value> = rules.collect();
        if !rules.is_empty() {
            configuration["Filter"] = json!({"S3Key": {"Rules": rules}});
        }
        configuration
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
fn sample(about: &Sample<'_>, event_name: &str) -> Value {
    let bucket = about.bucket_name();
    let mut object = json!({"key": "holiday+photos/dog.jpg", "sequencer": "0055AED6DCD90281E5"});
    if event_name.starts_with("ObjectCreated") {
        object["size"] = json!(1024);
        object["eTag"] = json!("d41d8cd98f00b204e9800998ecf8427e");
    }
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": about.names.region,
        "eventTime": "2026-01-05T09:30:00.000Z",
        "eventName": event_name,
        "userIdentity": {"principalId": "AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {
            "x-amz-request-id": "C3D13FE58DE4C810",
            "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": about.name(),
            "bucket": {
                "arn": format!("arn:{}:s3:::{bucket}", name::partition(&about.names.region)),
                "name": bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKEXAMPLE"},
            },
            "object": object,
        },
    }]})
}

/// A bucket's name is derived: stack, name, account and region.
fn is_at(id: &ResourceId, stack: &str, service: &str, name: &str) -> bool {
    let bucket = name.split('/').next().unwrap_or_default();
    let prefix = format!("{stack}-{}-", id.name());
    let rest = bucket.strip_prefix(&prefix);
    let account = rest.and_then(|rest| rest.get(..name::ACCOUNT_DIGITS));
    let is_account = |account: &str| account.bytes().all(|digit| digit.is_ascii_digit());
    service == "s3" && account.is_some_and(is_account)
}
