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
    /// When the text is no YAML, something is written twice, or a setting is unknown or of
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
    /// It is no YAML, or has what a stage has not.
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
    /// Timeouts of functions, in seconds, instead of what the app declares.
    pub timeout_seconds: PerFunction,
    /// How many invocations of a function run at a time at most, by functions' names. No
    /// other function can use up this share of the account's.
    pub reserved_concurrency: BTreeMap<String, u32>,
    /// More variables of every function.
    pub environment: BTreeMap<String, String>,
    /// The least severe log lines that are kept; `None` is Lambda's default, `info`.
    pub log_level: Option<LogLevel>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(yaml: &str) -> String {
        Stages::parse(yaml).unwrap_err().to_string()
    }

    #[test]
    fn a_stage_without_settings_has_the_defaults() {
        let yaml = "dev:\n";
        let dev = Stages::parse(yaml).unwrap().get("dev").unwrap();
        assert_eq!(
            dev,
            Stage {
                name: "dev".to_owned(),
                region: None,
                account: None,
                endpoint_url: None,
                production: false,
                removal: Removal::Delete,
                express: false,
                permissions_boundary: None,
                tags: BTreeMap::new(),
                architecture: Architecture::X86_64,
                memory_mb: PerFunction::AsDeclared,
                timeout_seconds: PerFunction::AsDeclared,
                reserved_concurrency: BTreeMap::new(),
                environment: BTreeMap::new(),
                log_level: None,
                log_retention_days: 14,
                tracing: false,
                alarms: Alarms::Off,
                rollback_on_alarm_minutes: None,
                canary: None,
                authorization: BTreeMap::new(),
                throttling: BTreeMap::new(),
                yaml: yaml.to_owned(),
            }
        );
    }

    #[test]
    fn every_setting_is_read() {
        let yaml = "
all:
  region: eu-central-1
  account: '123456789012'
  endpoint_url: http://127.0.0.1:4566
  production: true
  removal: delete
  express: true
  permissions_boundary: arn:aws:iam::123456789012:policy/boundary
  tags: {team: media}
  architecture: arm64
  memory_mb: 512
  timeout_seconds: {sell: 20}
  reserved_concurrency: {sell: 5}
  environment: {GREETING: hello}
  log_level: debug
  log_retention_days: 30
  tracing: true
  alarms: arn:aws:sns:eu-central-1:123456789012:alarms
  rollback_on_alarm_minutes: 10
  canary: {percent: 20, minutes: 15}
  authorization:
    shop: iam
    bills: {jwt: {issuer: https://example.com, audience: [shop]}}
    open: none
  throttling:
    shop:
      default: {rate: 100, burst: 200}
      GET /: {rate: 1, burst: 2}
";
        for setting in SETTINGS {
            assert!(yaml.contains(&format!("  {setting}:")), "{setting}");
        }
        let text = str::to_owned;
        let all = Stages::parse(yaml).unwrap().get("all").unwrap();
        assert_eq!(
            all,
            Stage {
                name: text("all"),
                region: Some(text("eu-central-1")),
                account: Some(text("123456789012")),
                endpoint_url: Some(text("http://127.0.0.1:4566")),
                production: true,
                removal: Removal::Delete,
                express: true,
                permissions_boundary: Some(text("arn:aws:iam::123456789012:policy/boundary")),
                tags: [(text("team"), text("media"))].into(),
                architecture: Architecture::Arm64,
                memory_mb: PerFunction::All(512),
                timeout_seconds: PerFunction::Some([(text("sell"), 20)].into()),
                reserved_concurrency: [(text("sell"), 5)].into(),
                environment: [(text("GREETING"), text("hello"))].into(),
                log_level: Some(LogLevel::Debug),
                log_retention_days: 30,
                tracing: true,
                alarms: Alarms::Topic(text("arn:aws:sns:eu-central-1:123456789012:alarms")),
                rollback_on_alarm_minutes: Some(10),
                canary: Some(Canary {
                    percent: 20,
                    minutes: 15,
                }),
                authorization: [
                    (text("shop"), Authorization::Iam),
                    (
                        text("bills"),
                        Authorization::Jwt(Jwt {
                            issuer: text("https://example.com"),
                            audience: vec![text("shop")],
                        })
                    ),
                    (text("open"), Authorization::None),
                ]
                .into(),
                throttling: [(
                    text("shop"),
                    [
                        (
                            text("default"),
                            Throttle {
                                rate: 100,
                                burst: 200,
                            }
                        ),
                        (text("GET /"), Throttle { rate: 1, burst: 2 }),
                    ]
                    .into()
                )]
                .into(),
                yaml: yaml.to_owned(),
            }
        );
    }

    #[test]
    fn every_setting_is_explained_where_it_is_set() {
        let explained: Vec<&str> = include_str!("../../stages.yaml")
            .lines()
            .filter_map(|line| line.strip_prefix("#   ")?.split(' ').next())
            .collect();
        for setting in SETTINGS {
            assert!(explained.contains(&setting), "{setting}");
        }
    }

    #[test]
    fn production_keeps_data_unless_told() {
        let stages = Stages::parse(
            "a: {production: true}\nb: {production: true, removal: delete}\nc: {removal: retain}\n",
        )
        .unwrap();
        let removal = |stage| stages.get(stage).unwrap().removal;
        assert_eq!(removal("a"), Removal::Retain);
        assert_eq!(removal("b"), Removal::Delete);
        assert_eq!(removal("c"), Removal::Retain);
    }

    #[test]
    fn values_of_several_forms_are_told_with_their_line() {
        for (setting, parts) in [
            ("alarms: [a]", "true, false, or the ARN of an SNS topic"),
            (
                "memory_mb: lots",
                "a number, or numbers by functions' names",
            ),
            ("memory_mb: 5000000000", "5000000000 is too great a number"),
            ("log_level: loud", "unknown variant `loud`"),
            (
                "authorization: {shop: aim}",
                "unknown authorization `aim`; there are `none`, `iam` and `jwt`",
            ),
            (
                "authorization: {shop: jwt}",
                "`jwt` needs `issuer` and `audience`",
            ),
            (
                "authorization: {shop: {jwt: {issuer: x}}}",
                "missing field `audience`",
            ),
            (
                "authorization: {shop: {jwt: }}",
                "`jwt` needs `issuer` and `audience`",
            ),
            (
                "authorization: {shop: }",
                "authorization.shop: expected `none`, `iam` or `jwt`, found nothing",
            ),
            (
                "reserved_concurrency: 5",
                "expected a mapping, names with a value each",
            ),
            (
                "authorization: {shop: {jot: 1}}",
                "unknown field `jot`, expected `jwt`",
            ),
            (
                "throttling: {shop: {default: {rate: 1}}}",
                "missing field `burst`",
            ),
        ] {
            let complaint = complaint(&format!("dev:\n  tracing: true\n  {setting}\n"));
            assert!(complaint.contains(parts), "{complaint}");
            assert!(complaint.contains("line 3"), "{complaint}");
        }
    }

    #[test]
    fn the_hosts_architecture_can_be_asked_for() {
        let stages = Stages::parse("local: {architecture: host}").unwrap();
        let local = stages.get("local").unwrap();
        assert_eq!(local.architecture, Architecture::HOST);
    }

    #[test]
    fn a_misspelt_setting_is_found_with_its_line() {
        let complaint = complaint("dev:\n  production: true\n  regoin: eu-central-1\n");
        assert!(
            complaint.contains("unknown setting `regoin`; did you mean `region`?"),
            "{complaint}"
        );
        assert!(complaint.contains("line 3"), "{complaint}");
        assert!(complaint.starts_with("stages.yaml: dev"), "{complaint}");
    }

    #[test]
    fn an_unheard_of_setting_lists_those_there_are() {
        let complaint = complaint("dev:\n  banana: 1\n");
        assert!(
            complaint.contains("a stage has: region, account, endpoint_url"),
            "{complaint}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_found_with_its_line() {
        let complaint = complaint("dev:\n  region: x\n  production: maybe\n");
        assert!(complaint.contains("production"), "{complaint}");
        assert!(complaint.contains("line 3"), "{complaint}");
    }

    #[test]
    fn what_is_written_twice_is_an_error() {
        for (yaml, twice) in [
            ("dev:\nprod:\ndev:\n", "`dev`"),
            ("dev:\n  region: a\n  region: b\n", "`dev.region`"),
            (
                "dev:\n  authorization: {users: iam}\n  authorization: {users: none}\n",
                "`dev.authorization`",
            ),
            (
                "dev:\n  authorization: {users: iam, media: iam, users: none}\n",
                "`dev.authorization.users`",
            ),
        ] {
            let complaint = complaint(yaml);
            assert!(
                complaint.contains(&format!("{twice} is written twice")),
                "{complaint}"
            );
        }
    }

    #[test]
    fn what_has_nothing_behind_it_is_not_set() {
        let dev = |yaml: &str| {
            let stage = Stages::parse(yaml).unwrap().get("dev").unwrap();
            Stage {
                yaml: String::new(),
                ..stage
            }
        };
        let defaults = Stage::with_defaults("dev");
        for nothing in ["", "~", "null", "# a comment", "!!null ~"] {
            for setting in SETTINGS {
                let yaml = format!("dev:\n  {setting}: {nothing}\n");
                assert_eq!(dev(&yaml), defaults, "{yaml}");
            }
            for setting in [
                "tags",
                "memory_mb",
                "timeout_seconds",
                "reserved_concurrency",
                "environment",
                "throttling",
            ] {
                let written = dev(&format!("dev:\n  {setting}:\n    name: {nothing}\n"));
                assert_eq!(written.tags, defaults.tags);
                assert_eq!(written.memory_mb.of("name"), None);
                assert_eq!(written.timeout_seconds.of("name"), None);
                assert_eq!(written.reserved_concurrency, defaults.reserved_concurrency);
                assert_eq!(written.environment, defaults.environment);
                assert_eq!(written.throttling, BTreeMap::new().into_iter().collect());
            }
            assert_eq!(dev(&format!("dev: {nothing}\n")), defaults);
        }
        let environment = dev("dev: {environment: {A: '', B: 'null', C: \"~\"}}\n").environment;
        let values: Vec<&str> = environment.values().map(String::as_str).collect();
        assert_eq!(values, ["", "null", "~"]);
    }

    #[test]
    fn a_part_that_something_needs_is_missed_by_its_line() {
        for (settings, part) in [
            ("canary: {percent: 10, minutes: }", "canary.minutes"),
            (
                "throttling: {users: {default: {rate: , burst: 1}}}",
                "throttling.users.default.rate",
            ),
        ] {
            let complaint = complaint(&format!("dev:\n  tracing: true\n  {settings}\n"));
            assert!(
                complaint.contains(&format!(
                    "dev.{part}: expected a whole number, found nothing at line 3"
                )),
                "{complaint}"
            );
        }
    }

    #[test]
    fn numbers_are_whole_and_written_in_digits() {
        for (written, expected) in [
            ("-512", "expected 0 or more, found the negative -512"),
            ("512.0", "expected a whole number, found one with a decimal"),
            ("1e3", "expected a whole number, found one with a decimal"),
            (".inf", "expected a whole number, found one with a decimal"),
            (
                "'512'",
                "without quotes or leading zeros, found the text `512`",
            ),
            (
                "014",
                "without quotes or leading zeros, found the text `014`",
            ),
            ("512MB", "found the text `512MB`"),
            ("1_024", "found the text `1_024`"),
            ("true", "invalid type: boolean `true`"),
            ("[512]", "invalid type: sequence"),
            ("4294967296", "4294967296 is too great a number"),
            (
                "99999999999999999999",
                "99999999999999999999 is too great a number",
            ),
            (
                "-99999999999999999999",
                "found the negative -99999999999999999999",
            ),
        ] {
            for setting in [
                "memory_mb: VALUE",
                "memory_mb: {sell: VALUE}",
                "timeout_seconds: VALUE",
                "timeout_seconds: {sell: VALUE}",
                "reserved_concurrency: {sell: VALUE}",
                "log_retention_days: VALUE",
                "rollback_on_alarm_minutes: VALUE",
                "canary: {minutes: 1, percent: VALUE}",
                "canary: {percent: 1, minutes: VALUE}",
                "throttling: {shop: {default: {rate: VALUE, burst: 1}}}",
                "throttling: {shop: {default: {rate: 1, burst: VALUE}}}",
            ] {
                let setting = setting.replace("VALUE", written);
                let complaint = complaint(&format!("dev:\n  tracing: true\n  {setting}\n"));
                assert!(complaint.contains(expected), "{setting}: {complaint}");
                assert!(complaint.contains("line 3"), "{setting}: {complaint}");
            }
        }
        for (written, days) in [("14", 14), ("+14", 14), ("0o16", 14), ("0xE", 14)] {
            let stages = Stages::parse(&format!("dev: {{log_retention_days: {written}}}"));
            let dev = stages.unwrap().get("dev").unwrap();
            assert_eq!(dev.log_retention_days, days, "{written}");
        }
    }

    #[test]
    fn switches_are_true_or_false_and_no_other_word() {
        for (written, expected) in [
            ("yes", "expected true without quotes, found the text `yes`"),
            ("On", "expected true without quotes, found the text `On`"),
            (
                "'true'",
                "expected true without quotes, found the text `true`",
            ),
            ("no", "expected false without quotes, found the text `no`"),
            (
                "\"false\"",
                "expected false without quotes, found the text `false`",
            ),
            ("maybe", "expected true or false, found the text `maybe`"),
            ("1", "invalid type: integer `1`, expected true or false"),
        ] {
            for setting in ["production", "express", "tracing"] {
                let complaint = complaint(&format!("dev:\n  region: x\n  {setting}: {written}\n"));
                assert!(complaint.contains(expected), "{complaint}");
                assert!(complaint.contains("line 3"), "{complaint}");
            }
        }
        for (written, is_on) in [("true", true), ("True", true), ("FALSE", false)] {
            let stages = Stages::parse(&format!("dev: {{tracing: {written}}}")).unwrap();
            assert_eq!(stages.get("dev").unwrap().tracing, is_on, "{written}");
        }
    }

    #[test]
    fn texts_are_as_they_are_written() {
        for written in [
            "012345678901",
            "001234567012",
            "123456789012",
            "0x1F",
            "0o17",
            "1_000",
            "1e3",
            "1.10",
            "12:30:45",
            "yes",
            "True",
            "2026-01-31",
        ] {
            let yaml = format!("dev: {{account: {written}, environment: {{A: {written}}}}}");
            let dev = Stages::parse(&yaml).unwrap().get("dev").unwrap();
            assert_eq!(dev.account.as_deref(), Some(written));
            assert_eq!(dev.environment["A"], written);
        }
    }

    #[test]
    fn a_character_that_yaml_does_not_take_is_told_with_its_line() {
        for (yaml, expected) in [
            (
                "dev:\n  region: x\0\n",
                "stages.yaml:2: the character U+0000 is not",
            ),
            ("\u{7}dev:\n", "stages.yaml:1: the character U+0007 is not"),
            (
                "\u{feff}dev:\r\n\r\n  region: \u{1b}[1m\r\n",
                "stages.yaml:3: the character U+001B",
            ),
            ("# a\n\u{7f}", "stages.yaml:2: the character U+007F"),
            (
                "a:\nb:\n\u{feff}c:\n",
                "stages.yaml:3: the character U+FEFF",
            ),
        ] {
            let complaint = complaint(yaml);
            assert!(complaint.contains(expected), "{complaint}");
        }
        Stages::parse("\u{feff}dev: # \u{85}\n  tags: {a: 'é\u{2028}'}\n").unwrap();
    }

    #[test]
    fn a_file_without_stages_is_no_error_until_one_is_asked_for() {
        for yaml in ["", "# only a comment\n", "{}", "---\n", "~\n", "---\n...\n"] {
            let stages = Stages::parse(yaml).unwrap();
            assert_eq!(stages.names().count(), 0);
            assert_eq!(
                stages.get("dev").unwrap_err().to_string(),
                "unknown stage `dev`: stages.yaml declares no stages"
            );
        }
        let list = complaint("- dev\n- prod\n");
        assert!(list.contains("expected stages by their names"), "{list}");
        let number = complaint("dev: 5\n");
        assert!(
            number.contains("expected settings by their names"),
            "{number}"
        );
    }

    #[test]
    fn an_unknown_stage_names_the_nearest_and_all() {
        let stages = Stages::parse("local:\ndev:\nprod:\n").unwrap();
        assert_eq!(
            stages.get("prd").unwrap_err().to_string(),
            "unknown stage `prd`; did you mean `prod`? (stages.yaml has: dev, local, prod)"
        );
        assert_eq!(
            stages.get("banana").unwrap_err().to_string(),
            "unknown stage `banana` (stages.yaml has: dev, local, prod)"
        );
    }
}
