//! Which changes of items a function handles, by what the items have.
//!
//! A filter is a pattern of Lambda's event filtering, on a record in DynamoDB's JSON.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html>

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::item_change::ItemChange;

/// What an attribute of an item must be. A text, a whole number or a `bool` stands for an attribute
/// that equals it, and an array for one that equals an element of it.
///
/// ```
/// use manifest::{Manifest, kinds::{ItemChange::Modify, Match}};
///
/// let app = Manifest::new("shop");
/// let orders = app.table("orders", "id");
/// app.function("ship").trigger(
///     orders
///         .item_changes([Modify])
///         .where_new("status", "paid")
///         .where_old("status", Match::not("paid")),
/// );
/// ```
///
/// DynamoDB writes numbers as texts, so that Lambda cannot tell whether one is greater than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The letter of the attribute's type.
    kind: &'static str,
    /// One of which must match.
    rules: Vec<Value>,
    matches_absence: bool,
}

impl Match {
    /// A string other than this one. An attribute that is missing, or no string, does not match.
    #[must_use]
    pub fn not(text: &str) -> Self {
        Self::none_of([text])
    }

    /// A string other than all of these. An attribute that is missing, or no string, does not match.
    #[must_use]
    pub fn none_of<const N: usize>(texts: [&str; N]) -> Self {
        Self::rule("S", json!({"anything-but": texts.as_slice()}))
    }

    /// A string that begins with this one.
    #[must_use]
    pub fn prefix(text: &str) -> Self {
        Self::rule("S", json!({"prefix": text}))
    }

    /// A string that ends with this one.
    #[must_use]
    pub fn suffix(text: &str) -> Self {
        Self::rule("S", json!({"suffix": text}))
    }

    /// A string that differs from this one in upper and lower case at most.
    #[must_use]
    pub fn ignoring_case(text: &str) -> Self {
        Self::rule("S", json!({"equals-ignore-case": text}))
    }

    /// Any string.
    #[must_use]
    pub fn string() -> Self {
        Self::rule("S", json!({"exists": true}))
    }

    /// Any number.
    #[must_use]
    pub fn number() -> Self {
        Self::rule("N", json!({"exists": true}))
    }

    /// No string: the attribute is missing, or of another type.
    #[must_use]
    pub fn no_string() -> Self {
        Self {
            matches_absence: true,
            ..Self::rule("S", json!({"exists": false}))
        }
    }

    /// No number: the attribute is missing, or of another type.
    #[must_use]
    pub fn no_number() -> Self {
        Self {
            matches_absence: true,
            ..Self::rule("N", json!({"exists": false}))
        }
    }

    fn rule(kind: &'static str, rule: Value) -> Self {
        Self {
            kind,
            rules: vec![rule],
            matches_absence: false,
        }
    }
}

impl From<&str> for Match {
    fn from(text: &str) -> Self {
        Self::rule("S", text.into())
    }
}

impl From<i64> for Match {
    fn from(number: i64) -> Self {
        Self::rule("N", number.to_string().into())
    }
}

impl From<bool> for Match {
    fn from(truth: bool) -> Self {
        Self::rule("BOOL", truth.into())
    }
}

impl<const N: usize> From<[&str; N]> for Match {
    fn from(texts: [&str; N]) -> Self {
        Self {
            kind: "S",
            rules: texts.map(Value::from).to_vec(),
            matches_absence: false,
        }
    }
}

impl<const N: usize> From<[i64; N]> for Match {
    fn from(numbers: [i64; N]) -> Self {
        Self {
            kind: "N",
            rules: numbers.map(|number| number.to_string().into()).to_vec(),
            matches_absence: false,
        }
    }
}

/// An item as it was before a change, or as it is after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Image {
    New,
    Old,
}

impl Image {
    /// Its name in a record.
    fn key(self) -> &'static str {
        match self {
            Self::New => "NewImage",
            Self::Old => "OldImage",
        }
    }

    /// Whether a record of such a change has it.
    pub(super) fn is_of(self, change: ItemChange) -> bool {
        match self {
            Self::New => change != ItemChange::Remove,
            Self::Old => change != ItemChange::Insert,
        }
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::New => "new item",
            Self::Old => "old item",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    image: Image,
    attribute: String,
    wanted: Match,
}

/// Conditions that a change has to meet, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ItemFilter(Vec<Condition>);

impl ItemFilter {
    pub(super) fn add(&mut self, image: Image, attribute: &str, wanted: Match) {
        self.0.push(Condition {
            image,
            attribute: attribute.to_owned(),
            wanted,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of its attributes.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|condition| condition.attribute.as_str())
    }

    /// Whether such a change can meet the conditions.
    pub(super) fn can_pass(&self, change: ItemChange) -> bool {
        let mut conditions = self.0.iter();
        conditions
            .all(|Condition { image, wanted, .. }| image.is_of(change) || wanted.matches_absence)
    }

    /// What no change can meet.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for Condition {
            image,
            attribute,
            wanted,
        } in &self.0
        {
            let noun = image.noun();
            if !seen.insert((image, attribute)) {
                found.push(format!("asks twice for `{attribute}` of the {noun}"));
            }
            if wanted.rules.is_empty() {
                found.push(format!("asks for no value of `{attribute}` of the {noun}"));
            }
        }
        found
    }

    /// The pattern, for changes of these names.
    pub(super) fn pattern(&self, event_names: &BTreeSet<&'static str>) -> String {
        let mut pattern = json!({"eventName": event_names});
        let mut images = Map::new();
        for Condition {
            image,
            attribute,
            wanted,
        } in &self.0
        {
            let image = images.entry(image.key()).or_insert_with(|| json!({}));
            image[attribute] = json!({wanted.kind: wanted.rules});
        }
        if !images.is_empty() {
            pattern["dynamodb"] = Value::Object(images);
        }
        pattern.to_string()
    }
}
