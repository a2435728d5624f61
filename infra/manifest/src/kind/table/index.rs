//! Global secondary indexes: a table's items by another key.

use serde_json::{Value, json};

use super::key::{self, Key};
use crate::check::{Check, Subject};
use crate::cloudformation::sub;
use crate::grant::Grant;
use crate::kind::{self, Grants, Kind};
use crate::manifest::{DeclaredResource, Entry, Named};
use crate::origin::Origin;
use crate::policy;
use crate::resource_id::{Noun, ResourceId};
use crate::synthesis::Synthesis;

pub(in crate::kind) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: Some(Grants {
        service: "dynamodb",
        call: "Index::allow",
        actions: IndexAction::NAMES,
        rust: kind::allow,
    }),
    has_url: false,
    is_at: |id, stack, service, name| {
        id.whole().is_some_and(|table| {
            let index = name.rsplit_once("/index/");
            (super::KIND.is_at)(table, stack, service, name)
                && index.is_some_and(|(_, index)| index == id.name())
        })
    },
    settings: kind::no_settings,
    // An index is deployed with its table.
    deployer: |_| Vec::new(),
    triggers: &[],
};

static NOUN: Noun = Noun {
    noun: "index",
    logical_id: "Index",
    identifier: "index",
    value: |id| json!(id.name()),
};

/// The shortest name of an index, in characters.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
const NAME_MIN: usize = 3;
/// The longest, by the same page.
const NAME_MAX: usize = 255;

/// A global secondary index of a table.
#[derive(Clone, Debug)]
pub struct Index {
    table: Entry<super::Declaration>,
    position: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Declaration {
    named: Named,
    partition_key: Key,
    sort_key: Option<Key>,
    projection: Projection,
}

/// The attributes that an index has, beside its own key and the table's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Projection {
    All,
    KeysOnly,
    Include(Vec<String>),
}

impl Index {
    pub(super) fn new(table: Entry<super::Declaration>, position: usize) -> Self {
        Self { table, position }
    }

    /// The index's sort key: the attribute in whose order the items of a partition are read. It is
    /// a string unless a [`Key`] says otherwise. Items without it are not in the index.
    pub fn sort_key(self, key: impl Into<Key>) -> Self {
        let key = key.into();
        self.with(|index| index.sort_key = Some(key))
    }

    /// Nothing but the keys of index and table is in the index, which makes it the cheapest to
    /// write and store. Every attribute is, unless told.
    pub fn keys_only(self) -> Self {
        self.with(|index| index.projection = Projection::KeysOnly)
    }

    /// These attributes are in the index, beside the keys of index and table. Every attribute is,
    /// unless told.
    pub fn include<const N: usize>(self, attributes: [&str; N]) -> Self {
        let attributes = attributes.map(str::to_owned).to_vec();
        self.with(|index| index.projection = Projection::Include(attributes))
    }

    /// The environment variable that tells the index's name to every function that has a grant on
    /// it.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.with(|index| index.named.variable = Some(name))
    }

    /// Lets a function do `actions` to the index, and not to the table. The function also gets the
    /// table's variables, because a query names both.
    #[must_use]
    pub fn allow<const N: usize>(&self, actions: [IndexAction; N]) -> Grant {
        let id = self.table.get().indexes[self.position].named.id.clone();
        let actions = actions.map(IndexAction::iam_action);
        let statements = id.whole().map(|table| {
            let (sid, table_id) = (id.logical_id(), table.logical_id());
            let index = sub(&format!("${{{table_id}.Arn}}/index/{}", id.name()));
            policy::allow(
                &format!("{table_id}{sid}"),
                &policy::sorted(actions.clone()),
                &index,
            )
        });
        let table = id.whole().cloned();
        let grant = Grant::scoped(id, actions, statements.into_iter().collect());
        table.into_iter().fold(grant, Grant::telling)
    }

    fn with(self, change: impl FnOnce(&mut Declaration)) -> Self {
        let position = self.position;
        self.table
            .change(|table| change(&mut table.indexes[position]));
        self
    }
}

iam_actions! {
    "dynamodb",
    /// What a function may do to an index, in IAM's words.
    IndexAction {
        /// Read the items of one partition.
        Query,
        /// Read the whole index.
        Scan,
    }
}

impl Declaration {
    #[track_caller]
    pub(super) fn by_caller(table: &ResourceId, name: &str, partition_key: Key) -> Self {
        Self {
            named: Named {
                id: ResourceId::part_of(table, &NOUN, name),
                origin: Origin::of_caller(),
                variable: None,
            },
            partition_key,
            sort_key: None,
            projection: Projection::All,
        }
    }

    /// The attributes of its key.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.partition_key).chain(&self.sort_key)
    }

    /// How many attributes it names to have, beside those of keys.
    pub(super) fn included(&self) -> usize {
        match &self.projection {
            Projection::Include(attributes) => attributes.len(),
            Projection::All | Projection::KeysOnly => 0,
        }
    }

    /// Its entry in the table's template.
    pub(super) fn properties(&self) -> Value {
        let projection = match &self.projection {
            Projection::All => json!({"ProjectionType": "ALL"}),
            Projection::KeysOnly => json!({"ProjectionType": "KEYS_ONLY"}),
            Projection::Include(attributes) => {
                json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": attributes})
            }
        };
        json!({
            "IndexName": self.named.id.name(),
            "KeySchema": key::schema(&self.partition_key, self.sort_key.as_ref()),
            "Projection": projection,
        })
    }
}

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn check(&self, check: &mut Check<'_>) {
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        let length = self.named.id.name().len();
        check.require(
            (NAME_MIN..=NAME_MAX).contains(&length),
            &subject,
            format!("has a name of {length} characters"),
            format!("use {NAME_MIN} to {NAME_MAX}"),
        );
        key::check(check, &subject, &self.partition_key, self.sort_key.as_ref());
        let none = Vec::new();
        let included = match &self.projection {
            Projection::Include(attributes) => {
                check.require(
                    !attributes.is_empty(),
                    &subject,
                    "includes no attribute",
                    "name attributes in `include`, or use `keys_only`",
                );
                attributes
            }
            Projection::All | Projection::KeysOnly => &none,
        };
        let keys = self.keys().map(|key| &key.attribute);
        for attribute in keys.chain(included) {
            key::check_name(check, &subject, attribute);
        }
        for attribute in included {
            check.require(
                self.keys().all(|key| key.attribute != *attribute),
                &subject,
                format!("includes `{attribute}`, which is part of its key"),
                "remove it from `include`: an index has its key's attributes",
            );
        }
    }

    /// CloudFormation knows an index as part of its table.
    fn synth(&self, _: &mut Synthesis<'_>) {}
}
