//! What the console reads of the stage, and what it changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use deploy::Target;
use local::{Decision, FaultSwitch, Inspection, LocalStage, Traces};
use serde::Deserialize;
use serde_json::Value;
use stage_console::{
    AppModel, Console, ConsoleConfig, Host, QueuedMessage, RedriveWish, Redriven, SampleEvent,
    Secrets, Told,
};
use tokio::process::Command;
use tokio::sync::{Mutex, watch};

use super::Deployed;
use crate::error::{CliError, Result};
use crate::stage_state::StageState;
use crate::workspace::{LOCAL, Workspace};

/// How often open pages look at the stage at least: not everything that changes is an occurrence.
const INTERVAL: Duration = Duration::from_secs(2);

/// A console that is not started yet.
pub(super) struct Shown {
    port: u16,
    secrets: Secrets,
}

impl Shown {
    pub(super) fn at(port: u16) -> Result<Self> {
        let secrets = Secrets::random().map_err(|error| {
            CliError::new(format!(
                "could not get random numbers from the operating system: {error}"
            ))
        })?;
        Ok(Self { port, secrets })
    }

    /// Its address, with the key.
    pub(super) fn url(&self) -> String {
        self.secrets.url(self.port)
    }

    pub(super) async fn start(
        self,
        host: ConsoleHost,
        target: &Target,
        directory: &Path,
    ) -> Result<Console> {
        let config = ConsoleConfig {
            port: self.port,
            secrets: self.secrets,
            target: target.clone(),
            host: Arc::new(host),
            scratch: directory.to_owned(),
        };
        Ok(Console::start(config).await?)
    }
}

/// The process of the stage, as the console sees it.
pub(super) struct ConsoleHost {
    workspace: Workspace,
    state: StageState,
    /// As it is now.
    model: watch::Receiver<Arc<AppModel>>,
    inspection: Inspection,
    traces: Traces,
    faults: FaultSwitch,
    changes: watch::Sender<u64>,
    /// The program of the app: a newer one takes its place when the manifest changes.
    program: PathBuf,
    hints: Hints,
}

impl ConsoleHost {
    pub(super) fn of(
        Deployed {
            context,
            state,
            program,
            ..
        }: &Deployed,
        stage: &LocalStage,
        model: watch::Receiver<Arc<AppModel>>,
    ) -> Self {
        let (changes, _) = watch::channel(0);
        tokio::spawn(follow(stage.traces(), changes.clone()));
        let this_program = || std::env::current_exe().unwrap_or_default();
        Self {
            workspace: context.workspace.clone(),
            state: state.clone(),
            model,
            inspection: stage.inspection(),
            traces: stage.traces(),
            faults: stage.faults(),
            changes,
            program: program.clone().unwrap_or_else(this_program),
            hints: Hints::default(),
        }
    }

    fn sample_event(&self, name: &str) -> PathBuf {
        let folder = self.workspace.root().join("assets/events");
        folder.join(format!("{name}.json"))
    }
}

impl Host for ConsoleHost {
    fn app(&self) -> Arc<AppModel> {
        Arc::clone(&self.model.borrow())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn endpoint_urls(&self) -> Vec<String> {
        let endpoints = self.model.borrow().endpoints.len();
        (0..endpoints)
            .map(|index| self.state.api_url(index))
            .collect()
    }

    fn grant_hint<'a>(
        &'a self,
        function: &'a str,
        action: &'a str,
        arn: &'a str,
    ) -> Told<'a, String> {
        Box::pin(
            self.hints
                .of(&self.program, self.app(), [function, action, arn]),
        )
    }

    fn decisions(&self) -> Told<'_, Vec<Decision>> {
        Box::pin(async {
            self.inspection
                .decisions()
                .await
                .map_err(|error| error.to_string())
        })
    }

    fn traces(&self) -> &Traces {
        &self.traces
    }

    fn faults(&self) -> &FaultSwitch {
        &self.faults
    }

    fn messages(&self, queue_url: &str) -> Told<'_, Vec<QueuedMessage>> {
        let queue_url = queue_url.to_owned();
        Box::pin(async move {
            let messages = self.inspection.messages(&queue_url).await;
            messages.map_err(|error| error.to_string())
        })
    }

    fn redrive(&self, wish: RedriveWish) -> Told<'_, Vec<Redriven>> {
        Box::pin(redrive(&self.program, wish))
    }

    fn sample_events(&self, function: &str) -> Vec<SampleEvent> {
        let folder = self.workspace.root().join("assets/events");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
            .filter(|name| {
                let rest = name.strip_prefix(function);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .collect();
        names.sort();
        let read = names.into_iter().filter_map(|name| {
            let text = fs::read_to_string(self.sample_event(&name)).ok()?;
            Some(SampleEvent {
                title: format!("assets/events/{name}.json"),
                text,
            })
        });
        read.collect()
    }

    fn save_sample_event(
        &self,
        function: &str,
        title: &str,
        event: &str,
    ) -> std::result::Result<String, String> {
        let name = if title.is_empty() {
            function.to_owned()
        } else {
            format!("{function}.{title}")
        };
        let file = self.sample_event(&name);
        let written = file
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&file, event));
        written.map_err(|error| format!("could not write {}: {error}", file.display()))?;
        Ok(format!("assets/events/{name}.json"))
    }
}

/// Tells pages to look anew when something has happened. Nothing is asked while no page is open, and nothing more is
/// noted for one that is.
async fn follow(traces: Traces, changes: watch::Sender<u64>) {
    let mut revision = 0;
    loop {
        if changes.receiver_count() == 0 {
            tokio::time::sleep(INTERVAL).await;
            continue;
        }
        match traces.changed(revision, INTERVAL).await {
            Ok(now) => revision = now,
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
        changes.send_modify(|number| *number += 1);
    }
}

/// The lines of Rust that grant what was denied, as the program tells them: it declares the app as it is now, which this
/// process may not. Open pages ask again and again.
#[derive(Default)]
struct Hints(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The app that the lines are of.
    app: Option<Arc<AppModel>>,
    /// By function, action and ARN.
    lines: BTreeMap<[String; 3], String>,
}

impl Hints {
    async fn of(
        &self,
        program: &Path,
        app: Arc<AppModel>,
        denied: [&str; 3],
    ) -> std::result::Result<String, String> {
        let mut known = self.0.lock().await;
        if !known.app.as_ref().is_some_and(|of| Arc::ptr_eq(of, &app)) {
            *known = Known {
                app: Some(app),
                ..Known::default()
            };
        }
        let key = denied.map(str::to_owned);
        if let Some(line) = known.lines.get(&key) {
            return Ok(line.clone());
        }
        let [function, action, arn] = denied;
        // What a function asked for may begin as an option does.
        let denied = [format!("--allow={action}"), format!("--on={arn}")];
        let output = run(
            program,
            Command::new(program)
                .args(["grants", function])
                .args(denied),
        )
        .await?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || line.is_empty() {
            return Err(format!(
                "could not find the line that grants it: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        known.lines.insert(key, line.clone());
        Ok(line)
    }
}

/// Runs the app's program to its end.
async fn run(program: &Path, command: &mut Command) -> std::result::Result<Output, String> {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await;
    output.map_err(|error| format!("could not run {}: {error}", program.display()))
}

/// What `redrive --json` tells of an event.
#[derive(Deserialize)]
struct Line {
    message_id: String,
    outcome: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

/// Has the program redrive: it declares the app as it is now, which this process may not.
async fn redrive(program: &Path, wish: RedriveWish) -> std::result::Result<Vec<Redriven>, String> {
    let mut command = Command::new(program);
    command.args(["redrive", &wish.function, "--stage", LOCAL, "--json"]);
    if let Some(message) = &wish.message {
        command.args(["--message", message]);
    }
    if wish.drop {
        command.args(["--drop", "--yes"]);
    }
    let output = run(program, &mut command).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let redriven: Vec<Redriven> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        .map(|line| Redriven {
            is_gone: matches!(line.outcome.as_str(), "handled" | "dropped"),
            outcome: told(&line),
            message_id: line.message_id,
        })
        .collect();
    if redriven.is_empty() && !output.status.success() {
        return Err(format!(
            "could not redrive {}: {}",
            wish.function,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(redriven)
}

/// What became of an event, in words.
fn told(line: &Line) -> String {
    let text = |name: &str| {
        let error = line.error.as_ref();
        error
            .and_then(|error| error[name].as_str())
            .unwrap_or_default()
    };
    match (line.outcome.as_str(), &line.reason) {
        (_, Some(reason)) => reason.clone(),
        ("failed-again", None) => {
            format!(
                "the function failed again: {} {}",
                text("errorType"),
                text("errorMessage")
            )
        }
        (outcome, None) => outcome.to_owned(),
    }
}
