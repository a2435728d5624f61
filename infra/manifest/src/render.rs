//! JSON values → text that people review.
//!
//! Both formats are written here rather than by a serialiser for three reasons: keys
//! come in the order in which a reader looks for them, and always in that order; text
//! is quoted for YAML 1.1, which is what CloudFormation reads, where a plain `yes`
//! or `12:30` is not text; and it cannot fail.
//!
//! A template is deployed only if it differs from what `GetTemplate` answers, and a
//! rollback deploys what `GetTemplate` answered. So YAML is written such that the answer is
//! what was sent:
//!
//! - It is ASCII. `GetTemplate` has a `?` in the place of every other character. Text with
//!   others is in double quotes, with escapes.
//! - It ends with a newline. `GetTemplate` ends a template of more than 16 KiB with one,
//!   [whether it was sent or not](https://github.com/hashicorp/terraform-provider-aws/issues/29342).

use serde_json::{Map, Value};

/// Keys that come before all others, in this order.
const FIRST: [&str; 17] = [
    "AWSTemplateFormatVersion",
    "Description",
    "Parameters",
    "Resources",
    "Type",
    "DependsOn",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "Metadata",
    "Version",
    "Sid",
    "Effect",
    "Principal",
    "Action",
    "Resource",
    "Key",
    "Value",
];

/// YAML in block style and in ASCII, with a trailing newline.
pub(crate) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    yaml_block(&mut out, value, 0);
    out
}

/// Pretty JSON, with a trailing newline.
pub(crate) fn json(value: &Value) -> String {
    let mut out = String::new();
    json_value(&mut out, value, 0);
    out.push('\n');
    out
}

fn in_reading_order(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |key: &str| FIRST.iter().position(|first| *first == key);
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| (rank(key).unwrap_or(FIRST.len()), *key));
    entries
}

/// Writes `value` as lines, the first of them where `out` stands.
fn yaml_block(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, value)) in in_reading_order(map).into_iter().enumerate() {
                if index > 0 {
                    indent(out, depth);
                }
                out.push_str(&yaml_text(key));
                out.push(':');
                match value {
                    Value::Object(map) if !map.is_empty() => {
                        out.push('\n');
                        indent(out, depth + 1);
                        yaml_block(out, value, depth + 1);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        out.push('\n');
                        indent(out, depth + 1);
                        yaml_block(out, value, depth + 1);
                    }
                    _ => {
                        out.push(' ');
                        yaml_block(out, value, depth + 1);
                    }
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    indent(out, depth);
                }
                out.push_str("- ");
                yaml_block(out, item, depth + 1);
            }
        }
        Value::String(text) => {
            out.push_str(&yaml_text(text));
            out.push('\n');
        }
        scalar_or_empty => {
            out.push_str(&scalar_or_empty.to_string());
            out.push('\n');
        }
    }
}

/// `text` as it stands when no YAML reader can take it for anything else, otherwise
/// in quotes: in double ones, for which JSON's escapes are YAML's, unless it is full
/// of them itself.
fn yaml_text(text: &str) -> String {
    /// What YAML 1.1 reads as null or a boolean, in lower case.
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || "$/".contains(first))
        && text.ends_with(|last: char| last.is_ascii_alphanumeric() || "}/*+".contains(last))
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || " -_./:${}+*@,;()'".contains(letter))
        && !text.contains(": ")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    let printable = text
        .chars()
        .all(|letter| letter.is_ascii_graphic() || letter == ' ');
    if plain {
        text.to_owned()
    } else if printable && text.contains('"') && !text.contains('\'') {
        format!("'{text}'")
    } else {
        let mut quoted = String::new();
        for letter in Value::from(text).to_string().chars() {
            match u32::from(letter) {
                0x20..=0x7e => quoted.push(letter),
                code @ 0x1_0000.. => quoted.push_str(&format!("\\U{code:08X}")),
                code => quoted.push_str(&format!("\\u{code:04x}")),
            }
        }
        quoted
    }
}

fn json_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push_str("{\n");
            for (index, (key, value)) in in_reading_order(map).into_iter().enumerate() {
                if index > 0 {
                    out.push_str(",\n");
                }
                indent(out, depth + 1);
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                json_value(out, value, depth + 1);
            }
            out.push('\n');
            indent(out, depth);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push_str("[\n");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(",\n");
                }
                indent(out, depth + 1);
                json_value(out, item, depth + 1);
            }
            out.push('\n');
            indent(out, depth);
            out.push(']');
        }
        scalar_or_empty => out.push_str(&scalar_or_empty.to_string()),
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn everything() -> Value {
        json!({
            "Type": "AWS::S3::Bucket",
            "DependsOn": ["A", "B"],
            "Nested": [{"Value": "v", "Key": "k"}, [], {}, [[1, 2], [true]]],
            "Numbers": [0, -1, 1.5],
            "Nothing": null,
            "Texts": [
                "", "yes", "No", "null", "1", "012", "1e3", "12:30", "2012-10-17", "~", "-", "- a",
                "*", "&a", "!b", "%", "@", "`", "# c", "a #b", "a: b", "a:", "{}", "[]", "'", "\"",
                "\\", "a\nb", " a", "a ", "é", "arn:${AWS::Partition}:s3:::x/*", "$default",
                "a\u{0}b", "a\u{1b}b", "a\u{7f}b", "a\u{85}b", "a\u{9f}b", "\u{a0}a\u{a0}", "a\u{2028}b",
                "a\u{2029} b", "\u{feff}a", "a\u{ffff}", "👋\u{200d}", "a\r\n\tb", "a\"\u{2028}",
            ],
            "aws:SecureTransport": "false",
        })
    }

    #[test]
    fn yaml_reads_back_as_what_was_written() {
        let read: Value = serde_yaml::from_str(&yaml(&everything())).unwrap();
        assert_eq!(read, everything());
    }

    #[test]
    fn json_reads_back_as_what_was_written() {
        let read: Value = serde_json::from_str(&json(&everything())).unwrap();
        assert_eq!(read, everything());
    }

    #[test]
    fn yaml_quotes_what_yaml_1_1_would_not_read_as_text() {
        for text in ["yes", "Off", "y", "12:30", "2012-10-17", "0o7", ".inf", "="] {
            assert_eq!(yaml_text(text), format!("{text:?}"));
        }
    }

    #[test]
    fn yaml_escapes_what_get_template_would_not_return() {
        assert_eq!(
            yaml_text("a\u{7f}\u{85}\u{2028}\u{feff}é"),
            r#""a\u007f\u0085\u2028\ufeff\u00e9""#
        );
        assert_eq!(yaml_text("a\u{1}\n\\"), r#""a\u0001\n\\""#);
        assert_eq!(yaml_text("ü"), r#""\u00fc""#);
        assert_eq!(yaml_text("ü\""), r#""\u00fc\"""#);
        assert_eq!(yaml_text("\u{ffff}🐈"), r#""\uffff\U0001F408""#);
        assert_eq!(
            yaml(&json!({"ключ": ["ü"]})),
            "\"\\u043a\\u043b\\u044e\\u0447\":\n  - \"\\u00fc\"\n"
        );
    }

    /// JSON values, with keys and text of all characters.
    fn values() -> impl Strategy<Value = Value> {
        let text = || {
            prop_oneof![
                "\\PC*",
                any::<Vec<char>>().prop_map(|letters| letters.into_iter().collect()),
                prop::sample::select(vec!["a: b", "yes", "12:30", "<<", "# c", "\u{85}", "ü\"'"])
                    .prop_map(str::to_owned),
            ]
        };
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |value| {
            prop_oneof![
                prop::collection::vec(value.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text(), value, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn yaml_is_ascii_ends_with_one_newline_and_reads_back(value in values()) {
            let written = yaml(&value);
            prop_assert!(written.bytes().all(|byte| byte == b'\n' || (0x20..=0x7e).contains(&byte)));
            prop_assert!(written.ends_with('\n') && !written.ends_with("\n\n"));
            let read: Value = serde_yaml::from_str(&written).unwrap();
            prop_assert_eq!(read, value);
        }
    }

    #[test]
    fn keys_come_in_reading_order() {
        let value = json!({"Properties": {"B": 1, "A": []}, "Type": "T", "DependsOn": "D"});
        assert_eq!(
            yaml(&value),
            "Type: T\nDependsOn: D\nProperties:\n  A: []\n  B: 1\n"
        );
        assert_eq!(
            json(&json!({"Statement": [], "Version": "1"})),
            "{\n  \"Version\": \"1\",\n  \"Statement\": []\n}\n"
        );
    }
}
