//! What differs between two documents of an API, and what of that breaks clients.
//!
//! No crate does this for OpenAPI 3.1: `drift` reads documents of version 3.0, whose schemas are
//! others. Compared are the parts that [`Api`](crate::Api) writes.

mod schemas;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use self::schemas::{Direction, Schemas};
use crate::api::operations;

/// A difference between two documents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Whether it is none that breaks a client which keeps to the older document.
    pub is_compatible: bool,
    /// Where it is, for example ``GET /orders: parameter `limit` ``.
    pub place: String,
    /// What it is, for example "is now required".
    pub what: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.what)
    }
}

/// What differs, breaking changes first. Words that explain are not compared.
#[must_use]
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut comparison = Comparison {
        old,
        new,
        changes: BTreeSet::new(),
    };
    comparison.operations();
    comparison.changes.into_iter().collect()
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    changes: BTreeSet<Change>,
}

impl<'a> Comparison<'a> {
    fn breaking(&mut self, place: &str, what: &str) {
        self.note(false, place, what);
    }

    fn compatible(&mut self, place: &str, what: &str) {
        self.note(true, place, what);
    }

    fn note(&mut self, is_compatible: bool, place: &str, what: &str) {
        self.changes.insert(Change {
            is_compatible,
            place: place.to_owned(),
            what: what.to_owned(),
        });
    }

    fn operations(&mut self) {
        let (old, new) = (operations(self.old), operations(self.new));
        for before in &old {
            match new.iter().find(|after| after.route == before.route) {
                None => self.breaking(&before.route, "is no longer there"),
                Some(after) => {
                    self.parameters(&before.route, before.operation, after.operation);
                    self.body(&before.route, before.operation, after.operation);
                    self.answers(&before.route, before.operation, after.operation);
                }
            }
        }
        for after in &new {
            if !old.iter().any(|before| before.route == after.route) {
                self.compatible(&after.route, "is new");
            }
        }
    }

    fn parameters(&mut self, route: &str, old: &'a Value, new: &'a Value) {
        let list = |operation: &'a Value| operation["parameters"].as_array().into_iter().flatten();
        let same =
            |one: &Value, other: &Value| one["in"] == other["in"] && one["name"] == other["name"];
        let place = |parameter: &Value| {
            let name = parameter["name"].as_str().unwrap_or_default();
            format!("{route}: parameter `{name}`")
        };
        for before in list(old) {
            let place = place(before);
            let Some(after) = list(new).find(|after| same(before, after)) else {
                self.breaking(&place, "is no longer there");
                continue;
            };
            self.necessity(&place, is_required(before), is_required(after));
            self.schemas(
                &place,
                Direction::Request,
                &before["schema"],
                &after["schema"],
            );
        }
        for after in list(new) {
            if !list(old).any(|before| same(before, after)) {
                self.added(&place(after), is_required(after));
            }
        }
    }

    fn body(&mut self, route: &str, old: &'a Value, new: &'a Value) {
        let place = format!("{route}: body");
        match (old.get("requestBody"), new.get("requestBody")) {
            (None, None) => {}
            (Some(_), None) => self.breaking(&place, "is no longer taken"),
            (None, Some(after)) => self.added(&place, is_required(after)),
            (Some(before), Some(after)) => {
                self.necessity(&place, is_required(before), is_required(after));
                self.contents(&place, Direction::Request, before, after);
            }
        }
    }

    fn answers(&mut self, route: &str, old: &'a Value, new: &'a Value) {
        let place = |status: &str| format!("{route}: answer {status}");
        for (status, before) in entries(&old["responses"]) {
            let place = place(status);
            let Some(after) = new["responses"].get(status) else {
                self.breaking(&place, "is no longer there");
                continue;
            };
            let (before, after) = (resolved(self.old, before), resolved(self.new, after));
            for (name, header) in entries(&before["headers"]) {
                let place = format!("{place}: header `{name}`");
                match after["headers"].get(name) {
                    None => self.breaking(&place, "is no longer there"),
                    Some(after) => {
                        self.schemas(
                            &place,
                            Direction::Answer,
                            &header["schema"],
                            &after["schema"],
                        );
                    }
                }
            }
            for (name, _) in entries(&after["headers"]) {
                if before["headers"].get(name).is_none() {
                    self.compatible(&format!("{place}: header `{name}`"), "is new");
                }
            }
            self.contents(&place, Direction::Answer, before, after);
        }
        for (status, _) in entries(&new["responses"]) {
            if old["responses"].get(status).is_none() {
                self.compatible(&place(status), "is new");
            }
        }
    }

    /// The bodies of an answer or a request, by their content types.
    fn contents(&mut self, place: &str, direction: Direction, old: &'a Value, new: &'a Value) {
        for (content_type, before) in entries(&old["content"]) {
            match new["content"].get(content_type) {
                None => self.breaking(place, &format!("is no longer {content_type}")),
                Some(after) => self.schemas(place, direction, &before["schema"], &after["schema"]),
            }
        }
        for (content_type, _) in entries(&new["content"]) {
            if old["content"].get(content_type).is_none() {
                self.compatible(place, &format!("may now be {content_type}"));
            }
        }
    }

    fn added(&mut self, place: &str, is_required: bool) {
        if is_required {
            self.breaking(place, "is new and required");
        } else {
            self.compatible(place, "is new");
        }
    }

    fn necessity(&mut self, place: &str, before: bool, after: bool) {
        match (before, after) {
            (false, true) => self.breaking(place, "is now required"),
            (true, false) => self.compatible(place, "may now be left out"),
            _ => {}
        }
    }

    fn schemas(&mut self, place: &str, direction: Direction, old: &'a Value, new: &'a Value) {
        let mut schemas = Schemas::new(self.old, self.new, direction);
        schemas.compare("", old, new);
        for (field, what, is_compatible) in schemas.found() {
            let place = if field.is_empty() {
                place.to_owned()
            } else {
                format!("{place}: `{field}`")
            };
            self.note(is_compatible, &place, &what);
        }
    }
}

fn is_required(value: &Value) -> bool {
    value["required"] == true
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = object.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value))
}

/// What a value of a document refers to, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let path = value["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix('#'));
    path.and_then(|path| document.pointer(path))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests;
