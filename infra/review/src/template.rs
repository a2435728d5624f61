//! A template as it can be read without AWS: parameters are inserted, and functions carried
//! out.
//!
//! What is left is written as in `Fn::Sub`: `${Table}` and `${Table.Arn}` are values that only AWS
//! knows, and text that merely looks like one is `${!Table}`. A function that cannot be carried out
//! becomes `${Fn::ImportValue: "name"}`. So two ways to write a value (`Fn::Join`, `Fn::Sub`)
//! become the same text, and different values never do.
//!
//! `manifest` renders templates without conditions, mappings, macros and short forms of functions
//! (`!Sub`). Sections that this module does not read are kept as [`Template::not_understood`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Error;

/// The sections that say nothing of what the resources are.
const DESCRIPTIVE: [&str; 6] = [
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
];

/// The attributes of a resource whose changes are shown.
const BODY: [&str; 3] = ["Properties", "DeletionPolicy", "UpdateReplacePolicy"];

/// What a template declares. All text in it is in the form above; numbers and booleans are
/// text, and `AWS::NoValue` is gone.
#[derive(Debug, Default)]
pub(crate) struct Template {
    pub(crate) resources: BTreeMap<String, Resource>,
    /// What may say more of the resources: other sections, and what stands among the resources
    /// and is none.
    pub(crate) not_understood: BTreeMap<String, Value>,
}

/// A declared resource.
#[derive(Debug)]
pub(crate) struct Resource {
    /// For example `AWS::IAM::Role`.
    pub(crate) kind: String,
    /// `Properties`, and the policies for its deletion and replacement.
    pub(crate) body: Value,
    /// Everything else that its declaration has.
    pub(crate) others: Value,
}

impl Resource {
    pub(crate) fn properties(&self) -> &Value {
        &self.body["Properties"]
    }

    /// Whether taking it out of the template deletes it.
    pub(crate) fn is_deleted_on_removal(&self) -> bool {
        matches!(self.body["DeletionPolicy"].as_str(), None | Some("Delete"))
    }
}

impl Template {
    /// Reads a template, YAML or JSON, with the values that its parameters were given.
    pub(crate) fn read(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self, Error> {
        let template = parse(text)?;
        let values = Values::of(&template, parameters);
        let mut read = Self::default();
        for (name, section) in template.as_object().into_iter().flatten() {
            if !DESCRIPTIVE.contains(&name.as_str()) {
                let section = values.resolve(section);
                read.not_understood.insert(name.clone(), section);
            }
        }
        for (name, declared) in template["Resources"].as_object().into_iter().flatten() {
            // A condition decides whether the resource exists.
            let (Some(kind), None) = (declared["Type"].as_str(), declared.get("Condition")) else {
                read.not_understood
                    .insert(name.clone(), values.resolve(declared));
                continue;
            };
            let attributes = declared.as_object().into_iter().flatten();
            let (body, others): (Map<_, _>, Map<_, _>) = attributes
                .map(|(key, value)| (key.clone(), values.resolve(value)))
                .partition(|(key, _)| BODY.contains(&key.as_str()));
            let resource = Resource {
                kind: kind.to_owned(),
                body: body.into(),
                others: others.into(),
            };
            read.resources.insert(name.clone(), resource);
        }
        Ok(read)
    }
}

/// YAML or JSON.
pub(crate) fn parse(text: &str) -> Result<Value, Error> {
    serde_yaml::from_str(text).map_err(|error| Error {
        why: error.to_string(),
    })
}

/// A scalar as text.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Text that stands for itself.
pub(crate) fn literal(text: &str) -> String {
    text.replace("${", "${!")
}

/// A function that only AWS can carry out.
fn left_to_aws(function: &str, arguments: &Value) -> Value {
    json!(format!("${{{function}: {arguments}}}"))
}

/// The values of parameters, as `Ref` gives them.
struct Values<'a>(BTreeMap<&'a str, Value>);

impl<'a> Values<'a> {
    fn of(template: &'a Value, given: &BTreeMap<String, String>) -> Self {
        let declared = template["Parameters"].as_object().into_iter().flatten();
        let values = declared.filter_map(|(name, declaration)| {
            let default = declaration.get("Default").map(scalar);
            let value = given.get(name).cloned().or(default)?;
            let value = match declaration["Type"].as_str() {
                Some("String") => json!(literal(&value)),
                // A list, or the name of a value that AWS looks up.
                kind => left_to_aws(kind.unwrap_or_default(), &json!(value)),
            };
            Some((name.as_str(), value))
        });
        Self(values.collect())
    }

    fn resolve(&self, value: &Value) -> Value {
        match value {
            Value::Null => Value::Null,
            Value::Bool(_) | Value::Number(_) => json!(value.to_string()),
            Value::String(text) => json!(literal(text)),
            Value::Array(items) => items
                .iter()
                .map(|item| self.resolve(item))
                .filter(|item| !item.is_null())
                .collect(),
            Value::Object(members) => {
                let mut each = members.iter();
                if let (Some((name, arguments)), None) = (each.next(), each.next())
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    return self.call(name, arguments);
                }
                members
                    .iter()
                    .map(|(key, member)| (key.clone(), self.resolve(member)))
                    .filter(|(_, member)| !member.is_null())
                    .collect::<Map<_, _>>()
                    .into()
            }
        }
    }

    fn call(&self, function: &str, arguments: &Value) -> Value {
        match function {
            "Ref" => self.reference(&scalar(arguments)),
            "Fn::Sub" => self.substitute(arguments),
            "Fn::GetAtt" => self.attribute(arguments),
            "Fn::Join" => self.join(arguments),
            "Fn::Select" => self.select(arguments),
            "Fn::Split" => self.split(arguments),
            _ => None,
        }
        .unwrap_or_else(|| left_to_aws(function, &self.resolve(arguments)))
    }

    fn reference(&self, name: &str) -> Option<Value> {
        if name == "AWS::NoValue" {
            return Some(Value::Null);
        }
        let known = self.0.get(name).cloned();
        Some(known.unwrap_or_else(|| json!(format!("${{{name}}}"))))
    }

    fn attribute(&self, arguments: &Value) -> Option<Value> {
        let path = match self.resolve(arguments) {
            Value::Array(steps) => {
                let steps: Option<Vec<&str>> = steps.iter().map(Value::as_str).collect();
                steps?.join(".")
            }
            path => path.as_str()?.to_owned(),
        };
        Some(json!(format!("${{{path}}}")))
    }

    fn substitute(&self, arguments: &Value) -> Option<Value> {
        let (text, variables) = match arguments {
            Value::Array(pair) => (pair.first()?.as_str()?, pair.get(1)?),
            text => (text.as_str()?, &Value::Null),
        };
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, placeholder)) = rest.split_once("${") {
            result.push_str(before);
            let Some((name, after)) = placeholder.split_once('}') else {
                result.push_str(&literal("${"));
                result.push_str(placeholder);
                return Some(json!(result));
            };
            let value = if let Some(variable) = variables.get(name) {
                self.resolve(variable)
            } else if name.starts_with('!') {
                json!(format!("${{{name}}}"))
            } else {
                self.reference(name)?
            };
            result.push_str(value.as_str()?);
            rest = after;
        }
        result.push_str(rest);
        Some(json!(result))
    }

    fn join(&self, arguments: &Value) -> Option<Value> {
        let separator = literal(arguments.get(0)?.as_str()?);
        let list = self.resolve(arguments.get(1)?);
        let parts: Option<Vec<&str>> = list.as_array()?.iter().map(Value::as_str).collect();
        Some(json!(parts?.join(&separator)))
    }

    fn select(&self, arguments: &Value) -> Option<Value> {
        let position = self.resolve(arguments.get(0)?);
        let position: usize = position.as_str()?.parse().ok()?;
        self.resolve(arguments.get(1)?).get(position).cloned()
    }

    fn split(&self, arguments: &Value) -> Option<Value> {
        let separator = arguments.get(0)?.as_str()?;
        let source = self.resolve(arguments.get(1)?);
        let source = source.as_str().filter(|text| !text.contains("${"))?;
        Some(source.split(separator).map(|part| json!(part)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The properties of resource `R` of a template.
    fn properties(text: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Template::read(text, &parameters).unwrap().resources["R"]
            .properties()
            .clone()
    }

    fn not_understood(text: &str) -> Vec<String> {
        let read = Template::read(text, &BTreeMap::new()).unwrap();
        read.not_understood.into_keys().collect()
    }

    #[test]
    fn all_ways_to_write_a_value_are_the_same_text() {
        let read = properties(
            r#"
Resources:
  R:
    Type: T
    Properties:
      A: {"Fn::GetAtt": Orders.Arn}
      B: {"Fn::GetAtt": [Orders, Arn]}
      C: {"Fn::Sub": "${Orders.Arn}"}
      D: {"Fn::Join": ["/", [{"Fn::GetAtt": Orders.Arn}, "*"]]}
      E: {"Fn::Sub": ["${T}/*", {T: {"Fn::GetAtt": Orders.Arn}}]}
      F: {Ref: Orders}
      G: 300
      H: false
      I: {"Fn::If": [Nowhere, a, {Ref: "AWS::NoValue"}]}
      J: [a, {Ref: "AWS::NoValue"}]
      K: {Ref: "AWS::NoValue"}
      L: {"Fn::Select": [1, {"Fn::Split": [":", "a:b:c"]}]}
"#,
            &[],
        );
        assert_eq!(
            read,
            json!({
                "A": "${Orders.Arn}", "B": "${Orders.Arn}", "C": "${Orders.Arn}",
                "D": "${Orders.Arn}/*", "E": "${Orders.Arn}/*", "F": "${Orders}",
                "G": "300", "H": "false",
                "I": r#"${Fn::If: ["Nowhere","a"]}"#,
                "J": ["a"], "L": "b",
            })
        );
    }

    #[test]
    fn json_and_yaml_are_read_alike() {
        let json = r#"{"Resources": {"R": {"Type": "T", "Properties": {"A": {"Fn::GetAtt": ["B", "Arn"]}, "N": 5}}}}"#;
        let yaml = "Resources:\n  R:\n    Type: T\n    Properties:\n      A:\n        Fn::GetAtt: B.Arn\n      N: 5\n";
        assert_eq!(properties(json, &[]), properties(yaml, &[]));
    }

    #[test]
    fn text_that_looks_like_a_reference_is_told_apart_from_one() {
        let read = properties(
            r#"
Resources:
  R:
    Type: T
    Properties:
      Plain: "home/${aws:username}"
      Sub: {"Fn::Sub": "home/${!aws:username}"}
      Reference: {"Fn::Sub": "home/${Orders}"}
      Forgotten: "home/${Orders}"
      Open: {"Fn::Sub": "home/${Orders"}
"#,
            &[],
        );
        assert_eq!(read["Plain"], "home/${!aws:username}");
        assert_eq!(read["Sub"], read["Plain"]);
        assert_eq!(read["Reference"], "home/${Orders}");
        assert_eq!(read["Forgotten"], "home/${!Orders}");
        assert_eq!(read["Open"], "home/${!Orders");
    }

    #[test]
    fn parameters_are_put_in_except_what_only_aws_can_look_up() {
        let template = r#"
Parameters:
  Name: {Type: String, Default: fallback}
  Stored: {Type: "AWS::SSM::Parameter::Value<String>"}
  Missing: {Type: String}
Resources:
  R:
    Type: T
    Properties:
      Name: {"Fn::Sub": "x-${Name}"}
      Stored: {Ref: Stored}
      Missing: {Ref: Missing}
"#;
        assert_eq!(
            properties(template, &[("Stored", "/arn")]),
            json!({
                "Name": "x-fallback",
                "Stored": r#"${AWS::SSM::Parameter::Value<String>: "/arn"}"#,
                "Missing": "${Missing}",
            })
        );
        assert_eq!(
            properties(template, &[("Name", "given")])["Name"],
            "x-given"
        );
    }

    #[test]
    fn what_may_say_more_of_the_resources_is_not_understood() {
        let loops = r#"{"Transform": "AWS::LanguageExtensions", "Description": "d", "Resources": {"Fn::ForEach::X": ["A", ["b"], {}]}}"#;
        assert_eq!(not_understood(loops), ["Fn::ForEach::X", "Transform"]);
        let condition = r#"{"Conditions": {"C": {"Fn::Equals": ["a", "a"]}}, "Resources": {"R": {"Type": "T", "Condition": "C"}}}"#;
        assert_eq!(not_understood(condition), ["Conditions", "R"]);
        let mapping = r#"{"Mappings": {"M": {"a": {"b": "c"}}}, "Resources": {"R": {"Type": "T", "Properties": {"A": {"Fn::FindInMap": ["M", "a", "b"]}}}}}"#;
        assert_eq!(not_understood(mapping), ["Mappings"]);
    }

    #[test]
    fn what_is_no_template_is_an_error() {
        assert!(Template::read("Resources: [", &BTreeMap::new()).is_err());
        assert!(Template::read("Resources: {A: !Ref B}", &BTreeMap::new()).is_err());
    }
}
