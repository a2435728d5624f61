//! `local`: the whole app on this machine.

mod ports;

use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use deploy::Target;
use local::{ApiId, LocalStage, LocalStageConfig, Seed};
use manifest::{App, Endpoint};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{self, Approval};
use crate::context::Context;
use crate::denials::Denials;
use crate::environment::{library_path, set_by_cargo};
use crate::error::{CliError, Result};
use crate::examples;
use crate::package::{self, Packaged};
use crate::progress::Show;
use crate::stage_state::StageState;
use crate::terminal::{BOLD, show_parts, status, tell};
use crate::values::LocalValues;
use crate::verbs::{
    deploy::{Way, deploy},
    env::StageEnvironment,
    logs::Logs,
};
use crate::workspace::{LOCAL, Workspace};

/// How often the functions' logs are read.
const LOG_INTERVAL: Duration = Duration::from_millis(250);

pub(crate) async fn run(workspace: &Workspace, args: cli::Local) -> Result<ExitCode> {
    let asked_to_stop = stop_signal()?;
    let serving = args.command.is_empty();
    // Dropping the stage, by whatever way this function ends, ends all it has started.
    let ended = tokio::select! {
        ended = stage(workspace, args) => ended,
        () = asked_to_stop => {
            status("Stopped", "the local stage");
            Ok(ExitCode::from(if serving { 0 } else { 130 }))
        }
    };
    StageState::remove(workspace);
    ended
}

/// Resolves on Ctrl-C, and on the polite signals by which terminals and supervisors end a process.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| CliError::new(format!("could not listen for signals: {error}")))
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

async fn stage(workspace: &Workspace, args: cli::Local) -> Result<ExitCode> {
    let started = Instant::now();
    show_parts(if args.command.is_empty() {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    });
    let app = workspace.app(LOCAL)?;
    let values = LocalValues::of(workspace, &app)?;
    let apis = app.endpoints().map(|endpoint| title(&endpoint));
    let ports = ports::of(&args, package::uses_rekognition(&app), apis)?;
    let directory = StageState::directory(workspace);
    let _lock = StageState::lock(&directory)?;
    let region = app.stage().region.clone();
    let config = LocalStageConfig {
        ports,
        dir: &directory,
        tools_dir: &workspace.target().join("python/stage"),
        region: region.as_deref().unwrap_or("us-east-1"),
        is_first_run: !workspace.target().join("package").join(LOCAL).exists(),
        seed: args.chaos.map(|seed| seed.unwrap_or_else(Seed::random)),
    };
    let app = WorkspaceApp {
        workspace,
        app,
        values,
        first_api_port: args.port,
    };
    let (mut stage, deployed) = LocalStage::start(config, &app).await?;
    let Deployed {
        context,
        state,
        target,
    } = &deployed;
    state.write(workspace)?;

    let mut denials = Denials::of(state, Duration::ZERO);
    let done = async {
        if args.command.is_empty() {
            announce(context, state, started.elapsed());
            return Err(follow_logs(context, target, &mut denials).await);
        }
        let ended = run_command(&args.command, context, target).await;
        if let Err(error) = denials.tell(context, context.app.functions()).await {
            error.report();
        }
        ended
    };
    let ended = tokio::select! {
        ended = done => ended,
        error = stage.ended(&app, &deployed) => Err(error.into()),
    };
    if let Some(figures) = stage.shutdown().await {
        tell(figures);
    }
    ended
}

/// The app of this workspace, as the stage builds and deploys it.
struct WorkspaceApp<'a> {
    workspace: &'a Workspace,
    app: App,
    values: LocalValues,
    first_api_port: u16,
}

/// The app on the stage.
struct Deployed {
    context: Context,
    state: StageState,
    target: Target,
}

impl local::StagedApp for WorkspaceApp<'_> {
    type Built = Packaged;
    type Deployed = Deployed;
    type Error = CliError;

    fn tell(&self, progress: local::StageProgress<'_>) {
        match progress {
            local::StageProgress::FirstRun => status(
                "Preparing",
                "the first run compiles the AWS SDK and installs the emulator: some minutes",
            ),
            local::StageProgress::Installing(what) => status("Installing", what),
        }
    }

    async fn build(&self) -> Result<Packaged> {
        let (workspace, app) = (self.workspace.clone(), self.app.clone());
        tokio::task::spawn_blocking(move || package::package(&workspace, &app))
            .await
            .map_err(|error| CliError::new(format!("the build was interrupted: {error}")))?
    }

    fn rekognition_program(&self, packaged: &Packaged) -> Result<PathBuf> {
        let program = packaged.rekognition.clone();
        program.ok_or_else(|| CliError::new("the local Rekognition was not built"))
    }

    async fn deploy(&self, packaged: Packaged, stage: &LocalStage) -> Result<Deployed> {
        let state = self.state(stage);
        let context = Context {
            workspace: self.workspace.clone(),
            app: self.app.clone(),
            local: Some(state.clone()),
        };
        let target = context.connect().await?;
        self.values.store(&target).await?;
        let show = Show::new("deploying");
        let deployed = deploy(
            &context,
            &target,
            packaged,
            &show,
            Approval::Never,
            Way::default(),
        )
        .await;
        show.finish();
        deployed?;
        Ok(Deployed {
            context,
            state,
            target,
        })
    }

    async fn apis(&self, deployed: &Deployed) -> Result<Vec<Option<ApiId>>> {
        let stack = self.app.stack_name();
        let outputs = deploy::outputs(&deployed.target, &stack).await?;
        let outputs = outputs.unwrap_or_default();
        let urls = self.app.endpoints().map(|api| outputs.get(&api.url_output));
        Ok(urls.map(|url| api_id(url?)).collect())
    }
}

impl WorkspaceApp<'_> {
    /// What other commands must know of the stage.
    fn state(&self, stage: &LocalStage) -> StageState {
        let (ports, keys) = (stage.ports(), stage.keys());
        StageState {
            process_id: std::process::id(),
            first_api_port: self.first_api_port,
            aws_port: ports.aws.number,
            rekognition_port: ports.rekognition.as_ref().map(|port| port.number),
            access_key_id: keys.access_key_id.clone(),
            secret_access_key: keys.secret_access_key.clone(),
            quiet_url: stage.quiet_url(),
            decisions_url: stage.decisions_url(),
            chaos_url: stage.chaos_url(),
        }
    }
}

/// Runs a command with the caller's environment, less what is not meant for it, and with the
/// stage's names.
async fn run_command(command: &[String], context: &Context, target: &Target) -> Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).kill_on_drop(true);
    for name in set_by_cargo() {
        command.env_remove(name);
    }
    match library_path(&context.workspace) {
        Some((name, Some(callers))) => command.env(name, callers),
        Some((name, None)) => command.env_remove(name),
        None => &mut command,
    };
    let environment = StageEnvironment::of(context, target).await?;
    environment.apply_to(&mut command);
    match command.status().await {
        Ok(ended) => Ok(exit_code(ended)),
        Err(error) => {
            // As a shell has it: 126 for what cannot be run, 127 for what is not there.
            let found = error.kind() != std::io::ErrorKind::NotFound;
            CliError::new(format!("could not run {program}: {error}")).report();
            Ok(ExitCode::from(if found { 126 } else { 127 }))
        }
    }
}

/// The id of a deployed HTTP API or function URL: the first label of its host name,
/// `https://ID.execute-api.REGION.amazonaws.com` or `https://ID.lambda-url.REGION.on.aws`.
fn api_id(url: &str) -> Option<ApiId> {
    let (id, rest) = url.split_once("://")?.1.split_once('.')?;
    let id = id.to_owned();
    Some(if rest.starts_with("lambda-url.") {
        ApiId::FunctionUrl(id)
    } else {
        ApiId::HttpApi(id)
    })
}

/// What an endpoint is called: `shop API`, `hook URL`.
fn title(endpoint: &Endpoint) -> String {
    let kind = endpoint.noun.rsplit(' ').next().unwrap_or_default();
    format!("{} {kind}", endpoint.name)
}

fn announce(context: &Context, state: &StageState, took: Duration) {
    status("Ready", format!("in {:.1} s", took.as_secs_f64()));
    tell("");
    for (index, api) in context.app.endpoints().enumerate() {
        let title = title(&api);
        tell(format_args!(
            "  {BOLD}{title:<12}{BOLD:#}  {}",
            state.api_url(index)
        ));
    }
    tell(format_args!(
        "  {BOLD}AWS endpoint{BOLD:#}  {}",
        state.endpoint_url()
    ));
    if let Some(url) = state.rekognition_url() {
        tell(format_args!("  {BOLD}Rekognition{BOLD:#}   {url}"));
    }
    tell("");
    tell("  In another terminal:");
    tell("    eval \"$(cargo xtask env --stage local)\"");
    let file = examples::sample_file(&context.workspace);
    let upload = examples::upload(Some(&context.app), &file);
    tell(format_args!("    {upload}"));
    tell("    cargo xtask wait");
    for api in context.app.endpoints().take(1) {
        tell(format_args!("    curl ${}", api.variable));
    }
    if state.chaos_url.is_some() {
        tell("    curl $CHAOS_URL");
    }
    tell("");
    tell("  Ctrl-C stops the stage. The functions' logs follow.");
    tell("");
}

/// Prints what the functions log; returns only when that fails. Deleted from another terminal,
/// there is nothing to follow until the stage is deployed again.
async fn follow_logs(context: &Context, target: &Target, denials: &mut Denials) -> CliError {
    let mut logs = Logs::of(context.app.functions(), None, Duration::ZERO);
    loop {
        match logs.read(target).await {
            Ok(lines) => lines.iter().for_each(|line| tell(line.text())),
            Err(error) if error.kind() == deploy::ErrorKind::NotFound => {}
            Err(error) => return error.into(),
        }
        // What one look misses, the next one sees.
        let _ = denials.tell(context, context.app.functions()).await;
        tokio::time::sleep(LOG_INTERVAL).await;
    }
}

/// A command's exit code, or what shells report for one that a signal ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| Some(128 + status.signal()?))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
