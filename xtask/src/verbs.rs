//! One module per verb.

mod bench;
mod ci;
mod completions;
mod delete;
mod deploy;
mod diff;
mod env;
mod gen_policy;
mod grants;
mod info;
mod invoke;
mod local;
mod logs;
mod package;
mod redrive;
mod rollback;
mod synth;
mod url;
mod verify;
mod wait;

use std::process::ExitCode;

use crate::cli::Verb;
use crate::error::Result;

/// Runs a verb; the exit code is that of a command which the verb ran, if it ran one.
pub(crate) async fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Synth(args) => synth::run(&args)?,
        Verb::GenPolicy(args) => gen_policy::run(&args)?,
        Verb::Package(args) => package::run(&args)?,
        Verb::Deploy(args) => deploy::run(&args).await?,
        Verb::Diff(args) => return diff::run(&args).await,
        Verb::Rollback(args) => rollback::run(&args).await?,
        Verb::Delete(args) => delete::run(&args).await?,
        Verb::Invoke(args) => return invoke::run(&args).await,
        Verb::Redrive(args) => return redrive::run(&args).await,
        Verb::Verify(args) => return verify::run(&args).await,
        Verb::Logs(args) => logs::run(&args).await?,
        Verb::Url(args) => url::run(&args).await?,
        Verb::Info(args) => info::run(&args).await?,
        Verb::Env(args) => env::run(&args).await?,
        Verb::Local(args) => return local::run(args).await,
        Verb::Grants(args) => grants::run(&args).await?,
        Verb::Wait(args) => wait::run(&args).await?,
        Verb::Bench(args) => bench::run(&args).await?,
        Verb::Completions(args) => completions::run(&args)?,
        Verb::Ci(args) => ci::run(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}
