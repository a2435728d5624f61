//! The progress of a deployment: lines that stay, a line that moves, and the times of the
//! phases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use console::truncate_str;
use deploy::{Phase, Progress, Question, ResourceEvent, Timeline, Timing};
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

use crate::question::confirm;
use crate::terminal::{DIM, RED, spinner, status, stderr_columns, tell};

/// Shows what a long operation tells.
pub(crate) struct Show {
    bar: ProgressBar,
    moves: ProgressStyle,
    detail: Detail,
    state: Mutex<State>,
}

/// How much is printed beside the moving line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Every step.
    Full,
    /// What changes, in a line, and failures.
    Brief,
    /// Failures.
    Silent,
}

#[derive(Default)]
struct State {
    timeline: Timeline,
    /// What has been sent of each upload, and its size.
    uploads: BTreeMap<String, (u64, u64)>,
    /// The resources, by logical ID, that the present plan changes, if there is one.
    planned: Option<BTreeSet<String>>,
}

impl State {
    /// Whether an event is about what the plan changes, or about the stack.
    fn expects(&self, event: &ResourceEvent) -> bool {
        event.is_of_stack()
            || self
                .planned
                .as_ref()
                .is_none_or(|planned| planned.contains(&event.logical_id))
    }
}

impl Show {
    /// Tells every step.
    pub(crate) fn new(message: &str) -> Self {
        Self::showing(spinner(fitting(message, stderr_columns())), Detail::Full)
    }

    /// Tells what changes, in a line. No line moves: others write as well.
    pub(crate) fn brief() -> Self {
        Self::showing(ProgressBar::hidden(), Detail::Brief)
    }

    /// Tells failures only.
    pub(crate) fn silent() -> Self {
        Self::showing(ProgressBar::hidden(), Detail::Silent)
    }

    fn showing(bar: ProgressBar, detail: Detail) -> Self {
        Self {
            moves: bar.style(),
            bar,
            detail,
            state: Mutex::default(),
        }
    }

    /// How much it tells.
    pub(crate) fn detail(&self) -> Detail {
        self.detail
    }

    /// Begins a phase that the operation does not tell of by itself.
    pub(crate) fn begin(&self, phase: &str) {
        self.with(|state| state.timeline.begin(phase));
    }

    /// Tells of no resources from now on but these, and those that fail.
    pub(crate) fn expect(&self, logical_ids: BTreeSet<String>) {
        self.with(|state| state.planned = Some(logical_ids));
    }

    /// Prints something while the moving line stands still.
    pub(crate) fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    /// Ends the moving line; returns how long each phase took.
    pub(crate) fn finish(self) -> Vec<Timing> {
        self.bar.finish_and_clear();
        self.with(|state| std::mem::take(&mut state.timeline).finish())
    }

    /// Asks the user a question of the operation. Without a terminal there is no answer,
    /// and that is a no.
    pub(crate) fn decide(&self, question: &Question, yes: bool) -> bool {
        yes || self.suspend(|| confirm(&question.to_string(), "--yes").is_ok())
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows something that the operation tells of itself.
    pub(crate) fn note(&self, progress: &Progress) {
        self.with(|state| state.timeline.note(progress));
        let (verb, what) = match progress {
            Progress::Phase(phase) => return self.phase(*phase),
            Progress::Uploaded {
                function,
                sent_bytes,
                bytes,
            } => return self.uploaded(function, *sent_bytes, *bytes),
            Progress::Resource(event) => return self.resource(event),
            Progress::AlreadyUploaded { function } => {
                return self.message(&format!("{function} is already uploaded"));
            }
            Progress::Uploading { function, bytes } => {
                self.uploaded(function, 0, *bytes);
                (
                    "Uploading",
                    format!("{function} ({})", DecimalBytes(*bytes)),
                )
            }
            Progress::CreatingBootstrap { stack } => (
                "Creating",
                format!("{stack}, which has the artifact bucket"),
            ),
            Progress::ReplacingBootstrap { stack, bucket } => (
                "Replacing",
                format!("{stack}: its bucket {bucket} was deleted"),
            ),
            Progress::Planning { stack } => ("Planning", stack.clone()),
            Progress::PlanningAgain { stack, reason } => {
                ("Planning", format!("{stack} again: {reason}"))
            }
            Progress::Waiting { stack, status } => (
                "Waiting",
                format!("for another operation on {stack} to end: {status}"),
            ),
            Progress::RemovingFailedStack { stack, status } => {
                ("Removing", format!("{stack}, which is in state {status}"))
            }
            Progress::ResumingRollback {
                stack,
                status,
                skipped,
            } => {
                let skipping = if skipped.is_empty() {
                    String::new()
                } else {
                    format!(", skipping {}", skipped.join(", "))
                };
                (
                    "Rolling back",
                    format!("{stack}, which is in state {status}{skipping}"),
                )
            }
            Progress::RemovingChangeSet { name } => (
                "Removing",
                format!("change set {name}, left by an earlier deployment"),
            ),
            Progress::CodeDrifted { function } => (
                "Drifted",
                format!("{function}: its code is not what was deployed"),
            ),
            Progress::CodeUpdated { function } => ("Updated", format!("the code of {function}")),
            Progress::Emptied { bucket, versions } => {
                ("Emptied", format!("{bucket} of {versions} object versions"))
            }
        };
        if self.detail == Detail::Full {
            self.suspend(|| status(verb, what));
        }
    }

    fn phase(&self, phase: Phase) {
        if phase == Phase::Plan {
            self.with(|state| state.planned = None);
        }
        self.bar.set_style(self.moves.clone());
        self.message(doing(phase));
    }

    fn message(&self, message: &str) {
        self.bar.set_message(fitting(message, stderr_columns()));
    }

    fn uploaded(&self, function: &str, sent_bytes: u64, bytes: u64) {
        let (sent, total) = self.with(|state| {
            state
                .uploads
                .insert(function.to_owned(), (sent_bytes, bytes));
            let all = state.uploads.values();
            all.fold((0, 0), |(sent, total), upload| {
                (sent + upload.0, total + upload.1)
            })
        });
        if let Ok(style) = ProgressStyle::with_template(upload_template(stderr_columns())) {
            self.bar.set_style(style);
        }
        self.bar.set_length(total);
        self.bar.set_position(sent);
    }

    fn resource(&self, event: &ResourceEvent) {
        // An endpoint can tell of resources that stay as they are, too.
        if !event.failed() && !self.with(|state| state.expects(event)) {
            return;
        }
        let line = format!(
            "{} {} {}",
            event.status, event.logical_id, event.resource_type
        );
        if event.failed() {
            let reason = event.reason.as_deref().unwrap_or("no reason was given");
            let failed = format!("{RED}{:>12}{RED:#} {line}: {reason}", "Failed");
            self.suspend(|| tell(failed));
        } else if self.bar.is_hidden() && event.complete() && self.detail == Detail::Full {
            tell(format_args!("{DIM}{:>12}{DIM:#} {line}", ""));
        } else {
            self.message(&line);
        }
    }
}

/// What happens during a phase.
fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Bootstrap => "looking for the artifact bucket",
        Phase::Publish => "publishing code",
        Phase::Plan => "creating a change set",
        Phase::Approve => "reviewing the changes",
        Phase::Execute => "executing the change set",
        Phase::Code => "comparing code",
        Phase::Empty => "emptying buckets",
        Phase::Delete => "deleting the stack",
        Phase::Search => "looking for resources that are left",
    }
}

/// A message of the moving line. It is cut before it wraps: on a terminal that is made narrower
/// a line of several rows would leave some of them behind.
pub(crate) fn fitting(message: &str, columns: Option<usize>) -> String {
    // What stands before and after it, such as `59m`.
    const OTHERS: usize = 12 + 1 + 1 + 4;
    match columns {
        Some(columns) => truncate_str(message, columns.saturating_sub(OTHERS), "…").into_owned(),
        None => message.to_owned(),
    }
}

/// A bar of 30 columns, or of as many as there are on a narrow terminal.
fn upload_template(columns: Option<usize>) -> &'static str {
    if columns.is_some_and(|columns| columns < 80) {
        "{spinner:>12.green} {decimal_bytes} of {decimal_total_bytes} {wide_bar}"
    } else {
        "{spinner:>12.green} {bar:30} {decimal_bytes} of {decimal_total_bytes}"
    }
}

/// Says where the time went.
pub(crate) fn print_timings(timings: &[Timing]) {
    for timing in timings {
        let seconds = timing.duration.as_secs_f64();
        tell(format_args!(
            "{DIM}{:>12} {:<10} {seconds:>6.2} s{DIM:#}",
            "", timing.phase
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_planned_is_told() {
        let event = |logical_id: &str, resource_type: &str| ResourceEvent {
            logical_id: logical_id.to_owned(),
            physical_id: String::new(),
            resource_type: resource_type.to_owned(),
            status: "UPDATE_COMPLETE".to_owned(),
            reason: None,
        };
        let mut state = State::default();
        assert!(state.expects(&event("Other", "AWS::S3::Bucket")));
        state.planned = Some(["Reports".to_owned()].into());
        assert!(state.expects(&event("Reports", "AWS::S3::Bucket")));
        assert!(state.expects(&event("app-dev", "AWS::CloudFormation::Stack")));
        assert!(!state.expects(&event("Other", "AWS::S3::Bucket")));
    }

    #[test]
    fn a_message_that_would_wrap_is_cut() {
        let message = "CREATE_IN_PROGRESS OrderBucket AWS::S3::Bucket";
        assert_eq!(fitting(message, None), message);
        assert_eq!(fitting(message, Some(80)), message);
        assert_eq!(fitting(message, Some(40)), "CREATE_IN_PROGRESS Or…");
        assert_eq!(fitting(message, Some(10)), "…");
    }
}
