//! The templates and the deployer's policies of every stage, against what AWS publishes.

use std::path::PathBuf;

use local::{CheckTools, ScanTools};
use xshell::{Shell, cmd};

use crate::error::{AboutFile, Result};
use crate::terminal::status;
use crate::workspace::Workspace;

/// What no stage of this app has set is to be right as well.
const EVERY_SETTING: &str = "infra/manifest/tests/golden/every-setting.yaml";

pub(super) fn check(
    workspace: &Workspace,
    shell: &Shell,
    tools: &CheckTools,
    scanner: &ScanTools,
) -> Result<()> {
    let templates = write(workspace)?;
    lint(shell, tools, &templates)?;
    compare(workspace, shell, tools, &templates)?;
    scan(workspace, shell, scanner)
}

/// Writes the template of every stage, and the deployer's policies beside it.
fn write(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let directory = workspace.target().join("synth");
    std::fs::create_dir_all(&directory).about("create", &directory)?;
    let write = |name: String, text: String| -> Result<PathBuf> {
        let file = directory.join(name);
        std::fs::write(&file, text).about("write", &file)?;
        Ok(file)
    };
    let mut templates = Vec::new();
    for stage in workspace.stages()?.names() {
        let app = workspace.app(stage)?;
        templates.push(write(format!("{stage}.yaml"), app.synth().template)?);
        write(
            format!("{stage}.deployer.json"),
            app.deployer_policies().array(),
        )?;
    }
    templates.push(write(
        "bootstrap.yaml".to_owned(),
        manifest::bootstrap_template(),
    )?);
    templates.push(workspace.cargo_root().join(EVERY_SETTING));
    Ok(templates)
}

/// cfn-lint: neither errors nor warnings.
fn lint(shell: &Shell, tools: &CheckTools, templates: &[PathBuf]) -> Result<()> {
    status(
        "Checking",
        format!("{} templates with cfn-lint", templates.len()),
    );
    let cfn_lint = tools.cfn_lint();
    cmd!(
        shell,
        "{cfn_lint} --non-zero-exit-code informational {templates...}"
    )
    .quiet()
    .run()?;
    Ok(())
}

/// `infra/checks`: the registry schemas and the Service Authorization Reference.
fn compare(
    workspace: &Workspace,
    shell: &Shell,
    tools: &CheckTools,
    templates: &[PathBuf],
) -> Result<()> {
    status("Checking", "templates and policies against AWS's own data");
    let checks = workspace.cargo_root().join("infra/checks");
    let (python, program, tests) = (
        tools.python(),
        checks.join("check.py"),
        checks.join("tests"),
    );
    cmd!(
        shell,
        "{python} -B -m unittest discover --start-directory {tests}"
    )
    .quiet()
    .run()?;
    cmd!(shell, "{python} -B {program} templates {templates...}")
        .quiet()
        .run()?;
    Ok(())
}

/// checkov, on what a production stage deploys. Other stages do without some of what it asks for, such as backups.
fn scan(workspace: &Workspace, shell: &Shell, tools: &ScanTools) -> Result<()> {
    let directory = workspace.target().join("synth");
    let mut templates = vec![directory.join("bootstrap.yaml")];
    for stage in workspace.stages()?.names() {
        if workspace.stage(stage)?.production {
            templates.push(directory.join(format!("{stage}.yaml")));
        }
    }
    status(
        "Checking",
        format!("{} templates with checkov", templates.len()),
    );
    let folder = workspace.cargo_root().join("infra/checks/scan");
    let (python, program) = (tools.python(), folder.join("scan.py"));
    cmd!(
        shell,
        "{python} -B -m unittest discover --start-directory {folder}"
    )
    .quiet()
    .run()?;
    cmd!(shell, "{python} -B {program} {templates...}")
        .quiet()
        .run()?;
    Ok(())
}
