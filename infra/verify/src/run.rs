//! Running a suite.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::check::{Check, Difference, Problem};
use crate::ownership::{Left, Ownership, lock};
use crate::probe::{Probe, Shared};
use crate::queues::{Depths, FAILURE_QUEUES, compare, depths};
use crate::report::{Event, Outcome, Report, Verdict};
use crate::stage::Stage;
use crate::suite::{Flow, Suite};

const CLEAN_UP: Check = Check {
    name: "clean-up",
    what: "everything that the checks made is deleted",
};

/// How a suite is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an effect is waited for.
    pub timeout: Duration,
    /// The flows to run, by name; all if there are none.
    pub only: Vec<String>,
}

/// A run of a suite against a stage.
pub struct Run {
    shared: Arc<Shared>,
    flows: Vec<Flow>,
    left: Mutex<Vec<Left>>,
    /// The failure queues when the run began.
    before: Mutex<Option<Depths>>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("run", &self.shared.run)
            .field("flows", &self.flows)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// A run that has not begun. `tell` gets its progress.
    pub fn new(
        suite: Suite,
        stage: Stage,
        options: &Options,
        tell: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Self {
        let only = &options.only;
        let wanted = |flow: &Flow| only.is_empty() || only.iter().any(|name| name == flow.name);
        Self {
            shared: Arc::new(Shared {
                stage,
                run: random_name(),
                timeout: options.timeout,
                tell: Box::new(tell),
                ownership: Ownership::default(),
                outcomes: Mutex::default(),
            }),
            flows: suite.flows.into_iter().filter(wanted).collect(),
            left: Mutex::default(),
            before: Mutex::default(),
        }
    }

    /// How many checks there are.
    pub fn count(&self) -> usize {
        self.checks().count()
    }

    fn checks(&self) -> impl Iterator<Item = Check> {
        let of_flows = self.flows.iter().flat_map(|flow| flow.checks);
        of_flows.copied().chain([FAILURE_QUEUES, CLEAN_UP])
    }

    /// Runs all flows. May be dropped at any time; what they made is deleted by
    /// [`clean_up`](Self::clean_up).
    pub async fn flows(&self) {
        let before = depths(&self.shared.stage).await;
        match before {
            Ok(depths) => *lock(&self.before) = Some(depths),
            Err(problem) => {
                let failed = async { Err::<((), String), _>(problem) };
                // It is noted.
                let _ = self.shared.check(FAILURE_QUEUES, failed).await;
            }
        }
        let mut running = JoinSet::new();
        for flow in &self.flows {
            running.spawn(flow.start(Probe {
                shared: Arc::clone(&self.shared),
                checks: flow.checks,
            }));
        }
        // How they ended is noted check by check.
        while running.join_next().await.is_some() {}
        self.note_forgotten();
    }

    /// A flow that ended without a problem has an outcome of each of its checks, or it is wrong.
    fn note_forgotten(&self) {
        for flow in &self.flows {
            let outcomes = lock(&self.shared.outcomes).clone();
            let mut known = flow
                .checks
                .iter()
                .filter_map(|check| outcomes.get(check.name));
            let mut checks = flow.checks.iter();
            let forgotten = checks.find(|check| !outcomes.contains_key(check.name));
            if let (true, Some(check)) = (known.all(Outcome::is_passed), forgotten) {
                let difference = Difference {
                    expected: "an outcome".to_owned(),
                    seen: format!("flow {} ended without one, or panicked", flow.name),
                    next: "correct the code of this check".to_owned(),
                };
                let took = Duration::ZERO;
                self.shared
                    .note(*check, Outcome::Failed { took, difference });
            }
        }
    }

    /// Deletes everything that the flows made, whether they ended or not. May be dropped; then
    /// [`abandon`](Self::abandon) tells what is left.
    pub async fn clean_up(&self) {
        let made = self.shared.ownership.left("").len();
        let proof = async {
            let left = self.shared.ownership.delete_all().await;
            if left.is_empty() {
                let seen = match made {
                    0 => "nothing was left to delete".to_owned(),
                    made => format!("{made} deleted at the end"),
                };
                return Ok(((), seen));
            }
            let list = |of: fn(&Left) -> String| left.iter().map(of).collect::<Vec<_>>();
            let what = list(|left| format!("{} ({})", left.what, left.why)).join(", ");
            let commands = list(|left| left.command.clone()).join("; ");
            *lock(&self.left) = left;
            Err(Problem::difference("nothing is left", what, commands))
        };
        // It is noted.
        let _ = self.shared.check(CLEAN_UP, proof).await;
    }

    /// Compares the failure queues with those of the beginning.
    pub async fn compare_queues(&self) {
        let Some(before) = lock(&self.before).clone() else {
            return;
        };
        let stage = &self.shared.stage;
        let proof = async {
            let after = depths(stage).await?;
            Ok(((), compare(&stage.name, &before, &after)?))
        };
        // It is noted.
        let _ = self.shared.check(FAILURE_QUEUES, proof).await;
    }

    /// Takes everything that has not been deleted for left.
    pub fn abandon(&self) {
        *lock(&self.left) = self.shared.ownership.left("it was not deleted");
    }

    /// What has come out, at the end or at an interruption. Checks without an outcome are not
    /// checked.
    pub fn report(&self, interrupted: bool) -> Report {
        let outcomes = lock(&self.shared.outcomes);
        let verdict = |check: Check| Verdict {
            check,
            outcome: outcomes.get(check.name).cloned().unwrap_or_else(|| {
                let reason = self.reason(check, &outcomes);
                Outcome::NotChecked { reason }
            }),
        };
        let checks: Vec<Verdict> = self.checks().map(verdict).collect();
        Report {
            stage: self.shared.stage.name.clone(),
            run: self.shared.run.clone(),
            passed: !interrupted && !checks.iter().any(|verdict| verdict.outcome.is_failed()),
            checks,
            left: lock(&self.left).clone(),
        }
    }

    /// Why a check was not made.
    fn reason(&self, check: Check, outcomes: &BTreeMap<&'static str, Outcome>) -> String {
        let mut flows = self.flows.iter().map(|flow| flow.checks);
        let flow = flows.find(|checks| checks.contains(&check));
        let before = flow.unwrap_or_default().iter().rev().find(|other| {
            let outcome = outcomes.get(other.name);
            outcome.is_some_and(|outcome| !outcome.is_passed())
        });
        match before {
            Some(before) => format!("{} did not pass", before.name),
            None => "the run was interrupted".to_owned(),
        }
    }
}

/// Twelve characters that no other run has.
fn random_name() -> String {
    let random = Uuid::new_v4().simple().to_string();
    random.chars().take(12).collect()
}
