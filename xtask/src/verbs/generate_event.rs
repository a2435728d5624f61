//! `generate-event`: an event as AWS sends it.

use crate::cli;
use crate::error::{CliError, Result};
use crate::output::json;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, args: &cli::GenerateEvent) -> Result<()> {
    let app = workspace.app(&args.stage.stage)?;
    let event = app.sample_event(&args.trigger);
    json(&event.map_err(CliError::misuse)?)
}
