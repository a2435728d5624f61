//! What a deployment would change, for people; and what they are asked before it does.

use anstyle::Style;
use deploy::{
    Access, AccessChange, Action, Change, ChangeSet, Declared, Difference, Effect, Replacement,
    Review, StackSpec, Target, review,
};
use manifest::App;
use serde::Serialize;

use crate::cli::Approval;
use crate::error::Result;
use crate::terminal::{BOLD, DIM, GREEN, RED, YELLOW, columns, confirm};

/// The longest value of a property that is shown, in characters.
const VALUE_MAX: usize = 60;

/// What a deployment would change.
#[derive(Debug, Serialize)]
pub(crate) struct Changes<'a> {
    #[serde(flatten)]
    pub(crate) change_set: &'a ChangeSet,
    #[serde(flatten)]
    pub(crate) review: Review,
}

impl<'a> Changes<'a> {
    /// Compares what is deployed with what shall be.
    pub(crate) async fn of(
        change_set: &'a ChangeSet,
        spec: &StackSpec<'_>,
        target: &Target,
    ) -> Result<Self> {
        let deployed = target.deployed(spec.name).await?;
        let deployed = deployed.as_ref().map(|record| Declared {
            template: &record.template,
            parameters: &record.parameters,
        });
        let wanted = Declared {
            template: spec.template,
            parameters: &spec.parameters,
        };
        Ok(Self {
            review: review(deployed, wanted)?,
            change_set,
        })
    }

    /// Asks, as far as `approval` wants it.
    pub(crate) fn approve(&self, approval: Approval) -> Result<()> {
        let reasons = self.reasons(approval);
        if reasons.is_empty() {
            return Ok(());
        }
        confirm(
            &format!("This {}. Continue?", reasons.join(", and ")),
            "--yes",
        )
    }

    /// What has to be asked about.
    fn reasons(&self, approval: Approval) -> Vec<String> {
        if approval == Approval::Never {
            return Vec::new();
        }
        let mut reasons = Vec::new();
        if self.change_set.creates_stack {
            reasons.push(format!("creates {}", self.change_set.stack));
        }
        if self.review.access == Access::Broadened {
            reasons.push("permits more than before".to_owned());
        }
        let endangered: Vec<&str> = self
            .change_set
            .changes
            .iter()
            .filter(|change| change.endangers_state())
            .map(|change| change.logical_id.as_str())
            .collect();
        if !endangered.is_empty() {
            reasons.push(format!(
                "replaces or removes {}, with what it holds",
                endangered.join(", ")
            ));
        }
        if reasons.is_empty() && approval == Approval::AnyChange {
            reasons.push(format!("changes {}", self.change_set.stack));
        }
        reasons
    }

    /// All of it, a line each.
    pub(crate) fn lines(&self, app: &App) -> Vec<String> {
        let mut lines = vec![heading(self.change_set)];
        for change in &self.change_set.changes {
            lines.push(change_line(change, app));
            lines.extend(self.property_lines(change));
        }
        for warning in &self.change_set.warnings {
            lines.push(format!(
                "{YELLOW}{:>15}{YELLOW:#} {} {DIM}{}{DIM:#}: {}",
                "warning", warning.logical_id, warning.check, warning.message
            ));
        }
        lines.extend(self.access_lines());
        lines
    }

    /// Values before and after. Those of permissions are told by the table.
    fn property_lines(&self, change: &Change) -> Vec<String> {
        if change.action != Action::Modify || change.resource_type.starts_with("AWS::IAM::") {
            return Vec::new();
        }
        let properties = self.review.properties_of(change).iter();
        let shown = |value: &Option<String>| {
            let value = value.as_deref().unwrap_or("-");
            match value.char_indices().nth(VALUE_MAX) {
                Some((end, _)) => format!("{}…", &value[..end]),
                None => value.to_owned(),
            }
        };
        properties
            .map(|property| {
                let path = &property.path;
                let change = if property.before.is_none() && property.after.is_none() {
                    "will be known when it is done".to_owned()
                } else {
                    format!("{} → {}", shown(&property.before), shown(&property.after))
                };
                format!("{:>18}{DIM}{path}: {change}{DIM:#}", "")
            })
            .collect()
    }

    /// The table of who may do what, from now on or no more.
    fn access_lines(&self) -> Vec<String> {
        let changes = &self.review.access_changes;
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
        let table = columns(&rows).into_iter().enumerate().map(|(row, line)| {
            let style = row
                .checked_sub(1)
                .map_or(BOLD, |change| access_style(&changes[change]));
            format!("    {style}{line}{style:#}")
        });
        std::iter::once(heading).chain(table).collect()
    }
}

/// All of it in one line.
pub(crate) fn heading(change_set: &ChangeSet) -> String {
    let ChangeSet {
        stack,
        creates_stack,
        changes,
        ..
    } = change_set;
    let new = if *creates_stack { ", a new stack" } else { "" };
    format!(
        "{GREEN}{:>12}{GREEN:#} {} to {stack}{new}",
        "Changes",
        changes.len()
    )
}

fn change_line(change: &Change, app: &App) -> String {
    let (style, verb) = match (change.action, change.replacement) {
        (Action::Add, _) => (GREEN, "+ add"),
        (Action::Remove, _) => (RED, "- remove"),
        (Action::Modify, Replacement::Always) => (RED, "± replace"),
        (Action::Modify, Replacement::Conditional) => (YELLOW, "~ may replace"),
        (Action::Modify, Replacement::Never) => (YELLOW, "~ update"),
        (Action::Dynamic, _) => (YELLOW, "? depends"),
    };
    let declared = app.declared_at(&change.logical_id);
    let declared = declared.map_or_else(String::new, |place| format!("  {place}"));
    format!(
        "{style}{verb:>15}{style:#} {} {DIM}{}{declared}{DIM:#}",
        change.logical_id, change.resource_type
    )
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
