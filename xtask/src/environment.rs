//! The environment: what this program takes from its own, and what it gives to the commands that
//! it starts and, by `env`, to a shell.
//!
//! Two things that the caller's environment holds are not meant for them: what cargo set for this
//! program alone, and what would lead an AWS tool away from the local stage.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::CliError;
use crate::workspace::Workspace;

/// The variable that names the stage where `--stage` does not.
pub(crate) const STAGE_VARIABLE: &str = "XTASK_STAGE";

/// Settings of AWS's tools that overrule, or contradict, an endpoint and a key in the environment
/// ("Settings reference" in the AWS SDKs and Tools Reference Guide). Those of single services,
/// [`SERVICE_ENDPOINT`], come on top.
const AWAY_FROM_THE_STAGE: [&str; 16] = [
    "AWS_CA_BUNDLE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// What the variables begin with that give a service an endpoint of its own.
const SERVICE_ENDPOINT: &str = "AWS_ENDPOINT_URL_";

const PROXIES: [&str; 6] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
];

/// The hosts by which the local stage is reached.
const THIS_MACHINE: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

/// The variables that must go for an AWS tool to find the local stage: all that may be there, and
/// those of single services that are.
pub(crate) fn away_from_the_stage() -> Vec<String> {
    let of_services = env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(SERVICE_ENDPOINT));
    let mut names: Vec<String> = AWAY_FROM_THE_STAGE
        .into_iter()
        .map(str::to_owned)
        .chain(of_services)
        .collect();
    names.sort();
    names
}

/// What lets an AWS tool find the local stage whatever the caller has configured: no profile, no
/// proxy. Endpoint and keys come on top.
pub(crate) fn towards_the_stage() -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    // A profile may name endpoints, FIPS, or what this shell's AWS CLI does not understand.
    for file in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        variables.insert(file.to_owned(), "/dev/null".to_owned());
    }
    if PROXIES.iter().any(|name| is_set(name)) {
        let spared = spared_by_proxies(|name| env::var(name).ok());
        for name in ["NO_PROXY", "no_proxy"] {
            variables.insert(name.to_owned(), spared.clone());
        }
    }
    variables
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// What proxies are not asked for, and this machine besides.
fn spared_by_proxies(variable: impl Fn(&str) -> Option<String>) -> String {
    let value = variable("no_proxy").or_else(|| variable("NO_PROXY"));
    let value = value.unwrap_or_default();
    let mut hosts: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .collect();
    if hosts.contains(&"*") {
        return "*".to_owned();
    }
    for host in THIS_MACHINE {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts.join(",")
}

/// Whether `cargo run` has set a variable for this program, to which it says nothing about any
/// other ("Environment variables Cargo sets for crates" in the Cargo Book). Cargo runs a build
/// script again when a variable has changed that it watches, and `ring`'s watches these: a nested
/// cargo would compile it, and all that depends on it, at every turn.
fn is_set_by_cargo(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || [
            "CARGO",
            "CARGO_BIN_NAME",
            "CARGO_CRATE_NAME",
            "CARGO_PRIMARY_PACKAGE",
            "OUT_DIR",
        ]
        .contains(&name)
}

/// The variables that `cargo run` has set for this program.
pub(crate) fn set_by_cargo() -> impl Iterator<Item = String> {
    env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| is_set_by_cargo(name))
}

/// A command without the variables that `cargo run` has set for this program.
pub(crate) fn without_cargo_variables(command: xshell::Cmd<'_>) -> xshell::Cmd<'_> {
    set_by_cargo().fold(command, xshell::Cmd::env_remove)
}

/// The variable that names folders with libraries, without those that `cargo run` has put in front;
/// nothing where it has not put any.
pub(crate) fn library_path(workspace: &Workspace) -> Option<(&'static str, Option<OsString>)> {
    let name = if cfg!(target_os = "macos") {
        "DYLD_FALLBACK_LIBRARY_PATH"
    } else {
        "LD_LIBRARY_PATH"
    };
    let value = env::var_os(name)?;
    let toolchains = env::var_os("RUSTUP_HOME").map_or_else(
        || env::home_dir().unwrap_or_default().join(".rustup"),
        PathBuf::from,
    );
    let callers = without_folders_below(&value, &[&workspace.target(), &toolchains]);
    (callers.as_ref() != Some(&value)).then_some((name, callers))
}

/// What is left of a list of folders; nothing if it was all below these.
fn without_folders_below(list: &OsStr, folders: &[&Path]) -> Option<OsString> {
    let left: Vec<PathBuf> = env::split_paths(list)
        .filter(|path| !folders.iter().any(|folder| path.starts_with(folder)))
        .collect();
    if left.is_empty() {
        return None;
    }
    env::join_paths(left).ok()
}

/// Whose variables count as not set when they are empty.
fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let beginnings = ["AWS_", "SSL_CERT_", "XTASK_"];
    beginnings.iter().any(|ours| name.starts_with(ours)) || name.ends_with("_PROXY")
}

/// Starts this program again, in the same process, without variables of AWS's and its own that
/// are set and empty.
///
/// AWS's tools take such a variable for one that is not set. The AWS SDK takes it at its word,
/// and looks for an endpoint without a name. A program cannot unset a variable of its own
/// without unsafe code.
///
/// # Errors
/// When it cannot be started again.
pub(crate) fn drop_empty_variables() -> Result<(), CliError> {
    let empty: Vec<OsString> = env::vars_os()
        .filter(|(name, value)| {
            name.to_str().is_some_and(is_ours) && value.to_string_lossy().trim().is_empty()
        })
        .map(|(name, _)| name)
        .collect();
    if empty.is_empty() {
        return Ok(());
    }
    let program = env::current_exe()
        .map_err(|error| CliError::new(format!("could not find this program: {error}")))?;
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1));
    for variable in empty {
        command.env_remove(variable);
    }
    Err(CliError::new(format!(
        "could not start again without empty variables: {}",
        command.exec()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_spare_this_machine_and_what_they_spared_before() {
        let spared = |lower: Option<&str>, upper: Option<&str>| {
            spared_by_proxies(|name| match name {
                "no_proxy" => lower.map(str::to_owned),
                "NO_PROXY" => upper.map(str::to_owned),
                _ => None,
            })
        };
        assert_eq!(spared(None, None), "127.0.0.1,localhost,::1");
        assert_eq!(
            spared(None, Some("corp.example, localhost")),
            "corp.example,localhost,127.0.0.1,::1"
        );
        assert_eq!(spared(Some("a"), Some("b")), "a,127.0.0.1,localhost,::1");
        assert_eq!(spared(Some("*"), None), "*");
    }

    #[test]
    fn variables_of_cargo_are_told_from_the_callers() {
        for name in [
            "CARGO",
            "CARGO_PKG_NAME",
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
        ] {
            assert!(is_set_by_cargo(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_TERM_COLOR",
            "CARGO_NET_OFFLINE",
            "PATH",
        ] {
            assert!(!is_set_by_cargo(name), "{name}");
        }
    }

    #[test]
    fn the_callers_library_path_is_kept() {
        let ours = [
            Path::new("/home/ann/app/target"),
            Path::new("/home/ann/.rustup"),
        ];
        let left = |list: &str| without_folders_below(OsStr::new(list), &ours);
        assert_eq!(
            left("/home/ann/app/target/debug/deps:/home/ann/.rustup/toolchains/stable/lib"),
            None
        );
        assert_eq!(
            left("/home/ann/app/target/debug/deps:/opt/lib:/usr/local/lib"),
            Some("/opt/lib:/usr/local/lib".into())
        );
    }
}
