//! Values of settings: what may be written, and what is said of anything else.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, Expected, MapAccess, Visitor};

/// A whole number.
pub(super) struct Number(u32);

impl Number {
    pub(super) fn value(&self) -> u32 {
        self.0
    }
}

/// A whole number, for `deserialize_with`.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Number::deserialize(deserializer).map(|number| number.value())
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                whole(number.into()).map(Number)
            }

            fn visit_u128<E: de::Error>(self, number: u128) -> Result<Number, E> {
                whole(number).map(Number)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                Err(negative(number))
            }

            fn visit_i128<E: de::Error>(self, number: i128) -> Result<Number, E> {
                Err(negative(number))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Number, E> {
                Err(fractional())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                Err(no_number(text, &self))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Number, E> {
                Err(E::custom("expected a whole number, found nothing"))
            }
        }

        deserializer.deserialize_any(Whole)
    }
}

// What is said of numbers, here and where a number is one of several forms. The library puts
// the place behind each sentence, "at line 3 column 14".

pub(super) fn whole<E: de::Error>(number: u128) -> Result<u32, E> {
    u32::try_from(number).map_err(|_| E::custom(format!("the number {number} is too large")))
}

pub(super) fn negative<E: de::Error>(number: impl fmt::Display) -> E {
    E::custom(format!("expected 0 or more, found the negative {number}"))
}

pub(super) fn fractional<E: de::Error>() -> E {
    E::custom("expected a whole number, found one with a decimal point or an exponent")
}

pub(super) fn no_number<E: de::Error>(text: &str, expected: &dyn Expected) -> E {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        E::custom(format!(
            "expected digits without quotes or leading zeros, found the text `{text}`"
        ))
    } else {
        E::custom(format!("expected {expected}, found the text `{text}`"))
    }
}

/// `true` or `false`.
#[derive(Default)]
pub(super) struct Switch(bool);

impl Switch {
    pub(super) fn is_on(&self) -> bool {
        self.0
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TrueOrFalse;

        impl Visitor<'_> for TrueOrFalse {
            type Value = Switch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<Switch, E> {
                Ok(Switch(is_on))
            }

            // To YAML 1.1 these words are true and false, to YAML 1.2 they are texts.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Switch, E> {
                let expected = match text.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "on" | "y" => "true without quotes",
                    "false" | "no" | "off" | "n" => "false without quotes",
                    _ => "true or false",
                };
                Err(E::custom(format!(
                    "expected {expected}, found the text `{text}`"
                )))
            }
        }

        deserializer.deserialize_any(TrueOrFalse)
    }
}

/// Values by names. A name with nothing behind it is left out.
pub(super) struct Named<T>(BTreeMap<String, T>);

impl<T> Named<T> {
    pub(super) fn into_map(self) -> BTreeMap<String, T> {
        self.0
    }
}

/// Numbers by names.
pub(super) fn numbers(numbers: Named<Number>) -> BTreeMap<String, u32> {
    let numbers = numbers.0.into_iter();
    numbers
        .map(|(name, Number(number))| (name, number))
        .collect()
}

// Derived, it would want `T` to have a default.
impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names(PhantomData))
    }
}

struct Names<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Names<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping, names with a value each")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Option<T>>()? {
            values.extend(value.map(|value| (name, value)));
        }
        Ok(Named(values))
    }
}
