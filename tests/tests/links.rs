//! Links between documents, and from code to documents, lead somewhere.
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use acceptance::documents::{Document, documents};
use acceptance::workspace;
use regex::Regex;

/// Documents whose links are meant for another place: an app that is made from the framework.
const FOR_ANOTHER_PLACE: &str = "xtask/src/verbs/new";

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let root = workspace();
    let documents: BTreeMap<PathBuf, Document> = documents(&root)
        .into_iter()
        .map(|document| (document.path.clone(), document))
        .collect();
    let mut broken = Vec::new();
    let mut checked = 0;
    for document in documents.values() {
        if document.path.starts_with(FOR_ANOTHER_PLACE) {
            continue;
        }
        for (line, link) in &document.links {
            if link.contains("://") {
                continue;
            }
            checked += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = document.path.parent().unwrap();
            let target = match path {
                "" => document.path.clone(),
                path => normal(&folder.join(path)),
            };
            let is_there = root.join(&target).exists();
            let has_anchor = anchor.is_empty()
                || documents
                    .get(&target)
                    .is_none_or(|target| target.anchors.iter().any(|other| other == anchor));
            if !is_there || !has_anchor {
                broken.push(format!("{}:{line}: {link}", document.path.display()));
            }
        }
    }
    assert!(checked > 100, "{checked} links were found");
    assert!(broken.is_empty(), "these links lead nowhere: {broken:#?}");
}

#[test]
fn code_names_documents_that_exist() {
    let root = workspace();
    let name = Regex::new(r"docs/[a-z/-]+\.md").unwrap();
    let mut missing = Vec::new();
    let mut found = 0;
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() {
                if file != "target" && !file.starts_with('.') {
                    folders.push(path);
                }
                continue;
            }
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !matches!(extension, Some("rs" | "py" | "txt" | "toml" | "yaml")) {
                continue;
            }
            for named in name.find_iter(&std::fs::read_to_string(&path).unwrap()) {
                found += 1;
                if !root.join(named.as_str()).exists() {
                    missing.push(format!("{}: {}", path.display(), named.as_str()));
                }
            }
        }
    }
    assert!(found > 0);
    assert!(
        missing.is_empty(),
        "there are no such documents: {missing:#?}"
    );
}

#[test]
fn the_first_documents_are_short() {
    for (document, most) in [("README.md", 240), ("ARCHITECTURE.md", 300)] {
        let text = std::fs::read_to_string(workspace().join(document)).unwrap();
        let lines = text.lines().count();
        assert!(
            lines <= most,
            "{document} has {lines} lines, {most} at most"
        );
    }
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            component => normal.push(component),
        }
    }
    normal
}
