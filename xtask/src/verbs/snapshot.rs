//! `snapshot`: the local stage's data by name, for stages to begin with.

use local::KeptState;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cli;
use crate::error::{CliError, Result};
use crate::kept::{SnapshotName, States, remove};
use crate::output::json;
use crate::stage_client::StageClient;
use crate::stage_state::StageState;
use crate::table::table;
use crate::terminal::{spinner, status, tell};
use crate::workspace::{LOCAL, Workspace};

pub(crate) async fn run(workspace: &Workspace, args: &cli::Snapshot) -> Result<()> {
    let states = States::of(workspace);
    match &args.action {
        cli::SnapshotAction::Save(args) => save(workspace, &states, &args.name).await,
        cli::SnapshotAction::Load(args) => load(workspace, &states, &args.name),
        cli::SnapshotAction::List(args) => list(workspace, &states, args),
        cli::SnapshotAction::Delete(args) => {
            let _lock = args
                .name
                .is_kept()
                .then(|| lock(workspace, "delete its data"))
                .transpose()?;
            states.delete(&args.name)?;
            status("Deleted", &args.name);
            Ok(())
        }
    }
}

async fn save(workspace: &Workspace, states: &States, name: &SnapshotName) -> Result<()> {
    if name.is_kept() {
        return Err(CliError::misuse(format!(
            "`{name}` is the name of what `cargo xtask local --keep` keeps"
        ))
        .hint("choose another name"));
    }
    let stage = StageState::of_running(workspace)?;
    let folder = states.unnamed();
    remove(&folder)?;
    let bar = spinner("saving the stage's data");
    let client = StageClient::new();
    let saved: Result<KeptState> = client.post(&stage.snapshot_url, &folder).await;
    bar.finish_and_clear();
    let saved = saved?;
    states.put(&folder, name)?;
    status("Saved", format!("{name}: {}", size(saved.bytes())));
    Ok(())
}

fn load(workspace: &Workspace, states: &States, name: &SnapshotName) -> Result<()> {
    if name.is_kept() {
        return Err(CliError::misuse(format!(
            "`{name}` is what `cargo xtask local --keep` begins with already"
        )));
    }
    let state = states.read(name)?;
    let app = workspace.app(LOCAL)?;
    let region = app.stage().region.clone();
    let region = region.as_deref().unwrap_or("us-east-1");
    state.check(&states.folder(name), &app.stack_name(), region)?;
    let _lock = lock(workspace, "load a snapshot into it")?;
    let kept: SnapshotName = "kept".parse().map_err(CliError::new)?;
    if states.kept().exists() {
        let before: SnapshotName = "before-load".parse().map_err(CliError::new)?;
        states.put(&states.kept(), &before)?;
        status("Saved", format!("{before}: what was kept until now"));
    }
    states.copy(name, &kept)?;
    status(
        "Loaded",
        format!("{name}: cargo xtask local --keep begins with it"),
    );
    Ok(())
}

/// Nothing may be put into the place of what a running stage writes into.
fn lock(workspace: &Workspace, what: &str) -> Result<std::fs::File> {
    StageState::lock(&StageState::directory(workspace)).map_err(|error| {
        if StageState::of_running(workspace).is_err() {
            return error;
        }
        CliError::new(format!("could not {what}: the local stage is running"))
            .hint("stop it with Ctrl-C, then run this command again")
    })
}

/// A row of the list.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    bytes: Option<u64>,
    taken_at: Option<String>,
    stack: Option<String>,
    /// The first digits of the SHA-256 of the template.
    template: Option<String>,
    /// Whether a stage that begins with it has nothing to change.
    is_current: bool,
    /// Why it cannot be read.
    error: Option<String>,
}

fn list(workspace: &Workspace, states: &States, args: &cli::SnapshotList) -> Result<()> {
    let template = workspace.app(LOCAL)?.synth().template;
    let current: String = hex(&Sha256::digest(template.as_bytes()));
    let listed: Vec<Listed> = states
        .names()
        .iter()
        .map(|name| listed(states, name, &current))
        .collect();
    if args.json {
        return json(&listed);
    }
    if listed.is_empty() {
        tell(
            "There is no snapshot. `cargo xtask snapshot save NAME` makes one while the local stage runs.",
        );
        return Ok(());
    }
    let heading = ["NAME", "SIZE", "TAKEN", "TEMPLATE"].map(str::to_owned);
    let rows = listed.into_iter().map(|row| {
        let template = match (row.error, row.template, row.is_current) {
            (Some(error), ..) => error,
            (None, _, true) => "as now".to_owned(),
            (None, Some(template), false) => format!("another: {template}"),
            (None, None, false) => String::new(),
        };
        let bytes = row.bytes.map(size).unwrap_or_default();
        vec![row.name, bytes, row.taken_at.unwrap_or_default(), template]
    });
    let rows: Vec<_> = std::iter::once(heading.to_vec()).chain(rows).collect();
    table(&rows)
}

fn listed(states: &States, name: &SnapshotName, current: &str) -> Listed {
    let state = states.read(name);
    let (state, error) = match state {
        Ok(state) => (Some(state), None),
        Err(error) => (None, Some(error.message().to_owned())),
    };
    let template = state.as_ref().and_then(KeptState::template);
    Listed {
        name: name.to_string(),
        bytes: state.as_ref().map(KeptState::bytes),
        taken_at: state.as_ref().map(|state| format!("{:.0}", state.taken_at)),
        stack: state.as_ref().map(|state| state.stack.clone()),
        is_current: template == Some(current),
        template: template.map(|digest| digest.chars().take(12).collect()),
        error,
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} KB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_people() {
        let sizes = [1, 999_999, 1_000_000, 12_345_678].map(size);
        assert_eq!(sizes, ["1 KB", "1000 KB", "1.0 MB", "12.3 MB"]);
    }
}
