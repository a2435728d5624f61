//! Darknet's configuration files: sections in brackets, one for each layer, each followed by its options.

use std::{collections::BTreeMap, str::FromStr};

use super::ModelError;

/// The most layers, so that a damaged file cannot ask for any number.
const MAX_LAYERS: usize = 1024;

/// A section of a configuration.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Without its brackets.
    pub(super) name: &'a str,
    /// Where it starts, counted from one.
    line: usize,
    options: BTreeMap<&'a str, &'a str>,
}

/// The sections of a configuration, the first describing the network as a whole.
pub(super) fn sections(text: &str) -> Result<Vec<Section<'_>>, ModelError> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        let content = content.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        if let Some(name) = content
            .strip_prefix('[')
            .and_then(|it| it.strip_suffix(']'))
        {
            if sections.len() > MAX_LAYERS {
                return Err(at(line, format!("more than {MAX_LAYERS} layers")));
            }
            sections.push(Section {
                name,
                line,
                options: BTreeMap::new(),
            });
        } else if let (Some((key, value)), Some(section)) =
            (content.split_once('='), sections.last_mut())
        {
            section.options.insert(key.trim(), value.trim());
        } else {
            return Err(at(line, "neither a section nor an option of one"));
        }
    }
    Ok(sections)
}

impl Section<'_> {
    /// What is wrong with this section.
    pub(super) fn error(&self, reason: impl Into<String>) -> ModelError {
        at(self.line, format!("[{}] has {}", self.name, reason.into()))
    }

    /// An option's value, or `default` where it is left out.
    pub(super) fn value<T: FromStr>(&self, key: &str, default: T) -> Result<T, ModelError> {
        self.options
            .get(key)
            .map_or(Ok(default), |text| self.parse(key, text))
    }

    /// The value of an option that may not be left out.
    pub(super) fn required<T: FromStr>(&self, key: &str) -> Result<T, ModelError> {
        let text = self.options.get(key);
        self.parse(
            key,
            text.ok_or_else(|| self.error(format!("no option `{key}`")))?,
        )
    }

    /// The values of an option that lists some.
    pub(super) fn list<T: FromStr>(&self, key: &str) -> Result<Vec<T>, ModelError> {
        let text: String = self.required(key)?;
        text.split(',')
            .map(|value| self.parse(key, value))
            .collect()
    }

    fn parse<T: FromStr>(&self, key: &str, text: &str) -> Result<T, ModelError> {
        text.trim()
            .parse()
            .map_err(|_| self.error(format!("`{text}` for its option `{key}`")))
    }
}

fn at(line: usize, reason: impl Into<String>) -> ModelError {
    ModelError::Configuration {
        line,
        reason: reason.into(),
    }
}
