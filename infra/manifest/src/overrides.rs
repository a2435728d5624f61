//! Properties of generated resources that the declaration gives another value.

use serde_json::{Value, json};

use crate::check::{Check, Subject};
use crate::cloudformation::Template;
use crate::name;
use crate::origin::Origin;

/// A property of a resource of the template, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    pub(crate) logical_id: String,
    /// Names and positions, joined by dots.
    pub(crate) path: String,
    /// Null takes the property away.
    pub(crate) value: Value,
    pub(crate) reason: Option<String>,
    pub(crate) origin: Origin,
}

/// What the framework itself decides by, or derives from the declaration. Another value would break
/// it.
const OWN: &[(&str, &[&str])] = &[
    (
        "AWS::ApiGatewayV2::Api",
        &["CorsConfiguration", "ProtocolType"],
    ),
    ("AWS::Events::EventBus", &["Name"]),
    ("AWS::Events::Rule", &["EventBusName", "EventPattern"]),
    (
        "AWS::IAM::Role",
        &[
            "AssumeRolePolicyDocument",
            "Policies",
            "PermissionsBoundary",
            "RoleName",
        ],
    ),
    (
        "AWS::Lambda::Function",
        &[
            "Architectures",
            "Code",
            "Environment",
            "FunctionName",
            "Handler",
            "PackageType",
            "Role",
            "Runtime",
        ],
    ),
    (
        "AWS::S3::Bucket",
        &["BucketName", "NotificationConfiguration"],
    ),
    (
        "AWS::DynamoDB::Table",
        &["AttributeDefinitions", "KeySchema", "StreamSpecification"],
    ),
    ("AWS::Logs::LogGroup", &["LogGroupName"]),
    ("AWS::SQS::Queue", &["FifoQueue", "QueueName"]),
];

/// What encrypts, keeps out, keeps data or keeps failed events. Another value needs a reason.
const GUARDED: &[(&str, &[&str])] = &[
    (
        "AWS::ApiGatewayV2::Route",
        &["AuthorizationType", "AuthorizerId"],
    ),
    (
        "AWS::DynamoDB::Table",
        &[
            "DeletionProtectionEnabled",
            "PointInTimeRecoverySpecification",
            "SSESpecification",
        ],
    ),
    ("AWS::Events::Rule", &["Targets"]),
    (
        "AWS::Lambda::EventInvokeConfig",
        &[
            "DestinationConfig",
            "MaximumEventAgeInSeconds",
            "MaximumRetryAttempts",
        ],
    ),
    (
        "AWS::Lambda::EventSourceMapping",
        &[
            "DestinationConfig",
            "FunctionResponseTypes",
            "MaximumRecordAgeInSeconds",
            "MaximumRetryAttempts",
        ],
    ),
    (
        "AWS::Lambda::Permission",
        &["Principal", "SourceAccount", "SourceArn"],
    ),
    (
        "AWS::S3::Bucket",
        &[
            "AccessControl",
            "BucketEncryption",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
        ],
    ),
    ("AWS::S3::BucketPolicy", &["PolicyDocument"]),
    ("AWS::Scheduler::Schedule", &["Target"]),
    ("AWS::SNS::Topic", &["KmsMasterKeyId"]),
    ("AWS::SNS::TopicPolicy", &["PolicyDocument"]),
    (
        "AWS::SQS::Queue",
        &[
            "KmsMasterKeyId",
            "MessageRetentionPeriod",
            "RedrivePolicy",
            "SqsManagedSseEnabled",
        ],
    ),
    ("AWS::SQS::QueuePolicy", &["PolicyDocument"]),
];

/// Whether a table has the property, or the whole that it is in.
fn has(table: &[(&str, &[&str])], kind: &str, path: &str) -> bool {
    let property = path.split('.').next().unwrap_or_default();
    let of_kind = table.iter().find(|(of_kind, _)| *of_kind == kind);
    of_kind.is_some_and(|(_, properties)| properties.contains(&property))
}

impl Override {
    /// Gives the property its value.
    ///
    /// # Errors
    /// The part of the path that leads to nothing.
    pub(crate) fn apply<'a>(&'a self, properties: &mut Value) -> Result<(), &'a str> {
        let mut place = properties;
        let mut steps = self.path.split('.').peekable();
        while let Some(step) = steps.next() {
            if steps.peek().is_none() && self.value.is_null() {
                let members = place.as_object_mut().ok_or(step)?;
                return members.remove(step).map(|_| ()).ok_or(step);
            }
            place = match place {
                Value::Array(items) => {
                    let position = step.parse::<usize>();
                    position
                        .ok()
                        .and_then(|position| items.get_mut(position))
                        .ok_or(step)?
                }
                Value::Object(members) => members.entry(step).or_insert_with(|| json!({})),
                _ => return Err(step),
            };
        }
        place.clone_from(&self.value);
        Ok(())
    }

    /// What is wrong with it, on a template that has no overrides yet.
    pub(crate) fn check(&self, check: &mut Check<'_>, template: &Template) {
        let Self {
            logical_id, path, ..
        } = self;
        let subject = Subject::new(format!("the override of `{path}`")).at(self.origin);
        let Some(resource) = template.get(logical_id) else {
            let remedy = match name::nearest(logical_id, template.logical_ids()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "see the logical IDs in `cargo xtask synth`".to_owned(),
            };
            let problem = format!("is of `{logical_id}`, which the template does not have");
            check.require(false, &subject, problem, remedy);
            return;
        };
        let kind = resource["Type"].as_str().unwrap_or_default();
        check.require(
            !has(OWN, kind, path),
            &subject,
            format!(
                "is of a property of `{logical_id}` ({kind}) that the app's declaration decides"
            ),
            "change the declaration, or declare the resource by `app.resource(…)`",
        );
        let reason = self.reason.as_deref().map(str::trim);
        check.require(
            !has(GUARDED, kind, path) || reason.is_some_and(|reason| !reason.is_empty()),
            &subject,
            format!("is of a property that protects `{logical_id}` ({kind})"),
            "say why by `.because(\"…\")`",
        );
        if let Err(step) = self.apply(&mut resource["Properties"].clone()) {
            check.require(
                false,
                &subject,
                format!("names a property that `{logical_id}` ({kind}) does not have: `{step}`"),
                "see the resource's properties in `cargo xtask synth`",
            );
        }
    }
}

/// Applies all overrides of a resource.
pub(crate) fn apply(overrides: &[Override], logical_id: &str, properties: &mut Value) {
    for of_resource in overrides
        .iter()
        .filter(|other| other.logical_id == logical_id)
    {
        // `check` has reported what leads to nothing.
        let _ = of_resource.apply(properties);
    }
}

/// Why properties of a resource that protect it have another value, by their paths.
pub(crate) fn reasons(overrides: &[Override], logical_id: &str) -> Option<Value> {
    let of_resource = overrides
        .iter()
        .filter(|other| other.logical_id == logical_id);
    let reasons: serde_json::Map<String, Value> = of_resource
        .filter_map(|other| Some((other.path.clone(), json!(other.reason.as_ref()?))))
        .collect();
    (!reasons.is_empty()).then_some(Value::Object(reasons))
}
