//! Builds the functions with cargo.

pub(crate) mod recompile;

use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use manifest::Architecture;
use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr};
use tokio::task::JoinHandle;
use xshell::{Cmd, Shell, cmd};

use crate::environment::without_cargo_variables;
use crate::error::{CliError, Result};
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// How functions are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For this machine: the profile that everything else in the workspace uses, so that
    /// dependencies are compiled once. An executable has exactly the code that it can reach.
    Dev,
    /// For the local stage: as `Dev`, but functions take their dependencies from a dynamic library,
    /// [`DYLIB`], so that the linker does not read the AWS SDK after each edit.
    Local,
    /// For AWS: small and quick to start.
    Lambda,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev | Self::Local => "dev",
            Self::Lambda => "lambda",
        }
    }
}

/// The package of the dynamic library with what functions depend on.
pub(crate) const DYLIB: &str = "runtime-dylib";

/// A message of `cargo build --message-format=json`; other kinds have other fields.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    profile: Option<TargetProfile>,
    executable: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    /// Of the message that ends a build.
    success: Option<bool>,
}

impl Message {
    /// A package, and what was made of it to be run or loaded.
    fn product(self) -> Option<(String, PathBuf)> {
        let name = self.target?.name;
        // Cargo calls a library as Rust does.
        if name == DYLIB.replace('-', "_") {
            Some((DYLIB.to_owned(), self.filenames.into_iter().next()?))
        } else {
            Some((name, self.executable?))
        }
    }
}

#[derive(Deserialize)]
struct TargetProfile {
    opt_level: String,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds packages whose binaries have the packages' names; returns the executables, and for the
/// local stage [`DYLIB`].
/// Cargo's own progress goes to standard error. To be called in a tokio runtime.
pub(crate) fn build(
    workspace: &Workspace,
    packages: &[&str],
    profile: Profile,
    architecture: Architecture,
) -> Result<BTreeMap<String, PathBuf>> {
    let messages = messages(workspace, packages, profile, architecture)?;
    executables(messages, packages)
}

/// As [`build`], for this machine, to read the AWS SDK's symbols in the executables:
/// optimization inlines functions of the SDK, and their symbols are gone.
pub(crate) fn build_with_symbols(
    workspace: &Workspace,
    packages: &[&str],
) -> Result<BTreeMap<String, PathBuf>> {
    let messages = messages(workspace, packages, Profile::Dev, Architecture::HOST)?;
    if let Some(optimized) = optimized_sdk_crate(&messages) {
        return Err(CliError::new(format!(
            "could not read the AWS SDK's symbols: the dev profile optimizes {optimized}, and inlined functions have none"
        ))
        .hint("remove the `opt-level` of AWS SDK crates from `[profile.dev.package]` in Cargo.toml"));
    }
    executables(messages, packages)
}

fn optimized_sdk_crate(messages: &[Message]) -> Option<&str> {
    messages.iter().find_map(|message| {
        let name = &message.target.as_ref()?.name;
        let is_optimized = message.profile.as_ref()?.opt_level != "0";
        (name.starts_with("aws_sdk_") && is_optimized).then_some(name.as_str())
    })
}

/// A build beside which something else goes on.
#[derive(Debug)]
pub(crate) struct Aside {
    /// None if it failed.
    pub(crate) executables: Option<BTreeMap<String, PathBuf>>,
    /// The compiler's warnings and errors, in colours.
    pub(crate) diagnostics: String,
}

/// As [`build`], without a word of progress. Dropping the future ends the build.
pub(crate) async fn build_aside(
    workspace: &Workspace,
    packages: &[&str],
    profile: Profile,
    architecture: Architecture,
) -> Result<Aside> {
    let shell = Shell::new()?;
    let command = cargo(&shell, workspace, packages, profile, architecture)?
        .arg("--quiet")
        .env("CARGO_TERM_COLOR", "always");
    let mut running = Running::start(command)?;
    let messages = running.until_finished().await;
    let status = running
        .child
        .wait()
        .await
        .map_err(|error| not_started(&error))?;
    std::mem::forget(running.group);
    let mut diagnostics = running.told.await.unwrap_or_default();
    if let Some(signal) = status.signal() {
        diagnostics.push_str(&format!("error: the build was ended by signal {signal}\n"));
    }
    let executables = status.success().then(|| executables(messages, packages));
    Ok(Aside {
        executables: executables.transpose()?,
        diagnostics,
    })
}

/// One executable of several packages, and what goes with it.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) executables: BTreeMap<String, PathBuf>,
    /// The compiler's commands, and whatever else cargo tells, if it was cargo that has built it.
    pub(crate) told: Option<Told>,
}

/// Builds one of the packages as [`build_aside`] does. None if that fails.
///
/// The dependencies have the features that all packages together choose, so it is the executable that a build of all has.
pub(crate) async fn build_one(
    workspace: &Workspace,
    packages: &[&str],
    only: &str,
    profile: Profile,
    architecture: Architecture,
) -> Result<Option<One>> {
    let shell = Shell::new()?;
    let command = cargo(&shell, workspace, packages, profile, architecture)?
        .args([&format!("--bin={only}"), "-vv"])
        .env("CARGO_TERM_COLOR", "never");
    let mut running = Running::start(command)?;
    let messages = running.until_finished().await;
    if !messages.iter().any(|message| message.success == Some(true)) {
        return Ok(None);
    }
    // Cargo needs 40 ms more to end, for which nobody has to wait.
    std::mem::forget(running.group);
    Ok(Some(One {
        executables: executables(messages, &[only])?,
        told: Some(running.told),
    }))
}

/// A build of what is needed later, beside more urgent work. It prints nothing: whoever builds the same later finds it done,
/// or learns why it cannot be done.
///
/// It stays in this program's process group, so that Ctrl-C ends it as well.
pub(crate) struct Ahead(std::process::Child);

impl Ahead {
    pub(crate) fn start(
        workspace: &Workspace,
        packages: &[&str],
        profile: Profile,
        architecture: Architecture,
    ) -> Result<Self> {
        let shell = Shell::new()?;
        let command = cargo(&shell, workspace, packages, profile, architecture)?;
        let child = std::process::Command::from(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| not_started(&error))?;
        // The compilers that it starts inherit the priority.
        let _ = setpriority_process(Some(Pid::from_child(&child)), LOWEST_PRIORITY);
        Ok(Self(child))
    }

    pub(crate) fn wait(mut self) {
        // Whoever builds the same next learns how it went.
        let _ = self.0.wait();
    }
}

impl Drop for Ahead {
    /// What its compilers have begun comes to an end by itself.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As `nice` counts.
const LOWEST_PRIORITY: i32 = 19;

/// What cargo tells up to its end.
pub(crate) type Told = JoinHandle<String>;

/// Cargo at work. Dropped, it ends.
struct Running {
    child: Child,
    group: Group,
    told: Told,
}

impl Running {
    fn start(command: Cmd<'_>) -> Result<Self> {
        let mut command = tokio::process::Command::from(std::process::Command::from(command));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| not_started(&error))?;
        Ok(Self {
            group: Group::of(&child),
            told: tokio::spawn(all_of(child.stderr.take())),
            child,
        })
    }

    /// What cargo tells for programs, up to the end of the build.
    async fn until_finished(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        let Some(stdout) = self.child.stdout.take() else {
            return messages;
        };
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            messages.extend(parse(&line));
            if messages
                .last()
                .is_some_and(|message| message.success.is_some())
            {
                break;
            }
        }
        messages
    }
}

fn not_started(error: &std::io::Error) -> CliError {
    CliError::new(format!("could not run cargo: {error}"))
}

async fn all_of(stderr: Option<ChildStderr>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stderr) = stderr {
        // What was read is shown, whatever ends it.
        let _ = stderr.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A process and its children. Dropped, they end.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

fn messages(
    workspace: &Workspace,
    packages: &[&str],
    profile: Profile,
    architecture: Architecture,
) -> Result<Vec<Message>> {
    let shell = Shell::new()?;
    let build = cargo(&shell, workspace, packages, profile, architecture)?;
    let messages = build.quiet().read().map_err(|_| {
        CliError::new("the functions could not be built").hint("cargo's messages above say why")
    })?;
    Ok(parse(&messages))
}

fn parse(messages: &str) -> Vec<Message> {
    let lines = messages.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The command that builds.
fn cargo<'a>(
    shell: &'a Shell,
    workspace: &Workspace,
    packages: &[&str],
    profile: Profile,
    architecture: Architecture,
) -> Result<Cmd<'a>> {
    shell.change_dir(workspace.cargo_root());
    if let Some(target) = Workspace::named_target() {
        shell.set_var("CARGO_TARGET_DIR", target);
    }
    if profile == Profile::Lambda {
        let flags = lambda_flags(workspace, architecture).join("\x1f");
        shell.set_var("CARGO_ENCODED_RUSTFLAGS", flags);
    }
    let Toolchain {
        program,
        arguments,
        variables,
    } = match profile {
        Profile::Dev | Profile::Local => Toolchain::host(workspace),
        Profile::Lambda => Toolchain::lambda(workspace, architecture)?,
    };
    let profile_name = profile.name();
    let mut selected: Vec<String> = packages
        .iter()
        .map(|package| format!("--package={package}"))
        .collect();
    if profile == Profile::Local {
        selected.extend(["--package=runtime", "--features=runtime/dylib"].map(String::from));
    }
    // The dev profile has lines only, which is enough for breakpoints and backtraces.
    let debugged = workspace
        .debugged()
        .iter()
        .filter(|_| profile == Profile::Local);
    let settings: Vec<String> = debugged
        .map(|package| format!("--config=profile.dev.package.{package}.debug=\"full\""))
        .collect();
    let build = cmd!(
        shell,
        "{program} {arguments...} {settings...} --profile {profile_name} {selected...} --message-format json-render-diagnostics"
    )
    .envs(variables);
    Ok(without_cargo_variables(build))
}

/// The compiler's flags for functions on AWS.
fn lambda_flags(workspace: &Workspace, architecture: Architecture) -> [String; 3] {
    // Every processor that runs functions has these instructions. Zips are 2 % smaller for it.
    // <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-avx2.html>
    // <https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html>
    let processor = match architecture {
        Architecture::Arm64 => "neoverse-n1",
        Architecture::X86_64 => "haswell",
    };
    // Paths of this machine would make the bytes depend on where the source lies.
    let source = workspace.cargo_root();
    let cargo = workspace.cargo_home();
    [
        format!("-Ctarget-cpu={processor}"),
        format!("--remap-path-prefix={}=/src", source.display()),
        format!("--remap-path-prefix={}=/cargo", cargo.display()),
    ]
}

fn executables(messages: Vec<Message>, packages: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let executables: BTreeMap<String, PathBuf> = messages
        .into_iter()
        .filter_map(Message::product)
        .filter(|(name, _)| name == DYLIB || packages.contains(&name.as_str()))
        .collect();
    match packages
        .iter()
        .find(|package| !executables.contains_key(**package))
    {
        None => Ok(executables),
        Some(missing) => Err(CliError::new(format!(
            "package {missing} has no binary named {missing}"
        ))
        .hint("a function's package, binary and name in the manifest are the same")),
    }
}

/// What an executable was made of, which cargo has written beside it.
pub(crate) fn sources(executable: &Path) -> Vec<PathBuf> {
    let rule = fs::read_to_string(executable.with_extension("d"));
    dependencies(&rule.unwrap_or_default())
}

/// The files after the colon of a rule as make reads it, in which a backslash hides a space.
fn dependencies(rule: &str) -> Vec<PathBuf> {
    let line = rule.lines().next().unwrap_or_default();
    let Some((_, files)) = line.split_once(": ") else {
        return Vec::new();
    };
    let mut names = vec![String::new()];
    let mut characters = files.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, names.last_mut()) {
            ('\\', Some(name)) if characters.peek() == Some(&' ') => {
                name.push(' ');
                characters.next();
            }
            (' ', _) => names.push(String::new()),
            (character, Some(name)) => name.push(character),
            _ => {}
        }
    }
    let names = names.into_iter().filter(|name| !name.is_empty());
    names.map(PathBuf::from).collect()
}

/// Rust's standard library as a dynamic library, which whatever uses [`DYLIB`] takes it from.
pub(crate) fn standard_library(workspace: &Workspace) -> Result<PathBuf> {
    let shell = Shell::new()?;
    shell.change_dir(workspace.cargo_root());
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = without_cargo_variables(cmd!(shell, "{rustc} --print target-libdir"))
        .quiet()
        .read()?;
    let is_std = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{DLL_PREFIX}std-")) && name.ends_with(DLL_SUFFIX)
    };
    let mut files = shell.read_dir(&folder)?.into_iter();
    files.find(is_std).ok_or_else(|| {
        CliError::new(format!(
            "could not find Rust's standard library: {folder} has no {DLL_PREFIX}std-*{DLL_SUFFIX}"
        ))
        .hint("install the toolchain again: rustup toolchain install --force stable")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dynamic_library_is_found_among_what_cargo_built() {
        let messages = parse(concat!(
            r#"{"target": {"name": "runtime_dylib"}, "filenames": ["deps/libruntime_dylib.so"], "executable": null}"#,
            "\n",
            r#"{"target": {"name": "order"}, "filenames": ["order"], "executable": "order"}"#,
            "\n",
            r#"{"target": {"name": "order"}, "filenames": ["liborder.rlib"], "executable": null}"#,
        ));
        let built = executables(messages, &["order"]).unwrap();
        let expected = [("order", "order"), (DYLIB, "deps/libruntime_dylib.so")];
        let expected = expected.map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        assert_eq!(built, BTreeMap::from(expected));
    }

    #[test]
    fn an_optimized_crate_of_the_sdk_is_noticed() {
        let messages = |level: &str| -> Vec<Message> {
            ["serde", "aws_sdk_dynamodb"]
                .map(|name| {
                    let target = format!(r#"{{"name": "{name}"}}"#);
                    let level = if name == "serde" { "3" } else { level };
                    let profile = format!(r#"{{"opt_level": "{level}", "test": false}}"#);
                    serde_json::from_str(&format!(
                        r#"{{"reason": "compiler-artifact", "target": {target}, "profile": {profile}, "executable": null}}"#
                    ))
                    .unwrap()
                })
                .into()
        };
        assert_eq!(optimized_sdk_crate(&messages("0")), None);
        for level in ["1", "s"] {
            let optimized = messages(level);
            assert_eq!(optimized_sdk_crate(&optimized), Some("aws_sdk_dynamodb"));
        }
    }
}
