//! DynamoDB tables, and the functions that read their streams.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Grants, Kind};
use crate::check::{Check, Subject};
use crate::cloudformation::{DeletionPolicy, attribute, reference};
use crate::deployer::{Deployer, OfService, Statement};
use crate::grant::Grant;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::policy;
use crate::resource_id::{Noun, ResourceId, Variable};
use crate::stage::Removal;
use crate::synthesis::Synthesis;
use crate::trigger_word::{self, Skeleton, TriggerWord};

mod item_changes;

#[cfg(test)]
mod tests;

pub use item_changes::{ItemChange, ItemChanges};

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
            lib: include_str!("table/skeleton/lib.rs"),
            main: trigger_word::MAIN,
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

/// A DynamoDB table: on demand, encrypted.
#[derive(Clone, Debug)]
pub struct Table(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    partition_key: String,
    time_to_live: Option<String>,
    attribute_variables: Vec<(String, String)>,
}

impl Manifest {
    /// Declares a table and its partition key, a string attribute.
    #[track_caller]
    pub fn table(&self, name: &str, partition_key: &str) -> Table {
        Table(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            partition_key: partition_key.to_owned(),
            time_to_live: None,
            attribute_variables: Vec::new(),
        }))
    }
}

impl Table {
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
        let partition_key = self.0.get().partition_key;
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
        let logical_id = id.logical_id();
        let actions = actions.map(TableAction::iam_action);
        let statement = policy::allow(
            &logical_id,
            &policy::sorted(actions.clone()),
            &attribute(&logical_id, "Arn"),
        );
        Grant::scoped(id, actions, vec![statement])
    }

    fn id(&self) -> ResourceId {
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
        /// Read the items of one partition.
        Query,
        /// Read the whole table.
        Scan,
        /// Change some of an item's attributes.
        UpdateItem,
    }
}

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
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
        json!({&self.partition_key: {"S": "1"}})
    }

    fn check(&self, check: &mut Check<'_>) {
        self.check_attributes(check);
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
            "AttributeDefinitions": [
                {"AttributeName": self.partition_key, "AttributeType": "S"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
            "DeletionProtectionEnabled": stage.removal == Removal::Retain,
            "KeySchema": [{"AttributeName": self.partition_key, "KeyType": "HASH"}],
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": stage.production},
            "SSESpecification": {"SSEEnabled": true},
        });
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
    fn check_attributes(&self, check: &mut Check<'_>) {
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        let told = self.attribute_variables.iter();
        let attributes: BTreeSet<&String> = std::iter::once(&self.partition_key)
            .chain(&self.time_to_live)
            .chain(told.map(|(_, attribute)| attribute))
            .collect();
        for attribute in attributes {
            check.require(
                (1..=255).contains(&attribute.len()),
                &subject,
                format!("has an attribute name of {} bytes", attribute.len()),
                "use 1 to 255",
            );
        }
        check.require(
            self.time_to_live.as_ref() != Some(&self.partition_key),
            &subject,
            format!(
                "has its partition key `{}` as time to live, which must be a number",
                self.partition_key
            ),
            "name another attribute in `time_to_live`",
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
