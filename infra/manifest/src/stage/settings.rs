//! The settings of a stage, as `stages.yaml` has them and as values.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, Visitor};

use super::Stage;
use super::values::{self, Named, Number, Switch};

/// The names of all settings, in the order of the list at the head of `stages.yaml`.
pub(super) const SETTINGS: [&str; 23] = [
    "region",
    "account",
    "endpoint_url",
    "production",
    "removal",
    "express",
    "permissions_boundary",
    "tags",
    "architecture",
    "memory_mb",
    "ephemeral_storage_mb",
    "timeout_seconds",
    "reserved_concurrency",
    "environment",
    "log_level",
    "log_retention_days",
    "tracing",
    "alarms",
    "rollback_on_alarm_minutes",
    "canary",
    "authorization",
    "writable",
    "throttling",
];

/// One stage as written. A setting with nothing behind it counts as not written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    region: Option<String>,
    account: Option<String>,
    endpoint_url: Option<String>,
    production: Option<Switch>,
    removal: Option<Removal>,
    express: Option<Switch>,
    permissions_boundary: Option<String>,
    tags: Option<Named<String>>,
    architecture: Option<ArchitectureSetting>,
    memory_mb: Option<PerFunction>,
    ephemeral_storage_mb: Option<PerFunction>,
    timeout_seconds: Option<PerFunction>,
    reserved_concurrency: Option<Named<Number>>,
    environment: Option<Named<String>>,
    log_level: Option<PerFunction<LogLevel>>,
    log_retention_days: Option<Number>,
    tracing: Option<Switch>,
    alarms: Option<Alarms>,
    rollback_on_alarm_minutes: Option<Number>,
    canary: Option<Canary>,
    // Not `Named`: a name with nothing behind it must not leave an API open to everybody.
    authorization: Option<BTreeMap<String, Authorization>>,
    writable: Option<Vec<String>>,
    throttling: Option<Named<Named<Throttle>>>,
}

impl Settings {
    pub(super) fn named(self, name: String, yaml: &str) -> Stage {
        const LOG_RETENTION_DAYS: u32 = 14;

        let is_on = |switch: Option<Switch>| switch.unwrap_or_default().is_on();
        let production = is_on(self.production);
        Stage {
            name,
            region: self.region,
            account: self.account,
            endpoint_url: self.endpoint_url,
            production,
            removal: self.removal.unwrap_or(if production {
                Removal::Retain
            } else {
                Removal::Delete
            }),
            express: is_on(self.express),
            permissions_boundary: self.permissions_boundary,
            tags: self.tags.unwrap_or_default().into_map(),
            architecture: match self.architecture.unwrap_or_default() {
                ArchitectureSetting::Arm64 => Architecture::Arm64,
                ArchitectureSetting::X86_64 => Architecture::X86_64,
                ArchitectureSetting::Host => Architecture::HOST,
            },
            memory_mb: self.memory_mb.unwrap_or_default(),
            ephemeral_storage_mb: self.ephemeral_storage_mb.unwrap_or_default(),
            timeout_seconds: self.timeout_seconds.unwrap_or_default(),
            reserved_concurrency: values::numbers(self.reserved_concurrency.unwrap_or_default()),
            environment: self.environment.unwrap_or_default().into_map(),
            log_level: self.log_level.unwrap_or_default(),
            log_retention_days: self
                .log_retention_days
                .map_or(LOG_RETENTION_DAYS, |days| days.value()),
            tracing: is_on(self.tracing),
            alarms: self.alarms.unwrap_or_default(),
            rollback_on_alarm_minutes: self
                .rollback_on_alarm_minutes
                .map(|minutes| minutes.value()),
            canary: self.canary,
            authorization: self.authorization.unwrap_or_default(),
            writable: self.writable.unwrap_or_default(),
            throttling: self
                .throttling
                .unwrap_or_default()
                .into_map()
                .into_iter()
                .map(|(http_api, throttles)| (http_api, throttles.into_map()))
                .collect(),
            yaml: yaml.to_owned(),
        }
    }
}

/// The processor that functions are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// AWS Graviton, at a lower price per second.
    Arm64,
    /// Intel and AMD.
    X86_64,
}

impl Architecture {
    /// The processor that this program was compiled for: where functions run as
    /// processes of the developer's machine, they must be built for it.
    pub const HOST: Self = if cfg!(target_arch = "aarch64") {
        Self::Arm64
    } else {
        Self::X86_64
    };

    /// Lambda's and CloudFormation's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }
}

#[derive(Default, Deserialize)]
enum ArchitectureSetting {
    #[serde(rename = "arm64")]
    Arm64,
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "host")]
    Host,
}

/// What becomes of buckets and tables that leave the stack, or go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// They stay, and tables are protected from deletion by mistake.
    Retain,
    /// They are deleted.
    Delete,
}

/// The least severe of a function's own log lines that CloudWatch Logs gets.
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// What helps to find an error.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
}

impl LogLevel {
    /// Lambda's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// A number, or something else, for all functions, or for some by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PerFunction<T = u32> {
    /// What the app declares.
    #[default]
    AsDeclared,
    /// The same for every function.
    All(T),
    /// For these functions; the others as the app declares.
    Some(BTreeMap<String, T>),
}

impl<T: Copy> PerFunction<T> {
    /// What a function has; `None` leaves it to the app.
    #[must_use]
    pub fn of(&self, function: &str) -> Option<T> {
        match self {
            Self::AsDeclared => None,
            Self::All(setting) => Some(*setting),
            Self::Some(settings) => settings.get(function).copied(),
        }
    }

    /// What is written, and of which function each is.
    pub(crate) fn written(&self) -> Vec<(Option<&str>, T)> {
        match self {
            Self::AsDeclared => Vec::new(),
            Self::All(setting) => vec![(None, *setting)],
            Self::Some(settings) => settings
                .iter()
                .map(|(function, setting)| (Some(function.as_str()), *setting))
                .collect(),
        }
    }
}

impl<'de> Deserialize<'de> for PerFunction<LogLevel> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LevelOrMap;

        impl<'de> Visitor<'de> for LevelOrMap {
            type Value = PerFunction<LogLevel>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a log level, or log levels by functions' names")
            }

            fn visit_str<E: de::Error>(self, level: &str) -> Result<Self::Value, E> {
                LogLevel::deserialize(level.into_deserializer()).map(PerFunction::All)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let levels: Named<LogLevel> =
                    Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PerFunction::Some(levels.into_map()))
            }
        }

        deserializer.deserialize_any(LevelOrMap)
    }
}

impl<'de> Deserialize<'de> for PerFunction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrMap;

        impl<'de> Visitor<'de> for NumberOrMap {
            type Value = PerFunction;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or numbers by functions' names")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<PerFunction, E> {
                values::whole(number.into()).map(PerFunction::All)
            }

            fn visit_u128<E: de::Error>(self, number: u128) -> Result<PerFunction, E> {
                values::whole(number).map(PerFunction::All)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PerFunction, E> {
                Err(values::negative(number))
            }

            fn visit_i128<E: de::Error>(self, number: i128) -> Result<PerFunction, E> {
                Err(values::negative(number))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<PerFunction, E> {
                Err(values::fractional())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PerFunction, E> {
                Err(values::no_number(text, &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PerFunction, A::Error> {
                let numbers = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PerFunction::Some(values::numbers(numbers)))
            }
        }

        deserializer.deserialize_any(NumberOrMap)
    }
}

/// Whether there are alarms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Alarms {
    /// None.
    #[default]
    Off,
    /// Alarms that show in CloudWatch and notify no topic.
    Silent,
    /// Alarms that tell this SNS topic, by its ARN, when they go off and when they are over.
    Topic(String),
}

impl<'de> Deserialize<'de> for Alarms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoolOrArn;

        impl Visitor<'_> for BoolOrArn {
            type Value = Alarms;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or the ARN of an SNS topic")
            }

            fn visit_bool<E: de::Error>(self, wanted: bool) -> Result<Alarms, E> {
                Ok(if wanted { Alarms::Silent } else { Alarms::Off })
            }

            fn visit_str<E: de::Error>(self, topic_arn: &str) -> Result<Alarms, E> {
                Ok(Alarms::Topic(topic_arn.to_owned()))
            }
        }

        deserializer.deserialize_any(BoolOrArn)
    }
}

/// How a new version of a function takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The share of invocations that go to it at first.
    #[serde(deserialize_with = "values::number")]
    pub percent: u32,
    /// How long it must go without an alarm to get the rest, in minutes.
    #[serde(deserialize_with = "values::number")]
    pub minutes: u32,
}

/// Who may call the routes of an HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Everybody.
    None,
    /// Who signs requests with AWS credentials that may `execute-api:Invoke` them.
    Iam,
    /// Who sends a JSON Web Token of an issuer in the header `Authorization`.
    Jwt(Jwt),
}

/// Whose tokens an HTTP API accepts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The URL that tokens have as `iss`, and below which API Gateway finds its keys. Empty if
    /// nothing is written behind it.
    #[serde(deserialize_with = "text")]
    pub issuer: String,
    /// Accepted values of `aud`, or of `client_id` in tokens without it.
    #[serde(deserialize_with = "texts")]
    pub audience: Vec<String>,
}

// What is empty is found when the values are checked, which knows the line.

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts: Option<Vec<Option<String>>> = Option::deserialize(deserializer)?;
    let texts = texts.unwrap_or_default().into_iter();
    Ok(texts.map(Option::unwrap_or_default).collect())
}

impl<'de> Deserialize<'de> for Authorization {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            jwt: Option<Jwt>,
        }

        fn incomplete<E: de::Error>() -> E {
            E::custom("`jwt` needs `issuer` and `audience`")
        }

        struct NameOrMap;

        impl<'de> Visitor<'de> for NameOrMap {
            type Value = Authorization;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none`, `iam`, or `jwt` with `issuer` and `audience`")
            }

            fn visit_str<E: de::Error>(self, kind: &str) -> Result<Authorization, E> {
                match kind {
                    "none" => Ok(Authorization::None),
                    "iam" => Ok(Authorization::Iam),
                    "jwt" => Err(incomplete()),
                    kind => Err(E::custom(format!(
                        "unknown authorization `{kind}`; there are `none`, `iam` and `jwt`"
                    ))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Authorization, A::Error> {
                let Written { jwt } = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                jwt.map(Authorization::Jwt).ok_or_else(incomplete)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Authorization, E> {
                Err(E::custom("expected `none`, `iam` or `jwt`, found nothing"))
            }
        }

        deserializer.deserialize_any(NameOrMap)
    }
}

/// The name by which [`Stage::throttling`] has the routes that it does not name.
pub(crate) const DEFAULT_ROUTE: &str = "default";

/// How many requests an HTTP API lets through; the others it answers with 429.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Requests per second, in the long run.
    #[serde(deserialize_with = "values::number")]
    pub rate: u32,
    /// Requests at once.
    #[serde(deserialize_with = "values::number")]
    pub burst: u32,
}
