//! `synth`: the template, as CloudFormation will see it.

use std::fs;

use crate::cli;
use crate::error::{AboutFile, CliError, Result};
use crate::output::print;
use crate::terminal::status;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, args: &cli::Synth) -> Result<()> {
    let assembly = workspace.app(&args.stage.stage)?.synth();
    let Some(directory) = &args.out else {
        return print(assembly.template);
    };
    // The committed policies are there, which are those of no stage.
    let is_root = fs::canonicalize(directory)
        .and_then(|directory| Ok(directory == fs::canonicalize(workspace.root())?));
    if is_root.unwrap_or(false) {
        return Err(CliError::misuse(
            "--out is the workspace itself, whose policies/ would be overwritten",
        )
        .hint("write into another folder: cargo xtask synth --out target/synth"));
    }
    let policies = directory.join("policies");
    fs::create_dir_all(&policies).about("create", &policies)?;
    let template = directory.join("template.yaml");
    fs::write(&template, &assembly.template).about("write", &template)?;
    for (function, policy) in &assembly.policies {
        let file = policies.join(format!("{function}.json"));
        fs::write(&file, policy).about("write", &file)?;
    }
    status(
        "Wrote",
        format!(
            "{} and {} policies",
            template.display(),
            assembly.policies.len()
        ),
    );
    Ok(())
}
