//! What the user's environment and AWS configuration files say, checked before anything is
//! asked.
//!
//! The SDK reads the same sources, but takes what it cannot use for unset, and says so only in
//! its log. The user would meet a consequence: missing credentials, for example, where a file
//! has a typing error. So each source is read here first, and what cannot be used is an error
//! that names it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_config::profile::{self, ProfileSet};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_runtime::env_config::property::PropertiesKey;
use aws_smithy_types::retry::RetryConfig;
use aws_types::os_shim_internal::{Env, Fs};

use crate::error::{Error, ErrorKind, Result, root_cause};
use crate::network::answer::printable;
use crate::network::environment::{Environment, Setting};
use crate::network::proxy::Proxies;
use crate::settings::{ATTEMPTS_MAX, BACKOFF_MAX, Settings};

/// The variable that names an endpoint for every service. With `_` and a service's name
/// behind it, it names one for that service.
const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";

/// The services that are called, as the SDK names them.
const SERVICES: [&str; 10] = [
    "CloudFormation",
    "CloudWatch Logs",
    "DynamoDB Streams",
    "IAM",
    "Lambda",
    "S3",
    "SQS",
    "SSM",
    "STS",
    "Secrets Manager",
];

/// How many profiles an error lists.
const PROFILES_MAX: usize = 8;

/// An endpoint that is used instead of AWS's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its URL, or what kind of AWS's endpoints it is.
    pub url: String,
    /// The services that it serves; empty if it serves all.
    pub services: Vec<&'static str>,
    /// The variable or setting that names it.
    pub source: String,
}

impl Endpoint {
    /// Whether it is one address, not a kind of AWS's endpoints.
    pub fn is_url(&self) -> bool {
        self.url.contains("://")
    }

    pub(crate) fn serves(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.contains(&service)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        if self.services.is_empty() {
            return Ok(());
        }
        write!(f, " for {}", self.services.join(", "))
    }
}

/// One of the two files of the AWS configuration.
#[derive(Debug, Clone)]
struct File {
    kind: EnvConfigFileKind,
    path: PathBuf,
    /// The variable that names it, if one does.
    variable: Option<&'static str>,
    contents: std::result::Result<String, String>,
}

impl File {
    fn read(kind: EnvConfigFileKind, environment: &Environment) -> Result<Self> {
        let (variable, default) = match kind {
            EnvConfigFileKind::Credentials => ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
            _ => ("AWS_CONFIG_FILE", "~/.aws/config"),
        };
        let named = environment.get(variable);
        let path = expanded(named.unwrap_or(default), environment.get("HOME"));
        let file = |contents| Self {
            kind,
            path: path.clone(),
            variable: named.map(|_| variable),
            contents,
        };
        match std::fs::read_to_string(&path) {
            Ok(contents) => Ok(file(Ok(contents))),
            // Whether a file that is missing was needed is decided by what is looked for in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound || named.is_none() => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "it does not exist".to_owned(),
                    io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
                    _ => error.to_string(),
                };
                Ok(file(Err(why)))
            }
            Err(error) => Err(Error::new(format!(
                "could not read {}, which {variable} names",
                path.display()
            ))
            .because(match error.kind() {
                io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
                _ => error.to_string(),
            })
            .of_kind(ErrorKind::Configuration)),
        }
    }

    fn contents(&self) -> &str {
        self.contents.as_deref().unwrap_or_default()
    }

    /// The file as an error names it: where it is, which variable says so, and what is wrong
    /// with it.
    fn described(&self) -> String {
        let notes: Vec<String> = self
            .variable
            .map(|variable| format!("from {variable}"))
            .into_iter()
            .chain(self.contents.as_ref().err().cloned())
            .collect();
        let path = self.path.display();
        if notes.is_empty() {
            path.to_string()
        } else {
            format!("{path} ({})", notes.join(": "))
        }
    }
}

/// `~` is the home directory, as in a shell.
fn expanded(path: &str, home: Option<&str>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => path.into(),
    }
}

/// The parts of the user's AWS configuration that this crate depends on.
#[derive(Debug)]
pub(crate) struct Configuration {
    environment: Environment,
    files: [File; 2],
    profiles: ProfileSet,
    /// The variable that names the profile, if one does.
    profile_variable: Option<String>,
    /// The stage's own region and endpoint.
    stage_region: Option<String>,
    stage_endpoint_url: Option<String>,
}

impl Configuration {
    /// Reads the environment's variables and the files that they name.
    ///
    /// # Errors
    /// When a file cannot be read or parsed, or the profile is in none of them.
    pub(crate) async fn read(environment: Environment, settings: &Settings) -> Result<Self> {
        let files = [
            File::read(EnvConfigFileKind::Config, &environment)?,
            File::read(EnvConfigFileKind::Credentials, &environment)?,
        ];
        let chosen = environment.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = chosen
            .as_ref()
            .map_or("default", |chosen| chosen.value.as_str());
        for file in &files {
            parsed(std::slice::from_ref(file), name)
                .await
                .map_err(|why| {
                    Error::new(format!("could not read {}", file.described()))
                        .because(why)
                        .of_kind(ErrorKind::Configuration)
                        .hint("correct the file: the AWS CLI and all SDKs read it")
                })?;
        }
        let profiles = parsed(&files, name).await.map_err(Error::new)?;
        let profile_variable = chosen.as_ref().map(|chosen| chosen.source.clone());
        let configuration = Self {
            files,
            profiles,
            profile_variable,
            stage_region: settings.region.clone(),
            stage_endpoint_url: settings.endpoint_url.clone(),
            environment,
        };
        configuration.check_profile()?;
        Ok(configuration)
    }

    /// The profile's name.
    pub(crate) fn profile(&self) -> &str {
        self.profiles.selected_profile()
    }

    fn check_profile(&self) -> Result<()> {
        let (name, Some(variable)) = (self.profile(), &self.profile_variable) else {
            return Ok(());
        };
        if self.profiles.get_profile(name).is_some() {
            return Ok(());
        }
        let mut there: Vec<&str> = self.profiles.profiles().collect();
        there.sort_unstable();
        let hint = if there.is_empty() {
            format!("unset {variable}, or add the profile with `aws configure --profile {name}`")
        } else {
            let more = if there.len() > PROFILES_MAX {
                ", …"
            } else {
                ""
            };
            there.truncate(PROFILES_MAX);
            format!("the profiles are: {}{more}", there.join(", "))
        };
        Err(Error::new(format!(
            "there is no AWS profile `{name}`, which {variable} names"
        ))
        .because(format!("it is in neither of {}", self.described_files()))
        .of_kind(ErrorKind::Configuration)
        .hint(hint))
    }

    fn described_files(&self) -> String {
        let [config, credentials] = &self.files;
        format!("{} and {}", config.described(), credentials.described())
    }

    /// A setting of the profile. One without a value counts as not set.
    fn of_profile(&self, key: &str) -> Option<Setting> {
        let value = self.profiles.get(key)?;
        (!value.trim().is_empty()).then(|| Setting {
            value: value.to_owned(),
            source: format!("`{key}` of profile {}", self.profile()),
        })
    }

    /// A setting that the environment has, or else the profile.
    fn setting(&self, variable: &'static str, key: &str) -> Option<Setting> {
        self.environment
            .first(&[variable])
            .or_else(|| self.of_profile(key))
    }

    fn switch(&self, variable: &'static str, key: &str) -> Result<Option<String>> {
        let Some(setting) = self.setting(variable, key) else {
            return Ok(None);
        };
        match setting.value.to_lowercase().as_str() {
            "true" => Ok(Some(setting.source)),
            "false" => Ok(None),
            _ => Err(unusable(&setting, "true or false").hint(format!(
                "set {} to true or false, or unset it",
                setting.source
            ))),
        }
    }

    /// The region, where something other than the instance that this runs on names one.
    pub(crate) fn region(&self) -> Result<Option<String>> {
        if let Some(region) = &self.stage_region {
            return Ok(Some(region.clone()));
        }
        let region = self
            .environment
            .first(&["AWS_REGION", "AWS_DEFAULT_REGION"])
            .or_else(|| self.of_profile("region"));
        let Some(region) = region else {
            return Ok(None);
        };
        if is_region(&region.value) {
            return Ok(Some(region.value));
        }
        Err(unusable(&region, "the name of an AWS region")
            .hint("regions are named like `eu-north-1`, in lower case and without spaces"))
    }

    /// Whether endpoints that the environment or the profile name are to be ignored.
    fn ignores_endpoints(&self) -> Result<bool> {
        let ignored = self.switch(
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "ignore_configured_endpoint_urls",
        )?;
        Ok(ignored.is_some())
    }

    /// The endpoints that are used instead of AWS's own, by service.
    ///
    /// # Errors
    /// When one is not a URL, or contradicts another setting.
    pub(crate) fn endpoints(&self) -> Result<BTreeMap<&'static str, Setting>> {
        if self.stage_endpoint_url.is_none() && self.ignores_endpoints()? {
            return Ok(BTreeMap::new());
        }
        let endpoints: BTreeMap<_, _> = SERVICES
            .into_iter()
            .filter_map(|service| Some((service, self.endpoint_of(service)?)))
            .collect();
        for endpoint in endpoints.values() {
            check_url(endpoint)?;
            for (variable, key) in [FIPS, DUAL_STACK] {
                if let Some(switch) = self.switch(variable, key)? {
                    return Err(Error::new(format!(
                        "{switch} and {} contradict each other",
                        endpoint.source
                    ))
                    .because("AWS has FIPS and dual-stack endpoints, an endpoint of your own has neither")
                    .of_kind(ErrorKind::Configuration)
                    .hint("unset one of them"));
                }
            }
        }
        Ok(endpoints)
    }

    fn endpoint_of(&self, service: &str) -> Option<Setting> {
        if let Some(url) = &self.stage_endpoint_url {
            return Some(Setting {
                value: url.clone(),
                source: "`endpoint_url` in infra/stages.yaml".to_owned(),
            });
        }
        let name = service.to_uppercase().replace(' ', "_");
        self.environment
            .first(&[&format!("{ENDPOINT_URL}_{name}"), ENDPOINT_URL])
            .or_else(|| self.endpoint_of_services(service))
            .or_else(|| self.of_profile("endpoint_url"))
    }

    /// The endpoint that the profile's `services` section has for a service.
    fn endpoint_of_services(&self, service: &str) -> Option<Setting> {
        let section = self.profiles.get("services")?;
        let key = PropertiesKey::builder()
            .section_key("services")
            .section_name(section)
            .property_name(service.to_lowercase().replace(' ', "-"))
            .sub_property_name("endpoint_url")
            .build()
            .ok()?;
        let value = self.profiles.other_sections().get(&key)?.trim();
        (!value.is_empty()).then(|| Setting {
            value: value.to_owned(),
            source: format!("`services {section}` of profile {}", self.profile()),
        })
    }

    /// What is used instead of AWS's usual endpoints, for the user to know.
    pub(crate) fn detours(
        &self,
        endpoints: &BTreeMap<&'static str, Setting>,
    ) -> Result<Vec<Endpoint>> {
        let mut detours: Vec<Endpoint> = Vec::new();
        for (service, setting) in endpoints {
            let known = detours
                .iter_mut()
                .find(|known| known.url == setting.value && known.source == setting.source);
            match known {
                Some(known) => known.services.push(service),
                None => detours.push(Endpoint {
                    url: setting.value.clone(),
                    services: vec![service],
                    source: setting.source.clone(),
                }),
            }
        }
        for detour in &mut detours {
            if detour.services.len() == SERVICES.len() {
                detour.services.clear();
            }
        }
        for ((variable, key), kind) in [
            (FIPS, "FIPS endpoints"),
            (DUAL_STACK, "dual-stack endpoints"),
        ] {
            if let Some(source) = self.switch(variable, key)? {
                detours.push(Endpoint {
                    url: kind.to_owned(),
                    services: Vec::new(),
                    source,
                });
            }
        }
        Ok(detours)
    }

    /// How calls are retried.
    pub(crate) fn retries(&self) -> Result<RetryConfig> {
        let retries = match self.setting("AWS_RETRY_MODE", "retry_mode") {
            None => RetryConfig::standard(),
            Some(mode) => match mode.value.trim().to_lowercase().as_str() {
                // The SDK has no legacy mode, and what replaced it differs in details only.
                "standard" | "legacy" => RetryConfig::standard(),
                "adaptive" => RetryConfig::adaptive(),
                _ => {
                    return Err(unusable(&mode, "a retry mode").hint("use standard or adaptive"));
                }
            },
        };
        let attempts = match self.setting("AWS_MAX_ATTEMPTS", "max_attempts") {
            None => ATTEMPTS_MAX,
            Some(attempts) => match attempts.value.trim().parse() {
                Ok(number @ 1..) => number,
                _ => {
                    return Err(unusable(&attempts, "a number of attempts")
                        .hint("use a whole number, 1 or more"));
                }
            },
        };
        Ok(retries
            .with_max_attempts(attempts)
            .with_max_backoff(BACKOFF_MAX))
    }

    /// The file of certificate authorities to trust besides the system's.
    pub(crate) fn ca_bundle(&self) -> Option<Setting> {
        let mut bundle = self.setting("AWS_CA_BUNDLE", "ca_bundle")?;
        let path = expanded(&bundle.value, self.environment.get("HOME"));
        bundle.value = path.display().to_string();
        Some(bundle)
    }

    /// The proxies to use.
    pub(crate) fn proxies(&self) -> Result<Proxies> {
        Proxies::of(&self.environment)
    }

    /// Where credentials are looked for, for a line that says what is being waited for.
    pub(crate) fn credentials_source(&self) -> String {
        if self.has_keys() {
            "the environment".to_owned()
        } else {
            format!("profile {}", self.profile())
        }
    }

    fn has_keys(&self) -> bool {
        self.environment.get("AWS_ACCESS_KEY_ID").is_some()
            && self.environment.get("AWS_SECRET_ACCESS_KEY").is_some()
    }

    /// Says of an error about credentials what it means for this configuration.
    pub(crate) fn explain(&self, error: Error) -> Error {
        if !matches!(
            error.kind(),
            ErrorKind::NoCredentials | ErrorKind::ExpiredCredentials
        ) {
            return error;
        }
        let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let profile = self.profile();
        match keys.map(|key| self.environment.get(key).is_some()) {
            [true, true] => return error,
            [false, false] => {}
            [id, _] => {
                let (set, missing) = if id {
                    (keys[0], keys[1])
                } else {
                    (keys[1], keys[0])
                };
                return error
                    .because(format!(
                        "no AWS credentials were found: {set} is set, but {missing} is not"
                    ))
                    .hint(format!("set both, or unset {set} to use profile {profile}"));
            }
        }
        if let Some(command) = self.sign_in() {
            return error
                .because(format!(
                    "profile `{profile}` is not signed in, or its session has expired"
                ))
                .hint(format!("sign in: {command}"));
        }
        let section = self.profiles.get_profile(profile);
        let has = |key: &&str| section.is_some_and(|section| section.get(key).is_some());
        if has(&"credential_process") {
            return error.hint(format!(
                "run the `credential_process` of profile {profile} by hand to see what it needs"
            ));
        }
        // What the SDK says then lists its own parts.
        let nowhere = error
            .why()
            .is_some_and(|why| why.contains("found in chain"));
        if nowhere && !PROVIDERS.iter().any(has) {
            return error.because(format!(
                "no AWS credentials were found: the environment has none, and neither has profile `{profile}` in {}",
                self.described_files()
            ));
        }
        error
    }

    /// The command that renews the profile's session, if it has one.
    fn sign_in(&self) -> Option<String> {
        let mut name = self.profile();
        // A role is assumed with the credentials of another profile. A chain that is longer
        // than there are profiles is a loop.
        for _ in self.profiles.profiles() {
            let profile = self.profiles.get_profile(name)?;
            let option = if name == "default" {
                String::new()
            } else {
                format!(" --profile {name}")
            };
            if profile.get("sso_session").is_some() || profile.get("sso_start_url").is_some() {
                return Some(format!("aws sso login{option}"));
            }
            if profile.get("login_session").is_some() {
                return Some(format!("aws login{option}"));
            }
            name = profile.get("source_profile")?;
        }
        None
    }
}

/// What a profile has that leads to credentials.
const PROVIDERS: [&str; 8] = [
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "login_session",
    "source_profile",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// The variables, and the keys of profiles, that choose other endpoints of AWS's own.
const FIPS: (&str, &str) = ("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
const DUAL_STACK: (&str, &str) = ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");

/// The sections of these files together; why they cannot be parsed, with the line.
async fn parsed(files: &[File], profile: &str) -> std::result::Result<ProfileSet, String> {
    let mut sources = EnvConfigFiles::builder();
    for file in files {
        sources = sources.with_contents(file.kind, file.contents());
    }
    let nothing = Env::from_slice(&[]);
    profile::load(
        &Fs::real(),
        &nothing,
        &sources.build(),
        Some(profile.to_owned().into()),
    )
    .await
    .map_err(|error| {
        let text = root_cause(&error);
        // "error parsing FILE on line N:" and the reason, where FILE is unknown here.
        text.split_once(" on ").map_or(text.clone(), |(_, place)| {
            place.split_whitespace().collect::<Vec<_>>().join(" ")
        })
    })
}

/// The error that a setting has a value which makes no sense.
fn unusable(setting: &Setting, wanted: &str) -> Error {
    Error::new(format!(
        "{} is `{}`, which is not {wanted}",
        setting.source,
        printable(&setting.value)
    ))
    .of_kind(ErrorKind::Configuration)
}

/// Whether this can be a region's name: it becomes a part of host names.
fn is_region(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn check_url(endpoint: &Setting) -> Result<()> {
    let uri: Option<http::Uri> = endpoint.value.parse().ok();
    let usable = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
            && !endpoint.value.contains('#')
    });
    if usable {
        return Ok(());
    }
    Err(unusable(endpoint, "the URL of an endpoint")
        .hint("write it with its scheme and host, for example http://localhost:4566"))
}

#[cfg(test)]
mod tests;
