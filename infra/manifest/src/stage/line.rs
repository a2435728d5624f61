//! The line of a setting, for complaints about values that parse.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// The line, from 1, of the key that `keys` lead to; `None` if there is none.
///
/// The YAML library tells lines in its errors alone, so the way to a line is an error
/// made there.
pub(super) fn of(yaml: &str, keys: &[String]) -> Option<usize> {
    let found = Cell::new(false);
    let walk = Walk {
        keys,
        found: &found,
    };
    let error = walk
        .deserialize(serde_yaml::Deserializer::from_str(yaml))
        .err()?;
    found.get().then_some(error.location()?.line())
}

/// Walks through mappings along keys, and fails at the last.
struct Walk<'a> {
    keys: &'a [String],
    found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((key, rest)) = self.keys.split_first() else {
            return Ok(());
        };
        let found = self.found;
        while let Some(is_wanted) = map.next_key_seed(Key { key, rest, found })? {
            if is_wanted {
                return map.next_value_seed(Walk { keys: rest, found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Tells whether a key is the wanted one, and fails if that is the end of the walk.
struct Key<'a> {
    key: &'a str,
    rest: &'a [String],
    found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let is_wanted = key == self.key;
        if is_wanted && self.rest.is_empty() {
            self.found.set(true);
            return Err(E::custom("found"));
        }
        Ok(is_wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
# A comment.
dev:
  tags: {team: media, cost: '1'}

prod:
  region: eu-central-1
  tags:
    # Another.
    team: media
    \"12\": x
";

    fn line(keys: &[&str]) -> Option<usize> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        of(YAML, &keys)
    }

    #[test]
    fn every_key_has_its_line() {
        assert_eq!(line(&["dev"]), Some(3));
        assert_eq!(line(&["dev", "tags", "cost"]), Some(4));
        assert_eq!(line(&["prod", "region"]), Some(7));
        assert_eq!(line(&["prod", "tags"]), Some(8));
        assert_eq!(line(&["prod", "tags", "team"]), Some(10));
        assert_eq!(line(&["prod", "tags", "12"]), Some(11));
    }

    #[test]
    fn what_is_not_written_has_none() {
        assert_eq!(line(&["test"]), None);
        assert_eq!(line(&["dev", "region"]), None);
        assert_eq!(line(&["prod", "region", "name"]), None);
        assert_eq!(line(&[]), None);
        assert_eq!(of("", &["dev".to_owned()]), None);
    }
}
