//! The names of an app, and where a text holds one of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use manifest::{App, Function};

/// The names of an app in all forms in which code spells them.
#[derive(Debug)]
pub struct Names {
    /// Names that nobody writes by accident: `some-function`, `some_function`, `SOME_FUNCTION`,
    /// `SomeFunction`, and the variables of functions.
    distinct: BTreeSet<String>,
    /// Logical IDs that begin with a name, such as `OrdersTable`.
    logical_ids: BTreeSet<String>,
    /// Names that are plain words as well, such as `orders`.
    words: BTreeSet<String>,
}

/// A name of the app where it should not be.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, the line and the name.
    pub at: (PathBuf, usize),
    /// As the line spells it.
    pub name: String,
}

impl Names {
    /// The names that the app's manifest and template have: the app's, its functions', buckets',
    /// tables', topics', queues' and endpoints', and their variables. Those of `shared` are also
    /// names of something else: such a variable does not count, and an operation of AWS counts in
    /// kebab-case and in logical IDs only.
    #[must_use]
    pub fn of(app: &App, shared: &[&str]) -> Self {
        let template = app.synth().template;
        let resources = resources(&template);
        let of_type = |(id, kind): &(String, String)| {
            ["Bucket", "Table", "Topic", "Queue"]
                .iter()
                .filter(|ending| kind.ends_with(&format!("::{ending}")))
                .find_map(|ending| Some(kebab(id.strip_suffix(ending)?)))
        };
        let mut kebab_names: BTreeSet<String> = resources.iter().filter_map(of_type).collect();
        kebab_names.insert(app.name().to_owned());
        kebab_names.extend(app.functions().map(|f: &Function| f.name().to_owned()));
        kebab_names.extend(app.endpoints().map(|api| api.name));

        let variables = app.env_outputs().into_values();
        let attributes = app.attribute_variables().into_keys();
        let mut distinct: BTreeSet<String> = variables
            .chain(attributes)
            .filter(|variable| !shared.contains(&variable.as_str()))
            .collect();
        let (compound, words): (BTreeSet<_>, BTreeSet<_>) =
            kebab_names.into_iter().partition(|name| name.contains('-'));
        let mut beginnings: Vec<String> = words.iter().map(|word| pascal(word)).collect();
        for name in compound {
            let (snake, pascal) = (name.replace('-', "_"), pascal(&name));
            if shared.contains(&pascal.as_str()) {
                beginnings.push(pascal);
            } else {
                distinct.extend([pascal, snake.to_uppercase(), snake]);
            }
            distinct.insert(name);
        }
        let starts = |id: &String| beginnings.iter().any(|beginning| id.starts_with(beginning));
        let logical_ids = resources.into_iter().map(|(id, _)| id).filter(starts);
        Self {
            logical_ids: logical_ids.collect(),
            distinct,
            words,
        }
    }

    /// The names in a line of text.
    #[must_use]
    pub fn found_in(&self, line: &str) -> BTreeSet<String> {
        let distinct = self.distinct.iter().filter(|name| {
            // A longer variable is another one; other names may go on, as `corner-shop-dev`.
            let is_variable = !name.contains(|c: char| c.is_lowercase());
            places(line, name).any(|(before, after)| {
                let continues = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                let joined = |c: Option<char>| is_variable && c == Some('_');
                !(continues(before) || joined(before) || is_variable && continues(after))
            })
        });
        let ids = self.logical_ids.iter().filter(|id| {
            places(line, id).any(|(before, after)| {
                !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_lowercase)
            })
        });
        let words = self
            .words
            .iter()
            .filter_map(|word| as_identifier(line, word));
        distinct.chain(ids).cloned().chain(words).collect()
    }

    /// The names in the text files of a folder, or in one file.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn found_below(&self, path: &Path) -> std::io::Result<Vec<Finding>> {
        if !path.is_dir() {
            let bytes = std::fs::read(path)?;
            let lines = String::from_utf8(bytes).unwrap_or_default();
            let lines = lines.lines().zip(1..);
            let findings = lines.flat_map(|(line, number)| {
                self.found_in(line).into_iter().map(move |name| Finding {
                    at: (path.to_owned(), number),
                    name,
                })
            });
            return Ok(findings.collect());
        }
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(path)? {
            paths.push(entry?.path());
        }
        paths.sort();
        let mut findings = Vec::new();
        for path in paths {
            findings.extend(self.found_below(&path)?);
        }
        Ok(findings)
    }
}

/// The logical IDs and types of a template's resources.
fn resources(template: &str) -> Vec<(String, String)> {
    let lines = template.lines().zip(template.lines().skip(1));
    lines
        .filter_map(|(line, next)| {
            let id = line.strip_prefix("  ")?.strip_suffix(':')?;
            let kind = next.strip_prefix("    Type: AWS::")?;
            (!id.starts_with(' ')).then(|| (id.to_owned(), format!("AWS::{kind}")))
        })
        .collect()
}

/// A plain word where it stands for a thing of the app: quoted, as a part of a quoted path, as
/// a function's folder, or as the beginning of a variable.
fn as_identifier(line: &str, word: &str) -> Option<String> {
    let variable = format!("{}_", word.to_uppercase());
    let begins_variable = |(before, after): (Option<char>, Option<char>)| {
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && after.is_some_and(|c| c.is_ascii_uppercase())
    };
    if places(line, &variable).any(begins_variable) {
        return Some(variable);
    }
    let is_quote = |c: Option<char>| c.is_some_and(|c| matches!(c, '"' | '\'' | '`'));
    if places(line, word).any(|(before, after)| is_quote(before) && is_quote(after)) {
        return Some(word.to_owned());
    }
    let ends =
        |after: Option<char>| !after.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_');
    // A media type, such as `video/mp4`, is no path.
    let (folder, path) = (format!("functions/{word}"), format!("/{word}"));
    if places(line, &folder).any(|(_, after)| ends(after)) {
        return Some(folder);
    }
    let is_path = places(line, &path).any(|(before, after)| is_quote(before) && ends(after));
    is_path.then_some(path)
}

/// The characters before and after each occurrence.
fn places<'a>(
    line: &'a str,
    name: &'a str,
) -> impl Iterator<Item = (Option<char>, Option<char>)> + 'a {
    line.match_indices(name).map(|(at, found)| {
        let after = &line[at + found.len()..];
        (line[..at].chars().next_back(), after.chars().next())
    })
}

/// `some-name` as `SomeName`.
fn pascal(kebab: &str) -> String {
    let words = kebab.split('-');
    let capital = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    };
    words.map(capital).collect()
}

/// `SomeName` as `some-name`.
fn kebab(pascal: &str) -> String {
    let mut name = String::new();
    for c in pascal.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use manifest::Manifest;

    use super::*;

    fn names() -> Names {
        let app = Manifest::new("corner-shop");
        let http = app.http_api("shop").variable("SHOP_URL");
        app.table("orders", "id").variable("ORDERS_TABLE_NAME");
        app.function("take-order").trigger(http.get("/"));
        app.function("put-item");
        let stage = manifest::Stage::with_defaults("dev");
        Names::of(&app.resolve(&stage).unwrap(), &["PutItem"])
    }

    #[test]
    fn a_name_is_found_in_every_form() {
        let names = names();
        for (line, name) in [
            ("the stack corner-shop-dev", "corner-shop"),
            ("fn take_order_once() {}", "take_order"),
            ("TakeOrderLogGroup", "TakeOrder"),
            ("TAKE_ORDER_URL", "TAKE_ORDER"),
            ("curl $SHOP_URL", "SHOP_URL"),
            ("env: ORDERS_TABLE_NAME", "ORDERS_TABLE_NAME"),
            ("ORDERS_OTHER", "ORDERS_"),
            ("Ref: OrdersTable", "OrdersTable"),
            ("a table like `orders`", "orders"),
            ("table('orders')", "orders"),
            ("see functions/orders.", "functions/orders"),
            ("get \"/shop/1\"", "/shop"),
            ("like put-item", "put-item"),
            ("PutItemFunction", "PutItemFunction"),
        ] {
            let found = names.found_in(line);
            assert!(found.contains(name), "{line}: {found:?}");
        }
    }

    #[test]
    fn words_of_a_sentence_are_no_names() {
        let names = names();
        for line in [
            "orders of the machine, in shop/window and orders/s",
            "struct OrdersLeft; MY_SHOP_URL; PutItem, put_item",
            "Shop and Orders; `orders of others`",
        ] {
            assert_eq!(names.found_in(line), BTreeSet::new(), "{line}");
        }
    }

    #[test]
    fn a_planted_name_is_found_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/notes.md");
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(&file, "first\nsee take-order\n").unwrap();
        let found = names().found_below(folder.path()).unwrap();
        assert_eq!(
            found,
            [Finding {
                at: (file, 2),
                name: "take-order".to_owned()
            }]
        );
    }
}
