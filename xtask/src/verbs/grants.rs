//! `grants`: what functions are granted, beside what their machine code can call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use grants::{Binary, Comparison, Direction, Exception, Finding, Granted, TABLE_FILE};
use local::Decision;
use manifest::{App, Function, GrantedAction};
use serde_json::{Value, json};

use crate::build;
use crate::cli;
use crate::context::{Context, function_of};
use crate::denials::grant_hint;
use crate::error::{AboutFile, CliError, Result};
use crate::output::{self, line};
use crate::package::local_packages;
use crate::stage_client::StageClient;
use crate::stage_state::StageState;
use crate::table::table;
use crate::terminal::{BOLD, status, tell};
use crate::workspace::{LOCAL, Workspace};

pub(crate) async fn run(workspace: &Workspace, args: &cli::Grants) -> Result<()> {
    let context = Context::new(workspace, workspace.app(LOCAL)?, None);
    let functions: Vec<&Function> = match &args.function {
        Some(name) => vec![context.function(name)?],
        None => context.app.functions().collect(),
    };
    if let (Some(action), [function]) = (&args.allow, &functions[..]) {
        let Context { workspace, app, .. } = &context;
        let hint = grant_hint(workspace, app, function, action, args.on.as_deref());
        return CliError::unless_not_read(line(&hint));
    }
    let usage = Usage::of_running(&context).await?;
    let proofs = proofs(&context.workspace, &context.app, &functions)?;
    if args.json {
        let functions: Vec<Value> = proofs
            .iter()
            .map(|proof| proof.json(usage.as_ref()))
            .collect();
        let shown = output::json(&json!({
            "functions": functions,
            "local_stage_is_running": usage.is_some(),
        }));
        CliError::unless_not_read(shown)?;
    } else {
        let shown = proofs
            .iter()
            .try_for_each(|proof| proof.show(usage.as_ref()));
        CliError::unless_not_read(shown)?;
        if usage.is_none() {
            tell(
                "No local stage is running, so there is no column USED ON: start one with `cargo xtask local`, and use the app.",
            );
        }
    }
    complain(&context.workspace, &context.app, &proofs)
}

/// Fails if the grants of any function are not what its binary needs.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let app = workspace.app(LOCAL)?;
    let functions: Vec<&Function> = app.functions().collect();
    let proofs = proofs(workspace, &app, &functions)?;
    complain(workspace, &app, &proofs)?;
    status("Proven", format!("grants of {} functions", proofs.len()));
    Ok(())
}

/// As [`check`], of one function. Returns its executable, built for this machine.
pub(super) fn check_function(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let app = workspace.app(LOCAL)?;
    let function = function_of(&app, name)?;
    let executables =
        build::build_with_symbols(workspace, &local_packages(&app, workspace.program()))?;
    let executable = executable_of(&executables, function)?;
    let comparison = compare(function, executable)?;
    complain(
        workspace,
        &app,
        &[Proof {
            function,
            comparison,
        }],
    )?;
    status("Proven", format!("grants of {name}"));
    Ok(executable.clone())
}

/// A function's grants beside its binary.
struct Proof<'a> {
    function: &'a Function,
    comparison: Comparison,
}

/// Builds the functions as the local stage has them: dependencies are linked statically, and the
/// linker removes what nothing refers to.
fn proofs<'a>(
    workspace: &Workspace,
    app: &App,
    functions: &[&'a Function],
) -> Result<Vec<Proof<'a>>> {
    let executables =
        build::build_with_symbols(workspace, &local_packages(app, workspace.program()))?;
    let proof = |function: &&'a Function| {
        Ok(Proof {
            function,
            comparison: compare(function, executable_of(&executables, function)?)?,
        })
    };
    functions.iter().map(proof).collect()
}

fn executable_of<'a>(
    executables: &'a BTreeMap<String, PathBuf>,
    function: &Function,
) -> Result<&'a PathBuf> {
    let name = function.name();
    let executable = executables.get(name);
    executable.ok_or_else(|| CliError::new(format!("cargo did not build {name}")))
}

fn compare(function: &Function, executable: &Path) -> Result<Comparison> {
    let bytes = std::fs::read(executable).about("read", executable)?;
    let binary = Binary::read(&bytes).map_err(|error| {
        CliError::new(format!(
            "could not find the operations in {}: {error}",
            executable.display()
        ))
        .hint("remove `strip`, `-C strip`, `-C prefer-dynamic` and `crate-type = [\"dylib\"]` from the dev profile, RUSTFLAGS and the crates of the workspace")
    })?;
    let granted = function.granted_actions().into_iter();
    let granted: Vec<Granted> = granted
        .map(|granted| Granted {
            action: granted.action,
            resource: granted.resource,
            declared_at: granted.declared_at,
        })
        .collect();
    let exceptions = function.exceptions().into_iter();
    let exceptions: Vec<Exception> = exceptions
        .map(|exception| Exception {
            direction: match exception.direction {
                manifest::Direction::Missing => Direction::Missing,
                manifest::Direction::Unused => Direction::Unused,
            },
            action: exception.action,
            declared_at: exception.declared_at,
        })
        .collect();
    Ok(Comparison::of(&binary, &granted, &exceptions))
}

/// What the functions of the running local stage used their grants on: function and action →
/// resources.
struct Usage(BTreeMap<(String, String), BTreeSet<String>>);

impl Usage {
    /// `None` if no local stage is running.
    async fn of_running(context: &Context) -> Result<Option<Self>> {
        let Ok(running) = StageState::of_running(&context.workspace) else {
            return Ok(None);
        };
        let decisions: Vec<Decision> = StageClient::new().get(&running.decisions_url).await?;
        let mut used: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for decision in decisions.iter().filter(|decision| decision.allowed > 0) {
            let mut functions = context.app.functions();
            let function = functions
                .find(|function| decision.function() == Some(function.physical_name().as_str()));
            if let Some(function) = function {
                let resource = context.app.resource_at(&decision.resource);
                used.entry((function.name().to_owned(), decision.action.clone()))
                    .or_default()
                    .insert(resource.unwrap_or_else(|| decision.resource.clone()));
            }
        }
        Ok(Some(Self(used)))
    }

    /// The resources within the grant that its action was used on.
    fn of(&self, function: &Function, granted: &GrantedAction) -> Vec<&str> {
        let key = (function.name().to_owned(), granted.action.clone());
        let resources = self.0.get(&key).into_iter().flatten();
        resources
            .map(String::as_str)
            .filter(|used| granted.resource.as_deref().is_none_or(|on| on == *used))
            .collect()
    }
}

/// A line of the table: an operation, an action that it needs, and a grant of the action.
struct Row {
    operation: Option<String>,
    action: Option<String>,
    granted: Option<GrantedAction>,
}

impl Proof<'_> {
    fn rows(&self) -> Vec<Row> {
        let granted = self.function.granted_actions();
        let operations = &self.comparison.operations;
        let mut rows = Vec::new();
        for (operation, actions) in operations {
            let row = |action: Option<&str>, granted: Option<&GrantedAction>| Row {
                operation: Some(operation.clone()),
                action: action.map(str::to_owned),
                granted: granted.cloned(),
            };
            if actions.is_empty() {
                rows.push(row(None, None));
            }
            for action in actions {
                let before = rows.len();
                let of_action = granted.iter().filter(|granted| granted.action == *action);
                rows.extend(of_action.map(|granted| row(Some(action), Some(granted))));
                if rows.len() == before {
                    rows.push(row(Some(action), None));
                }
            }
        }
        let needed: BTreeSet<&str> = operations.values().flatten().copied().collect();
        let rest = granted.into_iter();
        let rest = rest.filter(|granted| !needed.contains(granted.action.as_str()));
        rows.extend(rest.map(|granted| Row {
            operation: None,
            action: Some(granted.action.clone()),
            granted: Some(granted),
        }));
        rows
    }

    /// What the table says of an action that no grant allows.
    fn without_grant(&self, action: &str) -> String {
        let mut findings = self.comparison.findings.iter();
        let is_missing = findings
            .any(|finding| matches!(finding, Finding::Missing { action: of, .. } if of == action));
        if is_missing {
            "missing"
        } else {
            "an exception"
        }
        .to_owned()
    }

    fn show(&self, usage: Option<&Usage>) -> Result<()> {
        let function = self.function;
        let name = function.name();
        line(format_args!(
            "{BOLD}{name}{BOLD:#}, {}",
            function.declared_at()
        ))?;
        let mut headings = vec!["OPERATION", "ACTION", "GRANTED ON", "LINE"];
        headings.extend(usage.map(|_| "USED ON"));
        let mut rows = vec![headings.into_iter().map(str::to_owned).collect()];
        rows.extend(self.rows().into_iter().map(|row| {
            let none = || "none".to_owned();
            let mut cells = vec![
                row.operation.unwrap_or_else(none),
                row.action.clone().unwrap_or_else(none),
            ];
            match &row.granted {
                Some(granted) => {
                    let resource = granted.resource.as_deref().unwrap_or("*");
                    let number = granted.declared_at.rsplit(':').next();
                    cells.push(resource.to_owned());
                    cells.push(number.unwrap_or_default().to_owned());
                    cells.extend(usage.map(|usage| match usage.of(function, granted) {
                        used if used.is_empty() => "nothing yet".to_owned(),
                        used => used.join(", "),
                    }));
                }
                None => cells.extend(row.action.map(|action| self.without_grant(&action))),
            }
            cells
        }));
        table(&rows)?;
        for exception in function.exceptions() {
            let side = name_of(exception.direction);
            let (action, reason) = (exception.action, exception.reason);
            line(format_args!(
                "Exception at {}, {side} {action}: {reason}",
                exception.declared_at
            ))?;
        }
        line("")
    }

    fn json(&self, usage: Option<&Usage>) -> Value {
        let function = self.function;
        let operations: Vec<Value> = self
            .comparison
            .operations
            .iter()
            .map(|(operation, actions)| json!({"operation": operation, "actions": actions}))
            .collect();
        let grants = function.granted_actions().into_iter().map(|granted| {
            json!({
                "action": granted.action,
                "resource": granted.resource,
                "declared_at": granted.declared_at,
                "used_on": usage.map(|usage| usage.of(function, &granted)),
            })
        });
        let exceptions = function.exceptions().into_iter().map(|exception| {
            json!({
                "kind": name_of(exception.direction),
                "action": exception.action,
                "reason": exception.reason,
                "declared_at": exception.declared_at,
            })
        });
        json!({
            "function": function.name(),
            "declared_at": function.declared_at(),
            "operations": operations,
            "grants": grants.collect::<Vec<Value>>(),
            "exceptions": exceptions.collect::<Vec<Value>>(),
            "findings": self.comparison.findings,
        })
    }
}

/// The side of a difference, as JSON and people have it.
fn name_of(direction: manifest::Direction) -> &'static str {
    match direction {
        manifest::Direction::Missing => "missing",
        manifest::Direction::Unused => "unused",
    }
}

/// Tells every finding, each as an error of its own.
fn complain(workspace: &Workspace, app: &App, proofs: &[Proof<'_>]) -> Result<()> {
    let mut errors = Vec::new();
    for Proof {
        function,
        comparison,
    } in proofs
    {
        let findings = comparison.findings.iter();
        errors.extend(findings.map(|finding| explain(workspace, app, function, finding)));
    }
    let Some(last) = errors.pop() else {
        return Ok(());
    };
    for error in errors {
        let _ = error.report();
    }
    Err(last)
}

fn explain(workspace: &Workspace, app: &App, function: &Function, finding: &Finding) -> CliError {
    let name = function.name();
    let declared_at = function.declared_at();
    match finding {
        Finding::UnknownOperation { service, operation } => CliError::new(format!(
            "{declared_at}: {name} can call {operation} of {service}, and the table of operations does not list the IAM actions that it needs"
        ))
        .hint(format!(
            "add {operation} to {TABLE_FILE}, by AWS's Service Authorization Reference"
        )),
        Finding::Undecided { operation } => CliError::new(format!(
            "{declared_at}: {name} can call {operation}, and its executable does not show with which parameters: it holds no builder of them"
        ))
        .hint("check whether cargo optimizes the AWS SDK in the dev profile"),
        Finding::Missing { action, operations } => CliError::new(format!(
            "{declared_at}: {name} can call {}, and no grant allows {action}",
            operations.join(" and ")
        ))
        .hint(grant_hint(workspace, app, function, action, None)),
        Finding::Unused {
            action,
            resource,
            declared_at,
        } => {
            let resource = resource.as_deref().unwrap_or("every resource");
            CliError::new(format!(
                "{declared_at}: {name} is granted {action} on {resource}, and no operation that it can call needs it"
            ))
            .hint(format!(
                r#"remove {action} from the grant, or say why it stays: .exception(Exception::unused("{action}", REASON))"#
            ))
        }
        Finding::IdleException {
            action,
            declared_at,
        } => CliError::new(format!(
            "{declared_at}: {name} has an exception for {action}, and grants and operations agree on it"
        ))
        .hint("remove the exception"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_finding_names_a_line_and_what_to_do() {
        let workspace = testing::workspace();
        let app = workspace.declared_app().unwrap();
        let function = app.functions().next().unwrap();
        let text = |text: &str| text.to_owned();
        for (finding, parts) in [
            (
                Finding::UnknownOperation {
                    service: text("kms"),
                    operation: text("Decrypt"),
                },
                ["can call Decrypt of kms", TABLE_FILE],
            ),
            (
                Finding::Undecided {
                    operation: text("TransactWriteItems"),
                },
                ["can call TransactWriteItems", "cargo optimizes the AWS SDK"],
            ),
            (
                Finding::Missing {
                    action: text("dynamodb:Query"),
                    operations: vec![text("Query"), text("Other")],
                },
                ["can call Query and Other", ".grant(orders.allow([Query]))"],
            ),
            (
                Finding::Unused {
                    action: text("dynamodb:Query"),
                    resource: None,
                    declared_at: text("xtask/src/testing.rs:7"),
                },
                [
                    "granted dynamodb:Query on every resource",
                    "Exception::unused",
                ],
            ),
            (
                Finding::IdleException {
                    action: text("dynamodb:Query"),
                    declared_at: text("xtask/src/testing.rs:7"),
                },
                [
                    "has an exception for dynamodb:Query",
                    "remove the exception",
                ],
            ),
        ] {
            let error = explain(&workspace, &app, function, &finding);
            let error = format!("{error:?}");
            for part in ["src/testing.rs:"].iter().chain(&parts) {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
        assert!(workspace.cargo_root().join(TABLE_FILE).exists());
    }
}
