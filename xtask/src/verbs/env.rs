//! `env`: what a shell or a script needs to work with a stage.

use std::collections::BTreeMap;
use std::path::PathBuf;

use deploy::Target;
use local::StageTools;
use serde_json::Value;

use crate::cli;
use crate::context::Context;
use crate::environment::STAGE_VARIABLE;
use crate::environment::{away_from_the_stage, towards_the_stage};
use crate::error::Result;
use crate::output::{json, line};
use crate::stage_state::{LOCAL_DIR_VARIABLE, StageState};
use crate::terminal::status;
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Env) -> Result<()> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let target = context.connect().await?;
    let environment = StageEnvironment::of(&context, &target).await?;
    if args.json {
        return json(&environment.json());
    }
    environment.shell_lines().iter().try_for_each(line)
}

/// The variables by which an AWS tool, and this one, work with a stage.
#[derive(Debug, Default)]
pub(crate) struct StageEnvironment {
    set: BTreeMap<String, String>,
    unset: Vec<String>,
    /// A folder of commands, to be found before those of `PATH`.
    commands: Option<PathBuf>,
}

impl StageEnvironment {
    /// Credentials are among them only for the local stage, whose keys are void when it ends.
    pub(crate) async fn of(context: &Context, target: &Target) -> Result<Self> {
        let outputs = context.outputs(target).await?;
        let mut environment = Self {
            set: context.variables(&outputs),
            ..Self::default()
        };
        environment.set(STAGE_VARIABLE, &context.app.stage().name);
        environment.set("AWS_REGION", &target.region);
        environment.set("AWS_DEFAULT_REGION", &target.region);
        if let Some(endpoint_url) = &target.endpoint_url {
            environment.set("AWS_ENDPOINT_URL", endpoint_url);
        }
        if let Some(local) = &context.local {
            let tools = context.workspace.target().join("python/stage");
            let tools = StageTools::prepare(&tools, |line| status("Installing", line)).await?;
            environment.commands = Some(tools.commands_dir());
            environment.lead_to(local);
        }
        Ok(environment)
    }

    fn lead_to(&mut self, local: &StageState) {
        self.unset = away_from_the_stage();
        self.set.extend(towards_the_stage());
        if let Some(rekognition_url) = local.rekognition_url() {
            let variable = "AWS_ENDPOINT_URL_REKOGNITION";
            self.set(variable, &rekognition_url);
            self.unset.retain(|name| name != variable);
        }
        if let Some(console_url) = &local.console_url {
            self.set("CONSOLE_URL", console_url);
        }
        self.set("CHAOS_URL", &local.chaos_url);
        self.set("AWS_ACCESS_KEY_ID", &local.access_key_id);
        self.set("AWS_SECRET_ACCESS_KEY", &local.secret_access_key);
        if let Some(directory) = StageState::named_directory() {
            self.set(LOCAL_DIR_VARIABLE, &directory.to_string_lossy());
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.set.insert(name.to_owned(), value.to_owned());
    }

    /// For a command that this program starts.
    pub(crate) fn apply_to(&self, command: &mut tokio::process::Command) {
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(&self.set);
        if let Some(path) = self.path() {
            command.env("PATH", path);
        }
    }

    /// `PATH` with the commands in front; nothing if they are there already.
    fn path(&self) -> Option<std::ffi::OsString> {
        let commands = self.commands.clone()?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path);
        if folders.any(|folder| folder == commands) {
            return None;
        }
        std::env::join_paths(std::iter::once(commands).chain(std::env::split_paths(&path))).ok()
    }

    /// For `eval` in a POSIX shell.
    fn shell_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.unset.is_empty() {
            lines.push(format!("unset {}", self.unset.join(" ")));
        }
        let exports = self.set.iter();
        lines.extend(exports.map(|(name, value)| format!("export {name}={}", quote(value))));
        if let Some(commands) = &self.commands
            && self.path().is_some()
        {
            let commands = quote(&commands.to_string_lossy());
            lines.push(format!("export PATH={commands}:\"$PATH\""));
        }
        lines
    }

    /// An object: text for what is to be set, `null` for what is set now and must not be.
    fn json(&self) -> Value {
        let unset = self
            .unset
            .iter()
            .filter(|name| std::env::var_os(name).is_some())
            .map(|name| (name.clone(), Value::Null));
        let set = self
            .set
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.clone())));
        let path = self
            .path()
            .map(|path| ("PATH".to_owned(), path.to_string_lossy().into()));
        Value::Object(unset.chain(set).chain(path).collect())
    }
}

/// A value as a POSIX shell reads it back.
pub(super) fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_shell() {
        assert_eq!(quote("http://127.0.0.1:8000/"), "http://127.0.0.1:8000/");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }

    #[test]
    fn a_shell_forgets_what_would_lead_it_away() {
        let environment = StageEnvironment {
            set: [("SHOP_URL".to_owned(), "http://127.0.0.1:8000/".to_owned())].into(),
            unset: vec!["AWS_PROFILE".to_owned(), "AWS_SESSION_TOKEN".to_owned()],
            commands: Some("/no one's/commands".into()),
        };
        assert_eq!(
            environment.shell_lines(),
            [
                "unset AWS_PROFILE AWS_SESSION_TOKEN",
                "export SHOP_URL=http://127.0.0.1:8000/",
                r#"export PATH='/no one'\''s/commands':"$PATH""#,
            ]
        );
    }
}
