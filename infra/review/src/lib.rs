//! What a deployment changes, for a person to review before it happens.
//!
//! CloudFormation's change set says which resources and properties change. What that does
//! to permissions it does not say. So here the deployed template is compared with the one
//! to be deployed: each becomes a set of [permissions](AccessChange), one for each
//! combination of principal, action and resource, however the statements are written. What
//! is only in one of the sets is a change.
//!
//! Covered are the policies of roles, users and groups (inline, managed, trust, permissions
//! boundary), and of resources: policy documents wherever they are in a resource's
//! properties (buckets, queues, topics, keys, tables, secrets, …), `AWS::Lambda::Permission`,
//! function URLs, and the authorization of HTTP API routes. A bucket, queue or role that is
//! deleted takes its policies with it, and what these denied.
//!
//! A change that is not plainly a narrowing is called a broadening. So is one of a managed
//! policy from elsewhere, attached or detached, because it may deny as well as allow; AWS's
//! own are known better.
//!
//! Not covered is what is said in other ways: security groups and other network access; S3
//! access control lists and public access blocks; group memberships; who an authorizer lets
//! in; permissions on layers, and on event buses if not by a policy document. Nor is what is
//! said elsewhere: the values of Systems Manager parameters, the text of managed policies and
//! nested stacks, what a macro makes of the template. If a resource is replaced, what refers to it
//! is taken to stay the same.

mod by_hand;
mod indexes;
mod permissions;
mod properties;
mod template;
mod unchanged;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use by_hand::roles_by_hand;
pub use indexes::Refusal;
use permissions::Permission;
pub use permissions::{Condition, Effect};
pub use properties::{PropertyChange, between, path_of_pointer};
use template::{Resource, Template};
pub use unchanged::Reference;

/// A template that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read the template: {why}")]
pub struct Error {
    /// What the parser says.
    pub why: String,
}

/// A template and what its parameters are set to.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    /// YAML or JSON, as CloudFormation takes and returns it.
    pub template: &'a str,
    /// The parameters' values. Those not given have their default.
    pub parameters: &'a BTreeMap<String, String>,
}

/// What a deployment changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Review {
    /// What it does to access as a whole: the worst of `access_changes`.
    pub access: Access,
    /// The permissions that are added and removed, broadened access first.
    pub access_changes: Vec<AccessChange>,
    /// The properties that the templates give another value, by logical ID, for resources
    /// that are in both.
    pub property_changes: BTreeMap<String, Vec<PropertyChange>>,
    /// What CloudFormation refuses, although it plans it.
    pub refusals: Vec<Refusal>,
    /// The resources that both templates declare alike, by logical ID, each with what it refers
    /// to. Left out is what may change although its declaration does not, by a macro or a dynamic
    /// reference.
    #[serde(skip)]
    pub unchanged: BTreeMap<String, BTreeSet<Reference>>,
}

/// What a change does to access, from harmless to dangerous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// No permission changes: another statement says the same.
    Unchanged,
    /// Less is allowed.
    Narrowed,
    /// More is allowed, or it is not certain that it is not.
    Broadened,
}

/// Whether something comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// It is in the template that is deployed now.
    Removed,
    /// It is in the template that shall be deployed.
    Added,
}

/// A row of the table of access changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessChange {
    /// Whether the permission comes or goes.
    pub difference: Difference,
    /// What that does to access.
    pub access: Access,
    /// Whether the permission allows or denies.
    pub effect: Effect,
    /// Who: a role (`${ReportsRole}`), or as in a policy `AWS: …`, `Service: …`, `*`.
    pub principal: String,
    /// What they may do, or not do, in order.
    pub actions: Vec<String>,
    /// On what. `${Table.Arn}` is a value that only AWS knows.
    pub resource: String,
    /// On which conditions, all of which must be met.
    pub conditions: Vec<Condition>,
    /// The logical ID of the resource that declares it.
    pub declared_by: String,
}

/// Compares what is deployed, if anything is, with what shall be.
///
/// # Errors
/// When a template cannot be read.
pub fn review(deployed: Option<Declared<'_>>, wanted: Declared<'_>) -> Result<Review, Error> {
    let read = |declared: Declared<'_>| Template::read(declared.template, declared.parameters);
    let before = deployed.map(read).transpose()?.unwrap_or_default();
    let after = read(wanted)?;
    let access_changes = access_changes(&before, &after);
    let worst = access_changes.iter().map(|change| change.access).max();
    Ok(Review {
        access: worst.unwrap_or(Access::Unchanged),
        access_changes,
        property_changes: property_changes(&before, &after),
        refusals: indexes::refusals(&before, &after),
        unchanged: unchanged::between(&before, &after),
    })
}

/// Whether a template declares an output.
///
/// # Errors
/// When the template cannot be read.
pub fn has_output(template: &str, output: &str) -> Result<bool, Error> {
    Ok(template::parse(template)?["Outputs"].get(output).is_some())
}

fn access_changes(before: &Template, after: &Template) -> Vec<AccessChange> {
    let (old, new) = (permissions::of(before), permissions::of(after));
    let removed = old
        .iter()
        .filter(|(permission, _)| !new.contains_key(permission))
        .map(|(permission, declared_by)| {
            let access = if is_gone(&permission.subject, before, after) {
                Access::Narrowed
            } else {
                access_of(Difference::Removed, permission, &new)
            };
            row(Difference::Removed, access, permission, declared_by)
        });
    let added = new
        .iter()
        .filter(|(permission, _)| !old.contains_key(permission))
        .map(|(permission, declared_by)| {
            let access = access_of(Difference::Added, permission, &old);
            row(Difference::Added, access, permission, declared_by)
        });
    let mut rows: Vec<AccessChange> = removed.chain(added).collect();
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    // Rows that differ in nothing but the action are one.
    rows.dedup_by(|next, row| {
        let same = order(next).0 == order(row).0;
        if same {
            row.actions.append(&mut next.actions);
        }
        same
    });
    rows
}

/// What it does to access that `permission` comes, given those that were there before, or
/// goes, given those that are there afterwards.
fn access_of(
    difference: Difference,
    permission: &Permission,
    others: &BTreeMap<Permission, String>,
) -> Access {
    if !permission.is_understood() {
        return Access::Broadened;
    }
    if others.keys().any(|other| other.covers(permission)) {
        return Access::Unchanged;
    }
    match (difference, permission.effect) {
        (Difference::Added, Effect::Allow) | (Difference::Removed, Effect::Deny) => {
            Access::Broadened
        }
        (Difference::Added, Effect::Deny) | (Difference::Removed, Effect::Allow) => {
            Access::Narrowed
        }
    }
}

/// Whether what a policy is attached to is deleted: then it matters no more that the policy
/// denied something.
fn is_gone(subject: &str, before: &Template, after: &Template) -> bool {
    permissions::referred(subject).is_some_and(|id| {
        before
            .resources
            .get(id)
            .is_some_and(Resource::is_deleted_on_removal)
            && !after.resources.contains_key(id)
    })
}

fn row(
    difference: Difference,
    access: Access,
    permission: &Permission,
    declared_by: &str,
) -> AccessChange {
    AccessChange {
        difference,
        access,
        effect: permission.effect,
        principal: permission.principal.shown(),
        actions: vec![permission.action.shown()],
        resource: permission.resource.shown(),
        conditions: permission.conditions.clone(),
        declared_by: declared_by.to_owned(),
    }
}

/// The order of rows: by everything but the actions, and then by these.
fn order(row: &AccessChange) -> (impl Ord, &[String]) {
    let AccessChange {
        difference,
        access,
        effect,
        principal,
        actions,
        resource,
        conditions,
        declared_by,
    } = row;
    let place = (
        std::cmp::Reverse(*access),
        declared_by,
        principal,
        resource,
        conditions,
        *effect,
        *difference,
    );
    (place, actions)
}

fn property_changes(before: &Template, after: &Template) -> BTreeMap<String, Vec<PropertyChange>> {
    let mut found = BTreeMap::new();
    for (id, resource) in &after.resources {
        if let Some(old) = before.resources.get(id) {
            let changes = properties::between(&old.body, &resource.body);
            if !changes.is_empty() {
                found.insert(id.clone(), changes);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
