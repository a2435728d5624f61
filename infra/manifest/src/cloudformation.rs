//! The parts of CloudFormation's template language that are used here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::origin::Origin;
use crate::scanner;

/// A template under construction.
#[derive(Debug, Default)]
pub(crate) struct Template {
    description: String,
    is_scanned: bool,
    parameters: BTreeMap<String, Value>,
    resources: BTreeMap<String, Value>,
    outputs: BTreeMap<String, Value>,
    types: BTreeSet<String>,
    origins: BTreeMap<String, Origin>,
    collisions: BTreeMap<String, Origin>,
}

impl Template {
    pub(crate) fn new(description: String) -> Self {
        Self {
            description,
            ..Self::default()
        }
    }

    /// Resources that are added from here on tell a scanner which of its rules do not fit them.
    pub(crate) fn scanned(mut self) -> Self {
        self.is_scanned = true;
        self
    }

    pub(crate) fn parameter(&mut self, name: String, description: &str) {
        self.parameters
            .insert(name, json!({"Type": "String", "Description": description}));
    }

    /// Adds a resource that is there because of what `origin` declares.
    pub(crate) fn resource(&mut self, logical_id: String, origin: Origin, resource: Resource) {
        let kind = resource.kind.clone();
        self.types.insert(kind.to_string());
        let mut resource = resource.into_value();
        if self.is_scanned
            && let Some(exceptions) = scanner::exceptions(&kind, &resource["Properties"])
        {
            resource["Metadata"]["checkov"] = exceptions;
        }
        self.resources.insert(logical_id.clone(), resource);
        if self.origins.insert(logical_id.clone(), origin).is_some() {
            self.collisions.insert(logical_id, origin);
        }
    }

    pub(crate) fn output(&mut self, name: String, description: &str, value: &Value) {
        self.outputs
            .insert(name, json!({"Description": description, "Value": value}));
    }

    /// A resource.
    pub(crate) fn get(&self, logical_id: &str) -> Option<&Value> {
        self.resources.get(logical_id)
    }

    /// The types of its resources.
    pub(crate) fn types(&self) -> BTreeSet<String> {
        self.types.clone()
    }

    /// The logical IDs of the resources of a type.
    pub(crate) fn of_type(&self, kind: &str) -> impl Iterator<Item = &str> {
        let resources = self.resources.iter();
        resources
            .filter(move |(_, resource)| resource["Type"] == kind)
            .map(|(logical_id, _)| logical_id.as_str())
    }

    /// What resources refer to and the template does not have: the logical ID of the resource, and
    /// the name.
    pub(crate) fn unknown_references(&self) -> BTreeSet<(&str, String)> {
        let mut unknown = BTreeSet::new();
        for (logical_id, resource) in &self.resources {
            let depends_on = resource["DependsOn"].as_array().into_iter().flatten();
            let depends_on = depends_on.filter_map(Value::as_str).map(str::to_owned);
            let mut names = BTreeSet::new();
            referred_names(resource, &mut names);
            names.extend(depends_on);
            names.retain(|name| {
                !self.resources.contains_key(name)
                    && !self.parameters.contains_key(name)
                    && !name.starts_with("AWS::")
            });
            unknown.extend(names.into_iter().map(|name| (logical_id.as_str(), name)));
        }
        unknown
    }

    /// The logical IDs of all resources.
    pub(crate) fn logical_ids(&self) -> impl Iterator<Item = &str> {
        self.resources.keys().map(String::as_str)
    }

    /// Why there is each resource, by its logical ID.
    pub(crate) fn origins(&self) -> &BTreeMap<String, Origin> {
        &self.origins
    }

    /// Logical IDs that two resources derive from their names, and where the second is.
    pub(crate) fn collisions(&self) -> &BTreeMap<String, Origin> {
        &self.collisions
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut template = json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": self.description,
            "Resources": self.resources,
            "Outputs": self.outputs,
        });
        if !self.parameters.is_empty() {
            template["Parameters"] = json!(self.parameters);
        }
        template
    }
}

/// One entry of a template's `Resources`.
#[derive(Debug)]
pub(crate) struct Resource {
    kind: Cow<'static, str>,
    properties: Value,
    depends_on: Vec<String>,
    deletion_policy: Option<DeletionPolicy>,
    metadata: Option<Value>,
    update_policy: Option<Value>,
}

/// What becomes of a resource with data when it leaves the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeletionPolicy {
    /// It is deleted.
    Delete,
    /// It stays.
    Retain,
    /// It stays, unless the deployment that created it is rolled back.
    RetainExceptOnCreate,
}

impl Resource {
    pub(crate) fn new(kind: impl Into<Cow<'static, str>>, properties: Value) -> Self {
        Self {
            kind: kind.into(),
            properties,
            depends_on: Vec::new(),
            deletion_policy: None,
            metadata: None,
            update_policy: None,
        }
    }

    /// Tags as most resource types take them: a list of keys and values.
    pub(crate) fn tagged(mut self, tags: &BTreeMap<String, String>) -> Self {
        let list: Vec<Value> = tags
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        self.properties["Tags"] = Value::from(list);
        self
    }

    /// Tags as API Gateway's resource types take them: a map.
    pub(crate) fn tagged_as_map(mut self, tags: &BTreeMap<String, String>) -> Self {
        self.properties["Tags"] = json!(tags);
        self
    }

    pub(crate) fn depends_on(mut self, logical_ids: Vec<String>) -> Self {
        self.depends_on = logical_ids;
        self
    }

    pub(crate) fn deletion_policy(mut self, policy: DeletionPolicy) -> Self {
        self.deletion_policy = Some(policy);
        self
    }

    pub(crate) fn metadata(mut self, metadata: Value) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Adds to the metadata that there is.
    pub(crate) fn with_metadata(mut self, key: &str, value: Value) -> Self {
        let mut metadata = self.metadata.unwrap_or_else(|| json!({}));
        metadata[key] = value;
        self.metadata = Some(metadata);
        self
    }

    pub(crate) fn change_properties(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.properties);
    }

    pub(crate) fn update_policy(mut self, update_policy: Value) -> Self {
        self.update_policy = Some(update_policy);
        self
    }

    fn into_value(self) -> Value {
        let mut value = json!({"Type": self.kind, "Properties": self.properties});
        if !self.depends_on.is_empty() {
            value["DependsOn"] = json!(self.depends_on);
        }
        if let Some(policy) = self.deletion_policy {
            let (deletion, replacement) = match policy {
                DeletionPolicy::Delete => ("Delete", "Delete"),
                DeletionPolicy::Retain => ("Retain", "Retain"),
                DeletionPolicy::RetainExceptOnCreate => ("RetainExceptOnCreate", "Retain"),
            };
            value["DeletionPolicy"] = json!(deletion);
            value["UpdateReplacePolicy"] = json!(replacement);
        }
        if let Some(metadata) = self.metadata {
            value["Metadata"] = metadata;
        }
        if let Some(update_policy) = self.update_policy {
            value["UpdatePolicy"] = update_policy;
        }
        value
    }
}

pub(crate) fn reference(logical_id: &str) -> Value {
    json!({"Ref": logical_id})
}

pub(crate) fn attribute(logical_id: &str, name: &str) -> Value {
    json!({"Fn::GetAtt": [logical_id, name]})
}

/// Text with `${…}` placeholders.
pub(crate) fn sub(text: &str) -> Value {
    json!({"Fn::Sub": text})
}

/// What `value` refers to by [`reference`] and [`attribute`].
pub(crate) fn references(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value) {
                ("Ref", Value::String(logical_id)) => [logical_id.clone()].into(),
                ("Fn::GetAtt", Value::Array(path)) => {
                    let logical_id = path.first().and_then(Value::as_str);
                    logical_id.map(str::to_owned).into_iter().collect()
                }
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// The names that a value refers to in any way: by `Ref`, by `Fn::GetAtt`, or in the text of
/// `Fn::Sub`.
fn referred_names(value: &Value, names: &mut BTreeSet<String>) {
    let members = match value {
        Value::Array(items) => {
            items.iter().for_each(|item| referred_names(item, names));
            return;
        }
        Value::Object(members) => members,
        _ => return,
    };
    for (key, value) in members {
        let before_dot = |text: &str| text.split('.').next().unwrap_or_default().to_owned();
        match (key.as_str(), value) {
            ("Ref", Value::String(name)) => names.extend([name.clone()]),
            ("Fn::GetAtt", Value::String(path)) => names.extend([before_dot(path)]),
            ("Fn::GetAtt", Value::Array(path)) => {
                names.extend(path.first().and_then(Value::as_str).map(str::to_owned));
            }
            ("Fn::Sub", Value::String(text)) => names.extend(placeholders(text).map(before_dot)),
            ("Fn::Sub", Value::Array(parts)) => {
                let text = parts.first().and_then(Value::as_str).unwrap_or_default();
                let variables = parts.get(1);
                let is_variable =
                    |name: &&str| variables.is_none_or(|known| known.get(name).is_none());
                names.extend(placeholders(text).filter(is_variable).map(before_dot));
                variables
                    .into_iter()
                    .for_each(|values| referred_names(values, names));
            }
            _ => referred_names(value, names),
        }
    }
}

/// `Table.Arn`, of `${Table.Arn}/*`. `${!Text}` stands for itself.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("${").skip(1);
    let names = parts.filter_map(|part| Some(part.split_once('}')?.0));
    names.filter(|name| !name.starts_with('!'))
}
