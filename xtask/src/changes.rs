//! What a deployment would change, for people; and what they are asked before it does.

use std::collections::BTreeSet;

use anstyle::Style;
use deploy::{
    Action, Change, ChangeSet, Drift, Drifted, Effects, Finding, Replacement, RolesByHand,
    StackSpec, Target,
};
use manifest::App;
use review::{
    Access, AccessChange, Declared, Difference, Effect, PropertyChange, Refusal, Review, review,
};
use serde::Serialize;

use crate::cli::Approval;
use crate::error::{CliError, Result};
use crate::question::confirm;
use crate::table::table_lines;
use crate::terminal::{BOLD, DIM, GREEN, RED, YELLOW};

/// The longest value of a property that is shown, in characters.
const VALUE_MAX: usize = 60;

/// How far details of a change are indented.
const DETAIL_INDENT: usize = 18;

/// A terminal of fewer columns has no room for indentation.
const NARROW: usize = 60;

/// What stands before the table of permissions.
const ACCESS_INDENT: usize = 4;

/// What a deployment would change.
#[derive(Debug, Serialize)]
pub(crate) struct Changes<'a> {
    stack: &'a str,
    creates_stack: bool,
    /// The changes that have an effect.
    changes: Vec<&'a Change>,
    /// The resources, by logical ID, that CloudFormation lists although they stay as they are.
    checked: Vec<&'a str>,
    warnings: &'a [Finding],
    #[serde(flatten)]
    review: Review,
}

impl<'a> Changes<'a> {
    /// Compares what is deployed with what is wanted.
    pub(crate) async fn of(
        change_set: &'a ChangeSet,
        spec: &StackSpec<'_>,
        target: &Target,
    ) -> Result<Self> {
        let deployed = deploy::deployed(target, spec.name).await?;
        let deployed = deployed.as_ref().map(|record| Declared {
            template: &record.template,
            parameters: &record.parameters,
        });
        let wanted = Declared {
            template: spec.template,
            parameters: &spec.parameters,
        };
        let review = review(deployed, wanted).map_err(deploy::Error::from)?;
        let Effects { changes, checked } = change_set.effects(&review);
        Ok(Self {
            stack: &change_set.stack,
            creates_stack: change_set.creates_stack,
            changes,
            checked: checked
                .into_iter()
                .map(|change| change.logical_id.as_str())
                .collect(),
            warnings: &change_set.warnings,
            review,
        })
    }

    /// Refuses what CloudFormation would refuse halfway.
    pub(crate) fn check(&self, app: &App) -> Result<()> {
        let Some(refusal) = self.review.refusals.first() else {
            return Ok(());
        };
        let Refusal {
            logical_id,
            why,
            instead,
        } = refusal;
        let error = CliError::new(format!(
            "could not deploy {}: {logical_id} {why}",
            self.stack
        ));
        let declared = app.declared_at(logical_id);
        let note = declared.map(|place| format!("{logical_id} is declared at {place}"));
        Err(note.into_iter().fold(error, CliError::note).hint(instead))
    }

    /// The resources that change, by logical ID.
    pub(crate) fn logical_ids(&self) -> BTreeSet<String> {
        let changes = self.changes.iter();
        changes.map(|change| change.logical_id.clone()).collect()
    }

    /// Asks if `approval` requires it.
    pub(crate) fn approve(&self, approval: Approval) -> Result<()> {
        let reasons = self.reasons(approval);
        if reasons.is_empty() {
            return Ok(());
        }
        confirm(
            &format!("This deployment {}. Continue?", list(&reasons)),
            "--yes",
        )
    }

    /// What has to be asked about.
    fn reasons(&self, approval: Approval) -> Vec<String> {
        if approval == Approval::Never {
            return Vec::new();
        }
        let mut reasons = Vec::new();
        if self.creates_stack {
            reasons.push(format!("creates stack {}", self.stack));
        }
        if self.review.access == Access::Broadened {
            reasons.push("broadens permissions".to_owned());
        }
        let endangered = |conditional: bool| -> Vec<String> {
            let changes = self.changes.iter();
            changes
                .filter(|change| {
                    change.endangers_state() && may_only_replace(change) == conditional
                })
                .map(|change| change.logical_id.clone())
                .collect()
        };
        for (conditional, doing) in [(false, "replaces or removes"), (true, "may replace")] {
            let resources = endangered(conditional);
            if !resources.is_empty() {
                reasons.push(format!("{doing} {}, with all data in it", list(&resources)));
            }
        }
        if reasons.is_empty() && approval == Approval::AnyChange {
            reasons.push(format!("changes stack {}", self.stack));
        }
        reasons
    }

    /// All of it, for a terminal of so many columns, or for whatever is not a terminal.
    pub(crate) fn lines(&self, app: &App, columns: Option<usize>) -> Vec<String> {
        let mut lines = vec![heading(self.stack, self.creates_stack, self.changes.len())];
        for change in &self.changes {
            lines.extend(change_lines(change, app, columns));
            lines.extend(self.property_lines(change, columns));
        }
        if !self.checked.is_empty() {
            lines.push(checked_line(self.checked.len(), columns));
        }
        for warning in self.warnings {
            lines.push(format!(
                "{YELLOW}{:>15}{YELLOW:#} {} {DIM}{}{DIM:#}: {}",
                "warning", warning.logical_id, warning.check, warning.message
            ));
        }
        for refusal in &self.review.refusals {
            lines.push(format!(
                "{RED}{:>15}{RED:#} {} {}",
                "refused", refusal.logical_id, refusal.why
            ));
        }
        let access = &self.review.access_changes;
        lines.extend(access_lines(access, columns));
        lines
    }

    /// The resources that change, in one line.
    pub(crate) fn line(&self) -> String {
        let verbs = ["adds", "changes", "removes"];
        let verb = |change: &Change| match change.action {
            Action::Add => verbs[0],
            Action::Modify | Action::Dynamic | Action::Sync => verbs[1],
            Action::Remove => verbs[2],
        };
        let parts = verbs.iter().filter_map(|wanted| {
            let changes = self.changes.iter().filter(|change| verb(change) == *wanted);
            let names: Vec<&str> = changes.map(|change| change.logical_id.as_str()).collect();
            (!names.is_empty()).then(|| format!("{wanted} {}", shortened(&names)))
        });
        let parts: Vec<String> = parts.collect();
        format!("{GREEN}{:>12}{GREEN:#} {}", "Changes", parts.join("; "))
    }

    /// Values before and after. Those of permissions are told by the table.
    fn property_lines(&self, change: &Change, columns: Option<usize>) -> Vec<String> {
        if change.action != Action::Modify || change.resource_type.starts_with("AWS::IAM::") {
            return Vec::new();
        }
        property_lines(change.property_changes_with(&self.review), columns)
    }
}

/// A list of which a long one says how many are not in it.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

/// Values of properties before and after.
fn property_lines(properties: &[PropertyChange], columns: Option<usize>) -> Vec<String> {
    let shown = |value: &Option<String>| {
        let value = value.as_deref().unwrap_or("-");
        match value.char_indices().nth(VALUE_MAX) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.to_owned(),
        }
    };
    properties
        .iter()
        .map(|property| {
            let path = &property.path;
            let change = if property.before.is_none() && property.after.is_none() {
                "known after the deployment".to_owned()
            } else {
                format!("{} → {}", shown(&property.before), shown(&property.after))
            };
            let indent = detail_indent(columns);
            format!("{:indent$}{DIM}{path}: {change}{DIM:#}", "")
        })
        .collect()
}

/// The table of permissions that are added and removed.
fn access_lines(changes: &[AccessChange], columns: Option<usize>) -> Vec<String> {
    if changes.is_empty() {
        return Vec::new();
    }
    let count = |access| {
        changes
            .iter()
            .filter(|change| change.access == access)
            .count()
    };
    let (broadened, narrowed) = (count(Access::Broadened), count(Access::Narrowed));
    let heading = format!(
        "{GREEN}{:>12}{GREEN:#} {broadened} broadened, {narrowed} narrowed",
        "Permissions"
    );
    let mut rows = vec![
        ["", "EFFECT", "PRINCIPAL", "ACTION", "RESOURCE", "CONDITION"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(changes.iter().map(access_row));
    let indented = columns.map(|columns| columns.saturating_sub(ACCESS_INDENT));
    let mut table = table_lines(&rows, indented);
    if table.iter().any(|lines| lines.len() > 1) {
        // A block for each, with a heading that says as much as a line can.
        let headings: Vec<String> = rows.iter().map(|row| row[..3].join("  ")).collect();
        let fit = |heading: &String| indented.is_none_or(|columns| heading.len() <= columns);
        if headings[1..].iter().all(fit) {
            for (row, heading) in rows.iter_mut().zip(headings) {
                row.splice(..3, [heading]);
            }
            rows[0][0].clear();
            table = table_lines(&rows, indented);
        }
    }
    let table = table.into_iter().enumerate().flat_map(|(row, lines)| {
        let style = row
            .checked_sub(1)
            .map_or(BOLD, |change| access_style(&changes[change]));
        let styled = move |line| format!("{:ACCESS_INDENT$}{style}{line}{style:#}", "");
        lines.into_iter().map(styled)
    });
    std::iter::once(heading).chain(table).collect()
}

/// What was changed by hand since the stack was deployed.
#[derive(Debug, Serialize)]
pub(crate) struct ByHand {
    /// The roles, compared by IAM.
    pub(crate) roles: RolesByHand,
    /// Everything that CloudFormation's drift detection found; `None` if it was not asked.
    pub(crate) drift: Option<Drift>,
    /// The functions, by physical name, that run other code.
    pub(crate) code: Vec<String>,
}

impl ByHand {
    pub(crate) fn is_empty(&self) -> bool {
        !self.stays() && self.code.is_empty()
    }

    /// Whether a deployment leaves some of it as it is, unless it is told to revert drift. Code is
    /// always put back.
    pub(crate) fn stays(&self) -> bool {
        !self.roles.is_empty() || !self.drifted().is_empty()
    }

    fn drifted(&self) -> &[Drifted] {
        self.drift
            .as_ref()
            .map_or(&[], |drift| drift.drifted.as_slice())
    }

    /// All of it, for a terminal of so many columns, or for whatever is not a terminal.
    pub(crate) fn lines(&self, app: &App, columns: Option<usize>) -> Vec<String> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![format!(
            "{YELLOW}{:>12}{YELLOW:#} changed since the last deployment",
            "By hand"
        )];
        for role in &self.roles.gone {
            lines.push(format!("{RED}{:>15}{RED:#} {role}", "deleted"));
        }
        for drifted in self.drifted() {
            let (style, verb) = if drifted.deleted {
                (RED, "deleted")
            } else {
                (YELLOW, "changed")
            };
            let place = app.declared_at(&drifted.logical_id);
            let place = place.map(|place| format!(" {place}")).unwrap_or_default();
            lines.push(format!(
                "{style}{verb:>15}{style:#} {} {DIM}{}{place}{DIM:#}",
                drifted.logical_id, drifted.resource_type
            ));
            lines.extend(property_lines(&drifted.property_changes, columns));
        }
        for function in &self.code {
            lines.push(format!(
                "{YELLOW}{:>15}{YELLOW:#} the code of {function}",
                "changed"
            ));
        }
        let access = &self.roles.access_changes;
        lines.extend(access_lines(access, columns));
        lines
    }
}

/// All of it in one line.
pub(crate) fn heading(stack: &str, creates_stack: bool, changes: usize) -> String {
    let new = if creates_stack { ", a new stack" } else { "" };
    format!(
        "{GREEN}{:>12}{GREEN:#} {changes} to {stack}{new}",
        "Changes"
    )
}

/// The resources that CloudFormation lists, and that stay as they are.
fn checked_line(count: usize, columns: Option<usize>) -> String {
    let stay = if count == 1 {
        "1 other resource stays as it is"
    } else {
        &format!("{count} other resources stay as they are")
    };
    let width = verb_width(columns);
    format!("{DIM}{:>width$} {stay}{DIM:#}", "=")
}

/// The resource, its type and its place in the manifest: in one line if it fits.
fn change_lines(change: &Change, app: &App, columns: Option<usize>) -> Vec<String> {
    let (style, verb) = match (change.action, change.replacement) {
        (Action::Add, _) => (GREEN, "+ add"),
        (Action::Remove, _) => (RED, "- remove"),
        (Action::Modify, Replacement::Always) => (RED, "± replace"),
        (Action::Modify, Replacement::Conditional) => (YELLOW, "~ may replace"),
        (Action::Modify, Replacement::Never) => (YELLOW, "~ update"),
        (Action::Sync, _) => (DIM, "= note"),
        (Action::Dynamic, _) => (YELLOW, "? depends"),
    };
    let declared = app.declared_at(&change.logical_id);
    let details = std::iter::once(change.resource_type.clone())
        .chain(declared.map(|place| place.to_string()))
        .chain(change.drifted.then(|| "(changed by hand)".to_owned()));
    let width = verb_width(columns);
    let verb = format!("{verb:>width$}");
    let mut used = verb.chars().count() + 1 + change.logical_id.len();
    let mut lines = vec![format!("{style}{verb}{style:#} {}", change.logical_id)];
    for detail in details {
        used += 1 + detail.len();
        match lines.last_mut() {
            Some(line) if columns.is_none_or(|columns| used <= columns) => {
                line.push_str(&format!(" {DIM}{detail}{DIM:#}"));
            }
            _ => {
                let indent = detail_indent(columns);
                used = indent + detail.len();
                lines.push(format!("{:indent$}{DIM}{detail}{DIM:#}", ""));
            }
        }
    }
    lines
}

/// How many columns the verb of a change takes, with what stands before it.
fn verb_width(columns: Option<usize>) -> usize {
    match columns {
        Some(columns) if columns < NARROW => 0,
        _ => 15,
    }
}

fn detail_indent(columns: Option<usize>) -> usize {
    match columns {
        Some(columns) if columns < NARROW => 4,
        _ => DETAIL_INDENT,
    }
}

/// Whether it depends on values that are not known yet if the resource is replaced.
fn may_only_replace(change: &Change) -> bool {
    change.action == Action::Modify && change.replacement == Replacement::Conditional
}

/// `a`, `a and b`, or `a, b, and c`.
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [others @ .., last] => format!("{}, and {last}", others.join(", ")),
    }
}

fn access_row(change: &AccessChange) -> Vec<String> {
    let sign = match change.difference {
        Difference::Added => "+",
        Difference::Removed => "-",
    };
    let word = match change.access {
        Access::Broadened => "broadened",
        Access::Narrowed => "narrowed",
        Access::Unchanged => "unchanged",
    };
    let effect = match change.effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    };
    let conditions: Vec<String> = change
        .conditions
        .iter()
        .map(|condition| {
            format!(
                "{} {} {}",
                condition.operator,
                condition.key,
                condition.values.join(" | ")
            )
        })
        .collect();
    vec![
        format!("{sign} {word}"),
        effect.to_owned(),
        change.principal.clone(),
        change.actions.join(", "),
        change.resource.clone(),
        conditions.join("; "),
    ]
}

fn access_style(change: &AccessChange) -> Style {
    match change.access {
        Access::Broadened => YELLOW,
        Access::Narrowed => Style::new(),
        Access::Unchanged => DIM,
    }
}
