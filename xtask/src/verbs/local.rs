//! `local`: the whole app on this machine.

mod console;
mod debugger;
mod ports;
mod watcher;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::console::{ConsoleHost, Shown};
use self::watcher::Watcher;
use deploy::Target;
use local::{ApiId, Keeping, LocalStage, LocalStageConfig, Port, Seed};
use manifest::{App, Function};
use stage_console::AppModel;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::LevelFilter;

use super::watch::{Told, ToldEndpoint};
use crate::cli::{self, Approval};
use crate::context::{Context, function_of, title};
use crate::denials::Denials;
use crate::environment::{library_path, set_by_cargo};
use crate::error::{CliError, Result};
use crate::examples;
use crate::kept::States;
use crate::package::{self, Packaged};
use crate::progress::Show;
use crate::stage_state::StageState;
use crate::terminal::{BOLD, show_parts, status, tell, warn};
use crate::values::LocalValues;
use crate::verbs::{
    ci::Packages,
    deploy::{Way, deploy},
    env::StageEnvironment,
    logs::follow_logs,
};
use crate::workspace::{LOCAL, Workspace};

pub(crate) async fn run(workspace: &Workspace, args: cli::Local) -> Result<ExitCode> {
    let mut signals = StopSignals::listen()?;
    // Dropping the stage, by whatever way this function ends, ends all it has started.
    let ended = stage(workspace, args, &mut signals).await;
    StageState::remove(workspace);
    ended
}

/// Ctrl-C, and the polite signals by which terminals and supervisors end a process.
struct StopSignals([Signal; 3]);

impl StopSignals {
    fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| CliError::new(format!("could not listen for signals: {error}")))
        };
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Resolves at the next of them.
    async fn next(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

/// Tells that the stage was stopped. A command that it was started for has not ended.
fn stopped(args: &cli::Local) -> ExitCode {
    status("Stopped", "the local stage");
    ExitCode::from(if args.command.is_empty() { 0 } else { 130 })
}

async fn stage(
    workspace: &Workspace,
    args: cli::Local,
    signals: &mut StopSignals,
) -> Result<ExitCode> {
    let started = Instant::now();
    show_parts(if args.command.is_empty() {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    });
    let app = workspace.app(LOCAL)?;
    let debugged = args.debug.as_deref();
    let debugged = debugged.map(|name| function_of(&app, name)).transpose()?;
    let workspace = &debugged_workspace(workspace, debugged)?;
    let debugged = debugged.map(|function| (function.name().to_owned(), function.physical_name()));
    let values = LocalValues::of(workspace, &app)?;
    let apis = app.endpoints().map(|endpoint| title(&endpoint));
    let ports = ports::of(&args, package::uses_rekognition(&app), apis)?;
    let shown = match &ports.console {
        None => None,
        Some(port) => Some(Shown::at(port.number)?),
    };
    let directory = StageState::directory(workspace);
    let _lock = StageState::lock(&directory)?;
    let region = app.stage().region.clone();
    let stack = app.stack_name();
    let (from, into) = states(workspace, &args)?;
    let config = LocalStageConfig {
        ports,
        dir: &directory,
        tools_dir: &workspace.target().join("python/stage"),
        region: region.as_deref().unwrap_or("us-east-1"),
        is_first_run: !workspace.target().join("package").join(LOCAL).exists(),
        seed: args.chaos.map(|seed| seed.unwrap_or_else(Seed::random)),
        debugged: debugged.as_ref().map(|(_, physical)| physical.as_str()),
        keeping: Keeping {
            stack: &stack,
            from: from.as_deref(),
            into: into.as_deref(),
        },
    };
    let told = Told::of(&app);
    let (changes, model) = watch::channel(Arc::new(told.app));
    let app = WorkspaceApp {
        workspace,
        endpoints: Mutex::new(told.endpoints),
        model: changes,
        app,
        values,
        first_api_port: args.port,
        console_url: shown.as_ref().map(Shown::url),
    };
    let (mut stage, deployed) = tokio::select! {
        started = LocalStage::start(config, &app) => started.map_err(|error| match &from {
            Some(from) if from.exists() => error.note(format!(
                "the stage was to begin with the data in {}, which stays as it is",
                from.display()
            )),
            _ => error,
        })?,
        () = signals.next() => return Ok(stopped(&args)),
    };
    let Deployed {
        context,
        state,
        target,
        program,
    } = &deployed;
    let console = match shown {
        None => None,
        Some(shown) => {
            let host = ConsoleHost::of(&deployed, &stage, model);
            Some(shown.start(host, target, &directory).await?)
        }
    };
    state.write(workspace)?;
    let watcher = match program {
        Some(program) if args.watches() => Some(Watcher::new(
            program,
            args.command.is_empty(),
            workspace.debugged(),
        )),
        _ => None,
    };

    let mut denials = Denials::of(state, Duration::ZERO);
    let makes_faults = stage.faults().figures().on;
    let done = async {
        if args.command.is_empty() {
            announce(
                context,
                state,
                started.elapsed(),
                makes_faults,
                watcher.is_some(),
            );
            if watcher.is_some() {
                return std::future::pending().await;
            }
            return Err(follow_logs(context, target, &mut denials, Duration::ZERO).await);
        }
        let ended = run_command(&args.command, context, target).await;
        if let Err(error) = denials.tell(context, context.app.functions()).await {
            error.report();
        }
        ended
    };
    let watched = async {
        match &watcher {
            Some(watcher) => watcher.run(|told| app.learn(told)).await,
            None => std::future::pending().await,
        }
    };
    let debugging = stage.debugging();
    let waiting = async {
        match &debugged {
            Some((function, _)) => debugger::tell_of_waiting(&debugging, function, workspace).await,
            None => std::future::pending().await,
        }
    };
    let ended: Result<Option<ExitCode>> = tokio::select! {
        ended = done => ended.map(Some),
        never = waiting => match never {},
        never = watched => match never {},
        error = stage.ended(&app, &deployed) => Err(error.into()),
        () = signals.next() => Ok(None),
    };
    let kept = match (&ended, &into) {
        (Ok(_), Some(into)) => keep(&mut stage, into, signals).await,
        _ => Ok(()),
    };
    if let Some(console) = console {
        console.shutdown().await;
    }
    if let Some(figures) = stage.shutdown().await {
        tell(figures);
    }
    let ended = ended?.unwrap_or_else(|| stopped(&args));
    kept.map(|()| ended)
}

/// The folder with the data to begin with, and the one to keep it in.
fn states(workspace: &Workspace, args: &cli::Local) -> Result<(Option<PathBuf>, Option<PathBuf>)> {
    let states = States::of(workspace);
    let kept = args.keep.then(|| states.kept());
    let from = match &args.snapshot {
        None => kept.clone(),
        Some(name) => {
            states.read(name)?;
            Some(states.folder(name))
        }
    };
    Ok((from, kept))
}

/// Keeps the data as it is at the end. Who asks again for the end does not want to wait.
async fn keep(stage: &mut LocalStage, into: &Path, signals: &mut StopSignals) -> Result<()> {
    tokio::select! {
        kept = stage.keep_last() => {
            kept.map_err(|error| {
                let what = "what changed in the last seconds is lost";
                CliError::new(error).hint(format!("free some space on the disk; {what}"))
            })?;
            status("Kept", format!("the stage's data in {}", into.display()));
        }
        () = signals.next() => warn("what changed in the last seconds is not kept"),
    }
    Ok(())
}

/// The workspace, of which a debugged function and the app's libraries that it consists of are
/// built for a debugger. The framework's crates are not: every function would be built anew.
fn debugged_workspace(workspace: &Workspace, debugged: Option<&Function>) -> Result<Workspace> {
    let Some(function) = debugged else {
        return Ok(workspace.clone());
    };
    let packages = Packages::of(workspace)?;
    let libraries = workspace.root().join("functions");
    let packages = packages.with_dependencies(function.name(), &libraries);
    Ok(workspace.debugging(packages.into_iter().map(str::to_owned).collect()))
}

/// The app of this workspace, as the stage builds and deploys it.
struct WorkspaceApp<'a> {
    workspace: &'a Workspace,
    app: App,
    values: LocalValues,
    first_api_port: u16,
    /// Its HTTP APIs: at first those of `app`, later those of a newer program.
    endpoints: Mutex<Vec<ToldEndpoint>>,
    /// The app that the console shows: at first `app`, later that of a newer program.
    model: watch::Sender<Arc<AppModel>>,
    console_url: Option<String>,
}

/// The app on the stage.
struct Deployed {
    context: Context,
    state: StageState,
    target: Target,
    /// This program, as it was built with the functions.
    program: Option<PathBuf>,
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
            local::StageProgress::Opened(Port { purpose, number }) => {
                status("Serving", format!("{purpose}: http://127.0.0.1:{number}/"));
            }
            local::StageProgress::NotOpened(error) => warn(error),
            local::StageProgress::Restoring(state) => {
                status("Restoring", format!("the data of {:.0}", state.taken_at));
            }
            local::StageProgress::Keeping(Err(error)) => warn(error),
            local::StageProgress::Keeping(Ok(())) => status("Keeping", "the stage's data again"),
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
        let context = Context::new(self.workspace, self.app.clone(), Some(state.clone()));
        let target = context.connect().await?;
        let program = packaged.program.clone();
        let packages = packaged.functions.clone();
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
        package::remove_old_binaries(&packages)?;
        Ok(Deployed {
            context,
            state,
            target,
            program,
        })
    }

    async fn apis(&self, deployed: &Deployed) -> Result<Vec<local::Api>> {
        let stack = self.app.stack_name();
        let outputs = deploy::outputs(&deployed.target, &stack).await?;
        let outputs = outputs.unwrap_or_default();
        let endpoints = self.endpoints().clone().into_iter().enumerate();
        let api = |(index, endpoint): (usize, ToldEndpoint)| local::Api {
            id: outputs
                .get(&endpoint.url_output)
                .and_then(|url| api_id(url)),
            port: local::Port {
                number: deployed.state.api_port(index),
                purpose: endpoint.title,
            },
        };
        Ok(endpoints.map(api).collect())
    }
}

impl WorkspaceApp<'_> {
    fn endpoints(&self) -> MutexGuard<'_, Vec<ToldEndpoint>> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over which APIs a newer program has deployed.
    fn learn(&self, told: Told) {
        *self.endpoints() = told.endpoints;
        self.model.send_replace(Arc::new(told.app));
    }

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
            traces_url: stage.traces_url(),
            logged_url: stage.logged_url(),
            invoked_url: stage.invoked_url(),
            snapshot_url: stage.snapshot_url(),
            console_url: self.console_url.clone(),
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

fn announce(
    context: &Context,
    state: &StageState,
    took: Duration,
    makes_faults: bool,
    watches: bool,
) {
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
    if let Some(url) = &state.console_url {
        tell(format_args!("  {BOLD}Console{BOLD:#}       {url}"));
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
    if makes_faults {
        tell("    curl $CHAOS_URL");
    }
    tell("");
    if watches {
        tell("  A saved change of the source is built and reloaded.");
    }
    tell("  Ctrl-C stops the stage. The functions' logs follow.");
    tell("");
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
