//! Stages: the deployments of one app, and what differs between them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::name;
use crate::origin::Origin;

mod line;

/// The parsed text of `stages.yaml`.
#[derive(Clone, Debug)]
pub struct Stages {
    stages: BTreeMap<String, Stage>,
}

impl Stages {
    /// Parses the text of `stages.yaml`.
    ///
    /// # Errors
    /// When the text is no YAML, or a setting is unknown or of the wrong type; the
    /// message gives the line, and the setting that was probably meant. Whether the
    /// values suit AWS is checked by [`crate::Manifest::resolve`].
    pub fn parse(yaml: &str) -> Result<Self, StageError> {
        // First the keys alone: serde's own complaint about an unknown field lists
        // all fields but does not say which one was meant.
        let _: BTreeMap<String, Option<BTreeMap<SettingName, IgnoredAny>>> =
            serde_yaml::from_str(yaml)?;
        let Written(stages) = serde_yaml::from_str(yaml)?;
        let stages = stages
            .into_iter()
            .map(|(name, settings)| (name.clone(), settings.named(name, yaml)))
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

/// Why `stages.yaml` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stages.yaml: {0}")]
pub struct StageError(#[from] serde_yaml::Error);

/// A stage that `stages.yaml` does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStage {
    name: String,
    known: Vec<String>,
}

impl std::error::Error for UnknownStage {}

impl fmt::Display for UnknownStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown stage `{}`", self.name)?;
        if let Some(meant) = name::nearest(&self.name, self.known.iter().map(String::as_str)) {
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
    /// An AWS-compatible endpoint to use instead of AWS.
    pub endpoint_url: Option<String>,
    /// The only account that this stage may be deployed to; `None` means any.
    pub account: Option<String>,
    /// Whether data outlives mistakes: buckets and tables stay when the stack goes,
    /// tables are protected from deletion and can be restored to any second of the
    /// last 35 days.
    pub production: bool,
    /// The processor that functions are built for.
    pub architecture: Architecture,
    /// How long logs are kept, in days, one of the periods that CloudWatch Logs knows.
    pub log_retention_days: u32,
    /// Memory of every function, in MB, instead of what the app declares.
    pub memory_mb: Option<u32>,
    /// Timeout of every function, in seconds, instead of what the app declares.
    pub timeout_seconds: Option<u32>,
    /// Tags of every resource, besides `app` and `stage`.
    pub tags: BTreeMap<String, String>,
    /// The text that it was parsed from.
    yaml: String,
}

impl Stage {
    /// Where `stages.yaml` has the setting that `keys` lead to.
    pub(crate) fn origin_of(&self, keys: &[String]) -> Origin {
        let keys: Vec<String> = std::iter::once(&self.name).chain(keys).cloned().collect();
        Origin::Stages(line::of(&self.yaml, &keys))
    }

    /// Whether its endpoint is one that speaks no TLS, such as an emulator's.
    pub(crate) fn is_plain_http(&self) -> bool {
        self.endpoint_url
            .as_ref()
            .is_some_and(|endpoint_url| endpoint_url.starts_with("http://"))
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

/// One stage as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    region: Option<String>,
    endpoint_url: Option<String>,
    account: Option<String>,
    production: bool,
    architecture: ArchitectureSetting,
    log_retention_days: u32,
    memory_mb: Option<u32>,
    timeout_seconds: Option<u32>,
    tags: BTreeMap<String, String>,
}

/// The fields of [`Settings`].
const SETTINGS: [&str; 9] = [
    "region",
    "endpoint_url",
    "account",
    "production",
    "architecture",
    "log_retention_days",
    "memory_mb",
    "timeout_seconds",
    "tags",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: None,
            endpoint_url: None,
            account: None,
            production: false,
            architecture: ArchitectureSetting::X86_64,
            log_retention_days: 14,
            memory_mb: None,
            timeout_seconds: None,
            tags: BTreeMap::new(),
        }
    }
}

impl Settings {
    fn named(self, name: String, yaml: &str) -> Stage {
        Stage {
            name,
            region: self.region,
            endpoint_url: self.endpoint_url,
            account: self.account,
            production: self.production,
            architecture: match self.architecture {
                ArchitectureSetting::Arm64 => Architecture::Arm64,
                ArchitectureSetting::X86_64 => Architecture::X86_64,
                ArchitectureSetting::Host => Architecture::HOST,
            },
            log_retention_days: self.log_retention_days,
            memory_mb: self.memory_mb,
            timeout_seconds: self.timeout_seconds,
            tags: self.tags,
            yaml: yaml.to_owned(),
        }
    }
}

#[derive(Deserialize)]
enum ArchitectureSetting {
    #[serde(rename = "arm64")]
    Arm64,
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "host")]
    Host,
}

/// A key that is one of [`SETTINGS`].
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SettingName(String);

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
                    return Ok(SettingName(written.to_owned()));
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

/// All stages as written, each once.
struct Written(BTreeMap<String, Settings>);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;

        impl<'de> Visitor<'de> for Unique {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("stages by their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
                let mut stages = BTreeMap::new();
                while let Some((name, settings)) = map.next_entry::<String, Option<Settings>>()? {
                    if stages.contains_key(&name) {
                        return Err(de::Error::custom(format!(
                            "stage `{name}` is written twice"
                        )));
                    }
                    stages.insert(name, settings.unwrap_or_default());
                }
                Ok(Written(stages))
            }
        }

        deserializer.deserialize_map(Unique)
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
                yaml: yaml.to_owned(),
                name: "dev".to_owned(),
                region: None,
                endpoint_url: None,
                account: None,
                production: false,
                architecture: Architecture::X86_64,
                log_retention_days: 14,
                memory_mb: None,
                timeout_seconds: None,
                tags: BTreeMap::new(),
            }
        );
    }

    #[test]
    fn every_setting_is_read() {
        let yaml = "
all:
  region: eu-central-1
  endpoint_url: http://127.0.0.1:4566
  account: '123456789012'
  production: true
  architecture: x86_64
  log_retention_days: 30
  memory_mb: 512
  timeout_seconds: 20
  tags: {team: media}
";
        for setting in SETTINGS {
            assert!(yaml.contains(&format!("  {setting}: ")), "{setting}");
        }
        let all = Stages::parse(yaml).unwrap().get("all").unwrap();
        assert_eq!(
            all,
            Stage {
                yaml: yaml.to_owned(),
                name: "all".to_owned(),
                region: Some("eu-central-1".to_owned()),
                endpoint_url: Some("http://127.0.0.1:4566".to_owned()),
                account: Some("123456789012".to_owned()),
                production: true,
                architecture: Architecture::X86_64,
                log_retention_days: 30,
                memory_mb: Some(512),
                timeout_seconds: Some(20),
                tags: [("team".to_owned(), "media".to_owned())].into(),
            }
        );
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
            complaint.contains("a stage has: region, endpoint_url, account"),
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
    fn a_stage_or_setting_written_twice_is_an_error() {
        let stage = complaint("dev:\nprod:\ndev:\n");
        assert!(stage.contains("stage `dev` is written twice"), "{stage}");
        let setting = complaint("dev:\n  region: a\n  region: b\n");
        assert!(setting.contains("duplicate field `region`"), "{setting}");
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
