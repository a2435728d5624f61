//! `invoke`: runs a function once.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use crate::cli;
use crate::context::Context;
use crate::error::{AboutFile, CliError, Result};
use crate::terminal::{DIM, RED, line, tell};

pub(crate) async fn run(args: &cli::Invoke) -> Result<ExitCode> {
    let context = Context::load(&args.stage)?;
    let function = context.function(&args.function)?;
    let payload = payload(args)?;
    let target = context.connect().await?;
    let invocation = target.invoke(&function.invocation_name(), payload).await?;
    if args.logs {
        for logged in invocation.log_tail.lines() {
            tell(format_args!("{DIM}{logged}{DIM:#}"));
        }
    }
    match invocation.result {
        Ok(answer) => {
            line(answer)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tell(format_args!(
                "{RED}{}{RED:#}: {}",
                error.error_type, error.error_message
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn payload(args: &cli::Invoke) -> Result<Vec<u8>> {
    let payload = match &args.payload {
        Some(file) => std::fs::read(file).about("read", file)?,
        None if std::io::stdin().is_terminal() => {
            return Err(
                CliError::misuse("there is no event to invoke the function with")
                    .hint("name a file with --payload, or write the event to standard input"),
            );
        }
        None => {
            let mut input = Vec::new();
            std::io::stdin().read_to_end(&mut input).map_err(|error| {
                CliError::new(format!("could not read standard input: {error}"))
            })?;
            input
        }
    };
    serde_json::from_slice::<serde::de::IgnoredAny>(&payload)
        .map_err(|error| CliError::misuse(format!("the event is not JSON: {error}")))?;
    Ok(payload)
}
