//! `local`: the whole app on this machine.

use std::convert::Infallible;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anstream::eprintln;
use anstyle::{AnsiColor, Style};
use deploy::{LogQuery, LogTail, Outputs, Target};
use local::{
    ApiId, Emulator, EmulatorConfig, FIRST_RUN_BYTES, FrontDoor, RekognitionConfig,
    RekognitionServer, StageTools, check_free_space, check_ports,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli;
use crate::context::{API_URL, Context, LOCAL, Workspace};
use crate::error::{AboutFile, CliError, Result};
use crate::package::{self, Packaged};
use crate::stage_state::StageState;
use crate::terminal::{BOLD, DIM, show_requests, status};
use crate::verbs::{deploy::deploy, env, logs::time_of_day};

/// The emulator's account.
const ACCOUNT_ID: &str = "000000000000";

/// What a start needs when everything is built: functions' zips, uploads, logs.
const WARM_RUN_BYTES: u64 = 500_000_000;

/// How often the stack is asked for its HTTP API.
const API_INTERVAL: Duration = Duration::from_secs(1);

/// How often the functions' logs are read.
const LOG_INTERVAL: Duration = Duration::from_millis(250);

pub(crate) async fn run(args: cli::Local) -> Result<ExitCode> {
    let workspace = Workspace::new();
    let asked_to_stop = stop_signal()?;
    let serving = args.command.is_empty();
    // Dropping the stage, by whatever way this function ends, ends all it has started.
    let ended = tokio::select! {
        ended = stage(&workspace, args) => ended,
        () = asked_to_stop => {
            status("Stopped", "the local stage");
            Ok(ExitCode::from(if serving { 0 } else { 130 }))
        }
    };
    StageState::remove(&workspace);
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
    let state = StageState {
        process_id: std::process::id(),
        api_port: args.port,
        aws_port: args.aws_port,
        rekognition_port: args
            .aws_port
            .checked_add(1)
            .ok_or_else(|| CliError::misuse("--aws-port must be below 65535"))?,
    };
    let context = Context {
        workspace: workspace.clone(),
        app: workspace.app(LOCAL)?,
        local: Some(state.clone()),
    };
    let directory = StageState::directory(workspace);
    std::fs::create_dir_all(&directory).about("create", &directory)?;
    check_ports(&[
        ("the HTTP API, --port", state.api_port),
        ("the AWS endpoint, --aws-port", state.aws_port),
        (
            "Rekognition, the port after --aws-port",
            state.rekognition_port,
        ),
    ])?;
    let first_run = !workspace.target().join("package").join(LOCAL).exists();
    check_free_space(
        &directory,
        if first_run {
            FIRST_RUN_BYTES
        } else {
            WARM_RUN_BYTES
        },
    )?;
    if first_run {
        status(
            "Preparing",
            "the first run compiles the AWS SDK and installs the emulator: some minutes",
        );
    }

    let region = context
        .app
        .stage()
        .region
        .clone()
        .unwrap_or_else(|| "us-east-1".to_owned());
    let emulator = async {
        let tools = StageTools::prepare(&workspace.target().join("python/stage"), |line| {
            status("Installing", line);
        })
        .await?;
        let emulator = Emulator::start(EmulatorConfig {
            python: &tools.python(),
            dir: &directory,
            port: state.aws_port,
            rekognition_port: state.rekognition_port,
            region: &region,
            account_id: ACCOUNT_ID,
            chaos: None,
        })
        .await?;
        Ok::<_, CliError>((tools, emulator))
    };
    let ((tools, mut emulator), packaged) = tokio::try_join!(emulator, package_aside(&context))?;
    let program = packaged
        .rekognition
        .clone()
        .ok_or_else(|| CliError::new("the local Rekognition was not built"))?;
    let mut rekognition = RekognitionServer::start(RekognitionConfig {
        program: &program,
        model: &tools.classifier_model()?,
        detector: &tools.detector_model()?,
        dir: &directory,
        port: state.rekognition_port,
        emulator_endpoint: emulator.endpoint(),
        region: &region,
    })
    .await?;
    let front_door = FrontDoor::start(state.api_port, emulator.endpoint()).await?;

    let target = context.connect().await?;
    let (_, outputs) = deploy(&context, &target, packaged, true).await?;
    let api_id = api_id(&context, &outputs)
        .ok_or_else(|| CliError::new("the deployed stack has no HTTP API"))?;
    front_door.set_api(api_id);
    state.write(workspace)?;

    let command = args.command.split_first();
    let done = async {
        let Some((program, arguments)) = command else {
            announce(&context, started.elapsed());
            show_requests();
            return Err(follow_logs(&context, &target).await);
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            std::iter::once(tools.bin_dir()).chain(std::env::split_paths(&path)),
        )
        .map_err(CliError::new)?;
        let ended = tokio::process::Command::new(program)
            .args(arguments)
            .envs(env::variables(&context, &target).await?)
            .env("PATH", path)
            .env("XTASK_STAGE", LOCAL)
            .kill_on_drop(true)
            .status()
            .await
            .map_err(|error| CliError::new(format!("could not run {program}: {error}")))?;
        Ok(exit_code(ended))
    };
    let ended = tokio::select! {
        ended = done => ended,
        never = follow_api(&front_door, &context, &target) => match never {},
        error = emulator.ended() => Err(error.into()),
        error = rekognition.ended() => Err(error.into()),
    };
    front_door.shutdown().await;
    rekognition.shutdown().await;
    emulator.shutdown().await;
    ended
}

/// Builds and packages while the emulator starts.
async fn package_aside(context: &Context) -> Result<Packaged> {
    let workspace = context.workspace.clone();
    let app = context.app.clone();
    tokio::task::spawn_blocking(move || package::package(&workspace, &app))
        .await
        .map_err(|error| CliError::new(format!("the build was interrupted: {error}")))?
}

/// The id of the deployed HTTP API: the first label of its host name,
/// `https://ID.execute-api.REGION.amazonaws.com`.
fn api_id(context: &Context, outputs: &Outputs) -> Option<ApiId> {
    let names = context.app.env_outputs();
    let (output, _) = names.iter().find(|(_, variable)| *variable == API_URL)?;
    let host = outputs.get(output)?.split_once("://")?.1;
    Some(ApiId::from(host.split_once('.')?.0.to_owned()))
}

/// Keeps the front door's API that of the stack: deleting and deploying in another terminal
/// makes a new one.
async fn follow_api(front_door: &FrontDoor, context: &Context, target: &Target) -> Infallible {
    let stack = context.app.stack_name();
    loop {
        tokio::time::sleep(API_INTERVAL).await;
        if let Ok(Some(outputs)) = target.outputs(&stack).await
            && let Some(id) = api_id(context, &outputs)
        {
            front_door.set_api(id);
        }
    }
}

fn announce(context: &Context, took: Duration) {
    let Some(state) = &context.local else { return };
    status("Ready", format!("in {:.1} s", took.as_secs_f64()));
    eprintln!();
    eprintln!("  {BOLD}HTTP API{BOLD:#}      {}", state.api_url());
    eprintln!("  {BOLD}AWS endpoint{BOLD:#}  {}", state.endpoint_url());
    eprintln!("  {BOLD}Rekognition{BOLD:#}   {}", state.rekognition_url());
    eprintln!();
    eprintln!("  In another terminal:");
    eprintln!("    eval \"$(cargo xtask env --stage local)\"");
    eprintln!("    aws s3 cp assets/sample.jpg s3://$MEDIA_BUCKET_NAME");
    eprintln!("    curl $API_URL");
    eprintln!();
    eprintln!("  Ctrl-C stops it. The functions' logs follow.");
    eprintln!();
}

/// Prints what the functions log; returns only when that fails.
async fn follow_logs(context: &Context, target: &Target) -> CliError {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Magenta,
        AnsiColor::Yellow,
        AnsiColor::Green,
        AnsiColor::Blue,
        AnsiColor::Red,
    ];
    let mut tails: Vec<(&str, Style, LogTail)> = context
        .app
        .functions()
        .zip(COLOURS.iter().cycle())
        .map(|(function, colour)| {
            let query = LogQuery {
                group: function.log_group(),
                pattern: None,
                since: Duration::ZERO,
            };
            (function.name(), colour.on_default(), LogTail::new(query))
        })
        .collect();
    loop {
        for (function, style, tail) in &mut tails {
            match tail.read(target).await {
                Ok(lines) => {
                    for line in lines {
                        eprintln!(
                            "{DIM}{}{DIM:#} {style}{function}{style:#} {}",
                            time_of_day(line.timestamp_ms),
                            line.message
                        );
                    }
                }
                // Deleted from another terminal: there is nothing to follow until it is deployed again.
                Err(error) if error.kind() == deploy::Kind::NotFound => {}
                Err(error) => return error.into(),
            }
        }
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
