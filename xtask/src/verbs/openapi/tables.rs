//! The tables that documents for people have of the APIs' descriptions, between marks.

use std::fs;
use std::path::{Path, PathBuf};

use ::openapi::table;
use manifest::DescribedApi;

use super::{COMMAND, parsed};
use crate::error::{AboutFile, CliError, Result};
use crate::generated::GeneratedDocument;
use crate::workspace::Workspace;

/// What a mark begins with, before the API's name and the part of its document.
const BEGIN: &str = "<!-- Written by `cargo xtask openapi --write`: ";
const END_OF_MARK: &str = ". -->\n";
const END: &str = "<!-- The end of the table. -->\n";

/// Writes the tables anew.
pub(super) fn write(workspace: &Workspace, apis: &[DescribedApi]) -> Result<()> {
    pages(workspace, apis)?
        .iter()
        .try_for_each(GeneratedDocument::write)
}

/// Fails if a page has another table.
pub(super) fn check(workspace: &Workspace, apis: &[DescribedApi]) -> Result<()> {
    let pages = pages(workspace, apis)?;
    let check = |page: &GeneratedDocument| page.check("a table", "the tables", COMMAND);
    pages.iter().try_for_each(check)
}

fn pages(workspace: &Workspace, apis: &[DescribedApi]) -> Result<Vec<GeneratedDocument>> {
    let mut files = vec![workspace.root().join("README.md")];
    find(&workspace.root().join("docs"), &mut files)
        .about("read", &workspace.root().join("docs"))?;
    files.sort();
    let mut pages = Vec::new();
    for file in files.into_iter().filter(|file| file.is_file()) {
        let present = fs::read_to_string(&file).about("read", &file)?;
        if !present.contains(BEGIN) {
            continue;
        }
        let name = file.strip_prefix(workspace.root()).unwrap_or(&file);
        let name = name.display().to_string();
        let wanted = filled_in(&present, &name, apis)?;
        pages.push(GeneratedDocument {
            name,
            file,
            present,
            wanted,
        });
    }
    Ok(pages)
}

/// All pages below a folder, if it is there.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}

/// A page with its tables. Those of APIs that this app does not describe stay: the page may have
/// come with the framework.
fn filled_in(text: &str, page: &str, apis: &[DescribedApi]) -> Result<String> {
    let mut wanted = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let mark = after.split_once(END_OF_MARK);
        let marked = mark.and_then(|(mark, after)| Some((mark, after.split_once(END)?)));
        let Some((mark, (present, after))) = marked else {
            return Err(CliError::new(format!("a table in {page} has no end"))
                .hint(format!("add the line {}", END.trim_end())));
        };
        let (name, part) = mark.split_once(", ").unwrap_or((mark, ""));
        wanted += &format!("{before}{BEGIN}{mark}{END_OF_MARK}");
        match apis.iter().find(|api| api.name == name) {
            None => wanted += present,
            Some(api) => {
                let document = parsed(&api.document, &api.name)?;
                let table = table(&document, part).map_err(|_| {
                    CliError::new(format!(
                        "{page} has a mark for `{part}`, which the document of {name} does not have"
                    ))
                })?;
                wanted += &format!("\n{table}\n");
            }
        }
        wanted += END;
        rest = after;
    }
    Ok(wanted + rest)
}
