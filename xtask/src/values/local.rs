//! What stands for the operator's values on the local stage: a file that git ignores and that only
//! its owner may read. Its values are shown nowhere.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use deploy::Target;
use manifest::{App, OperatorValue, ValueStore, nearest};
use serde_yaml::Value;

use super::{noun, store};
use crate::error::{AboutFile, CliError, Result};
use crate::workspace::Workspace;

/// Names another file.
const VARIABLE: &str = "XTASK_LOCAL_VALUES";
/// Its place among the app's files.
const FILE: &str = "infra/local-values.yaml";

/// The values of an app on the local stage. It has no `Debug`, which could show them.
pub(crate) struct LocalValues(Vec<(OperatorValue, String)>);

impl LocalValues {
    /// Reads the values that the app declares.
    pub(crate) fn of(workspace: &Workspace, app: &App) -> Result<Self> {
        let declared = app.operator_values();
        if declared.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        let path = named.map_or_else(|| workspace.root().join(FILE), PathBuf::from);
        let mut written = if path.exists() {
            read(&path)?
        } else {
            Written::default()
        };
        let mut values = Vec::new();
        let mut missing = Vec::new();
        for value in declared {
            match written.0.remove(&(value.store, value.name.clone())) {
                Some(text) => values.push((value, text)),
                None => missing.push(value),
            }
        }
        let known: Vec<&OperatorValue> = values
            .iter()
            .map(|(value, _)| value)
            .chain(&missing)
            .collect();
        written.refuse_rest(&path, &known)?;
        if missing.is_empty() {
            Ok(Self(values))
        } else {
            Err(are_missing(&path, &missing))
        }
    }

    /// Stores them in the emulator.
    pub(crate) async fn store(&self, target: &Target) -> Result<()> {
        for (value, text) in &self.0 {
            deploy::store_value(target, store(value.store), &value.stored_as, text).await?;
        }
        Ok(())
    }
}

/// What the file has: the values by store and name.
#[derive(Default)]
struct Written(BTreeMap<(ValueStore, String), String>);

/// The sections of the file.
const SECTIONS: [(&str, ValueStore); 2] = [
    ("parameters", ValueStore::Parameters),
    ("secrets", ValueStore::Secrets),
];

fn read(path: &Path) -> Result<Written> {
    let mode = path.metadata().about("read", path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(CliError::new(format!(
            "could not use {}: other users may read it: its mode is {mode:04o}",
            path.display()
        ))
        .hint(format!("chmod 600 {}", path.display())));
    }
    let text = std::fs::read_to_string(path).about("read", path)?;
    parse(&text).map_err(|why| {
        CliError::new(format!("could not read {}: {why}", path.display())).hint(
            "write sections `parameters:` and `secrets:`, with lines like `carrier-url: \"any text\"` below",
        )
    })
}

/// Messages hold names, and no values.
fn parse(text: &str) -> std::result::Result<Written, String> {
    let file: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let sections = match file {
        Value::Null => return Ok(Written::default()),
        Value::Mapping(sections) => sections,
        _ => return Err("it has no sections".to_owned()),
    };
    let mut written = BTreeMap::new();
    for (name, section) in sections {
        let known = SECTIONS.iter().find(|(known, _)| name == *known);
        let Some((section_name, store)) = known else {
            return Err("it has a section that is neither `parameters` nor `secrets`".to_owned());
        };
        let values = match section {
            Value::Null => continue,
            Value::Mapping(values) => values,
            _ => {
                return Err(format!(
                    "`{section_name}` is not a list of names with values"
                ));
            }
        };
        for (name, value) in values {
            let (Value::String(name), Value::String(value)) = (&name, value) else {
                let name = name.as_str().unwrap_or("a name");
                return Err(format!(
                    "`{name}` in `{section_name}` is not text: put it in quotes"
                ));
            };
            if value.is_empty() {
                return Err(format!("`{name}` in `{section_name}` is empty"));
            }
            written.insert((*store, name.clone()), value);
        }
    }
    Ok(Written(written))
}

impl Written {
    /// Refuses values that the app does not declare.
    fn refuse_rest(&self, path: &Path, known: &[&OperatorValue]) -> Result<()> {
        let Some((store, name)) = self.0.keys().next() else {
            return Ok(());
        };
        let same_store = known.iter().filter(|value| value.store == *store);
        let error = CliError::new(format!(
            "{} has a value for {} `{name}`, which the app does not declare",
            path.display(),
            noun(*store)
        ));
        Err(
            match nearest(name, same_store.map(|value| value.name.as_str())) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint("remove the line"),
            },
        )
    }
}

fn are_missing(path: &Path, missing: &[OperatorValue]) -> CliError {
    let list: Vec<String> = missing
        .iter()
        .map(|value| {
            format!(
                "\n  - {} `{}` (declared at {})",
                noun(value.store),
                value.name,
                value.declared_at
            )
        })
        .collect();
    let mut lines = Vec::new();
    for (section, store) in SECTIONS {
        let mut of_section = missing
            .iter()
            .filter(|value| value.store == store)
            .peekable();
        if of_section.peek().is_some() {
            lines.push(format!("  {section}:"));
            lines.extend(of_section.map(|value| format!("    {}: \"…\"", value.name)));
        }
    }
    let path = path.display();
    CliError::new(format!(
        "could not start the local stage: {path} lacks values of the app:{}",
        list.concat()
    ))
    .hint(format!(
        "add them to the file (`install -m 600 /dev/null {path}` makes one that only you may read):\n{}",
        lines.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).err().unwrap()
    }

    #[test]
    fn values_are_read_by_store_and_name() {
        let text = "parameters:\n  tax: \"7\"\nsecrets:\n  tax: key\n";
        let Written(written) = parse(text).ok().unwrap();
        let of = |store| written[&(store, "tax".to_owned())].as_str();
        assert_eq!(of(ValueStore::Parameters), "7");
        assert_eq!(of(ValueStore::Secrets), "key");
        for empty in ["", "# nothing\n", "parameters:\n"] {
            assert!(parse(empty).ok().unwrap().0.is_empty(), "{empty}");
        }
    }

    #[test]
    fn a_fault_is_told_without_the_value() {
        for (text, expected) in [
            (
                "secrets:\n  pin: 4711\n",
                "`pin` in `secrets` is not text: put it in quotes",
            ),
            (
                "secrets:\n  pin: [s3cr3t]\n",
                "`pin` in `secrets` is not text: put it in quotes",
            ),
            ("secrets:\n  pin: \"\"\n", "`pin` in `secrets` is empty"),
            (
                "secrets: s3cr3t\n",
                "`secrets` is not a list of names with values",
            ),
            ("s3cr3t\n", "it has no sections"),
            (
                "s3cr3t: {a: b}\n",
                "it has a section that is neither `parameters` nor `secrets`",
            ),
        ] {
            assert_eq!(fault(text), expected);
        }
        for broken in ["secrets:\n  pin: \"s3cr3t\n", "secrets: {pin: s3cr3t\n"] {
            let fault = fault(broken);
            assert!(!fault.contains("s3cr3t"), "{fault}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values.yaml");
        std::fs::write(&path, "secrets:\n  pin: \"4711\"\n").unwrap();
        let set_mode = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).unwrap();
        };
        for (mode, is_used) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
            set_mode(mode);
            assert_eq!(read(&path).is_ok(), is_used, "{mode:o}");
        }
    }
}
