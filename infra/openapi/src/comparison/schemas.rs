//! What a schema allows no longer, and what it allows now.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{entries, resolved};

/// Which way the values go that a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Clients write them: all that was allowed must stay so.
    Request,
    /// Clients read them: nothing may come that was not allowed.
    Answer,
}

/// Two schemas in their documents, compared.
pub(super) struct Schemas<'a> {
    old: &'a Value,
    new: &'a Value,
    direction: Direction,
    /// Schemas of components that have been compared: one may refer to itself.
    compared: BTreeSet<(&'a str, &'a str)>,
    /// The field, what differs, and whether that is compatible.
    found: Vec<(String, String, bool)>,
}

/// The words of bounds. More of the first allows less, more of the second allows more.
const LOWER: [&str; 4] = ["minimum", "exclusiveMinimum", "minLength", "minItems"];
const UPPER: [&str; 4] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems"];

impl<'a> Schemas<'a> {
    pub(super) fn new(old: &'a Value, new: &'a Value, direction: Direction) -> Self {
        Self {
            old,
            new,
            direction,
            compared: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    pub(super) fn found(self) -> Vec<(String, String, bool)> {
        self.found
    }

    /// `field` is where the values are in the one that is described, such as `[].price`.
    pub(super) fn compare(&mut self, field: &str, old: &'a Value, new: &'a Value) {
        if let (Some(before), Some(after)) = (old["$ref"].as_str(), new["$ref"].as_str())
            && !self.compared.insert((before, after))
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        self.types(field, old, new);
        self.values(field, old, new);
        self.bounds(field, old, new);
        self.forms(field, old, new);
        self.alternatives(field, old, new);
        self.properties(field, old, new);
        if let (Some(before), Some(after)) = (old.get("items"), new.get("items")) {
            self.compare(&format!("{field}[]"), before, after);
        }
    }

    fn narrowed(&mut self, field: &str, what: String) {
        let is_compatible = self.direction == Direction::Answer;
        self.found.push((field.to_owned(), what, is_compatible));
    }

    fn widened(&mut self, field: &str, what: String) {
        let is_compatible = self.direction == Direction::Request;
        self.found.push((field.to_owned(), what, is_compatible));
    }

    fn types(&mut self, field: &str, old: &Value, new: &Value) {
        let (before, after) = (list(old, "type"), list(new, "type"));
        match (before, after) {
            (None, None) => {}
            (None, Some(after)) => {
                self.narrowed(field, format!("must now be {}", alternatives(&after)));
            }
            (Some(_), None) => self.widened(field, "may now be of any type".to_owned()),
            (Some(before), Some(after)) => {
                // Each integer is a number.
                let allows = |types: &[&Value], wanted: &Value| {
                    types
                        .iter()
                        .any(|&one| one == wanted || (*one == "number" && *wanted == "integer"))
                };
                for gone in before.iter().filter(|one| !allows(&after, one)) {
                    self.narrowed(field, format!("may no longer be {}", word(gone)));
                }
                for added in after.iter().filter(|one| !allows(&before, one)) {
                    self.widened(field, format!("may now be {}", word(added)));
                }
            }
        }
    }

    fn values(&mut self, field: &str, old: &'a Value, new: &'a Value) {
        let of = |schema| list(schema, "enum").or_else(|| list(schema, "const"));
        let quoted = |value: &Value| format!("`{}`", word(value));
        match (of(old), of(new)) {
            (None, None) => {}
            (None, Some(after)) => {
                self.narrowed(field, format!("must now be {}", alternatives(&after)));
            }
            (Some(_), None) => self.widened(field, "may now have any value".to_owned()),
            (Some(before), Some(after)) => {
                for gone in before.iter().filter(|value| !after.contains(value)) {
                    self.narrowed(field, format!("may no longer be {}", quoted(gone)));
                }
                for added in after.iter().filter(|value| !before.contains(value)) {
                    self.widened(field, format!("may now be {}", quoted(added)));
                }
            }
        }
    }

    fn bounds(&mut self, field: &str, old: &Value, new: &Value) {
        for (words, is_lower) in [(LOWER, true), (UPPER, false)] {
            for bound in words {
                let (before, after) = (old[bound].as_f64(), new[bound].as_f64());
                let is_narrower = match (before, after) {
                    (Some(before), Some(after)) if before == after => continue,
                    (None, None) => continue,
                    (Some(before), Some(after)) => (after > before) == is_lower,
                    (before, _) => before.is_none(),
                };
                let show = |value: &Value| match value {
                    Value::Null => "none".to_owned(),
                    value => value.to_string(),
                };
                let what = format!(
                    "has another {bound}: {}, before {}",
                    show(&new[bound]),
                    show(&old[bound])
                );
                if is_narrower {
                    self.narrowed(field, what);
                } else {
                    self.widened(field, what);
                }
            }
        }
    }

    /// Whether a form allows less than another is not known, so that another form is both.
    fn forms(&mut self, field: &str, old: &Value, new: &Value) {
        for form in ["pattern", "format"] {
            let what = format!("has another {form}");
            match (old.get(form), new.get(form)) {
                (before, after) if before == after => {}
                (None, _) => self.narrowed(field, what),
                (_, None) => self.widened(field, what),
                _ => self.found.push((field.to_owned(), what, false)),
            }
        }
    }

    fn alternatives(&mut self, field: &str, old: &'a Value, new: &'a Value) {
        for word in ["anyOf", "oneOf"] {
            let (before, after) = (list(old, word), list(new, word));
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            for one in &before {
                if after.contains(one) {
                    self.compare(field, one, one);
                } else {
                    self.narrowed(field, format!("may no longer be {}", name_of(one)));
                }
            }
            for one in after.iter().filter(|one| !before.contains(one)) {
                self.widened(field, format!("may now be {}", name_of(one)));
            }
        }
    }

    fn properties(&mut self, field: &str, old: &'a Value, new: &'a Value) {
        let is_required = |schema: &Value, name: &str| {
            let required = list(schema, "required").unwrap_or_default();
            required.iter().any(|one| *one == name)
        };
        let below = |name: &str| match field {
            "" => name.to_owned(),
            field => format!("{field}.{name}"),
        };
        let is_closed = |schema: &Value| schema["additionalProperties"] == false;
        for (name, before) in entries(&old["properties"]) {
            let field = below(name);
            let Some(after) = new["properties"].get(name) else {
                // A client may go on sending what is not looked at.
                let is_compatible = self.direction == Direction::Request && !is_closed(new);
                self.found
                    .push((field, "is no longer there".to_owned(), is_compatible));
                continue;
            };
            match (is_required(old, name), is_required(new, name)) {
                (false, true) => self.narrowed(&field, "is now required".to_owned()),
                (true, false) => self.widened(&field, "may now be missing".to_owned()),
                _ => {}
            }
            self.compare(&field, before, after);
        }
        for (name, _) in entries(&new["properties"]) {
            if old["properties"].get(name).is_none() {
                let is_demanded = self.direction == Direction::Request && is_required(new, name);
                let what = if is_demanded {
                    "is new and required"
                } else {
                    "is new"
                };
                self.found
                    .push((below(name), what.to_owned(), !is_demanded));
            }
        }
        match (is_closed(old), is_closed(new)) {
            (false, true) if old.get("properties").is_some() => {
                self.narrowed(field, "may no longer have other fields".to_owned());
            }
            (true, false) => self.widened(field, "may now have other fields".to_owned()),
            _ => {}
        }
    }
}

/// What a word of a schema says: a list, or one value for a list of one.
fn list<'a>(schema: &'a Value, word: &str) -> Option<Vec<&'a Value>> {
    match schema.get(word)? {
        Value::Array(values) => Some(values.iter().collect()),
        value => Some(vec![value]),
    }
}

fn word(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn alternatives(values: &[&Value]) -> String {
    let words: Vec<String> = values.iter().map(|value| word(value)).collect();
    words.join(" or ")
}

/// What an alternative is called.
fn name_of(schema: &Value) -> String {
    let reference = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next());
    match reference {
        Some(name) => format!("`{name}`"),
        None => {
            list(schema, "type").map_or_else(|| schema.to_string(), |types| alternatives(&types))
        }
    }
}
