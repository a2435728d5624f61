//! `diff`: what a deployment would change, without changing it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use deploy::{ErrorKind, Plan, RolesByHand, StackSpec, Target};
use review::{Declared, review};
use serde_json::json;

use crate::changes::{ByHand, Changes};
use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output;
use crate::package;
use crate::progress::Show;
use crate::terminal::{spinner, status, warn};
use crate::wanted::{ARTIFACT_BUCKET_PARAMETER, Wanted, artifact_prefix};
use crate::workspace::Workspace;

/// The exit code of `--exit-code` when there are changes: not that of a failure or a misuse.
const CHANGES: u8 = 3;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Diff) -> Result<ExitCode> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let target = context.connect().await?;
    let packaged = package::package(&context.workspace, &context.app)?;
    let prefix = artifact_prefix(&context);
    let keys: BTreeMap<String, String> = packaged
        .functions
        .into_iter()
        .map(|package| {
            let key = package.artifact.key(&prefix);
            (package.artifact.function, key)
        })
        .collect();
    let stack = context.app.stack_name();
    let found = if args.exit_code { CHANGES } else { 0 };

    let Some(deployed) = deploy::deployed(&target, &stack).await? else {
        let wanted = Wanted::new(&context, String::new(), &keys);
        let spec = wanted.spec();
        let wanted = Declared {
            template: spec.template,
            parameters: &spec.parameters,
        };
        let review = review(None, wanted).map_err(deploy::Error::from)?;
        let state = deploy::status(&target, &stack, &[], &BTreeMap::new())
            .await?
            .map(|status| status.state)
            .filter(|state| state != "REVIEW_IN_PROGRESS");
        if args.json {
            CliError::unless_not_read(output::json(
                &json!({"stack": stack, "state": state, "creates_stack": true, "access": review.access,
                "access_changes": review.access_changes}),
            ))?;
        } else {
            status(
                "New",
                format!("{stack}: every resource of `cargo xtask synth` would be created"),
            );
        }
        return Ok(ExitCode::from(found));
    };
    let bucket = deployed.parameters.get(ARTIFACT_BUCKET_PARAMETER).cloned();
    let wanted = Wanted::new(&context, bucket.unwrap_or_default(), &keys);
    let spec = wanted.spec();

    let show = Show::new("planning");
    // Nothing may be changed, so nothing that a plan would have to change first is approved.
    let planned = deploy::plan(&target, &spec, &|_| false, &|progress| show.note(&progress)).await;
    show.finish();
    let by_hand = by_hand(&target, &spec, args.drift).await?;
    match planned? {
        Plan::NoChanges(_) => {
            if args.json {
                CliError::unless_not_read(output::json(
                    &json!({"stack": stack, "creates_stack": false, "changes": [],
                    "access": "unchanged", "access_changes": [], "by_hand": by_hand}),
                ))?;
            } else {
                show_by_hand(&by_hand, &context)?;
                status("Unchanged", format!("{stack}: nothing to deploy"));
            }
            Ok(ExitCode::from(if by_hand.is_empty() { 0 } else { found }))
        }
        Plan::Changes(change_set) => {
            let changes = Changes::of(&change_set, &spec, &target).await;
            deploy::discard(&target, &change_set).await?;
            let changes = changes?;
            if args.json {
                let mut shown = serde_json::to_value(&changes).unwrap_or_default();
                shown["by_hand"] = json!(by_hand);
                CliError::unless_not_read(output::json(&shown))?;
            } else {
                show_by_hand(&by_hand, &context)?;
                let lines = changes.lines(&context.app, output::stdout_columns());
                CliError::unless_not_read(lines.iter().try_for_each(output::line))?;
            }
            Ok(ExitCode::from(found))
        }
    }
}

/// What was changed by hand. A caller that may not read the roles still sees what a deployment does.
async fn by_hand(target: &Target, spec: &StackSpec<'_>, drift: bool) -> Result<ByHand> {
    let roles = match deploy::roles_changed_by_hand(target, spec.name).await {
        Err(error) if error.kind() == ErrorKind::AccessDenied => {
            warn(format!(
                "could not check whether roles were changed by hand: {error}"
            ));
            RolesByHand::default()
        }
        roles => roles?,
    };
    let drift = if drift {
        let bar = spinner("comparing the resources with the template");
        let drift = deploy::detect_drift(target, spec.name).await;
        bar.finish_and_clear();
        Some(drift?)
    } else {
        None
    };
    Ok(ByHand {
        roles,
        drift,
        code: deploy::code_drift(target, spec).await?,
    })
}

fn show_by_hand(by_hand: &ByHand, context: &Context) -> Result<()> {
    let lines = by_hand.lines(&context.app, output::stdout_columns());
    CliError::unless_not_read(lines.iter().try_for_each(output::line))?;
    if let Some(drift) = &by_hand.drift
        && !drift.not_compared.is_empty()
    {
        let types: Vec<&str> = drift.not_compared.iter().map(String::as_str).collect();
        warn(format!(
            "CloudFormation does not compare all types of resources; not compared: {}",
            types.join(", ")
        ));
    }
    if !by_hand.code.is_empty() {
        warn("the next deployment puts the deployed code back");
    }
    if by_hand.stays() {
        warn(
            "a deployment does not undo changes by hand, except of code; `cargo xtask deploy --revert-drift` does",
        );
    }
    Ok(())
}
