//! `trace`: what came in, and what it has caused.

use std::time::Duration;

use deploy::ErrorKind;
use local::Listing;
use manifest::{App, Function};
use serde_json::json;
use traces::{Details, Filter, History, Limits, Span, Trace};

use crate::cli;
use crate::context::Context;
use crate::denials::grant_hint;
use crate::error::{CliError, Result};
use crate::log_view::{LoggedLine, invocations};
use crate::output::{self, print, stdout_columns};
use crate::stage_client::StageClient;
use crate::stage_state::StageState;
use crate::table::table;
use crate::terminal::{hint, tell};
use crate::trace_view::{self, Branches, Names};
use crate::verbs::logs::{Line, Logs};
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Trace) -> Result<()> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let filter = filter(&context, args)?;
    let source = match &context.local {
        Some(stage) => Source::Stage(Box::new(StageClient::new()), stage),
        None => Source::Logs(Box::new(history_of_logs(&context, args.since).await?)),
    };
    if context.local.is_none() && !args.json {
        tell(
            "CloudWatch Logs tells of invocations alone. What invoked a function, and what the function called, is \
             known on the local stage.",
        );
    }
    let id = match &args.id {
        Some(id) => Some(id.clone()),
        None if args.last => {
            let newest = source.list(&filter).await?.summaries.into_iter().next();
            let newest = newest.ok_or_else(|| {
                CliError::new("could not find a trace: nothing that came in passes the filters")
                    .hint("`cargo xtask trace` lists all traces")
            });
            Some(newest?.id)
        }
        None => None,
    };
    match id {
        Some(id) => show(&context, &source, &id, args.json).await,
        None => list(&context, &source, &filter, args).await,
    }
}

/// Where traces come from.
enum Source<'a> {
    /// The local stage, which has observed everything.
    Stage(Box<StageClient>, &'a StageState),
    /// The functions' logs.
    Logs(Box<History>),
}

impl Source<'_> {
    fn hint(&self) -> &'static str {
        match self {
            Self::Stage(..) => "`cargo xtask trace` lists the traces",
            Self::Logs(_) => {
                "`cargo xtask trace` lists the traces of the last hour; --since looks further back"
            }
        }
    }

    async fn list(&self, filter: &Filter) -> Result<Listing> {
        match self {
            Self::Stage(client, stage) => client.post(&stage.traces_url, filter).await,
            Self::Logs(history) => Ok(Listing {
                revision: history.revision(),
                dropped: history.dropped(),
                summaries: history.summaries(filter),
            }),
        }
    }

    async fn trace(&self, id: &str) -> Result<Option<Trace>> {
        match self {
            // An identifier has no other characters. What has is none.
            Self::Stage(client, stage) if is_identifier(id) => {
                client.get(&format!("{}/{id}", stage.traces_url)).await
            }
            Self::Stage(..) => Ok(None),
            Self::Logs(history) => Ok(history.trace(id)),
        }
    }
}

/// What the functions' logs tell, from so long ago on.
async fn history_of_logs(context: &Context, since: Duration) -> Result<History> {
    let target = context.connect().await?;
    let mut logs = Logs::of(context.app.functions(), None, since);
    let lines = match logs.read(&target).await {
        Ok(lines) => lines,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Mostly, the whole stack is missing.
            context.outputs(&target).await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    let logged: Vec<LoggedLine<'_>> = lines.iter().map(Line::logged).collect();
    let mut history = History::new(Limits::default());
    for occurrence in invocations(&logged) {
        history.add(occurrence);
    }
    Ok(history)
}

fn is_identifier(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !id.is_empty() && id.bytes().all(allowed)
}

fn filter(context: &Context, args: &cli::Trace) -> Result<Filter> {
    let function = args.function.as_deref();
    let function = function.map(|name| context.function(name)).transpose()?;
    // Logs are known by the names of the manifest.
    let name_of = |function: &Function| match &context.local {
        Some(_) => function.physical_name(),
        None => function.name().to_owned(),
    };
    Ok(Filter {
        function: function.map(name_of),
        kind: args.kind,
        outcome: args.outcome,
        text: args.text.clone(),
    })
}

async fn list(
    context: &Context,
    source: &Source<'_>,
    filter: &Filter,
    args: &cli::Trace,
) -> Result<()> {
    let mut listing = source.list(filter).await?;
    let all = listing.summaries.len();
    listing.summaries.truncate(args.limit);
    if args.json {
        return output::json(&json!({
            "dropped": listing.dropped,
            "traces": listing.summaries,
        }));
    }
    if listing.summaries.is_empty() {
        let nothing = if *filter == Filter::default() {
            "Nothing has come in yet."
        } else {
            "Nothing that came in passes the filters."
        };
        tell(nothing);
        return Ok(());
    }
    table(&trace_view::rows(&listing.summaries, &names(&context.app)))?;
    if all > listing.summaries.len() {
        tell(format_args!(
            "These are the newest {} of {all}: --limit shows more.",
            listing.summaries.len()
        ));
    }
    if listing.dropped > 0 {
        tell(format_args!(
            "The history is full: {} older occurrences have made way.",
            listing.dropped
        ));
    }
    Ok(())
}

async fn show(context: &Context, source: &Source<'_>, id: &str, json: bool) -> Result<()> {
    let Some(trace) = source.trace(id).await? else {
        return Err(CliError::new(format!(
            "could not find trace {id}: the stage's history has nothing with this identifier"
        ))
        .hint(source.hint()));
    };
    if json {
        return output::json(&trace);
    }
    let branches = Branches::of_locale(|name| std::env::var(name).ok());
    let columns = stdout_columns();
    print(trace_view::text(
        &trace,
        &names(&context.app),
        branches,
        columns,
    ))?;
    for line in grants(context, &trace.spans) {
        hint(line);
    }
    Ok(())
}

fn names(app: &App) -> Names {
    Names {
        prefix: format!("{}-", app.stack_name()),
    }
}

/// What to write into the manifest so that denied calls are allowed, each once.
fn grants(context: &Context, spans: &[Span]) -> Vec<String> {
    let mut hints = Vec::new();
    for span in spans {
        let Details::Call(call) = &span.details else {
            continue;
        };
        let (Some(denied), Some(name)) = (&call.denied, &call.function) else {
            continue;
        };
        let mut functions = context.app.functions();
        let Some(function) = functions.find(|function| function.physical_name() == *name) else {
            continue;
        };
        let arn = Some(&*denied.resource).filter(|arn| *arn != "*");
        let line = grant_hint(
            &context.workspace,
            &context.app,
            function,
            &denied.action,
            arn,
        );
        if !hints.contains(&line) {
            hints.push(line);
        }
    }
    hints
}
