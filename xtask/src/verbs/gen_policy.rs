//! `gen-policy`: the functions' IAM policies, committed so that a change of permissions
//! shows in review.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::cli;
use crate::context::{LOCAL, Workspace};
use crate::error::{AboutFile, CliError, Result};
use crate::terminal::status;

pub(crate) fn run(args: &cli::GenPolicy) -> Result<()> {
    let workspace = Workspace::new();
    let directory = workspace.root().join("policies");
    let wanted = wanted(&workspace)?;
    let present = present(&directory)?;
    let changed: Vec<&String> = wanted
        .keys()
        .chain(present.keys().filter(|name| !wanted.contains_key(*name)))
        .filter(|name| wanted.get(*name) != present.get(*name))
        .collect();
    if changed.is_empty() {
        status("Fresh", "policies/");
        return Ok(());
    }
    if args.check {
        for name in &changed {
            print_difference(name, present.get(*name), wanted.get(*name));
        }
        return Err(CliError::new(format!(
            "{} of the files in policies/ are stale",
            changed.len()
        ))
        .hint("run `cargo xtask gen-policy`, review the difference, and commit it"));
    }
    for name in changed {
        let file = directory.join(name);
        match wanted.get(name) {
            Some(policy) => fs::write(&file, policy).about("write", &file)?,
            None => fs::remove_file(&file).about("remove", &file)?,
        }
        status("Wrote", format!("policies/{name}"));
    }
    Ok(())
}

/// The policies do not depend on the stage: any will do.
fn wanted(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let policies = workspace.app(LOCAL)?.synth().policies;
    Ok(policies
        .into_iter()
        .map(|(function, policy)| (format!("{function}.json"), policy))
        .collect())
}

fn present(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).about("read", directory)? {
        let path = entry.about("read", directory)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            files.insert(
                name.to_owned(),
                fs::read_to_string(&path).about("read", &path)?,
            );
        }
    }
    Ok(files)
}

fn print_difference(name: &str, present: Option<&String>, wanted: Option<&String>) {
    let present = present.map_or("", String::as_str);
    let wanted = wanted.map_or("", String::as_str);
    let difference = similar::TextDiff::from_lines(present, wanted);
    print!(
        "{}",
        difference.unified_diff().header(
            &format!("policies/{name}"),
            &format!("policies/{name} (as generated)")
        )
    );
}
