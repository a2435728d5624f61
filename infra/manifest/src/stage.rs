//! Stages: the deployments of one app, and what differs between them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::name;
use crate::origin::Origin;

mod keys;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use settings::DEFAULT_ROUTE;
pub use settings::{
    Alarms, Architecture, Authorization, Canary, Jwt, LogLevel, PerFunction, Removal, Throttle,
};
use settings::{SETTINGS, Settings};

/// The parsed text of `stages.yaml`.
#[derive(Clone, Debug)]
pub struct Stages {
    stages: BTreeMap<String, Stage>,
}

impl Stages {
    /// Parses the text of `stages.yaml`.
    ///
    /// # Errors
    /// When the text is not YAML, something is written twice, or a setting is unknown or of
    /// the wrong type; the message gives the line, and the setting that was probably meant.
    /// Whether the values suit AWS is checked by [`crate::Manifest::resolve`].
    pub fn parse(yaml: &str) -> Result<Self, StageError> {
        characters(yaml)?;
        keys::check(yaml)?;
        // Then the settings' names: serde's own complaint about an unknown field lists
        // all fields but does not say which one was meant.
        let _: Option<Written<SettingNames>> = serde_yaml::from_str(yaml)?;
        let written: Option<Written<Settings>> = serde_yaml::from_str(yaml)?;
        let stages = written
            .map(|Written(stages)| stages)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, settings)| {
                let settings = settings.unwrap_or_default();
                (name.clone(), settings.named(name, yaml))
            })
            .collect();
        Ok(Self { stages })
    }

    /// The stage called `name`.
    ///
    /// # Errors
    /// When there is none; the message lists the stages there are.
    pub fn get(&self, name: &str) -> Result<Stage, UnknownStage> {
        self.stages.get(name).cloned().ok_or_else(|| UnknownStage {
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    /// The stages' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stages.keys().map(String::as_str)
    }
}

/// Whether YAML takes every character of the text.
/// <https://yaml.org/spec/1.1/#id868524>
fn characters(yaml: &str) -> Result<(), StageError> {
    let text = yaml.strip_prefix('\u{feff}').unwrap_or(yaml);
    let unfit = text.char_indices().find(|(_, letter)| match letter {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        _ => letter.is_control(),
    });
    match unfit {
        None => Ok(()),
        Some((offset, letter)) => Err(StageError::Character {
            line: text[..offset].matches('\n').count() + 1,
            code: letter.into(),
        }),
    }
}

/// Why `stages.yaml` cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// It is not YAML, or has what a stage has not.
    #[error("stages.yaml: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// It has a character that YAML does not take as it is. The library knows its offset alone.
    #[error(
        "stages.yaml:{line}: the character U+{code:04X} is not allowed here; remove it, or write it as an escape between double quotes"
    )]
    Character {
        /// Its line.
        line: usize,
        /// Its code point.
        code: u32,
    },
    /// A mapping has a key twice.
    #[error("stages.yaml:{line}: `{key}` is written twice, {lines}; remove one")]
    Repeated {
        /// The keys that lead to it, and itself, joined by dots.
        key: String,
        /// The line where it is written again.
        line: usize,
        /// Both lines, in words.
        lines: String,
    },
}

/// A stage that `stages.yaml` does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStage {
    name: String,
    known: Vec<String>,
}

impl UnknownStage {
    /// The stage that was probably meant.
    #[must_use]
    pub fn meant(&self) -> Option<&str> {
        name::nearest(&self.name, self.known.iter().map(String::as_str))
    }
}

impl std::error::Error for UnknownStage {}

impl fmt::Display for UnknownStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.known.is_empty() {
            return write!(
                f,
                "unknown stage `{}`: stages.yaml declares no stages",
                self.name
            );
        }
        write!(f, "unknown stage `{}`", self.name)?;
        if let Some(meant) = self.meant() {
            write!(f, "; did you mean `{meant}`?")?;
        }
        write!(f, " (stages.yaml has: {})", self.known.join(", "))
    }
}

/// One deployment of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Second part of every name in an AWS account, in kebab-case.
    pub name: String,
    /// Where to deploy; `None` leaves it to the AWS configuration (`AWS_REGION`, profile).
    pub region: Option<String>,
    /// The only account that this stage may be deployed to; `None` means any.
    pub account: Option<String>,
    /// An AWS-compatible endpoint to use instead of AWS.
    pub endpoint_url: Option<String>,
    /// Whether its data matters: tables can be restored to any second of the last 35 days,
    /// and whoever deploys it is more careful.
    pub production: bool,
    /// What becomes of buckets and tables when the stack goes.
    pub removal: Removal,
    /// Whether CloudFormation may report a deployment as done before every resource is
    /// ready to serve (express mode).
    pub express: bool,
    /// The ARN of the policy that bounds what every role may do, whatever its own policies
    /// allow.
    pub permissions_boundary: Option<String>,
    /// Tags of every resource, besides `app` and `stage`.
    pub tags: BTreeMap<String, String>,
    /// The processor that functions are built for.
    pub architecture: Architecture,
    /// Memory of functions, in MB, instead of what the app declares.
    pub memory_mb: PerFunction,
    /// Size of functions' `/tmp`, in MB, instead of what the app declares.
    pub ephemeral_storage_mb: PerFunction,
    /// Timeouts of functions, in seconds, instead of what the app declares.
    pub timeout_seconds: PerFunction,
    /// How many invocations of a function run at a time at most, by functions' names. No
    /// other function can use up this share of the account's.
    pub reserved_concurrency: BTreeMap<String, u32>,
    /// More variables of every function.
    pub environment: BTreeMap<String, String>,
    /// The least severe log lines that are kept, instead of what the app declares.
    pub log_level: PerFunction<LogLevel>,
    /// How long logs are kept, in days, one of the periods that CloudWatch Logs knows.
    pub log_retention_days: u32,
    /// Whether X-Ray traces a sample of the invocations.
    pub tracing: bool,
    /// Whether there are alarms, and whom they tell.
    pub alarms: Alarms,
    /// How long after a deployment an alarm about failed invocations makes CloudFormation
    /// take it back, in minutes; `None` lets it be.
    pub rollback_on_alarm_minutes: Option<u32>,
    /// How new versions of functions take over; `None` is at once, without versions.
    pub canary: Option<Canary>,
    /// Who may call HTTP APIs, by their names; others everybody.
    pub authorization: BTreeMap<String, Authorization>,
    /// The HTTP APIs whose routes for writers are there although everybody may call them.
    pub writable: Vec<String>,
    /// How many requests HTTP APIs let through: by their names, then by route (`GET /`), or
    /// `default` for all other routes.
    pub throttling: BTreeMap<String, BTreeMap<String, Throttle>>,
    /// The text that it was parsed from.
    yaml: String,
}

impl Stage {
    /// A stage without settings, as one line `name:` of `stages.yaml` declares it.
    #[must_use]
    pub fn with_defaults(name: &str) -> Self {
        Settings::default().named(name.to_owned(), "")
    }

    /// Who may call an HTTP API.
    #[must_use]
    pub fn authorization_of(&self, http_api: &str) -> &Authorization {
        self.authorization
            .get(http_api)
            .unwrap_or(&Authorization::None)
    }

    /// Whether an HTTP API has its routes for writers: the stage says so, or an authorizer decides
    /// who may call them.
    #[must_use]
    pub fn lets_write(&self, http_api: &str) -> bool {
        self.writable.iter().any(|name| name == http_api)
            || *self.authorization_of(http_api) != Authorization::None
    }

    /// Where `stages.yaml` has the setting that `keys` lead to.
    pub(crate) fn origin_of(&self, keys: &[String]) -> Origin {
        let keys: Vec<String> = std::iter::once(&self.name).chain(keys).cloned().collect();
        Origin::Stages(keys::line_of(&self.yaml, &keys))
    }

    /// Whether its endpoint is one that speaks no TLS, such as an emulator's.
    pub(crate) fn is_plain_http(&self) -> bool {
        self.endpoint_url
            .as_ref()
            .is_some_and(|endpoint_url| endpoint_url.starts_with("http://"))
    }
}

/// Keys that are each one of [`SETTINGS`].
struct SettingNames;

impl<'de> Deserialize<'de> for SettingNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = SettingNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("settings by their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SettingNames, A::Error> {
                while map.next_entry::<SettingName, IgnoredAny>()?.is_some() {}
                Ok(SettingNames)
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// A key that is one of [`SETTINGS`].
struct SettingName;

impl<'de> Deserialize<'de> for SettingName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Known;

        impl Visitor<'_> for Known {
            type Value = SettingName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a setting")
            }

            // The complaint is made here, and not about the finished text, because
            // here the deserialiser knows the line.
            fn visit_str<E: de::Error>(self, written: &str) -> Result<SettingName, E> {
                if SETTINGS.contains(&written) {
                    return Ok(SettingName);
                }
                let hint = match name::nearest(written, SETTINGS) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("a stage has: {}", SETTINGS.join(", ")),
                };
                Err(E::custom(format!("unknown setting `{written}`; {hint}")))
            }
        }

        deserializer.deserialize_str(Known)
    }
}

/// All stages as written, `T` being what a stage has.
struct Written<T>(BTreeMap<String, Option<T>>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ByName<T> {
            type Value = BTreeMap<String, Option<T>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("stages by their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer
            .deserialize_map(ByName(PhantomData))
            .map(Written)
    }
}
