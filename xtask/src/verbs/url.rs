//! `url`: where the HTTP API answers.

use crate::cli::StageArgs;
use crate::context::{API_URL, Context};
use crate::error::{CliError, Result};

pub(crate) async fn run(args: &StageArgs) -> Result<()> {
    let context = Context::load(args)?;
    let target = context.connect().await?;
    let outputs = context.outputs(&target).await?;
    let url = context.variables(&outputs).remove(API_URL).ok_or_else(|| {
        CliError::new(format!(
            "stack {} has no HTTP API",
            context.app.stack_name()
        ))
    })?;
    println!("{url}");
    Ok(())
}
