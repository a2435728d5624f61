//! What a command works with: the app, resolved for a stage, and where the stage lives.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use deploy::{Connection, Endpoint, ErrorKind, Outputs, Settings, Target};
use manifest::{App, DeployedSchedule, Function, Removal};

use crate::environment::STAGE_VARIABLE;
use crate::error::{CliError, Result};
use crate::stage_state::StageState;
use crate::terminal::{status, status_aside};
use crate::workspace::{LOCAL, Workspace};

/// A stage, and where it lives.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) workspace: Workspace,
    pub(crate) app: App,
    /// Set for the local stage.
    pub(crate) local: Option<StageState>,
    template: OnceLock<String>,
}

impl Context {
    pub(crate) fn new(workspace: &Workspace, app: App, local: Option<StageState>) -> Self {
        Self {
            workspace: workspace.clone(),
            app,
            local,
            template: OnceLock::new(),
        }
    }

    /// Resolves a stage. The local stage must be running.
    pub(crate) fn load(workspace: &Workspace, stage: &str) -> Result<Self> {
        let app = workspace.app(stage)?;
        let local = (stage == LOCAL)
            .then(|| StageState::of_running(workspace))
            .transpose()?;
        Ok(Self::new(workspace, app, local))
    }

    /// The stack's template. It is written once: who watches needs it for each change.
    pub(crate) fn template(&self) -> &str {
        self.template.get_or_init(|| self.app.synth().template)
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
        function_of(&self.app, name)
    }

    /// The schedule of this name.
    pub(crate) fn schedule(&self, name: &str) -> Result<DeployedSchedule> {
        let found = self.app.schedules().find(|schedule| schedule.name == name);
        found.ok_or_else(|| {
            let names: Vec<String> = self.app.schedules().map(|schedule| schedule.name).collect();
            let error = CliError::misuse(format!("the app declares no schedule `{name}`"));
            match manifest::nearest(name, names.iter().map(String::as_str)) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None if names.is_empty() => {
                    error.hint("declare one by `app.schedule(…)` in infra/app/src/lib.rs")
                }
                None => error.hint(format!("name one of: {}", names.join(", "))),
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
            for (index, api) in self.app.endpoints().enumerate() {
                variables.insert(api.variable, local.api_url(index));
            }
        }
        variables
    }

    /// The outputs of the deployed stack.
    pub(crate) async fn outputs(&self, target: &Target) -> Result<Outputs> {
        let stack = self.app.stack_name();
        deploy::outputs(target, &stack)
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

/// What an endpoint is called: `shop API`, `hook URL`.
pub(crate) fn title(endpoint: &manifest::Endpoint) -> String {
    let kind = endpoint.noun.rsplit(' ').next().unwrap_or_default();
    format!("{} {kind}", endpoint.name)
}

/// The function of an app of this name.
pub(crate) fn function_of<'a>(app: &'a App, name: &str) -> Result<&'a Function> {
    app.functions()
        .find(|function| function.name() == name)
        .ok_or_else(|| {
            let names: Vec<&str> = app.functions().map(Function::name).collect();
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

/// Something that answers where the local stage was, or nothing, is the end of the stage.
fn not_the_local_stage(error: deploy::Error) -> deploy::Error {
    match error.kind() {
        ErrorKind::NotAws | ErrorKind::Unreachable => {
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
