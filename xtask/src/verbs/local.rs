//! `local`: the whole app on this machine.

use std::convert::Infallible;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use deploy::{Outputs, Target};
use local::{
    ApiId, Chaos, ChaosConfig, Emulator, EmulatorConfig, FIRST_RUN_BYTES, FrontDoor, QuietServer,
    RekognitionConfig, RekognitionServer, Seed, StageTools, StreamPoller, StreamPollerConfig,
    check_free_space, check_ports,
};
use manifest::{App, HttpApi};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{self, Approval};
use crate::context::Context;
use crate::denials::Denials;
use crate::environment::{library_path, set_by_cargo};
use crate::error::{CliError, Result};
use crate::package::{self, Packaged};
use crate::progress::Show;
use crate::stage_state::StageState;
use crate::terminal::{BOLD, show_parts, status, tell};
use crate::verbs::{
    deploy::{Way, deploy},
    env::StageEnvironment,
    logs::Logs,
};
use crate::workspace::{LOCAL, Workspace};

/// The emulator's account.
const ACCOUNT_ID: &str = "000000000000";

/// What a start needs when everything is built: functions' zips, uploads, logs.
const WARM_RUN_BYTES: u64 = 500_000_000;

/// How often the stack is asked for its HTTP API.
const API_INTERVAL: Duration = Duration::from_secs(1);

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
    let ports = Ports::of(&args, app.http_apis())?;
    let directory = StageState::directory(workspace);
    let _lock = StageState::lock(&directory)?;
    check_ports(&ports.0)?;
    prepare(workspace, &directory)?;

    let (aws_port, rekognition_port) = (args.aws_port, args.aws_port.saturating_add(1));
    let chaos = match args.chaos {
        None => None,
        Some(seed) => {
            let config = ChaosConfig {
                seed: seed.unwrap_or_else(Seed::random),
                port: 0,
                emulator_port: aws_port,
                rekognition_port,
            };
            Some(Chaos::start(config).await?)
        }
    };
    let region = app.stage().region.clone();
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    let emulator = async {
        let tools = StageTools::prepare(&workspace.target().join("python/stage"), |line| {
            status("Installing", line);
        })
        .await?;
        let emulator = Emulator::start(EmulatorConfig {
            python: &tools.python(),
            dir: &directory,
            port: aws_port,
            rekognition_port,
            region: &region,
            account_id: ACCOUNT_ID,
            chaos: chaos.as_ref(),
        })
        .await?;
        Ok::<_, CliError>((tools, emulator))
    };
    let ((tools, mut emulator), packaged) =
        tokio::try_join!(emulator, package_aside(workspace, &app))?;
    let program = packaged
        .rekognition
        .clone()
        .ok_or_else(|| CliError::new("the local Rekognition was not built"))?;
    let keys = emulator.keys();
    let mut rekognition = RekognitionServer::start(RekognitionConfig {
        program: &program,
        model: &tools.classifier_model()?,
        detector: &tools.detector_model()?,
        dir: &directory,
        port: rekognition_port,
        emulator_endpoint: emulator.endpoint(),
        keys,
        region: &region,
    })
    .await?;
    let poller = StreamPoller::start(StreamPollerConfig {
        endpoint: emulator.endpoint(),
        keys,
        region: &region,
        chaos: chaos.as_ref(),
    });
    let quiet = QuietServer::start(&emulator, rekognition_port, &poller).await?;
    let state = StageState {
        process_id: std::process::id(),
        first_api_port: args.port,
        aws_port,
        rekognition_port,
        access_key_id: keys.access_key_id.clone(),
        secret_access_key: keys.secret_access_key.clone(),
        quiet_url: quiet.url(),
        decisions_url: quiet.decisions_url(),
        chaos_url: chaos.as_ref().map(Chaos::url),
    };
    let context = Context {
        workspace: workspace.clone(),
        app,
        local: Some(state.clone()),
    };
    let front_doors = FrontDoors::open(&context, &state, &emulator).await?;

    let target = context.connect().await?;
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
    let (_, outputs) = deployed?;
    front_doors.lead_to(&outputs);
    state.write(workspace)?;

    let mut denials = Denials::of(&state, Duration::ZERO);
    let done = async {
        if args.command.is_empty() {
            announce(&context, started.elapsed());
            return Err(follow_logs(&context, &target, &mut denials).await);
        }
        let ended = run_command(&args.command, &context, &target).await;
        if let Err(error) = denials.tell(&context, context.app.functions()).await {
            error.report();
        }
        ended
    };
    let ended = tokio::select! {
        ended = done => ended,
        never = front_doors.follow(&context, &target) => match never {},
        error = emulator.ended() => Err(error.into()),
        error = rekognition.ended() => Err(error.into()),
    };
    quiet.shutdown().await;
    poller.shutdown().await;
    front_doors.close().await;
    rekognition.shutdown().await;
    emulator.shutdown().await;
    if let Some(chaos) = chaos {
        tell(chaos.figures());
        chaos.shutdown().await;
    }
    ended
}

/// The ports of a stage, each with what listens there.
#[derive(Debug, PartialEq, Eq)]
struct Ports(Vec<(String, u16)>);

impl Ports {
    /// Refuses what cannot be: a port after the last one, or one for two things.
    fn of(args: &cli::Local, apis: impl Iterator<Item = HttpApi>) -> Result<Self> {
        let mut asked = vec![
            ("the AWS endpoint, --aws-port".to_owned(), args.aws_port, 0),
            (
                "Rekognition, the port after --aws-port".to_owned(),
                args.aws_port,
                1,
            ),
        ];
        asked.extend(apis.zip(0..).map(|(api, place)| {
            let option = if place == 0 {
                "--port"
            } else {
                "a port after --port"
            };
            (format!("the {} API, {option}", api.name), args.port, place)
        }));
        let mut ports: Vec<(String, u16)> = Vec::new();
        for (purpose, first, place) in asked {
            let Some(port) = first.checked_add(place) else {
                return Err(CliError::misuse(format!(
                    "there is no port for {purpose}: {first} is given, and 65535 is the last"
                ))
                .hint("choose lower ports with --port and --aws-port"));
            };
            if let Some((other, _)) = ports.iter().find(|(_, taken)| *taken == port) {
                return Err(CliError::misuse(format!(
                    "port {port} is asked for twice: for {other}, and for {purpose}"
                ))
                .hint("choose other ports with --port and --aws-port"));
            }
            ports.push((purpose, port));
        }
        Ok(Self(ports))
    }
}

/// Sees whether there is room, and says what a first run has to do.
fn prepare(workspace: &Workspace, directory: &Path) -> Result<()> {
    let first_run = !workspace.target().join("package").join(LOCAL).exists();
    let needed_bytes = if first_run {
        FIRST_RUN_BYTES
    } else {
        WARM_RUN_BYTES
    };
    check_free_space(directory, needed_bytes)?;
    if first_run {
        status(
            "Preparing",
            "the first run compiles the AWS SDK and installs the emulator: some minutes",
        );
    }
    Ok(())
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

/// Builds and packages while the emulator starts.
async fn package_aside(workspace: &Workspace, app: &App) -> Result<Packaged> {
    let (workspace, app) = (workspace.clone(), app.clone());
    tokio::task::spawn_blocking(move || package::package(&workspace, &app))
        .await
        .map_err(|error| CliError::new(format!("the build was interrupted: {error}")))?
}

/// A door for each HTTP API of the app, in the order of their declaration.
struct FrontDoors(Vec<(HttpApi, FrontDoor)>);

impl FrontDoors {
    async fn open(context: &Context, state: &StageState, emulator: &Emulator) -> Result<Self> {
        let mut doors = Vec::new();
        for (index, api) in context.app.http_apis().enumerate() {
            let port = state.api_port(index);
            let door = FrontDoor::start(port, emulator.endpoint(), emulator.keys());
            doors.push((api, door.await?));
        }
        Ok(Self(doors))
    }

    /// Points each door at its API in the deployed stack.
    fn lead_to(&self, outputs: &Outputs) {
        for (api, door) in &self.0 {
            if let Some(id) = outputs.get(&api.url_output).and_then(|url| api_id(url)) {
                door.set_api(id);
            }
        }
    }

    /// Keeps the doors' APIs those of the stack: deleting and deploying in another terminal
    /// makes new ones.
    async fn follow(&self, context: &Context, target: &Target) -> Infallible {
        let stack = context.app.stack_name();
        loop {
            tokio::time::sleep(API_INTERVAL).await;
            if let Ok(Some(outputs)) = deploy::outputs(target, &stack).await {
                self.lead_to(&outputs);
            }
        }
    }

    async fn close(self) {
        for (_, door) in self.0 {
            door.shutdown().await;
        }
    }
}

/// The id of a deployed HTTP API: the first label of its host name,
/// `https://ID.execute-api.REGION.amazonaws.com`.
fn api_id(url: &str) -> Option<ApiId> {
    let host = url.split_once("://")?.1;
    Some(ApiId::from(host.split_once('.')?.0.to_owned()))
}

fn announce(context: &Context, took: Duration) {
    let Some(state) = &context.local else { return };
    status("Ready", format!("in {:.1} s", took.as_secs_f64()));
    tell("");
    for (index, api) in context.app.http_apis().enumerate() {
        let title = format!("{} API", api.name);
        tell(format_args!(
            "  {BOLD}{title:<12}{BOLD:#}  {}",
            state.api_url(index)
        ));
    }
    tell(format_args!(
        "  {BOLD}AWS endpoint{BOLD:#}  {}",
        state.endpoint_url()
    ));
    tell(format_args!(
        "  {BOLD}Rekognition{BOLD:#}   {}",
        state.rekognition_url()
    ));
    tell("");
    tell("  In another terminal:");
    tell("    eval \"$(cargo xtask env --stage local)\"");
    tell("    aws s3 cp assets/sample.jpg s3://$MEDIA_BUCKET_NAME");
    tell("    cargo xtask wait");
    tell("    curl $API_URL");
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Verb};
    use crate::testing;

    fn ports(arguments: &[&str]) -> Result<Ports> {
        let cli = Cli::parse_from([&["cargo xtask", "local"], arguments].concat());
        let Verb::Local(args) = cli.verb else {
            unreachable!("it was asked for");
        };
        let app = testing::workspace().declared_app().unwrap();
        Ports::of(&args, app.http_apis())
    }

    #[test]
    fn each_thing_has_a_port_of_its_own() {
        let ports = ports(&["--port", "9000", "--aws-port", "9002"]).unwrap().0;
        let numbers: Vec<u16> = ports.iter().map(|(_, port)| *port).collect();
        assert_eq!(numbers, [9002, 9003, 9000, 9001]);
    }

    #[test]
    fn ports_that_cannot_be_are_refused_by_name() {
        for (port, aws_port, expected) in [
            ("65535", "4566", "there is no port for the stock API"),
            ("8000", "65535", "there is no port for Rekognition"),
            (
                "4566",
                "4566",
                "port 4566 is asked for twice: for the AWS endpoint, --aws-port, and for the shop API",
            ),
            (
                "4567",
                "4566",
                "port 4567 is asked for twice: for Rekognition",
            ),
            (
                "4565",
                "4566",
                "port 4566 is asked for twice: for the AWS endpoint, --aws-port, and for the stock API",
            ),
        ] {
            let error = ports(&["--port", port, "--aws-port", aws_port]).unwrap_err();
            let error = format!("{error:?}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
