//! `gen-policy`: the functions' IAM policies, committed so that a change of permissions
//! shows in review; and the policies of who deploys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use manifest::DeployerPolicies;

use crate::cli;
use crate::error::{AboutFile, CliError, Result};
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
    let files = Files::of(workspace)?;
    fs::create_dir_all(&files.directory).about("create", &files.directory)?;
    for name in files.changed() {
        let file = files.directory.join(name);
        match files.wanted.get(name) {
            Some(policy) => fs::write(&file, policy).about("write", &file)?,
            None => fs::remove_file(&file).about("remove", &file)?,
        }
        status("Wrote", format!("policies/{name}"));
    }
    Ok(())
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
    let files = Files::of(workspace)?;
    let changed = files.changed();
    if changed.is_empty() {
        status("Fresh", "policies/");
        return Ok(());
    }
    for name in &changed {
        let difference = difference(name, files.present.get(*name), files.wanted.get(*name));
        CliError::unless_not_read(print(difference))?;
    }
    Err(CliError::new(format!(
        "{} of the files in policies/ are stale",
        changed.len()
    ))
    .hint("run `cargo xtask gen-policy`, review the difference, and commit it"))
}

/// The policies as they are and as they should be, by the names of their files.
struct Files {
    directory: PathBuf,
    wanted: BTreeMap<String, String>,
    present: BTreeMap<String, String>,
}

impl Files {
    fn of(workspace: &Workspace) -> Result<Self> {
        let directory = workspace.root().join("policies");
        Ok(Self {
            wanted: wanted(workspace)?,
            present: present(&directory)?,
            directory,
        })
    }

    fn changed(&self) -> BTreeSet<&String> {
        let names = self.wanted.keys().chain(self.present.keys());
        names
            .filter(|name| self.wanted.get(*name) != self.present.get(*name))
            .collect()
    }
}

/// What the app declares. A stage with tracing permits its functions to send traces as well.
fn wanted(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let policies = workspace.declared_app()?.synth().policies;
    Ok(policies
        .into_iter()
        .map(|(function, policy)| (format!("{function}.json"), policy))
        .collect())
}

/// The files that there are, with the line ends that are written here: git may have others in
/// the checkout.
fn present(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        entries => entries.about("read", directory)?,
    };
    for entry in entries {
        let path = entry.about("read", directory)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            if path.is_dir() {
                return Err(CliError::new(format!(
                    "policies/{name} is a folder where only policies are expected"
                ))
                .hint("remove it, or give it a name that does not end with .json"));
            }
            let text = fs::read(&path).about("read", &path)?;
            let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
            files.insert(name.to_owned(), text);
        }
    }
    Ok(files)
}

fn difference(name: &str, present: Option<&String>, wanted: Option<&String>) -> String {
    let present = present.map_or("", String::as_str);
    let wanted = wanted.map_or("", String::as_str);
    similar::TextDiff::from_lines(present, wanted)
        .unified_diff()
        .header(
            &format!("policies/{name}"),
            &format!("policies/{name} (as generated)"),
        )
        .to_string()
}
