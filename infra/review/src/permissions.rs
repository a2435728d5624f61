//! Permissions: what a template says about who may do what, as rows that do not depend on
//! how it is written.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::properties::text;
use crate::template::{Resource, Template};

/// Whether a statement allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Effect {
    /// Access is given.
    Allow,
    /// Access is refused, whatever else allows it.
    Deny,
}

/// A condition that a request must meet. Those of one statement must all be met.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Condition {
    /// For example `StringEquals`.
    pub operator: String,
    /// For example `aws:SourceAccount`.
    pub key: String,
    /// The values, in order.
    pub values: Vec<String>,
}

/// One part of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A single principal, action or resource.
    Is(String),
    /// All but these: `NotPrincipal`, `NotAction`, `NotResource`.
    Not(Vec<String>),
    /// Something whose meaning is not known here.
    NotUnderstood(String),
}

impl Part {
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Is(text) | Self::NotUnderstood(text) => text.clone(),
            Self::Not(texts) => format!("all but {}", texts.join(", ")),
        }
    }
}

/// The smallest piece of a policy: one principal, one action, one resource. A statement
/// stands for all combinations of what it lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    /// What the policy is attached to: a role, a bucket.
    pub(crate) subject: String,
    pub(crate) effect: Effect,
    pub(crate) principal: Part,
    pub(crate) action: Part,
    pub(crate) resource: Part,
    pub(crate) conditions: Vec<Condition>,
}

impl Permission {
    /// Whether its extent is known well enough to say that it is more or less than another.
    pub(crate) fn is_understood(&self) -> bool {
        [&self.principal, &self.action, &self.resource]
            .iter()
            .all(|part| matches!(part, Part::Is(_)))
    }

    /// Whether every request that `other` applies to is one that this applies to as well.
    /// "No" where that is not plain to see.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let (Part::Is(action), Part::Is(other_action)) = (&self.action, &other.action) else {
            return false;
        };
        self.subject == other.subject
            && self.effect == other.effect
            && self.principal == other.principal
            && matches_action(action, other_action)
            && (self.resource == other.resource || self.resource == Part::Is("*".to_owned()))
            // All conditions must be met, so more of them means fewer requests.
            && self
                .conditions
                .iter()
                .all(|condition| other.conditions.contains(condition))
    }
}

/// Whether `pattern` matches everything that `action` matches. IAM ignores the case.
fn matches_action(pattern: &str, action: &str) -> bool {
    fn matches(pattern: &[u8], action: &[u8]) -> bool {
        match (pattern, action) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                matches(rest, action) || (!action.is_empty() && matches(pattern, &action[1..]))
            }
            ([b'?', rest @ ..], [one, others @ ..]) => *one != b'*' && matches(rest, others),
            ([a, rest @ ..], [b, others @ ..]) => {
                a.eq_ignore_ascii_case(b) && matches(rest, others)
            }
            _ => false,
        }
    }
    matches(pattern.as_bytes(), action.as_bytes())
}

/// Every permission of a template, with the logical ID of the resource that declares it.
pub(crate) fn of(template: &Template) -> BTreeMap<Permission, String> {
    let mut reader = Reader {
        declared_by: String::new(),
        found: BTreeMap::new(),
    };
    let holders = holders_of_managed_policies(template);
    for (id, resource) in &template.resources {
        id.clone_into(&mut reader.declared_by);
        reader.resource(id, resource, &holders);
    }
    for (name, content) in &template.not_understood {
        name.clone_into(&mut reader.declared_by);
        reader.not_understood(name, content);
    }
    reader.found
}

/// A resource as `Ref` names it.
fn named(id: &str) -> String {
    format!("${{{id}}}")
}

/// The logical ID that `${Name}` or `${Name.Attribute}` refers to.
pub(crate) fn referred(value: &str) -> Option<&str> {
    let name = value.strip_prefix("${")?.strip_suffix('}')?;
    let id = name.split('.').next()?;
    id.chars().all(char::is_alphanumeric).then_some(id)
}

/// What a reference is about, whichever attribute it takes.
fn subject_of(value: &str) -> String {
    referred(value).map_or_else(|| value.to_owned(), named)
}

const IDENTITIES: [&str; 3] = ["AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"];

/// Those who hold the template's own managed policies, as far as it says, by logical ID of
/// the policy.
fn holders_of_managed_policies(template: &Template) -> BTreeMap<String, BTreeSet<String>> {
    let mut holders: BTreeMap<String, BTreeSet<String>> = template
        .resources
        .iter()
        .filter(|(_, resource)| resource.kind == "AWS::IAM::ManagedPolicy")
        .map(|(id, resource)| (id.clone(), attached_to(resource.properties()).collect()))
        .collect();
    for (id, resource) in &template.resources {
        if IDENTITIES.contains(&resource.kind.as_str()) {
            for policy in texts(&resource.properties()["ManagedPolicyArns"]) {
                if let Some(holders) = referred(&policy).and_then(|policy| holders.get_mut(policy))
                {
                    holders.insert(named(id));
                }
            }
            // A boundary is no grant to anyone in particular.
            let boundary = resource.properties()["PermissionsBoundary"].as_str();
            if let Some(policy) = boundary.and_then(referred)
                && let Some(holders) = holders.get_mut(policy)
            {
                holders.insert(named(policy));
            }
        }
    }
    holders
}

/// The identities that a policy names.
fn attached_to(properties: &Value) -> impl Iterator<Item = String> {
    ["Roles", "Users", "Groups"]
        .into_iter()
        .flat_map(|kind| texts(&properties[kind]))
        .map(|identity| subject_of(&identity))
}

struct Reader {
    declared_by: String,
    found: BTreeMap<Permission, String>,
}

impl Reader {
    fn add(&mut self, mut permission: Permission) {
        permission.conditions.sort();
        let declared_by = self.declared_by.clone();
        self.found.entry(permission).or_insert(declared_by);
    }

    fn not_understood(&mut self, subject: &str, content: &Value) {
        self.add(Permission {
            subject: subject.to_owned(),
            effect: Effect::Allow,
            principal: Part::Is(subject.to_owned()),
            action: Part::NotUnderstood(text(content)),
            resource: Part::Is(subject.to_owned()),
            conditions: Vec::new(),
        });
    }

    fn resource(
        &mut self,
        id: &str,
        resource: &Resource,
        holders: &BTreeMap<String, BTreeSet<String>>,
    ) {
        let properties = resource.properties();
        match resource.kind.as_str() {
            kind if IDENTITIES.contains(&kind) => self.identity(id, properties, holders),
            "AWS::IAM::Policy" => {
                for identity in attached_to(properties) {
                    self.policy(&identity, &identity, &properties["PolicyDocument"]);
                }
            }
            "AWS::IAM::RolePolicy" | "AWS::IAM::UserPolicy" | "AWS::IAM::GroupPolicy" => {
                for key in ["RoleName", "UserName", "GroupName"] {
                    for identity in texts(&properties[key]) {
                        let identity = subject_of(&identity);
                        self.policy(&identity, &identity, &properties["PolicyDocument"]);
                    }
                }
            }
            "AWS::IAM::ManagedPolicy" => {
                let holders = holders.get(id).filter(|holders| !holders.is_empty());
                // Without a holder in the template, whoever it is attached to elsewhere.
                let holders = holders.cloned().unwrap_or_else(|| [named(id)].into());
                for holder in holders {
                    self.policy(&holder, &holder, &properties["PolicyDocument"]);
                }
            }
            "AWS::Lambda::Permission" => self.function_permission(properties),
            "AWS::Lambda::Url" => {
                if properties["AuthType"] == "NONE" {
                    let function = text(&properties["TargetFunctionArn"]);
                    self.open_to_everyone(&function, "lambda:InvokeFunctionUrl", &function);
                }
            }
            "AWS::ApiGatewayV2::Route" => self.route(properties),
            "AWS::KMS::Key" | "AWS::KMS::ReplicaKey" => self.key(id, properties),
            "AWS::S3::BucketPolicy" => self.guard(&properties["Bucket"], properties),
            "AWS::SQS::QueuePolicy" => self.guard(&properties["Queues"], properties),
            "AWS::SQS::QueueInlinePolicy" => self.guard(&properties["Queue"], properties),
            "AWS::SNS::TopicPolicy" => self.guard(&properties["Topics"], properties),
            "AWS::SNS::TopicInlinePolicy" => self.guard(&properties["TopicArn"], properties),
            _ => {
                for document in documents_in(properties) {
                    self.policy(&named(id), &named(id), &document);
                }
            }
        }
    }

    fn identity(
        &mut self,
        id: &str,
        properties: &Value,
        holders: &BTreeMap<String, BTreeSet<String>>,
    ) {
        let identity = named(id);
        if let Some(trust) = properties.get("AssumeRolePolicyDocument") {
            self.policy(&identity, &format!("${{{id}.Arn}}"), trust);
        }
        for policy in list(&properties["Policies"]) {
            match policy.get("PolicyDocument") {
                Some(document) => self.policy(&identity, &identity, document),
                None => self.not_understood(&identity, policy),
            }
        }
        for policy in texts(&properties["ManagedPolicyArns"]) {
            let in_template = referred(&policy).is_some_and(|policy| holders.contains_key(policy));
            if !in_template {
                self.managed_policy(&identity, policy);
            }
        }
        if let Some(boundary) = properties.get("PermissionsBoundary") {
            // A boundary gives nothing; it denies what it does not name.
            self.add(Permission {
                subject: identity.clone(),
                effect: Effect::Deny,
                principal: Part::Is(identity),
                action: Part::Is("(outside the permissions boundary)".to_owned()),
                resource: Part::Is(text(boundary)),
                conditions: Vec::new(),
            });
        }
    }

    /// A managed policy from elsewhere. AWS's own allow, with one well-known exception;
    /// what another account's or stack's says is not known.
    fn managed_policy(&mut self, identity: &str, arn: String) {
        let action = "(managed policy)".to_owned();
        let of_aws = arn.contains(":iam::aws:policy/");
        self.add(Permission {
            subject: identity.to_owned(),
            effect: if arn.ends_with("/AWSDenyAll") {
                Effect::Deny
            } else {
                Effect::Allow
            },
            principal: Part::Is(identity.to_owned()),
            action: if of_aws {
                Part::Is(action)
            } else {
                Part::NotUnderstood(action)
            },
            resource: Part::Is(arn),
            conditions: Vec::new(),
        });
    }

    /// The policy document of a resource of its own, for everything it is attached to.
    fn guard(&mut self, guarded: &Value, properties: &Value) {
        for guarded in texts(guarded) {
            let subject = subject_of(&guarded);
            self.policy(&subject, &guarded, &properties["PolicyDocument"]);
        }
    }

    /// Reads a policy document of `subject`, which is also the principal of statements that
    /// name none. Statements that name no resource are about `resource`.
    fn policy(&mut self, subject: &str, resource: &str, document: &Value) {
        let parsed = document_in(document);
        let document = parsed.as_ref().unwrap_or(document);
        let Some(statements) = document.get("Statement") else {
            self.not_understood(subject, document);
            return;
        };
        for statement in list(statements) {
            match permissions(subject, resource, statement) {
                Some(permissions) => permissions.into_iter().for_each(|each| self.add(each)),
                None => self.not_understood(subject, statement),
            }
        }
    }

    /// In a key's policy `*` means the key. A key without a policy gets the default one.
    /// <https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html>
    fn key(&mut self, id: &str, properties: &Value) {
        let arn = format!("${{{id}.Arn}}");
        let default = json!({"Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }});
        let mut document = properties.get("KeyPolicy").unwrap_or(&default).clone();
        match document.get_mut("Statement") {
            Some(Value::Array(statements)) => {
                statements.iter_mut().for_each(|each| name_key(each, &arn));
            }
            Some(statement) => name_key(statement, &arn),
            None => {}
        }
        self.policy(&named(id), &arn, &document);
    }

    /// What `AWS::Lambda::Permission` puts into a function's policy.
    /// <https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html>
    fn function_permission(&mut self, properties: &Value) {
        const CONDITIONS: [(&str, &str, &str); 6] = [
            ("SourceArn", "ArnLike", "aws:SourceArn"),
            ("SourceAccount", "StringEquals", "aws:SourceAccount"),
            (
                "EventSourceToken",
                "StringEquals",
                "lambda:EventSourceToken",
            ),
            ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
            (
                "FunctionUrlAuthType",
                "StringEquals",
                "lambda:FunctionUrlAuthType",
            ),
            (
                "InvokedViaFunctionUrl",
                "Bool",
                "lambda:InvokedViaFunctionUrl",
            ),
        ];
        let function = text(&properties["FunctionName"]);
        let principal = text(&properties["Principal"]);
        let principal = match principal.as_str() {
            "*" => principal,
            service if service.contains(".amazonaws.com") => format!("Service: {service}"),
            account => format!("AWS: {account}"),
        };
        let conditions = CONDITIONS
            .into_iter()
            .filter_map(|(property, operator, key)| {
                Some(Condition {
                    operator: operator.to_owned(),
                    key: key.to_owned(),
                    values: vec![text(properties.get(property)?)],
                })
            })
            .collect();
        self.add(Permission {
            subject: subject_of(&function),
            effect: Effect::Allow,
            principal: Part::Is(principal),
            action: Part::Is(text(&properties["Action"])),
            resource: Part::Is(function),
            conditions,
        });
    }

    /// Who may call a route. With `AWS_IAM`, callers need permissions of their own.
    fn route(&mut self, properties: &Value) {
        const ACTION: &str = "execute-api:Invoke";
        let api = text(&properties["ApiId"]);
        let route = format!("{api} {}", text(&properties["RouteKey"]));
        match properties.get("AuthorizationType").map(text).as_deref() {
            None | Some("NONE") => self.open_to_everyone(&api, ACTION, &route),
            Some("AWS_IAM") => {}
            Some(authorization) => {
                let scopes = sorted(texts(&properties["AuthorizationScopes"]));
                let scopes = (!scopes.is_empty()).then(|| Condition {
                    operator: "ForAnyValue:StringEquals".to_owned(),
                    key: "token:scope".to_owned(),
                    values: scopes,
                });
                self.add(Permission {
                    subject: subject_of(&api),
                    effect: Effect::Allow,
                    principal: Part::Is(format!(
                        "{authorization}: {}",
                        text(&properties["AuthorizerId"])
                    )),
                    action: Part::Is(ACTION.to_owned()),
                    resource: Part::Is(route),
                    conditions: scopes.into_iter().collect(),
                });
            }
        }
    }

    fn open_to_everyone(&mut self, guarded: &str, action: &str, resource: &str) {
        self.add(Permission {
            subject: subject_of(guarded),
            effect: Effect::Allow,
            principal: Part::Is("*".to_owned()),
            action: Part::Is(action.to_owned()),
            resource: Part::Is(resource.to_owned()),
            conditions: Vec::new(),
        });
    }
}

/// In a statement of a key's policy, puts the key's ARN for `*`.
fn name_key(statement: &mut Value, arn: &str) {
    if let Some(resource) = statement.get_mut("Resource")
        && texts(resource) == ["*"]
    {
        *resource = json!(arn);
    }
}

/// A statement's permissions; `None` if there is something in it that is not known here.
fn permissions(subject: &str, resource: &str, statement: &Value) -> Option<Vec<Permission>> {
    const KNOWN: [&str; 9] = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    let members = statement.as_object()?;
    if !members.keys().all(|key| KNOWN.contains(&key.as_str())) {
        return None;
    }
    let effect = match members.get("Effect")?.as_str()? {
        "Allow" => Effect::Allow,
        "Deny" => Effect::Deny,
        _ => return None,
    };
    let parts = |is: &str, not: &str, read: fn(&Value) -> Vec<String>| match (
        members.get(is),
        members.get(not),
    ) {
        (Some(listed), None) => Some(read(listed).into_iter().map(Part::Is).collect()),
        (None, Some(excluded)) => Some(vec![Part::Not(sorted(read(excluded)))]),
        (None, None) => Some(Vec::new()),
        (Some(_), Some(_)) => None,
    };
    let or_else = |parts: Vec<Part>, default: &str| {
        if parts.is_empty() {
            vec![Part::Is(default.to_owned())]
        } else {
            parts
        }
    };
    let principals = or_else(parts("Principal", "NotPrincipal", principals)?, subject);
    let actions = parts("Action", "NotAction", texts)?;
    let resources = or_else(parts("Resource", "NotResource", texts)?, resource);
    if actions.is_empty() {
        return None;
    }
    let conditions = members.get("Condition").map(conditions).unwrap_or_default();

    let mut permissions = Vec::new();
    for principal in &principals {
        for action in &actions {
            for resource in &resources {
                permissions.push(Permission {
                    subject: subject.to_owned(),
                    effect,
                    principal: principal.clone(),
                    action: action.clone(),
                    resource: resource.clone(),
                    conditions: conditions.clone(),
                });
            }
        }
    }
    Some(permissions)
}

/// `*`, or `AWS: arn…`, `Service: s3.amazonaws.com`.
fn principals(principal: &Value) -> Vec<String> {
    match principal {
        Value::Object(kinds) => kinds
            .iter()
            .flat_map(|(kind, principals)| {
                texts(principals)
                    .into_iter()
                    .map(move |principal| format!("{kind}: {principal}"))
            })
            .collect(),
        other => texts(other),
    }
}

fn conditions(block: &Value) -> Vec<Condition> {
    let condition = |operator: &str, key: &str, values: &Value| Condition {
        operator: operator.to_owned(),
        key: key.to_owned(),
        values: sorted(texts(values)),
    };
    let Some(operators) = block.as_object() else {
        return vec![condition("", "", block)];
    };
    operators
        .iter()
        .flat_map(|(operator, keys)| match keys.as_object() {
            Some(keys) => keys
                .iter()
                .map(|(key, values)| condition(operator, key, values))
                .collect(),
            None => vec![condition(operator, "", keys)],
        })
        .collect()
}

/// The policy documents anywhere in a resource's properties. A statement with an effect
/// is what tells them from other things that have statements.
fn documents_in(value: &Value) -> Vec<Value> {
    let document = document_in(value);
    let value = document.as_ref().unwrap_or(value);
    let has_effect = |statement: &&Value| statement.get("Effect").is_some();
    match value {
        Value::Object(members) => {
            if list(&value["Statement"])
                .into_iter()
                .any(|each| has_effect(&each))
            {
                return vec![value.clone()];
            }
            members.values().flat_map(documents_in).collect()
        }
        Value::Array(items) => items.iter().flat_map(documents_in).collect(),
        _ => Vec::new(),
    }
}

/// A document that is written as text, as some resources want it.
fn document_in(value: &Value) -> Option<Value> {
    let document: Value = serde_json::from_str(value.as_str()?).ok()?;
    document.is_object().then_some(document)
}

/// A single value, a list, or lists in a list, as a list.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().flat_map(list).collect(),
        one => vec![one],
    }
}

/// A text, or a list of them.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    list(value).into_iter().map(text).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}
