//! `gen-policy`: the functions' IAM policies, committed so that a change of permissions
//! shows in review; and the policies of who deploys.

use std::fs;
use std::path::Path;

use manifest::DeployerPolicies;

use crate::cli;
use crate::error::{AboutFile, CliError, Result};
use crate::generated::GeneratedFolder;
use crate::output::print;
use crate::terminal::status;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, args: &cli::GenPolicy) -> Result<()> {
    if args.deployer {
        let policies = workspace.app(&args.stage.stage)?.deployer_policies();
        return match &args.out {
            Some(directory) => write_deployers(workspace, directory, &policies),
            None => print(policies.array()),
        };
    }
    if args.check {
        return check(workspace);
    }
    policies(workspace)?.write()
}

/// Writes the deployer's policies to `deployer-1.json`, `deployer-2.json` and so on.
fn write_deployers(
    workspace: &Workspace,
    directory: &Path,
    policies: &DeployerPolicies,
) -> Result<()> {
    let of_functions = fs::canonicalize(workspace.root().join("policies"));
    if of_functions
        .is_ok_and(|policies| fs::canonicalize(directory).is_ok_and(|out| out == policies))
    {
        return Err(CliError::misuse(
            "--out is policies/, which holds the policies of the functions only",
        )
        .hint(
            "write into another folder: cargo xtask gen-policy --deployer --out target/deployer",
        ));
    }
    fs::create_dir_all(directory).about("create", directory)?;
    let file = |number: usize| directory.join(format!("deployer-{number}.json"));
    let mut numbers = 1..;
    for (policy, number) in policies.documents().zip(numbers.by_ref()) {
        let file = file(number);
        fs::write(&file, policy).about("write", &file)?;
        status("Wrote", file.display());
    }
    // There were more policies when the app was larger.
    for file in numbers.map(file).take_while(|file| file.exists()) {
        fs::remove_file(&file).about("remove", &file)?;
        status("Removed", file.display());
    }
    Ok(())
}

/// Fails when a file is not as it would be written.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    policies(workspace)?.check("cargo xtask gen-policy")
}

/// What the app declares. A stage with tracing permits its functions to send traces as well.
fn policies(workspace: &Workspace) -> Result<GeneratedFolder> {
    let policies = workspace.declared_app()?.synth().policies;
    GeneratedFolder::new(workspace, "policies", policies)
}
