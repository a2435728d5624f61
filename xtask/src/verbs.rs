//! One module per verb.

mod bench;
mod ci;
mod completions;
mod delete;
mod deploy;
mod diff;
mod env;
mod gen_policy;
mod generate_event;
mod grants;
mod graph;
mod info;
mod invoke;
mod local;
mod logs;
mod new;
mod openapi;
mod package;
mod redrive;
mod rollback;
mod snapshot;
mod synth;
mod trace;
mod url;
mod verify;
mod wait;
mod watch;

use std::process::ExitCode;

use crate::cli::Verb;
use crate::error::Result;
use crate::workspace::Workspace;

/// Runs a verb; the exit code is that of a command which the verb ran, if it ran one.
pub(crate) async fn run(workspace: &Workspace, verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::New(args) => new::run(workspace, &args).await?,
        Verb::GenerateEvent(args) => generate_event::run(workspace, &args)?,
        Verb::Graph(args) => graph::run(workspace, &args)?,
        Verb::Synth(args) => synth::run(workspace, &args)?,
        Verb::GenPolicy(args) => gen_policy::run(workspace, &args)?,
        Verb::Openapi(args) => return openapi::run(workspace, &args),
        Verb::Package(args) => package::run(workspace, &args)?,
        Verb::Deploy(args) if args.watch => return watch::run(workspace, &args).await,
        Verb::Deploy(args) => deploy::run(workspace, &args).await?,
        Verb::Diff(args) => return diff::run(workspace, &args).await,
        Verb::Rollback(args) => rollback::run(workspace, &args).await?,
        Verb::Delete(args) => delete::run(workspace, &args).await?,
        Verb::Invoke(args) => return invoke::run(workspace, &args).await,
        Verb::Redrive(args) => return redrive::run(workspace, &args).await,
        Verb::Verify(args) => return verify::run(workspace, &args).await,
        Verb::Logs(args) => logs::run(workspace, &args).await?,
        Verb::Url(args) => url::run(workspace, &args).await?,
        Verb::Info(args) => info::run(workspace, &args).await?,
        Verb::Env(args) => env::run(workspace, &args).await?,
        Verb::Local(args) => return local::run(workspace, args).await,
        Verb::Grants(args) => grants::run(workspace, &args).await?,
        Verb::Snapshot(args) => snapshot::run(workspace, &args).await?,
        Verb::Trace(args) => trace::run(workspace, &args).await?,
        Verb::Wait(args) => wait::run(workspace, &args).await?,
        Verb::Bench(args) => bench::run(workspace, &args).await?,
        Verb::Completions(args) => completions::run(workspace, &args)?,
        Verb::Ci(args) => ci::run(workspace, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}
