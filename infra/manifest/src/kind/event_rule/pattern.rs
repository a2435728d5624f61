//! Event patterns, as EventBridge documents them.
//!
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>

use serde_json::{Map, Value};

use crate::name;

/// The longest pattern, in characters.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html>
const LENGTH_MAX: usize = 4096;

/// The fields of every event.
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
const FIELDS: [&str; 10] = [
    "account",
    "detail",
    "detail-type",
    "id",
    "region",
    "replay-name",
    "resources",
    "source",
    "time",
    "version",
];

/// What compares a value with something else than its equal.
const OPERATORS: [&str; 8] = [
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
];

/// What `anything-but` can be followed by.
const NEGATED: [&str; 4] = ["equals-ignore-case", "prefix", "suffix", "wildcard"];

const OR: &str = "$or";

/// Something that a pattern cannot say: what, and what to write instead.
pub(super) type Fault = (String, String);

/// Reads a pattern.
pub(super) fn parse(text: &str) -> Result<Value, Vec<Fault>> {
    let pattern: Value = serde_json::from_str(text).map_err(|error| {
        vec![(
            format!("is not JSON: {error}"),
            r#"write one like `{"source": ["shop"]}`"#.to_owned(),
        )]
    })?;
    let mut faults = Vec::new();
    let length = pattern.to_string().chars().count();
    if length > LENGTH_MAX {
        let problem =
            format!("has {length} characters, but EventBridge takes at most {LENGTH_MAX}");
        faults.push((problem, "declare several rules".to_owned()));
    }
    match &pattern {
        Value::Object(fields) => {
            for field in fields.keys().map(String::as_str) {
                if field != OR && !FIELDS.contains(&field) {
                    let remedy = match name::nearest(field, FIELDS) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => "fields of your own are below `detail`".to_owned(),
                    };
                    faults.push((
                        format!("asks for the field `{field}`, which events do not have"),
                        remedy,
                    ));
                }
            }
            object(fields, "", &mut faults);
        }
        _ => faults.push((
            "is not an object".to_owned(),
            r#"write one like `{"source": ["shop"]}`"#.to_owned(),
        )),
    }
    if faults.is_empty() {
        Ok(pattern)
    } else {
        Err(faults)
    }
}

/// `path` ends in a full stop, or is empty.
fn object(fields: &Map<String, Value>, path: &str, faults: &mut Vec<Fault>) {
    if fields.is_empty() {
        faults.push((
            format!("asks for nothing at `{}`", shown(path)),
            "name a field, or remove it".to_owned(),
        ));
    }
    for (field, value) in fields {
        let at = format!("{path}{field}");
        match value {
            Value::Array(alternatives) if field == OR => or(alternatives, &at, path, faults),
            Value::Array(values) if values.is_empty() => faults.push((
                format!("has no value for `{at}`"),
                "list what the field may be".to_owned(),
            )),
            Value::Array(values) => {
                for value in values {
                    leaf(value, &at, faults);
                }
            }
            Value::Object(fields) => object(fields, &format!("{at}."), faults),
            other => faults.push((
                format!("has {other} for `{at}`, which must be a list"),
                format!("write [{other}]"),
            )),
        }
    }
}

fn or(alternatives: &[Value], at: &str, path: &str, faults: &mut Vec<Fault>) {
    if alternatives.len() < 2 {
        faults.push((
            format!("has fewer than two alternatives in `{at}`"),
            "write the fields without `$or`".to_owned(),
        ));
    }
    for alternative in alternatives {
        match alternative {
            Value::Object(fields) => object(fields, path, faults),
            other => faults.push((
                format!("has {other} in `{at}`, which must be an object"),
                "write objects with fields".to_owned(),
            )),
        }
    }
}

/// A value, or an operator.
fn leaf(value: &Value, at: &str, faults: &mut Vec<Fault>) {
    let operators = match value {
        Value::Object(operators) => operators,
        Value::Array(_) => {
            faults.push((
                format!("has a list within the list of `{at}`"),
                "write one list".to_owned(),
            ));
            return;
        }
        _ => return,
    };
    let mut operators = operators.iter();
    let (Some((operator, operand)), None) = (operators.next(), operators.next()) else {
        faults.push((
            format!("compares `{at}` by several operators, or by none, in one object"),
            "write an object for each operator".to_owned(),
        ));
        return;
    };
    if !OPERATORS.contains(&operator.as_str()) {
        let remedy = match name::nearest(operator, OPERATORS) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are {}", OPERATORS.join(", ")),
        };
        faults.push((
            format!("compares `{at}` by `{operator}`, which is not an operator"),
            remedy,
        ));
    } else if let Err(expected) = check_operand(operator, operand) {
        faults.push((
            format!("compares `{at}` by `{operator}` with {operand}"),
            format!("write {expected}"),
        ));
    }
}

/// The error says what can stand there.
fn check_operand(operator: &str, operand: &Value) -> Result<(), &'static str> {
    let (fits, expected) = match operator {
        "exists" => (operand.is_boolean(), "true or false"),
        "numeric" => (is_numeric(operand), r#"comparisons like [">", 0, "<=", 5]"#),
        "wildcard" => (
            operand.as_str().is_some_and(|text| !text.contains("**")),
            "a text in which `*` stands for any characters, and no `**`",
        ),
        "prefix" | "suffix" => (
            operand.is_string() || is_ignoring_case(operand),
            r#"a text, or {"equals-ignore-case": TEXT}"#,
        ),
        "anything-but" => (
            is_negated(operand),
            "a text, a number, a list of either, or an object with one operator",
        ),
        _ => (operand.is_string(), "a text"),
    };
    if fits { Ok(()) } else { Err(expected) }
}

fn is_ignoring_case(operand: &Value) -> bool {
    let operators = operand.as_object();
    operators.is_some_and(|operators| {
        operators.len() == 1
            && operators
                .get("equals-ignore-case")
                .is_some_and(Value::is_string)
    })
}

fn is_negated(operand: &Value) -> bool {
    let is_all =
        |values: &[Value], is: fn(&Value) -> bool| !values.is_empty() && values.iter().all(is);
    match operand {
        Value::String(_) | Value::Number(_) => true,
        Value::Array(values) => {
            is_all(values, Value::is_string) || is_all(values, Value::is_number)
        }
        Value::Object(operators) => {
            operators.len() == 1
                && operators.iter().all(|(operator, operand)| {
                    let fits = match operand {
                        Value::String(_) => true,
                        Value::Array(texts) => is_all(texts, Value::is_string),
                        _ => false,
                    };
                    fits && NEGATED.contains(&operator.as_str())
                })
        }
        _ => false,
    }
}

/// One comparison, or two that make a range.
fn is_numeric(operand: &Value) -> bool {
    let comparisons = operand.as_array().map_or(&[][..], Vec::as_slice);
    matches!(comparisons.len(), 2 | 4)
        && comparisons.chunks(2).all(|comparison| {
            let operator = comparison.first().and_then(Value::as_str);
            operator.is_some_and(|operator| ["<", "<=", "=", ">", ">="].contains(&operator))
                && comparison.get(1).is_some_and(Value::is_number)
        })
}

fn shown(path: &str) -> &str {
    match path.strip_suffix('.') {
        Some(path) => path,
        None => "{}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_awss_page_are_read() {
        for pattern in [
            r#"{"source": ["aws.s3"], "detail-type": ["Object Created"]}"#,
            r#"{"time": [{"prefix": "2017-10-02"}]}"#,
            r#"{"detail": {"service": [{"prefix": {"equals-ignore-case": "EventB"}}]}}"#,
            r#"{"detail": {"file": [{"suffix": ".png"}, {"wildcard": "dir/*.png"}]}}"#,
            r#"{"detail": {"state": [{"anything-but": ["stopped", "overloaded"]}]}}"#,
            r#"{"detail": {"x-limit": [{"anything-but": [100, 200]}, {"anything-but": 1}]}}"#,
            r#"{"detail": {"state": [{"anything-but": {"prefix": ["init", "error"]}}]}}"#,
            r#"{"detail": {"c-count": [{"numeric": [">", 0, "<=", 5]}], "d": [{"numeric": ["=", 3.01e2]}]}}"#,
            r#"{"detail": {"sourceIPAddress": [{"cidr": "10.0.0.0/24"}]}}"#,
            r#"{"detail": {"state": [{"exists": false}, null, ""]}}"#,
            r#"{"detail": {"$or": [{"c": [1]}, {"d": {"e": [{"exists": true}]}}]}}"#,
            r#"{"$or": [{"source": ["a"]}, {"source": ["b"]}]}"#,
        ] {
            assert!(parse(pattern).is_ok(), "{pattern}: {:?}", parse(pattern));
        }
    }

    #[test]
    fn what_no_event_can_match_is_told() {
        for (pattern, problem, remedy) in [
            ("source", "is not JSON: expected value", "write one like"),
            ("[]", "is not an object", "write one like"),
            ("{}", "asks for nothing at `{}`", "name a field"),
            (
                r#"{"detail_type": ["Paid"]}"#,
                "asks for the field `detail_type`, which events do not have",
                "did you mean `detail-type`?",
            ),
            (
                r#"{"order": [1]}"#,
                "asks for the field `order`, which events do not have",
                "below `detail`",
            ),
            (
                r#"{"source": "shop"}"#,
                r#"has "shop" for `source`, which must be a list"#,
                r#"write ["shop"]"#,
            ),
            (
                r#"{"source": []}"#,
                "has no value for `source`",
                "list what",
            ),
            (r#"{"detail": {}}"#, "asks for nothing at `detail`", "name"),
            (
                r#"{"detail": {"a": {"b": [["c"]]}}}"#,
                "has a list within the list of `detail.a.b`",
                "one list",
            ),
            (
                r#"{"detail": {"a": [{"prefx": "c"}]}}"#,
                "compares `detail.a` by `prefx`, which is not an operator",
                "did you mean `prefix`?",
            ),
            (
                r#"{"detail": {"a": [{"prefix": "c", "suffix": "d"}]}}"#,
                "compares `detail.a` by several operators",
                "an object for each",
            ),
            (
                r#"{"detail": {"a": [{"exists": "yes"}]}}"#,
                r#"compares `detail.a` by `exists` with "yes""#,
                "write true or false",
            ),
            (
                r#"{"detail": {"a": [{"numeric": ["!=", 5]}]}}"#,
                "by `numeric` with",
                "write comparisons",
            ),
            (
                r#"{"detail": {"a": [{"numeric": [">", 5, "<"]}]}}"#,
                "by `numeric` with",
                "write comparisons",
            ),
            (
                r#"{"detail": {"a": [{"anything-but": ["a", 1]}]}}"#,
                "by `anything-but` with",
                "a list of either",
            ),
            (
                r#"{"detail": {"a": [{"anything-but": {"cidr": "10.0.0.0/8"}}]}}"#,
                "by `anything-but` with",
                "one operator",
            ),
            (
                r#"{"detail": {"a": [{"wildcard": "a**"}]}}"#,
                "by `wildcard` with",
                "no `**`",
            ),
            (
                r#"{"$or": [{"source": ["a"]}]}"#,
                "has fewer than two alternatives in `$or`",
                "without `$or`",
            ),
            (
                r#"{"detail": {"$or": [1, {"a": [1]}]}}"#,
                "has 1 in `detail.$or`, which must be an object",
                "objects with fields",
            ),
        ] {
            let faults = parse(pattern).unwrap_err();
            assert_eq!(faults.len(), 1, "{pattern}: {faults:?}");
            let (told, hint) = &faults[0];
            assert!(told.contains(problem), "{pattern}: {told}");
            assert!(hint.contains(remedy), "{pattern}: {hint}");
        }
        let long = format!(r#"{{"source": ["{}"]}}"#, "a".repeat(LENGTH_MAX));
        assert!(
            parse(&long).unwrap_err()[0]
                .0
                .contains("has 4111 characters")
        );
    }
}
