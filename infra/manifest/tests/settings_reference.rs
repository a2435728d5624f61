//! The reference of a stage's settings, `docs/reference/stages.md`, has what `infra/stages.yaml`
//! explains.
//!
//! `UPDATE_GOLDENS=1 cargo test -p manifest --test settings_reference` writes it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the crate reads no file, its tests do"
)]

use std::path::Path;
use std::{env, fs};

use manifest::Stages;

/// The lines between which the document has the settings.
const BEGIN: &str = "<!-- Written by `UPDATE_GOLDENS=1 cargo test -p manifest --test \
    settings_reference` from `infra/stages.yaml`. -->\n";
const END: &str = "<!-- The end of the settings. -->\n";

#[test]
fn the_reference_is_what_the_stages_explain() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/stages.md");
    let present = fs::read_to_string(&path).unwrap();
    let (before, rest) = present.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let settings = settings(include_str!("../../stages.yaml"));
    let wanted = format!("{before}{BEGIN}\n{settings}\n{END}{after}");
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    assert!(
        present == wanted,
        "docs/reference/stages.md is stale; run UPDATE_GOLDENS=1 cargo test -p manifest --test settings_reference"
    );
}

/// A table for each group of settings that the comment at the top of `stages.yaml` explains.
fn settings(yaml: &str) -> String {
    let comment = yaml.lines().take_while(|line| line.starts_with('#'));
    // The first two paragraphs are about all settings.
    let groups = comment.skip_while(|line| *line != "#").skip(1);
    let groups = groups.skip_while(|line| *line != "#");
    let mut lines: Vec<String> = Vec::new();
    for line in groups.filter_map(|line| line.strip_prefix("# ")) {
        let words = line.trim_start();
        match line.len() - words.len() {
            0 => lines.extend([
                String::new(),
                format!("## {words}"),
                String::new(),
                "| setting | meaning |".to_owned(),
                "| --- | --- |".to_owned(),
            ]),
            2 => {
                let (name, meaning) = words.split_once(' ').unwrap_or((words, ""));
                let is_known = Stages::parse(&format!("dev:\n  {name}:\n")).is_ok();
                assert!(is_known, "{name} is not a setting");
                lines.push(format!("| `{name}` | {}", meaning.trim_start()));
            }
            _ => {
                let meaning = lines.last_mut().unwrap();
                if !meaning.ends_with(' ') {
                    meaning.push(' ');
                }
                meaning.push_str(words);
            }
        }
    }
    let end_of_row = |line: &String| match line.starts_with("| `") {
        true => format!("{line} |\n"),
        false => format!("{line}\n"),
    };
    let text: String = lines.iter().map(end_of_row).collect();
    text.trim_start().to_owned()
}
