//! From the command line to what a command works with: the workspace, the resolved app,
//! and where its stage lives.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

use deploy::{Connection, Endpoint, Kind, Outputs, Settings, Target};
use manifest::{App, Function, Removal, Stage, Stages};

use crate::cli::StageArgs;
use crate::error::{AboutFile, CliError, Result};
use crate::stage_state::StageState;
use crate::terminal::{status, status_aside};

/// The stage that runs on this machine.
pub(crate) const LOCAL: &str = "local";

/// The variable that names the stage where `--stage` does not.
pub(crate) const STAGE_VARIABLE: &str = "XTASK_STAGE";

/// How `infra/stages.yaml` declares it, on one line.
const LOCAL_STAGE: &str = r#"`local: {endpoint_url: "http://127.0.0.1:4566", region: us-east-1, account: "000000000000", architecture: host}`"#;

/// This cargo workspace.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub(crate) fn new() -> Self {
        // Cargo sets the variable for `cargo run`; a binary started by hand knows where it
        // was built.
        let manifest_dir = std::env::var("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&manifest_dir)
            .ancestors()
            .nth(1)
            .unwrap_or(Path::new("."))
            .to_owned();
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where everything that is built or downloaded goes.
    pub(crate) fn target(&self) -> PathBuf {
        Self::named_target().unwrap_or_else(|| self.root.join("target"))
    }

    /// The target directory that the environment names, as an absolute path. A cargo that is
    /// started in another folder needs it in this form, or takes a relative one for another.
    pub(crate) fn named_target() -> Option<PathBuf> {
        target_named_by(|name| std::env::var_os(name)).and_then(|path| absolute(path).ok())
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo(&self) -> String {
        std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
    }

    /// Where cargo keeps the sources of dependencies.
    pub(crate) fn cargo_home(&self) -> PathBuf {
        std::env::var_os("CARGO_HOME").map_or_else(
            || std::env::home_dir().unwrap_or_default().join(".cargo"),
            PathBuf::from,
        )
    }

    /// The stages of `infra/stages.yaml`.
    pub(crate) fn stages(&self) -> Result<Stages> {
        let path = self.root.join("infra/stages.yaml");
        let text = std::fs::read_to_string(&path).about("read", &path)?;
        Stages::parse(&text).map_err(|error| CliError::new(format!("infra/{error}")))
    }

    /// A stage of `infra/stages.yaml`.
    pub(crate) fn stage(&self, name: &str) -> Result<Stage> {
        self.stages()?.get(name).map_err(|error| {
            let is_misspelt = error.meant().is_some();
            let error = CliError::misuse(error);
            match name {
                _ if is_misspelt => error,
                LOCAL => error.hint(format_args!("add to infra/stages.yaml: {LOCAL_STAGE}")),
                _ => error.hint(format_args!(
                    "add to infra/stages.yaml a line `{name}:`, or `{name}:` with settings below it"
                )),
            }
        })
    }

    /// The app, resolved for a stage.
    pub(crate) fn app(&self, stage: &str) -> Result<App> {
        Self::resolve(&self.stage(stage)?)
    }

    /// The app as it is declared, for what no stage decides.
    pub(crate) fn declared_app() -> Result<App> {
        Self::resolve(&Stage::with_defaults(LOCAL))
    }

    fn resolve(stage: &Stage) -> Result<App> {
        app::app().resolve(stage).map_err(|violations| {
            let list: Vec<String> = violations
                .iter()
                .map(|violation| format!("\n  - {violation}"))
                .collect();
            CliError::new(format!(
                "the manifest cannot be deployed to stage {}:{}",
                stage.name,
                list.concat()
            ))
            .hint("the app is declared in infra/app/src/lib.rs, its stages in infra/stages.yaml")
        })
    }
}

/// The target directory by the first variable that cargo heeds. Cargo takes no empty one.
fn target_named_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"]
        .into_iter()
        .filter_map(variable)
        .find(|directory| !directory.is_empty())
        .map(PathBuf::from)
}

/// A stage, and where it lives.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) workspace: Workspace,
    pub(crate) app: App,
    /// Set for the local stage.
    pub(crate) local: Option<StageState>,
}

impl Context {
    /// Resolves the stage that the command line names. The local stage must be running.
    pub(crate) fn load(stage: &StageArgs) -> Result<Self> {
        let workspace = Workspace::new();
        let app = workspace.app(&stage.stage)?;
        let local = (stage.stage == LOCAL)
            .then(|| StageState::of_running(&workspace))
            .transpose()?;
        Ok(Self {
            workspace,
            app,
            local,
        })
    }

    /// Connects to the stage's account. Says which it is where that is not plain AWS.
    pub(crate) async fn connect(&self) -> Result<Target> {
        let connection =
            Connection::find(&self.settings(), |what| status_aside("Waiting", what)).await?;
        if self.local.is_some() {
            return Ok(connection.connect().await.map_err(not_the_local_stage)?);
        }
        self.refuse_shell_of_local_stage(connection.detours())?;
        let target = connection.connect().await?;
        for detour in &target.detours {
            status(
                "Endpoint",
                format!("{detour} of account {} ({})", target.account, detour.source),
            );
        }
        Ok(target)
    }

    /// Refuses to take the local stage for AWS, to which its variables would lead.
    fn refuse_shell_of_local_stage(&self, detours: &[Endpoint]) -> Result<()> {
        let of_shell = |detour: &&Endpoint| {
            detour.source.starts_with("AWS_ENDPOINT_URL") && is_on_this_machine(&detour.url)
        };
        let Some(detour) = detours.iter().find(of_shell) else {
            return Ok(());
        };
        // The variable outlives the stage that it is of.
        let set_by_env = std::env::var(STAGE_VARIABLE).is_ok_and(|stage| stage == LOCAL);
        let running = StageState::of_running(&self.workspace)
            .is_ok_and(|running| port(&detour.url).is_some_and(|port| port == running.aws_port));
        if !set_by_env && !running {
            return Ok(());
        }
        let stage = &self.app.stage().name;
        Err(CliError::misuse(format!(
            "this shell points at the local stage, not at AWS: {} is {}, so stage {stage} would be looked for there",
            detour.source, detour.url
        ))
        .hint(format!(
            "open another shell for stage {stage}, or use --stage local"
        )))
    }

    fn settings(&self) -> Settings {
        let stage = self.app.stage();
        let settings = Settings {
            region: stage.region.clone(),
            endpoint_url: stage.endpoint_url.clone(),
            account: stage.account.clone(),
            static_credentials: None,
        };
        match &self.local {
            None => settings,
            Some(local) => Settings {
                endpoint_url: Some(local.endpoint_url()),
                static_credentials: Some((
                    local.access_key_id.clone(),
                    local.secret_access_key.clone(),
                )),
                ..settings
            },
        }
    }

    /// Whether buckets and tables outlive the stack.
    pub(crate) fn retains_data(&self) -> bool {
        self.app.stage().removal == Removal::Retain
    }

    /// The function of this name.
    pub(crate) fn function(&self, name: &str) -> Result<&Function> {
        self.app
            .functions()
            .find(|function| function.name() == name)
            .ok_or_else(|| {
                let names: Vec<&str> = self.app.functions().map(Function::name).collect();
                let error = CliError::misuse(format!("there is no function `{name}`"));
                // The name that `info` and AWS's console show ends in the manifest's.
                let physical = names.iter().copied().filter(|own| {
                    let stack = name.strip_suffix(own);
                    stack.is_some_and(|stack| stack.ends_with('-'))
                });
                let meant = physical
                    .max_by_key(|own| own.len())
                    .or_else(|| manifest::nearest(name, names.iter().copied()));
                match meant {
                    Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                    None => error.hint(format!("the functions are: {}", names.join(", "))),
                }
            })
    }

    /// The app's environment variables: what functions see, and the URLs of its HTTP APIs.
    pub(crate) fn variables(&self, outputs: &Outputs) -> BTreeMap<String, String> {
        let mut variables: BTreeMap<String, String> = self
            .app
            .env_outputs()
            .into_iter()
            .filter_map(|(output, variable)| Some((variable, outputs.get(&output)?.clone())))
            .collect();
        if let Some(local) = &self.local {
            for (index, api) in self.app.http_apis().enumerate() {
                variables.insert(api.variable, local.api_url(index));
            }
        }
        variables
    }

    /// The outputs of the deployed stack.
    pub(crate) async fn outputs(&self, target: &Target) -> Result<Outputs> {
        let stack = self.app.stack_name();
        target
            .outputs(&stack)
            .await?
            .ok_or_else(|| self.not_deployed(target))
    }

    /// The error that nothing is deployed.
    pub(crate) fn not_deployed(&self, target: &Target) -> CliError {
        let stage = &self.app.stage().name;
        let stack = self.app.stack_name();
        let deploy = format!("cargo xtask deploy --stage {stage}");
        let detour = target.detours.iter().find(|detour| detour.is_url());
        match (&self.local, detour) {
            (None, Some(detour)) => CliError::new(format!(
                "stage {stage} is not deployed at {}: there is no stack {stack}",
                detour.url
            ))
            .hint(format!(
                "{} leads there instead of to AWS; to deploy there: {deploy}",
                detour.source
            )),
            _ => CliError::new(format!(
                "stage {stage} is not deployed: there is no stack {stack}"
            ))
            .hint(format!("deploy it: {deploy}")),
        }
    }
}

/// Something that answers where the local stage was, or nothing, is the end of the stage.
fn not_the_local_stage(error: deploy::Error) -> deploy::Error {
    match error.kind() {
        Kind::NotAws | Kind::Unreachable => {
            error.hint("the local stage is not running there: start it with `cargo xtask local`")
        }
        _ => error,
    }
}

fn is_on_this_machine(url: &str) -> bool {
    let uri: Option<hyper::Uri> = url.parse().ok();
    uri.is_some_and(|uri| {
        matches!(
            uri.host(),
            Some("localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0")
        ) || uri.host().is_some_and(|host| host.ends_with(".localhost"))
    })
}

fn port(url: &str) -> Option<u16> {
    url.parse::<hyper::Uri>().ok()?.port_u16()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_directory_is_the_one_that_cargo_takes() {
        let named = |cargo: Option<&str>, config: Option<&str>| {
            target_named_by(|name| match name {
                "CARGO_TARGET_DIR" => cargo.map(OsString::from),
                _ => config.map(OsString::from),
            })
        };
        assert_eq!(named(None, None), None);
        assert_eq!(named(Some("a"), Some("b")), Some("a".into()));
        assert_eq!(named(None, Some("b")), Some("b".into()));
        assert_eq!(named(Some(""), None), None);
    }

    #[test]
    fn the_hint_for_the_local_stage_declares_it() {
        let yaml = LOCAL_STAGE.trim_matches('`');
        let local = Stages::parse(yaml).unwrap().get(LOCAL).unwrap();
        app::app().resolve(&local).unwrap();
        assert!(local.endpoint_url.is_some());
    }
}
