//! The templates and the deployer's policies of every stage, against what AWS publishes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use local::{CheckTools, ScanTools};
use manifest::App;
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::error::{AboutFile, CliError, Result};
use crate::terminal::status;
use crate::workspace::Workspace;

/// What no stage of this app has set is to be right as well, and so are the examples of
/// docs/guide/any-resource.md.
const GOLDENS: [&str; 2] = [
    "infra/manifest/tests/golden/every-setting.yaml",
    "infra/manifest/tests/golden/any-resource.yaml",
];

pub(super) fn check(
    workspace: &Workspace,
    shell: &Shell,
    tools: &CheckTools,
    scanner: &ScanTools,
) -> Result<()> {
    let written = write(workspace)?;
    lint(shell, tools, &written)?;
    compare(workspace, shell, tools, &written)?;
    scan(workspace, shell, scanner)
}

/// A template as a file.
struct Written {
    file: PathBuf,
    /// The app that it is of, which knows the lines that declare its resources.
    app: Option<App>,
}

/// Writes the template of every stage, and the deployer's policies beside it.
fn write(workspace: &Workspace) -> Result<Vec<Written>> {
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
        write(
            format!("{stage}.deployer.json"),
            app.deployer_policies().array(),
        )?;
        templates.push(Written {
            file: write(format!("{stage}.yaml"), app.synth().template)?,
            app: Some(app),
        });
    }
    let bootstrap = write("bootstrap.yaml".to_owned(), manifest::bootstrap_template())?;
    let goldens = GOLDENS.map(|golden| workspace.cargo_root().join(golden));
    let others = [bootstrap].into_iter().chain(goldens);
    templates.extend(others.map(|file| Written { file, app: None }));
    Ok(templates)
}

fn files(written: &[Written]) -> impl Iterator<Item = &Path> {
    written.iter().map(|written| written.file.as_path())
}

/// cfn-lint: neither errors nor warnings.
fn lint(shell: &Shell, tools: &CheckTools, written: &[Written]) -> Result<()> {
    status(
        "Checking",
        format!("{} templates with cfn-lint", written.len()),
    );
    let cfn_lint = tools.cfn_lint();
    let templates = files(written);
    let report = cmd!(
        shell,
        "{cfn_lint} --format json --non-zero-exit-code none {templates...}"
    )
    .quiet()
    .read()?;
    let faults: Vec<Value> = serde_json::from_str(&report)
        .map_err(|error| CliError::new(format!("could not read what cfn-lint reports: {error}")))?;
    // The same declaration is on every stage.
    let faults: BTreeSet<String> = faults.iter().map(|fault| told(fault, written)).collect();
    if faults.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = faults
        .iter()
        .map(|fault| format!("\n  - {fault}"))
        .collect();
    Err(CliError::new(format!(
        "cfn-lint finds faults in the templates:{}",
        list.concat()
    ))
    .hint("change the declaration; cargo xtask synth shows what it becomes"))
}

/// A fault, and the line of the declaration that it comes from; otherwise the template's.
fn told(fault: &Value, written: &[Written]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let file = text(&fault["Filename"]);
    let path = fault["Location"]["Path"].as_array().into_iter().flatten();
    let path: Vec<String> = path
        .map(|step| {
            step.as_str()
                .map_or_else(|| step.to_string(), str::to_owned)
        })
        .collect();
    let (rule, message) = (text(&fault["Rule"]["Id"]), text(&fault["Message"]));
    let mut of_file = written
        .iter()
        .filter(|written| written.file == Path::new(&file));
    let app = of_file.next().and_then(|written| written.app.as_ref());
    if let ([section, logical_id, rest @ ..], Some(app)) = (path.as_slice(), app)
        && section == "Resources"
        && let Some(place) = app.declared_at(logical_id)
    {
        let property = rest.join(".");
        return format!("{place}: {logical_id}, {property}: {message} ({rule})");
    }
    let line = &fault["Location"]["Start"]["LineNumber"];
    format!("{file}:{line}: {message} ({rule})")
}

/// `infra/checks`: the registry schemas and the Service Authorization Reference.
fn compare(
    workspace: &Workspace,
    shell: &Shell,
    tools: &CheckTools,
    written: &[Written],
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
    let templates = files(written);
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

#[cfg(test)]
mod tests {
    use manifest::{Manifest, Stage};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_has_the_line_that_declares_the_resource() {
        let app = Manifest::new("shop");
        app.function("sell");
        app.resource("clicks", "AWS::Kinesis::Stream", json!({"ShardCound": 1}));
        let written = [Written {
            file: "dev.yaml".into(),
            app: Some(app.resolve(&Stage::with_defaults("dev")).unwrap()),
        }];
        let fault = |file: &str, path: Value| {
            json!({
                "Filename": file,
                "Message": "'ShardCound' was unexpected",
                "Rule": {"Id": "E3002"},
                "Location": {"Path": path, "Start": {"LineNumber": 7}},
            })
        };
        let path = json!(["Resources", "ClicksResource", "Properties", "ShardCound"]);
        let line = told(&fault("dev.yaml", path.clone()), &written);
        assert!(
            line.starts_with("xtask/src/verbs/ci/templates.rs:"),
            "{line}"
        );
        assert!(
            line.ends_with(
                ": ClicksResource, Properties.ShardCound: 'ShardCound' was unexpected (E3002)"
            ),
            "{line}"
        );
        for (file, path) in [("other.yaml", path), ("dev.yaml", json!(["Outputs", 0]))] {
            let line = told(&fault(file, path), &written);
            assert_eq!(
                line,
                format!("{file}:7: 'ShardCound' was unexpected (E3002)")
            );
        }
    }
}
