//! A declared resource, as triggers, grants and messages refer to it.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

use crate::name;
use crate::origin::Origin;

/// How resources of a kind are called.
pub(crate) struct Noun {
    /// In messages, such as `bucket`.
    pub(crate) noun: &'static str,
    /// The end of a logical ID, such as `Bucket`.
    pub(crate) logical_id: &'static str,
    /// The end of a variable's name in Rust, such as `bucket`.
    pub(crate) identifier: &'static str,
    /// What a program must know to use the resource: a name, an ARN or a URL.
    pub(crate) value: fn(&ResourceId) -> Value,
}

/// A resource, by kind and name.
#[derive(Clone)]
pub(crate) struct ResourceId {
    noun: &'static Noun,
    name: String,
    /// The resource that it is a part of.
    of: Option<Box<ResourceId>>,
}

impl ResourceId {
    pub(crate) fn new(noun: &'static Noun, name: &str) -> Self {
        Self {
            noun,
            name: name.to_owned(),
            of: None,
        }
    }

    /// A part of a resource, with a name of its own among the parts.
    pub(crate) fn part_of(of: &Self, noun: &'static Noun, name: &str) -> Self {
        Self {
            of: Some(Box::new(of.clone())),
            ..Self::new(noun, name)
        }
    }

    /// The resource that it is a part of.
    pub(crate) fn whole(&self) -> Option<&Self> {
        self.of.as_deref()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn noun(&self) -> &'static Noun {
        self.noun
    }

    pub(crate) fn is_of(&self, noun: &Noun) -> bool {
        self.noun.noun == noun.noun
    }

    pub(crate) fn logical_id(&self) -> String {
        format!("{}{}", name::pascal_case(&self.name), self.noun.logical_id)
    }

    pub(crate) fn value(&self) -> Value {
        (self.noun.value)(self)
    }

    fn key(&self) -> (&str, &str, Option<&Self>) {
        (self.noun.noun, &self.name, self.whole())
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.noun.noun, self.name)?;
        match self.whole() {
            Some(whole) => write!(f, " of {whole}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ResourceId {}

impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// An environment variable of every function that knows a resource.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) of: ResourceId,
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}
