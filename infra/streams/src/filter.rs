//! Which records a mapping delivers: `FilterCriteria`.
//!
//! The rules are those of "Control which events Lambda sends to your function" in Lambda's
//! developer guide, and of "Using event filtering with a DynamoDB event source". What the
//! comparison operators mean there is left to "Comparison operators for use in event
//! patterns" in EventBridge's user guide.
//!
//! - A field of a pattern holds an object for the level below, or an array of rules, of
//!   which one has to match. All fields of a pattern have to match, and one of the patterns.
//! - A value that is an array matches if one of its elements does.
//! - Values are compared as they are: DynamoDB's numbers are strings (`{"N": "1"}`), so
//!   `numeric` never matches one.
//! - `exists` looks at leaves only: an object does not exist for it.
//!
//! Every operator of Lambda's table is here, whether an app of this workspace needs it or not: of a mapping with one that
//! is unknown, nothing would be delivered.

use std::fmt;

use serde_json::{Map, Value};

/// The filters of a mapping, of which a record has to pass one. Without filters, every
/// record passes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filters(Vec<Pattern>);

/// A filter that Lambda would have refused to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFilter(String);

impl fmt::Display for InvalidFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Filters {
    /// Reads the texts of `FilterCriteria.Filters[].Pattern`.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidFilter> {
        patterns
            .into_iter()
            .map(|text| {
                let invalid = |reason: String| InvalidFilter(format!("{reason} in filter {text}"));
                let value = serde_json::from_str(text)
                    .map_err(|error| invalid(format!("no JSON ({error})")))?;
                let Value::Object(fields) = value else {
                    return Err(invalid("no object".to_owned()));
                };
                Pattern::parse(&fields).map_err(invalid)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a record, in the form in which functions see it, is delivered.
    pub fn pass(&self, record: &Value) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(record))
    }
}

/// One level of a pattern.
#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    fields: Vec<(String, Field)>,
    /// `$or`: if there are any, one of them has to match as well.
    alternatives: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Below(Pattern),
    Leaf(Vec<Rule>),
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Equals(Value),
    EqualsIgnoreCase(String),
    Prefix(String),
    Suffix(String),
    /// Matches what none of the rules matches.
    AnythingBut(Vec<Rule>),
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Pattern {
    fn parse(object: &Map<String, Value>) -> Result<Self, String> {
        let mut pattern = Self {
            fields: Vec::new(),
            alternatives: Vec::new(),
        };
        for (name, value) in object {
            match value {
                Value::Array(alternatives) if name == "$or" => {
                    if alternatives.len() < 2 {
                        return Err("fewer than two alternatives of $or".to_owned());
                    }
                    for alternative in alternatives {
                        let alternative = alternative
                            .as_object()
                            .ok_or("an alternative of $or that is not an object")?;
                        pattern.alternatives.push(Self::parse(alternative)?);
                    }
                }
                Value::Array(rules) if !rules.is_empty() => {
                    let rules = rules.iter().map(Rule::parse).collect::<Result<_, _>>()?;
                    pattern.fields.push((name.clone(), Field::Leaf(rules)));
                }
                Value::Object(below) if !below.is_empty() => {
                    let below = Self::parse(below)?;
                    pattern.fields.push((name.clone(), Field::Below(below)));
                }
                _ => return Err(format!("neither rules nor an object at `{name}`")),
            }
        }
        Ok(pattern)
    }

    fn matches(&self, value: &Value) -> bool {
        if let Value::Array(elements) = value {
            return elements.iter().any(|element| self.matches(element));
        }
        self.fields.iter().all(|(name, field)| {
            let value = value.get(name);
            match field {
                Field::Below(below) => below.matches(value.unwrap_or(&Value::Null)),
                Field::Leaf(rules) => rules.iter().any(|rule| rule.matches(value)),
            }
        }) && (self.alternatives.is_empty()
            || self
                .alternatives
                .iter()
                .any(|alternative| alternative.matches(value)))
    }
}

impl Rule {
    fn parse(rule: &Value) -> Result<Self, String> {
        let Value::Object(rule) = rule else {
            return match rule {
                Value::Array(_) => Err("an array in an array".to_owned()),
                value => Ok(Self::Equals(value.clone())),
            };
        };
        let mut entries = rule.iter();
        let (Some((operator, operand)), None) = (entries.next(), entries.next()) else {
            return Err("a rule that is not one operator".to_owned());
        };
        let text = || {
            operand
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("an operand of `{operator}` that is not a string"))
        };
        match operator.as_str() {
            "prefix" => text().map(Self::Prefix),
            "suffix" => text().map(Self::Suffix),
            "equals-ignore-case" => text().map(Self::EqualsIgnoreCase),
            "exists" => operand
                .as_bool()
                .map(Self::Exists)
                .ok_or_else(|| "an operand of `exists` that is neither true nor false".to_owned()),
            "anything-but" => match operand {
                Value::Array(values) if !values.is_empty() => {
                    values.iter().map(Self::parse).collect()
                }
                Value::Array(_) => Err("nothing in `anything-but`".to_owned()),
                value => Self::parse(value).map(|rule| vec![rule]),
            }
            .map(Self::AnythingBut),
            "numeric" => parse_comparisons(operand).map(Self::Numeric),
            _ => Err(format!(
                "the operator `{operator}`, which Lambda's filters lack,"
            )),
        }
    }

    /// Whether a field matches; `None` if the record does not have it.
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(expected), _) => {
                *expected == value.is_some_and(|value| !value.is_object())
            }
            (_, None) => false,
            (_, Some(Value::Array(elements))) => {
                elements.iter().any(|element| self.matches(Some(element)))
            }
            (_, Some(Value::Object(_))) => false,
            (Self::Equals(expected), Some(value)) => value == expected,
            (Self::AnythingBut(rules), Some(_)) => !rules.iter().any(|rule| rule.matches(value)),
            (Self::Numeric(comparisons), Some(value)) => value.as_f64().is_some_and(|number| {
                comparisons
                    .iter()
                    .all(|(comparison, operand)| comparison.holds(number, *operand))
            }),
            (Self::Prefix(prefix), Some(value)) => {
                value.as_str().is_some_and(|text| text.starts_with(prefix))
            }
            (Self::Suffix(suffix), Some(value)) => {
                value.as_str().is_some_and(|text| text.ends_with(suffix))
            }
            (Self::EqualsIgnoreCase(expected), Some(value)) => value
                .as_str()
                .is_some_and(|text| text.to_lowercase() == expected.to_lowercase()),
        }
    }
}

/// `["=", 1]` or `[">", 1, "<=", 2]`.
fn parse_comparisons(operand: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let invalid = || format!("an operand of `numeric` that is not a comparison: {operand}");
    let parts = operand.as_array().ok_or_else(invalid)?;
    let comparisons: Vec<_> = parts
        .chunks(2)
        .map(|part| {
            let [comparison, number] = part else {
                return None;
            };
            let comparison = match comparison.as_str()? {
                "=" => Comparison::Equal,
                "<" => Comparison::Less,
                "<=" => Comparison::LessOrEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterOrEqual,
                _ => return None,
            };
            Some((comparison, number.as_f64()?))
        })
        .collect::<Option<_>>()
        .ok_or_else(invalid)?;
    if comparisons.is_empty() || comparisons.len() > 2 {
        return Err(invalid());
    }
    Ok(comparisons)
}

impl Comparison {
    #[expect(clippy::float_cmp, reason = "equal is what the filter asks for")]
    fn holds(self, number: f64, operand: f64) -> bool {
        match self {
            Self::Equal => number == operand,
            Self::Less => number < operand,
            Self::LessOrEqual => number <= operand,
            Self::Greater => number > operand,
            Self::GreaterOrEqual => number >= operand,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record() -> Value {
        json!({
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": {"Id": {"S": "order-1"}},
                "NewImage": {
                    "Id": {"S": "order-1"},
                    "Age": {"N": "30"},
                    "Name": {"S": ""},
                    "Paid": {"BOOL": true},
                    "Gone": {"NULL": true},
                    "Tags": {"SS": ["red", "blue"]},
                    "List": {"L": [{"S": "one"}, {"N": "2"}]}
                },
                "SizeBytes": 26
            },
            "userIdentity": null
        })
    }

    fn passes(patterns: &[Value]) -> bool {
        let texts: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        Filters::parse(texts.iter().map(String::as_str))
            .unwrap()
            .pass(&record())
    }

    fn image(field: &Value) -> Value {
        json!({"dynamodb": {"NewImage": field}})
    }

    #[test]
    fn every_operator_matches_what_it_says() {
        let id = |rule: Value| image(&json!({"Id": {"S": [rule]}}));
        let size = |operand: Value| json!({"dynamodb": {"SizeBytes": [{"numeric": operand}]}});
        for (pattern, expected) in [
            (json!({}), true),
            (json!({"eventName": ["INSERT"]}), true),
            (json!({"eventName": ["insert"]}), false),
            (json!({"eventName": ["MODIFY", "INSERT"]}), true),
            (json!({"eventName": ["MODIFY", "REMOVE"]}), false),
            (json!({"userIdentity": [null]}), true),
            (json!({"eventName": [null]}), false),
            (json!({"absent": [null]}), false),
            (image(&json!({"Name": {"S": [""]}})), true),
            (image(&json!({"Paid": {"BOOL": [true]}})), true),
            (image(&json!({"Paid": {"BOOL": [false]}})), false),
            (json!({"dynamodb": {"SizeBytes": [26]}}), true),
            (json!({"dynamodb": {"SizeBytes": ["26"]}}), false),
            (id(json!({"prefix": "order-"})), true),
            (id(json!({"prefix": "Order-"})), false),
            (id(json!({"suffix": "-1"})), true),
            (id(json!({"suffix": "-2"})), false),
            (id(json!({"equals-ignore-case": "ORDER-1"})), true),
            (id(json!({"equals-ignore-case": "ORDER"})), false),
            (id(json!({"anything-but": ["order-2"]})), true),
            (id(json!({"anything-but": ["order-2", "order-1"]})), false),
            (id(json!({"anything-but": "order-1"})), false),
            (id(json!({"anything-but": {"prefix": "order"}})), false),
            (id(json!({"anything-but": {"prefix": "refund"}})), true),
            (
                image(&json!({"absent": {"S": [{"anything-but": ["a"]}]}})),
                false,
            ),
            (size(json!(["=", 26])), true),
            (size(json!([">", 26])), false),
            (size(json!([">=", 26, "<", 27.5])), true),
            (size(json!([">", 20, "<=", 25])), false),
        ] {
            assert_eq!(
                passes(std::slice::from_ref(&pattern)),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn numbers_of_dynamodb_are_strings() {
        assert!(passes(&[image(&json!({"Age": {"N": ["30"]}}))]));
        assert!(!passes(&[image(
            &json!({"Age": {"N": [{"numeric": ["=", 30]}]}})
        )]));
    }

    #[test]
    fn exists_looks_at_leaves_only() {
        for (pattern, expected) in [
            (image(&json!({"Age": {"N": [{"exists": true}]}})), true),
            (image(&json!({"Age": {"N": [{"exists": false}]}})), false),
            (image(&json!({"Size": {"N": [{"exists": false}]}})), true),
            (image(&json!({"Size": {"N": [{"exists": true}]}})), false),
            (image(&json!({"Age": [{"exists": true}]})), false),
            (
                json!({"dynamodb": {"OldImage": {"Id": {"S": [{"exists": false}]}}}}),
                true,
            ),
        ] {
            assert_eq!(
                passes(std::slice::from_ref(&pattern)),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn one_element_of_an_array_is_enough() {
        assert!(passes(&[image(&json!({"Tags": {"SS": ["blue"]}}))]));
        assert!(!passes(&[image(&json!({"Tags": {"SS": ["green"]}}))]));
        assert!(passes(&[image(&json!({"List": {"L": {"S": ["one"]}}}))]));
        assert!(!passes(&[image(&json!({"List": {"L": {"S": ["2"]}}}))]));
    }

    #[test]
    fn all_fields_have_to_match_and_one_filter() {
        let insert_of =
            |id: &str| json!({"eventName": ["INSERT"], "dynamodb": {"Keys": {"Id": {"S": [id]}}}});
        assert!(passes(&[insert_of("order-1")]));
        assert!(!passes(&[insert_of("order-2")]));
        assert!(passes(&[insert_of("order-2"), insert_of("order-1")]));
        assert!(passes(&[]), "without filters, everything passes");
    }

    #[test]
    fn alternatives_are_beside_the_other_fields() {
        let pattern = |event: &str, size: i32| {
            json!({
                "eventName": [event],
                "dynamodb": {"$or": [
                    {"SizeBytes": [size]},
                    {"Keys": {"Id": {"S": [{"prefix": "refund"}]}}}
                ]}
            })
        };
        assert!(passes(&[pattern("INSERT", 26)]));
        assert!(!passes(&[pattern("INSERT", 27)]));
        assert!(!passes(&[pattern("REMOVE", 26)]));
    }

    #[test]
    fn what_lambda_refuses_is_refused() {
        for (text, reason) in [
            ("eventName", "no JSON"),
            ("[]", "no object"),
            (r#"{"a": "b"}"#, "neither rules nor an object at `a`"),
            (r#"{"a": []}"#, "neither rules nor an object at `a`"),
            (r#"{"a": {}}"#, "neither rules nor an object at `a`"),
            (r#"{"a": [["b"]]}"#, "an array in an array"),
            (r#"{"a": [{"prefix": 1}]}"#, "`prefix`"),
            (r#"{"a": [{"exists": "yes"}]}"#, "`exists`"),
            (r#"{"a": [{"prefix": "b", "suffix": "c"}]}"#, "one operator"),
            (
                r#"{"a": [{"anything-but": []}]}"#,
                "nothing in `anything-but`",
            ),
            (r#"{"a": [{"numeric": [">"]}]}"#, "`numeric`"),
            (r#"{"a": [{"numeric": []}]}"#, "`numeric`"),
            (r#"{"a": [{"numeric": ["!", 1]}]}"#, "`numeric`"),
            (r#"{"a": [{"cidr": "10.0.0.0/8"}]}"#, "`cidr`"),
            (r#"{"$or": [{"a": [1]}]}"#, "fewer than two"),
        ] {
            let error = Filters::parse([text]).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.ends_with(text), "{error}");
        }
    }
}
