//! DynamoDB tables, and the functions that read their streams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Grants, Kind};
use crate::check::{Check, Subject};
use crate::cloudformation::{DeletionPolicy, attribute, reference};
use crate::deployer::{Deployer, OfService, Statement};
use crate::grant::Grant;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::resource_id::{Noun, ResourceId, Variable};
use crate::stage::Removal;
use crate::synthesis::Synthesis;
use crate::trigger_word::{Skeleton, TriggerWord};

pub(super) mod index;
mod item_change;
mod item_changes;
mod item_filter;
mod key;

#[cfg(test)]
mod tests;

pub use index::{Index, IndexAction};
pub use item_change::ItemChange;
pub use item_changes::ItemChanges;
pub use item_filter::Match;
pub use key::Key;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: Some(Grants {
        service: "dynamodb",
        call: "Table::allow",
        actions: TableAction::NAMES,
        rust: super::allow,
    }),
    has_url: false,
    is_at: |id, stack, service, name| {
        let name = name.strip_prefix("table/");
        let name = name.and_then(|name| name.split('/').next());
        service == "dynamodb" && name.is_some_and(|name| super::is_made_up(id, stack, name))
    },
    settings: super::no_settings,
    deployer: deployer_statements,
    // A table holds data, and nobody but its author knows its key: none is declared by the way.
    triggers: &[TriggerWord {
        word: "stream",
        takes: "TABLE",
        example: "orders",
        about: "changes of the table's items",
        declare: None,
        call: |table, _| format!(".trigger({table}.item_changes([Insert, Modify, Remove]))"),
        imports: &["ItemChange::*"],
        sample: item_changes::sample,
        skeleton: &Skeleton {
            handles: "batches of a table's stream",
            main: include_str!("table/skeleton/main.rs"),
            dependencies: &[],
        },
        ..TriggerWord::DEFAULTS
    }],
};

static NOUN: Noun = Noun {
    noun: "table",
    logical_id: "Table",
    identifier: "table",
    value: |id| reference(&id.logical_id()),
};

/// Functions that read one table's stream: with more, reads of a shard are throttled.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
const STREAM_READERS_MAX: usize = 2;
/// Global secondary indexes of a table, by the same page.
const INDEXES_MAX: usize = 20;
/// Attributes that all indexes of a table include, by the same page.
const INCLUDED_ATTRIBUTES_MAX: usize = 100;

/// A DynamoDB table: on demand, encrypted.
#[derive(Clone, Debug)]
pub struct Table(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    partition_key: Key,
    sort_key: Option<Key>,
    indexes: Vec<index::Declaration>,
    time_to_live: Option<String>,
    attribute_variables: Vec<(String, String)>,
}

impl Manifest {
    /// Declares a table and its partition key: an attribute that is a string unless a [`Key`] says
    /// otherwise. On a table that is deployed, another key replaces the table.
    #[track_caller]
    pub fn table(&self, name: &str, partition_key: impl Into<Key>) -> Table {
        Table(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            partition_key: partition_key.into(),
            sort_key: None,
            indexes: Vec::new(),
            time_to_live: None,
            attribute_variables: Vec::new(),
        }))
    }
}

impl Table {
    /// The sort key: the attribute that tells the items of a partition apart, and in whose order
    /// they are read. It is a string unless a [`Key`] says otherwise. On a table that is deployed,
    /// another sort key replaces the table.
    pub fn sort_key(self, key: impl Into<Key>) -> Self {
        let key = key.into();
        self.0.change(|table| table.sort_key = Some(key));
        self
    }

    /// Declares a global secondary index and its partition key: the items that have the attribute,
    /// by another key than the table's. It follows the table within a moment, and is never read
    /// consistently.
    ///
    /// One index of a table can be added or removed in a deployment, and none can be changed;
    /// `cargo xtask deploy` refuses more before AWS would.
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html>
    #[track_caller]
    pub fn index(&self, name: &str, partition_key: impl Into<Key>) -> Index {
        let index = index::Declaration::by_caller(&self.id(), name, partition_key.into());
        let mut position = 0;
        self.0.change(|table| {
            position = table.indexes.len();
            table.indexes.push(index);
        });
        Index::new(self.0.clone(), position)
    }

    /// The attribute, in seconds since the epoch, after which DynamoDB drops an item.
    pub fn time_to_live(self, attribute: &str) -> Self {
        let attribute = attribute.to_owned();
        self.0.change(|table| table.time_to_live = Some(attribute));
        self
    }

    /// The environment variable that tells the table's name to every function that has a
    /// grant on it or handles its changes, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0.change(|table| table.named.variable = Some(name));
        self
    }

    /// The environment variable that tells the partition key's name to the same functions.
    pub fn key_variable(self, name: &str) -> Self {
        let partition_key = self.0.get().partition_key.attribute;
        self.attribute_variable(name, &partition_key)
    }

    /// An environment variable that tells an attribute's name to the same functions, for
    /// code that serves tables which name their attributes differently.
    pub fn attribute_variable(self, name: &str, attribute: &str) -> Self {
        let variable = (name.to_owned(), attribute.to_owned());
        self.0
            .change(|table| table.attribute_variables.push(variable));
        self
    }

    /// Changes of the table's items, of these kinds, read from its stream.
    #[must_use]
    pub fn item_changes<const N: usize>(&self, kinds: [ItemChange; N]) -> ItemChanges {
        ItemChanges::new(self.id(), kinds)
    }

    /// Lets a function do `actions` to the table's items.
    #[must_use]
    pub fn allow<const N: usize>(&self, actions: [TableAction; N]) -> Grant {
        let id = self.id();
        let arn = attribute(&id.logical_id(), "Arn");
        Grant::on_arn(id, actions.map(TableAction::iam_action), &arn)
    }

    pub(crate) fn id(&self) -> ResourceId {
        self.0.get().named.id
    }
}

iam_actions! {
    "dynamodb",
    /// What a function may do to a table, in IAM's words. A transaction needs the
    /// actions of its parts.
    TableAction {
        /// Check a condition on an item within a transaction.
        ConditionCheckItem,
        /// Delete an item.
        DeleteItem,
        /// Read an item by its key.
        GetItem,
        /// Write a whole item.
        PutItem,
        /// Read the items of one partition. For those of an index, see [`Index::allow`].
        Query,
        /// Read the whole table.
        Scan,
        /// Change some of an item's attributes.
        UpdateItem,
    }
}

in_template!(Table);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn parts(&self) -> Vec<Arc<dyn DeclaredResource>> {
        let indexes = self.indexes.iter().cloned();
        indexes
            .map(|index| -> Arc<dyn DeclaredResource> { Arc::new(index) })
            .collect()
    }

    fn variables(&self) -> Vec<Variable> {
        let Named {
            id,
            origin,
            variable,
        } = &self.named;
        let attributes = self.attribute_variables.iter().cloned();
        let attributes = attributes.map(|(name, attribute)| (name, Value::from(attribute)));
        let name = variable.iter().map(|name| (name.clone(), id.value()));
        name.chain(attributes)
            .map(|(name, value)| Variable {
                of: id.clone(),
                name,
                value,
                origin: *origin,
            })
            .collect()
    }

    fn sample_key(&self) -> Value {
        let keys = std::iter::once(&self.partition_key).chain(&self.sort_key);
        keys.map(|key| (key.attribute.clone(), key.sample()))
            .collect()
    }

    fn check(&self, check: &mut Check<'_>) {
        self.check_attributes(check);
        self.check_keys(check);
        self.check_indexes(check);
        let mut readers = Vec::new();
        for function in check.functions() {
            let triggers: Vec<_> = function
                .triggers_of::<ItemChanges>(&self.named.id)
                .collect();
            for (origin, changes) in &triggers {
                changes.check(check, function, *origin);
            }
            if let [(_, _), rest @ ..] = triggers.as_slice() {
                readers.push(function.name.as_str());
                if let Some((origin, _)) = rest.first() {
                    check.require(
                        false,
                        &Subject::of_function(function).at(*origin),
                        format!("has two triggers on the stream of {}", self.named.id),
                        "merge them into one",
                    );
                }
            }
        }
        check.require(
            readers.len() <= STREAM_READERS_MAX,
            &Subject::new(&self.named.id).at(self.named.origin),
            format!(
                "has a stream that {} functions read ({}), where DynamoDB serves {STREAM_READERS_MAX}",
                readers.len(),
                readers.join(", ")
            ),
            "let one function do the work of two",
        );
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        let logical_id = self.named.id.logical_id();
        let stage = synthesis.stage();
        let mut properties = json!({
            "AttributeDefinitions": self.attribute_definitions(),
            "BillingMode": "PAY_PER_REQUEST",
            "DeletionProtectionEnabled": stage.removal == Removal::Retain,
            "KeySchema": key::schema(&self.partition_key, self.sort_key.as_ref()),
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": stage.production},
            "SSESpecification": {"SSEEnabled": true},
        });
        if !self.indexes.is_empty() {
            let indexes = self.indexes.iter().map(index::Declaration::properties);
            properties["GlobalSecondaryIndexes"] = indexes.collect();
        }
        if let Some(attribute) = &self.time_to_live {
            properties["TimeToLiveSpecification"] =
                json!({"AttributeName": attribute, "Enabled": true});
        }
        for (function, triggers) in synthesis.invoked_by::<ItemChanges>(&self.named.id) {
            properties["StreamSpecification"] = json!({"StreamViewType": "NEW_AND_OLD_IMAGES"});
            for (origin, changes) in triggers {
                changes.synth(synthesis, function, origin);
            }
        }
        let table = synthesis
            .tagged("AWS::DynamoDB::Table", properties)
            // Not `RetainExceptOnCreate`: a protected table cannot be deleted, so the
            // rollback of a failed creation would fail too.
            .deletion_policy(synthesis.deletion_policy(DeletionPolicy::Retain));
        synthesis.add(logical_id, self.named.origin, table);
    }
}

impl Declaration {
    fn subject(&self) -> Subject {
        Subject::new(&self.named.id).at(self.named.origin)
    }

    /// The attributes of its keys and of those of its indexes.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        let own = std::iter::once(&self.partition_key).chain(&self.sort_key);
        own.chain(self.indexes.iter().flat_map(index::Declaration::keys))
    }

    /// DynamoDB wants the type of each attribute of a key, and of no other.
    fn attribute_definitions(&self) -> Value {
        let mut seen = BTreeSet::new();
        let keys = self.keys().filter(|key| seen.insert(&key.attribute));
        keys.map(Key::definition).collect()
    }

    fn check_attributes(&self, check: &mut Check<'_>) {
        let subject = self.subject();
        let told = self.attribute_variables.iter();
        let attributes: BTreeSet<&String> = [&self.partition_key]
            .into_iter()
            .chain(&self.sort_key)
            .map(|key| &key.attribute)
            .chain(&self.time_to_live)
            .chain(told.map(|(_, attribute)| attribute))
            .collect();
        for attribute in attributes {
            key::check_name(check, &subject, attribute);
        }
        let ttl = self.time_to_live.as_ref();
        let key = self.keys().find(|key| Some(&key.attribute) == ttl);
        if let Some(key) = key {
            check.require(
                key.is_number(),
                &subject,
                format!(
                    "has `{}` as time to live, which must be a number, and in a key as a {}",
                    key.attribute,
                    key.type_name()
                ),
                "name another attribute in `time_to_live`",
            );
        }
    }

    fn check_keys(&self, check: &mut Check<'_>) {
        let subject = self.subject();
        key::check(check, &subject, &self.partition_key, self.sort_key.as_ref());
        let mut types = BTreeMap::new();
        let mut told = BTreeSet::new();
        for key in self.keys() {
            let first = types.entry(&key.attribute).or_insert(key);
            let conflicts = first.is_of_another_type(key);
            check.require(
                !conflicts || !told.insert(&key.attribute),
                &subject,
                format!(
                    "has the attribute `{}` in keys as a {} and as a {}",
                    key.attribute,
                    first.type_name(),
                    key.type_name()
                ),
                "declare it with one type",
            );
        }
    }

    fn check_indexes(&self, check: &mut Check<'_>) {
        let subject = self.subject();
        check.require(
            self.indexes.len() <= INDEXES_MAX,
            &subject,
            format!(
                "has {} indexes, where DynamoDB takes {INDEXES_MAX}",
                self.indexes.len()
            ),
            "let one index serve several queries, or split the table",
        );
        let included: usize = self.indexes.iter().map(index::Declaration::included).sum();
        check.require(
            included <= INCLUDED_ATTRIBUTES_MAX,
            &subject,
            format!(
                "includes {included} attributes in its indexes, where DynamoDB takes {INCLUDED_ATTRIBUTES_MAX} in all"
            ),
            "leave `include` out of an index, which then has every attribute",
        );
    }
}

/// Without what deletes data.
const TABLE: OfService = &[(
    "AWS::DynamoDB::Table",
    &[
        "CreateTable",
        "DescribeContinuousBackups",
        "DescribeContributorInsights",
        "DescribeKinesisStreamingDestination",
        "DescribeTable",
        "DescribeTimeToLive",
        "GetResourcePolicy",
        "ListTagsOfResource",
        "TagResource",
        "UntagResource",
        "UpdateContinuousBackups",
        "UpdateTable",
        "UpdateTimeToLive",
    ],
)];

fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let mut actions = deployer.needed_actions(TABLE);
    if actions.is_empty() {
        return Vec::new();
    }
    if deployer.deletes_data() {
        actions.insert(0, "DeleteTable");
        actions.sort_unstable();
    }
    let tables = json!(deployer.arn("dynamodb", &format!("table/{}-*", deployer.stack())));
    let mut statements = vec![Statement::allow(
        "DeployTables",
        "dynamodb",
        &actions,
        &tables,
    )];
    if deployer.has("AWS::Lambda::EventSourceMapping") {
        // Where a failure queue only tells where a record is, it is read from its stream.
        let streams = deployer.arn(
            "dynamodb",
            &format!("table/{}-*/stream/*", deployer.stack()),
        );
        let read = ["GetRecords", "GetShardIterator"];
        let redrive = Statement::allow("RedriveStreams", "dynamodb", &read, &json!(streams));
        statements.push(redrive.after_deployment());
    }
    statements
}
