//! `new`: what a function, or an app, begins as.

mod app;
mod declaration;
mod function;
mod package;
mod written;

use crate::cli;
use crate::error::Result;
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::New) -> Result<()> {
    match &args.what {
        cli::NewThing::App(args) => app::run(workspace, args).await,
        cli::NewThing::Function(args) => function::run(workspace, args).await,
    }
}
