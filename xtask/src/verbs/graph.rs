//! `graph`: the app as a picture, and the pictures in its documents.

use std::fs;
use std::path::PathBuf;

use crate::cli;
use crate::error::{AboutFile, CliError, Result};
use crate::generated::GeneratedDocument;
use crate::output::print;
use crate::workspace::Workspace;

/// The documents that may have the picture, in the app's folder.
const DOCUMENTS: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

/// The lines between which a document has a picture: the whole app, or its events only.
const BEGIN: &str = "<!-- Written by `cargo xtask graph --update`. -->\n";
const BEGIN_EVENTS: &str = "<!-- Written by `cargo xtask graph --update`: events only. -->\n";
const END: &str = "<!-- The end of the graph. -->\n";

pub(crate) fn run(workspace: &Workspace, args: &cli::Graph) -> Result<()> {
    if args.check {
        return check(workspace);
    }
    if !args.update {
        let app = workspace.declared_app()?;
        return print(if args.events {
            app.event_graph()
        } else {
            app.graph()
        });
    }
    let documents = documents(workspace)?;
    if documents.is_empty() {
        return Err(
            CliError::new("README.md and ARCHITECTURE.md have no marks for a flowchart").hint(
                format!(
                    "add these two lines to one of them: {} {}",
                    BEGIN.trim_end(),
                    END.trim_end()
                ),
            ),
        );
    }
    documents.iter().try_for_each(GeneratedDocument::write)
}

/// Fails if a document has another picture.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let documents = documents(workspace)?;
    let check = |document: &GeneratedDocument| {
        document.check(
            "the flowchart",
            "the flowchart",
            "cargo xtask graph --update",
        )
    };
    documents.iter().try_for_each(check)
}

/// The documents that have the picture.
pub(super) fn files(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let documents = documents(workspace)?.into_iter();
    Ok(documents.map(|document| document.file).collect())
}

fn documents(workspace: &Workspace) -> Result<Vec<GeneratedDocument>> {
    let mut documents = Vec::new();
    for name in DOCUMENTS {
        let file = workspace.root().join(name);
        if !file.exists() {
            continue;
        }
        let present = fs::read_to_string(&file).about("read", &file)?;
        let found = [BEGIN, BEGIN_EVENTS]
            .into_iter()
            .find_map(|begin| Some((begin, present.split_once(begin)?)));
        let Some((begin, (before, rest))) = found else {
            continue;
        };
        let Some((_, after)) = rest.split_once(END) else {
            return Err(CliError::new(format!("the flowchart in {name} has no end"))
                .hint(format!("add the line {}", END.trim_end())));
        };
        let app = workspace.declared_app()?;
        let graph = if begin == BEGIN_EVENTS {
            app.event_graph()
        } else {
            app.graph()
        };
        let wanted = format!("{before}{begin}\n```mermaid\n{graph}```\n\n{END}{after}");
        documents.push(GeneratedDocument {
            name: name.to_owned(),
            file,
            present,
            wanted,
        });
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_stale_picture_is_noticed_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = testing::workspace_in(folder.path());
        check(&workspace).unwrap();
        let readme = folder.path().join("README.md");
        fs::write(&readme, format!("before\n{BEGIN}old\n{END}after\n")).unwrap();
        fs::write(folder.path().join("ARCHITECTURE.md"), "no picture\n").unwrap();
        let error = format!("{:?}", check(&workspace).unwrap_err());
        assert!(
            error.contains("the flowchart in README.md is stale"),
            "{error}"
        );
        assert!(error.contains("cargo xtask graph --update"), "{error}");

        let update = cli::Graph {
            events: false,
            update: true,
            check: false,
        };
        run(&workspace, &update).unwrap();
        check(&workspace).unwrap();
        let text = fs::read_to_string(&readme).unwrap();
        assert!(text.starts_with("before\n<!-- Written"), "{text}");
        assert!(text.contains("```mermaid\nflowchart LR\n"), "{text}");
        assert!(
            text.ends_with("<!-- The end of the graph. -->\nafter\n"),
            "{text}"
        );

        fs::write(&readme, format!("{BEGIN_EVENTS}old\n{END}")).unwrap();
        run(&workspace, &update).unwrap();
        let text = fs::read_to_string(&readme).unwrap();
        let events = workspace.declared_app().unwrap().event_graph();
        assert_eq!(
            text,
            format!("{BEGIN_EVENTS}\n```mermaid\n{events}```\n\n{END}")
        );
        assert_eq!(files(&workspace).unwrap(), std::slice::from_ref(&readme));

        fs::write(&readme, BEGIN).unwrap();
        let error = format!("{:?}", check(&workspace).unwrap_err());
        assert!(error.contains("has no end"), "{error}");
    }
}
