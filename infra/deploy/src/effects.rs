//! Which changes of a change set change something.
//!
//! CloudFormation lists a resource also because something that it refers to changes, and decides
//! only while executing whether a value is another one. Where the values are certain to stay the
//! same, the resource is checked, and nothing happens to it.

use std::collections::{BTreeMap, BTreeSet};

use review::{Reference, Review};

use crate::change::{Action, Change};
use crate::change_set::ChangeSet;
use crate::replacement::Replacement;

/// The changes of a change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects<'a> {
    /// Those that change something, or may.
    pub changes: Vec<&'a Change>,
    /// Those of resources that stay as they are.
    pub checked: Vec<&'a Change>,
}

impl ChangeSet {
    /// Tells the changes that have an effect from those that have none, by the two templates.
    ///
    /// A change has none if the resource is declared alike in both templates, CloudFormation names
    /// nothing but references as its cause, and each value that the resource refers to stays the
    /// same.
    pub fn effects<'a>(&'a self, review: &Review) -> Effects<'a> {
        let listed: BTreeMap<&str, &Change> = self
            .changes
            .iter()
            .map(|change| (change.logical_id.as_str(), change))
            .collect();
        // What was changed by hand is not in the templates.
        let by_templates = !self.reverts_drift && !self.changes.iter().any(|change| change.drifted);
        let mut checked: BTreeSet<&str> = self
            .changes
            .iter()
            .filter(|change| by_templates && may_have_none(change))
            .map(|change| change.logical_id.as_str())
            .filter(|logical_id| review.unchanged.contains_key(*logical_id))
            .collect();
        loop {
            let unsettled: Vec<&str> = checked
                .iter()
                .copied()
                .filter(|logical_id| {
                    let mut references = review.unchanged[*logical_id].iter();
                    references.any(|reference| !stays(reference, &listed, &checked))
                })
                .collect();
            if unsettled.is_empty() {
                break;
            }
            checked.retain(|logical_id| !unsettled.contains(logical_id));
        }
        let (checked, changes) = self
            .changes
            .iter()
            .partition(|change| checked.contains(change.logical_id.as_str()));
        Effects { changes, checked }
    }
}

/// Whether CloudFormation leaves open if the resource changes.
fn may_have_none(change: &Change) -> bool {
    change.action == Action::Modify
        && change.replacement != Replacement::Always
        && change.only_by_reference
        && !has_values_of_its_own(change)
}

/// Whether the resource's values can change although its declaration does not: those of nested
/// stacks and custom resources.
fn has_values_of_its_own(change: &Change) -> bool {
    let resource_type = change.resource_type.as_str();
    resource_type.starts_with("AWS::CloudFormation::") || resource_type.starts_with("Custom::")
}

/// Whether the value of a reference is certain to stay the same.
fn stays(
    reference: &Reference,
    listed: &BTreeMap<&str, &Change>,
    checked: &BTreeSet<&str>,
) -> bool {
    let logical_id = reference.logical_id.as_str();
    let Some(change) = listed.get(logical_id) else {
        return true;
    };
    // Its name and its ARN are what identify a resource. Other attributes tell its state.
    let identifies = matches!(reference.attribute.as_deref(), None | Some("Arn"));
    let is_in_place = change.action == Action::Modify && change.replacement == Replacement::Never;
    checked.contains(logical_id) || (identifies && is_in_place && !has_values_of_its_own(change))
}

#[cfg(test)]
mod tests;
