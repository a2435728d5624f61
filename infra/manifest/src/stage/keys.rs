//! The keys of `stages.yaml`, each once, and their lines.
//!
//! The YAML library hands keys over as it reads them: of two equal ones, the last would win in
//! silence. It tells lines in its errors alone, so the way to a line is an error made there. A
//! second parser would know lines, but might see other keys than those that take effect.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::Location;

use super::StageError;

/// The line, from 1, of the key that `keys` lead to; `None` if there is none.
pub(super) fn line_of(yaml: &str, keys: &[String]) -> Option<usize> {
    let location = find(yaml, &mut |path| path == keys).ok()??;
    Some(location.line())
}

/// Whether every mapping of the text, at any depth, has each key once.
///
/// # Errors
/// When one has a key twice; when the text is not YAML; and when it has what would be taken for
/// something else than was meant: merge keys and tags.
pub(super) fn check(yaml: &str) -> Result<(), StageError> {
    let mut seen = BTreeSet::new();
    let mut repeated = Vec::new();
    let second = find(yaml, &mut |path| {
        let is_new = seen.insert(path.to_vec());
        if !is_new {
            repeated = path.to_vec();
        }
        !is_new
    })?;
    let Some(second) = second else {
        return Ok(());
    };
    let first = find(yaml, &mut |path| path == repeated)?;
    let first = first.as_ref().unwrap_or(&second);
    let lines = if first.index() == second.index() {
        format!("on line {} and as an alias of that key", first.line())
    } else if first.line() == second.line() {
        format!("both on line {}", first.line())
    } else {
        format!("on lines {} and {}", first.line(), second.line())
    };
    Err(StageError::Repeated {
        key: repeated.join("."),
        line: second.line(),
        lines,
    })
}

/// Where the first key is that `is_wanted` accepts by the keys that lead to it. It sees every
/// key in the order of the text, those of an aliased mapping at each alias.
fn find(
    yaml: &str,
    is_wanted: &mut dyn FnMut(&[String]) -> bool,
) -> Result<Option<Location>, serde_yaml::Error> {
    let mut walk = Walk {
        path: Vec::new(),
        is_wanted,
        is_found: false,
    };
    let walked = Value(&mut walk).deserialize(serde_yaml::Deserializer::from_str(yaml));
    match walked {
        Ok(()) => Ok(None),
        Err(error) => match error.location() {
            Some(location) if walk.is_found => Ok(Some(location)),
            _ => Err(error),
        },
    }
}

struct Walk<'a> {
    /// The keys, and indices of sequences, that lead to where the walk is.
    path: Vec<String>,
    is_wanted: &'a mut dyn FnMut(&[String]) -> bool,
    is_found: bool,
}

/// Walks through a value.
struct Value<'a, 'w>(&'a mut Walk<'w>);

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stages by their names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Key(&mut *self.0))?.is_some() {
            map.next_value_seed(Value(&mut *self.0))?;
            self.0.path.pop();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            self.0.path.push(index.to_string());
            let element = sequence.next_element_seed(Value(&mut *self.0))?;
            self.0.path.pop();
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// A value with a tag of its own.
    fn visit_enum<A: EnumAccess<'de>>(self, value: A) -> Result<(), A::Error> {
        let (tag, _) = value.variant::<String>()?;
        Err(A::Error::custom(format!(
            "YAML tags are not supported: remove or quote `!{}`",
            tag.trim_start_matches('!')
        )))
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i128<E>(self, _: i128) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u128<E>(self, _: u128) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Adds a key to the path, and fails if it is the wanted one.
struct Key<'a, 'w>(&'a mut Walk<'w>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if key == "<<" {
            return Err(E::custom(
                "merge keys are not supported: repeat the keys instead of `<<`",
            ));
        }
        self.0.path.push(key.to_owned());
        if (self.0.is_wanted)(&self.0.path) {
            self.0.is_found = true;
            return Err(E::custom("found"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
# A comment.
dev:
  tags: {team: shop, cost: '1'}

prod:
  region: eu-central-1
  tags:
    # Another.
    team: shop
    \"12\": x
  list: [{a: 1}, {b: 2}]
";

    fn line(keys: &[&str]) -> Option<usize> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        line_of(YAML, &keys)
    }

    fn complaint(yaml: &str) -> String {
        check(yaml).unwrap_err().to_string()
    }

    #[test]
    fn every_key_has_its_line() {
        assert_eq!(line(&["dev"]), Some(3));
        assert_eq!(line(&["dev", "tags", "cost"]), Some(4));
        assert_eq!(line(&["prod", "region"]), Some(7));
        assert_eq!(line(&["prod", "tags"]), Some(8));
        assert_eq!(line(&["prod", "tags", "team"]), Some(10));
        assert_eq!(line(&["prod", "tags", "12"]), Some(11));
        assert_eq!(line(&["prod", "list", "1", "b"]), Some(12));
    }

    #[test]
    fn what_is_not_written_has_none() {
        assert_eq!(line(&["test"]), None);
        assert_eq!(line(&["dev", "region"]), None);
        assert_eq!(line(&["prod", "region", "name"]), None);
        assert_eq!(line(&[]), None);
        assert_eq!(line_of("", &["dev".to_owned()]), None);
    }

    #[test]
    fn keys_of_different_mappings_are_different() {
        check(YAML).unwrap();
        check("dev: &all\n  tags: {a: 1}\nqa: *all\nprod:\n  tags: {a: 1}\n").unwrap();
        check("").unwrap();
    }

    #[test]
    fn a_key_twice_is_found_at_every_depth_with_both_lines() {
        for (yaml, expected) in [
            (
                "dev:\nprod:\ndev:\n",
                "stages.yaml:3: `dev` is written twice, on lines 1 and 3; remove one",
            ),
            (
                "dev:\n  tracing: true\n  region: x\n  tracing: false\n",
                "stages.yaml:4: `dev.tracing` is written twice, on lines 2 and 4; remove one",
            ),
            (
                "dev:\n  authorization:\n    shop: iam\n    admin: none\n    shop: none\n",
                "stages.yaml:5: `dev.authorization.shop` is written twice, on lines 3 and 5; remove one",
            ),
            (
                "dev:\n  throttling:\n    shop:\n      POST /a:\n        rate: 1\n        rate: 2\n",
                "stages.yaml:6: `dev.throttling.shop.POST /a.rate` is written twice, on lines 5 and 6; remove one",
            ),
            (
                "dev: {memory_mb: {a: 1,\n  b: 2, a: 3}}\n",
                "stages.yaml:2: `dev.memory_mb.a` is written twice, on lines 1 and 2; remove one",
            ),
            (
                "dev: {tags: {a: x, a: y}}\n",
                "stages.yaml:1: `dev.tags.a` is written twice, both on line 1; remove one",
            ),
            (
                ".all: &all\n  tags:\n    a: x\n    a: y\ndev: *all\n",
                "stages.yaml:4: `.all.tags.a` is written twice, on lines 3 and 4; remove one",
            ),
            (
                "dev:\n  tags: &tags\n    a: x\n  environment: *tags\n  tags: {}\n",
                "stages.yaml:5: `dev.tags` is written twice, on lines 2 and 5; remove one",
            ),
            (
                "dev:\n  list:\n    - a: 1\n      b: 2\n      a: 3\n",
                "stages.yaml:5: `dev.list.0.a` is written twice, on lines 3 and 5; remove one",
            ),
        ] {
            assert_eq!(complaint(yaml), expected);
        }
    }

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        for yaml in [
            "dev:\n  a: 1\n  'a': 2\n",
            "dev:\n  'a': 1\n  \"\\x61\": 2\n",
            "dev:\n  a: 1\n  ? a\n  : 2\n",
            "dev:\n  1: 1\n  '1': 2\n",
            "dev:\n  !!str a: 1\n  a: 2\n",
            // U+0085 ends a line, and the comment with it, in YAML 1.1.
            "dev:\n  a: 1 # \u{85}  a: 2\n",
        ] {
            let complaint = complaint(yaml);
            assert!(complaint.contains("is written twice"), "{complaint}");
        }
        assert_eq!(
            complaint("dev:\n  &k a: 1\n  *k : 2\n"),
            "stages.yaml:2: `dev.a` is written twice, on line 2 and as an alias of that key; remove one"
        );
    }

    #[test]
    fn what_would_mean_something_else_elsewhere_is_refused_with_its_line() {
        for (yaml, expected) in [
            ("dev: &all\n  a: 1\nqa:\n  <<: *all\n", "instead of `<<`"),
            (
                "dev:\n  tags:\n    a: x\n    <<: {b: y}\n",
                "instead of `<<`",
            ),
            (
                "dev:\n  environment:\n    A: x\n    B: !Ref Topic\n",
                "remove or quote `!Ref`",
            ),
            (
                "dev:\n  a: 1\n  b: 2\n  tags: !x {a: 1, a: 2}\n",
                "remove or quote `!x`",
            ),
            ("a: 1\nb: 2\nc: 3\nd: ! x\n", "remove or quote `!`"),
        ] {
            let complaint = complaint(yaml);
            assert!(complaint.contains(expected), "{complaint}");
            assert!(complaint.contains("line 4"), "{complaint}");
        }
    }

    #[test]
    fn aliases_of_aliases_end_soon() {
        let mut yaml = "a0: &a0 {x: 1, y: 2}\n".to_owned();
        for level in 1..30 {
            let below = level - 1;
            yaml += &format!("a{level}: &a{level} {{x: *a{below}, y: *a{below}}}\n");
        }
        let complaint = complaint(&yaml);
        assert!(complaint.contains("repetition limit"), "{complaint}");
        assert!(check("a: &a [*a]\n").is_err());
    }
}
