//! A template as far as it can be read without AWS: parameters are put in, conditions
//! decided, and functions carried out.
//!
//! What is left is written as in `Fn::Sub`: `${Table}` and `${Table.Arn}` are values that
//! only AWS knows, and text that merely looks like one is `${!Table}`. A function that
//! cannot be carried out becomes `${Fn::ImportValue: "name"}`. So two ways to write a value
//! (`Fn::Join`, `Fn::Sub`, short tags) become the same text, and different values never do.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// What a template declares. All text in it is in the form above; numbers and booleans are
/// text, and `AWS::NoValue` is gone.
#[derive(Debug, Default)]
pub(super) struct Template {
    pub(super) resources: BTreeMap<String, Resource>,
    /// What stands among the resources and is none: macros, loops.
    pub(super) not_understood: BTreeMap<String, Value>,
}

/// A declared resource.
#[derive(Debug)]
pub(super) struct Resource {
    /// For example `AWS::IAM::Role`.
    pub(super) kind: String,
    /// The condition that decides whether it exists, if only AWS can decide it.
    pub(super) condition: Option<Value>,
    /// `Properties`, and the policies for its deletion and replacement.
    pub(super) body: Value,
}

impl Resource {
    pub(super) fn properties(&self) -> &Value {
        &self.body["Properties"]
    }

    /// Whether taking it out of the template deletes it.
    pub(super) fn is_deleted_on_removal(&self) -> bool {
        matches!(self.body["DeletionPolicy"].as_str(), None | Some("Delete"))
    }
}

impl Template {
    /// Reads a template, YAML or JSON, with the values that its parameters were given.
    pub(super) fn read(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self> {
        let template = parse(text)?;
        let values = Values::of(&template, parameters);
        let mut read = Self {
            resources: BTreeMap::new(),
            not_understood: BTreeMap::new(),
        };
        for (name, declared) in template["Resources"].as_object().into_iter().flatten() {
            let Some(kind) = declared["Type"].as_str() else {
                read.not_understood
                    .insert(name.clone(), values.resolve(declared));
                continue;
            };
            let condition = match declared["Condition"].as_str() {
                None => None,
                Some(condition) => match values.decide(condition) {
                    Decision::Known(true) => None,
                    Decision::Known(false) => continue,
                    Decision::Unknown(condition) => Some(condition),
                },
            };
            let body = ["Properties", "DeletionPolicy", "UpdateReplacePolicy"]
                .into_iter()
                .filter_map(|key| Some((key.to_owned(), values.resolve(declared.get(key)?))))
                .collect();
            let resource = Resource {
                kind: kind.to_owned(),
                condition,
                body: Value::Object(body),
            };
            read.resources.insert(name.clone(), resource);
        }
        if let Some(transform) = template.get("Transform") {
            read.not_understood
                .insert("Transform".to_owned(), values.resolve(transform));
        }
        Ok(read)
    }
}

/// JSON, or YAML with the short forms of functions written out.
pub(super) fn parse(text: &str) -> Result<Value> {
    if let Ok(template) = serde_json::from_str(text) {
        return Ok(template);
    }
    serde_yaml::from_str(text)
        .map(written_out)
        .map_err(|error| Error::new("could not read the template").because(error.to_string()))
}

fn written_out(yaml: serde_yaml::Value) -> Value {
    use serde_yaml::Value as Yaml;
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => json!(value),
        Yaml::Number(number) => json!(number.to_string()),
        Yaml::String(text) => json!(text),
        Yaml::Sequence(items) => items.into_iter().map(written_out).collect(),
        Yaml::Mapping(members) => members
            .into_iter()
            .map(|(key, value)| (scalar(&written_out(key)), written_out(value)))
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            Value::Object(Map::from_iter([(name, written_out(tagged.value))]))
        }
    }
}

/// A scalar as text.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Text that stands for itself.
pub(super) fn literal(text: &str) -> String {
    text.replace("${", "${!")
}

/// Whether nothing in `text` is left for AWS to say.
fn is_known(text: &str) -> bool {
    !text.replace("${!", "").contains("${")
}

/// A function that only AWS can carry out.
fn left_to_aws(function: &str, arguments: &Value) -> Value {
    json!(format!("${{{function}: {arguments}}}"))
}

/// Whether a condition holds.
#[derive(Debug, Clone)]
enum Decision {
    Known(bool),
    /// Only AWS can tell: what is left to decide.
    Unknown(Value),
}

/// What the sections beside the resources say.
struct Values<'a> {
    parameters: BTreeMap<&'a str, Value>,
    mappings: &'a Value,
    conditions: &'a Value,
    decided: RefCell<BTreeMap<String, Decision>>,
}

impl<'a> Values<'a> {
    fn of(template: &'a Value, given: &BTreeMap<String, String>) -> Self {
        let declared = template["Parameters"].as_object().into_iter().flatten();
        Self {
            parameters: declared
                .filter_map(|(name, declaration)| {
                    let default = declaration.get("Default").map(scalar);
                    let value = given.get(name).cloned().or(default)?;
                    Some((name.as_str(), parameter(name, declaration, &value)))
                })
                .collect(),
            mappings: &template["Mappings"],
            conditions: &template["Conditions"],
            decided: RefCell::default(),
        }
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
            "Fn::If" => return self.choose(arguments),
            "Fn::Sub" => self.substitute(arguments),
            "Fn::GetAtt" => self.attribute(arguments),
            "Fn::Join" => self.join(arguments),
            "Fn::Select" => self.select(arguments),
            "Fn::Split" => self.split(arguments),
            "Fn::FindInMap" => return self.find_in_map(arguments),
            _ => None,
        }
        .unwrap_or_else(|| left_to_aws(function, &self.resolve(arguments)))
    }

    fn reference(&self, name: &str) -> Option<Value> {
        if name == "AWS::NoValue" {
            return Some(Value::Null);
        }
        let known = self.parameters.get(name).cloned();
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

    /// A map that is left to AWS is shown with what is in it: it may change although the
    /// keys do not.
    fn find_in_map(&self, arguments: &Value) -> Value {
        let mut keys = self.resolve(arguments);
        let key = |position: usize| keys.get(position).and_then(Value::as_str);
        let map = key(0).and_then(|name| self.mappings.get(name));
        let found = || map?.get(key(1)?)?.get(key(2)?);
        if let Some(value) = found() {
            return self.resolve(value);
        }
        let content = map.map(|map| self.resolve(map));
        if let (Some(keys), Some(content)) = (keys.as_array_mut(), content) {
            keys.push(content);
        }
        left_to_aws("Fn::FindInMap", &keys)
    }

    fn choose(&self, arguments: &Value) -> Value {
        let branch =
            |position: usize| self.resolve(arguments.get(position).unwrap_or(&Value::Null));
        match self.decide(arguments[0].as_str().unwrap_or_default()) {
            Decision::Known(true) => branch(1),
            Decision::Known(false) => branch(2),
            Decision::Unknown(condition) => {
                left_to_aws("Fn::If", &json!([condition, branch(1), branch(2)]))
            }
        }
    }

    fn decide(&self, condition: &str) -> Decision {
        if let Some(decided) = self.decided.borrow().get(condition) {
            return decided.clone();
        }
        // A condition that refers to itself finds this.
        let unknown = Decision::Unknown(json!(condition));
        self.decided
            .borrow_mut()
            .insert(condition.to_owned(), unknown.clone());
        let decision = match self.conditions.get(condition) {
            Some(expression) => self.evaluate(expression),
            None => unknown,
        };
        self.decided
            .borrow_mut()
            .insert(condition.to_owned(), decision.clone());
        decision
    }

    fn evaluate(&self, expression: &Value) -> Decision {
        let known = || {
            let (function, arguments) = expression.as_object()?.iter().next()?;
            match function.as_str() {
                "Condition" => Some(self.decide(arguments.as_str()?)),
                "Fn::Not" => Some(match self.evaluate(arguments.get(0)?) {
                    Decision::Known(holds) => Decision::Known(!holds),
                    Decision::Unknown(left) => Decision::Unknown(json!({function: [left]})),
                }),
                "Fn::And" => Some(self.evaluate_all(function, arguments.as_array()?, false)),
                "Fn::Or" => Some(self.evaluate_all(function, arguments.as_array()?, true)),
                "Fn::Equals" => {
                    let sides = self.resolve(arguments);
                    let (left, right) = (sides.get(0)?.as_str()?, sides.get(1)?.as_str()?);
                    Some(if left == right {
                        Decision::Known(true)
                    } else if is_known(left) && is_known(right) {
                        Decision::Known(false)
                    } else {
                        Decision::Unknown(json!({function: sides}))
                    })
                }
                _ => None,
            }
        };
        known().unwrap_or_else(|| Decision::Unknown(self.resolve(expression)))
    }

    /// `Fn::And` and `Fn::Or`: one operand of the value `settles` settles the result.
    fn evaluate_all(&self, function: &str, operands: &[Value], settles: bool) -> Decision {
        let mut left = Vec::new();
        for operand in operands {
            match self.evaluate(operand) {
                Decision::Known(holds) if holds == settles => return Decision::Known(settles),
                Decision::Known(_) => {}
                Decision::Unknown(operand) => left.push(operand),
            }
        }
        if left.is_empty() {
            return Decision::Known(!settles);
        }
        Decision::Unknown(json!({function: left}))
    }
}

/// A parameter's value as `Ref` gives it.
fn parameter(name: &str, declaration: &Value, value: &str) -> Value {
    let kind = declaration["Type"].as_str().unwrap_or_default();
    if declaration
        .get("NoEcho")
        .is_some_and(|no_echo| scalar(no_echo) == "true")
    {
        // A secret is not shown, and the deployed one is not known.
        json!(format!("${{{name}}}"))
    } else if kind.starts_with("AWS::SSM::Parameter::Value") {
        left_to_aws(kind, &json!(value))
    } else if kind == "CommaDelimitedList" || kind.starts_with("List<") {
        value
            .split(',')
            .map(|item| json!(literal(item.trim())))
            .collect()
    } else {
        json!(literal(value))
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

    #[test]
    fn long_and_short_forms_of_a_value_are_the_same_text() {
        let read = properties(
            r#"
Resources:
  R:
    Type: T
    Properties:
      A: !GetAtt Users.Arn
      B: {"Fn::GetAtt": [Users, Arn]}
      C: !Sub "${Users.Arn}"
      D: !Join ["/", [!GetAtt Users.Arn, "*"]]
      E: !Sub ["${T}/*", {T: !GetAtt Users.Arn}]
      F: !Ref Users
      G: 300
      H: false
      I: !If [Nowhere, a, !Ref "AWS::NoValue"]
      J: [a, !Ref "AWS::NoValue"]
      K: !Ref "AWS::NoValue"
      L: !Select [1, !Split [":", "a:b:c"]]
"#,
            &[],
        );
        assert_eq!(
            read,
            json!({
                "A": "${Users.Arn}", "B": "${Users.Arn}", "C": "${Users.Arn}",
                "D": "${Users.Arn}/*", "E": "${Users.Arn}/*", "F": "${Users}",
                "G": "300", "H": "false",
                "I": r#"${Fn::If: ["Nowhere","a",null]}"#,
                "J": ["a"], "L": "b",
            })
        );
    }

    #[test]
    fn json_and_yaml_are_read_alike() {
        let json = r#"{"Resources": {"R": {"Type": "T", "Properties": {"A": {"Fn::GetAtt": ["B", "Arn"]}, "N": 5}}}}"#;
        let yaml =
            "Resources:\n  R:\n    Type: T\n    Properties:\n      A: !GetAtt B.Arn\n      N: 5\n";
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
      Sub: !Sub "home/${!aws:username}"
      Reference: !Sub "home/${Users}"
      Forgotten: "home/${Users}"
      Open: !Sub "home/${Users"
"#,
            &[],
        );
        assert_eq!(read["Plain"], "home/${!aws:username}");
        assert_eq!(read["Sub"], read["Plain"]);
        assert_eq!(read["Reference"], "home/${Users}");
        assert_eq!(read["Forgotten"], "home/${!Users}");
        assert_eq!(read["Open"], "home/${!Users");
    }

    #[test]
    fn parameters_are_put_in_except_secrets_and_what_only_aws_can_look_up() {
        let template = r#"
Parameters:
  Name: {Type: String, Default: fallback}
  Names: {Type: CommaDelimitedList}
  Secret: {Type: String, NoEcho: true}
  Stored: {Type: "AWS::SSM::Parameter::Value<String>"}
  Missing: {Type: String}
Resources:
  R:
    Type: T
    Properties:
      Name: !Sub "x-${Name}"
      Names: !Ref Names
      Secret: !Ref Secret
      Stored: !Ref Stored
      Missing: !Ref Missing
"#;
        let given = [("Names", "a, b"), ("Secret", "s3cret"), ("Stored", "/arn")];
        assert_eq!(
            properties(template, &given),
            json!({
                "Name": "x-fallback",
                "Names": ["a", "b"],
                "Secret": "${Secret}",
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
    fn conditions_are_decided_where_parameters_decide_them() {
        let template = r#"
Parameters:
  Stage: {Type: String}
Mappings:
  Sizes:
    dev: {Memory: 128}
    prod: {Memory: 512}
  Regions:
    eu-west-1: {Zone: a}
Conditions:
  Prod: !Equals [!Ref Stage, prod]
  NotProd: !Not [!Condition Prod]
  Here: !Equals [!Ref "AWS::Region", eu-west-1]
  ProdHere: !And [!Condition Prod, !Condition Here]
  Either: !Or [!Condition Prod, !Condition Here]
  Circle: !Not [!Condition Circle]
Resources:
  Gone:
    Type: T
    Condition: NotProd
  Depends:
    Type: T
    Condition: ProdHere
  R:
    Type: T
    Properties:
      A: !If [Prod, big, small]
      B: !If [ProdHere, near, far]
      C: !If [Either, one, none]
      D: !If [Circle, x, y]
      E: !FindInMap [Sizes, !Ref Stage, Memory]
      F: !FindInMap [Regions, !Ref "AWS::Region", Zone]
"#;
        assert_eq!(
            properties(template, &[("Stage", "prod")]),
            json!({
                "A": "big",
                "B": r#"${Fn::If: [{"Fn::And":[{"Fn::Equals":["${AWS::Region}","eu-west-1"]}]},"near","far"]}"#,
                "C": "one",
                "D": r#"${Fn::If: [{"Fn::Not":["Circle"]},"x","y"]}"#,
                "E": "512",
                "F": r#"${Fn::FindInMap: ["Regions","${AWS::Region}","Zone",{"eu-west-1":{"Zone":"a"}}]}"#,
            })
        );
        let dev = properties(template, &[("Stage", "dev")]);
        assert_eq!((&dev["A"], &dev["B"]), (&json!("small"), &json!("far")));
        assert_eq!(dev["E"], "128");

        let given = BTreeMap::from([("Stage".to_owned(), "prod".to_owned())]);
        let read = Template::read(template, &given).unwrap();
        assert!(!read.resources.contains_key("Gone"));
        assert!(read.resources["Depends"].condition.is_some());
    }

    #[test]
    fn what_is_no_resource_is_kept_as_not_understood() {
        let read = Template::read(
            r#"{"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::X": ["A", ["b"], {}]}}"#,
            &BTreeMap::new(),
        )
        .unwrap();
        assert!(read.resources.is_empty());
        assert_eq!(
            read.not_understood.keys().collect::<Vec<_>>(),
            ["Fn::ForEach::X", "Transform"]
        );
    }

    #[test]
    fn what_is_no_template_is_an_error() {
        let error = Template::read("Resources: [", &BTreeMap::new()).unwrap_err();
        assert_eq!(error.what(), "could not read the template");
        assert!(error.why().is_some());
    }
}
