//! What a long operation tells while it runs, and what it asks.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::resource_event::{ResourceEvent, list};

/// Receives [`Progress`] events, in order.
pub type Report<'a> = &'a (dyn Fn(Progress) + Sync);

/// Answers a [`Question`]: whether to do what it asks.
pub type Decide<'a> = &'a (dyn Fn(&Question) -> bool + Sync);

/// One step of a long operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A phase begins, and the one before it has ended.
    Phase(Phase),
    /// The bootstrap stack with the artifact bucket is being created.
    CreatingBootstrap {
        /// Its name.
        stack: String,
    },
    /// The bootstrap stack's bucket is gone: it is made anew, with the stack.
    ReplacingBootstrap {
        /// The stack's name.
        stack: String,
        /// The bucket that is gone.
        bucket: String,
    },
    /// A function's code is being uploaded.
    Uploading {
        /// The function.
        function: String,
        /// The size of its zip.
        bytes: u64,
    },
    /// A part of a function's code has been sent. An upload that is tried again begins at
    /// zero again.
    Uploaded {
        /// The function.
        function: String,
        /// How much of its zip has been sent.
        sent_bytes: u64,
        /// The size of its zip.
        bytes: u64,
    },
    /// The artifact bucket has this code already.
    AlreadyUploaded {
        /// The function.
        function: String,
    },
    /// A change set is being created.
    Planning {
        /// The stack.
        stack: String,
    },
    /// The stack was changed by someone else since it was planned for.
    PlanningAgain {
        /// The stack.
        stack: String,
        /// What AWS said.
        reason: String,
    },
    /// Someone else's operation on the stack is waited for. Its events follow.
    Waiting {
        /// The stack.
        stack: String,
        /// The stack's state.
        status: String,
    },
    /// An earlier, failed creation or deletion is being removed first.
    RemovingFailedStack {
        /// The stack.
        stack: String,
        /// The stack's state.
        status: String,
    },
    /// An update that failed half-way is being undone first.
    ResumingRollback {
        /// The stack.
        stack: String,
        /// The stack's state.
        status: String,
        /// The resources that are left as they are, by logical id.
        skipped: Vec<String>,
    },
    /// A change set that an earlier deployment left is removed.
    RemovingChangeSet {
        /// Its name.
        name: String,
    },
    /// CloudFormation reported something about a resource.
    Resource(ResourceEvent),
    /// A function runs other code than was deployed. The deployment puts that right.
    CodeDrifted {
        /// Its physical name.
        function: String,
    },
    /// A function's code was put in place without CloudFormation.
    CodeUpdated {
        /// Its physical name.
        function: String,
    },
    /// Objects were deleted from a bucket.
    Emptied {
        /// The bucket.
        bucket: String,
        /// Object versions and delete markers deleted so far.
        versions: u64,
    },
}

impl Progress {
    pub(crate) fn planning_again(stack: &str, error: &dyn fmt::Display) -> Self {
        Self::PlanningAgain {
            stack: stack.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// A part of a long operation that is worth timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Looking for the artifact bucket, or creating it.
    Bootstrap,
    /// Uploading code.
    Publish,
    /// Recovering the stack, if need be, and creating a change set.
    Plan,
    /// Waiting for the approval of a change set.
    Approve,
    /// Executing a change set.
    Execute,
    /// Comparing functions' code with what was deployed, and putting it in place.
    Code,
    /// Emptying buckets.
    Empty,
    /// Deleting a stack.
    Delete,
    /// Looking for what a deletion left.
    Search,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bootstrap => "bootstrap",
            Self::Publish => "publish",
            Self::Plan => "plan",
            Self::Approve => "approve",
            Self::Execute => "execute",
            Self::Code => "code",
            Self::Empty => "empty",
            Self::Delete => "delete",
            Self::Search => "search",
        })
    }
}

/// How long a phase took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// The phase.
    pub phase: String,
    /// How long it took.
    pub duration: Duration,
}

/// Measures phases as they begin, one after the other.
#[derive(Debug, Default)]
pub struct Timeline {
    ended: Vec<Timing>,
    current: Option<(String, Instant)>,
}

impl Timeline {
    /// Ends the current phase and begins another.
    pub fn begin(&mut self, phase: impl Into<String>) {
        self.end();
        self.current = Some((phase.into(), Instant::now()));
    }

    /// Takes note of a step if it begins a phase.
    pub fn note(&mut self, progress: &Progress) {
        if let Progress::Phase(phase) = progress {
            self.begin(phase.to_string());
        }
    }

    /// Ends the current phase; returns all, in order. A phase that came again is one.
    pub fn finish(mut self) -> Vec<Timing> {
        self.end();
        self.ended
    }

    fn end(&mut self) {
        let Some((phase, began)) = self.current.take() else {
            return;
        };
        let duration = began.elapsed();
        match self.ended.iter_mut().find(|timing| timing.phase == phase) {
            Some(timing) => timing.duration += duration,
            None => self.ended.push(Timing { phase, duration }),
        }
    }
}

/// What only the user may decide. Without a yes the operation ends with an error of kind
/// [`NotApproved`](crate::ErrorKind::NotApproved), and nothing is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The rollback of an update cannot undo these: go on without them? They will differ
    /// from the template that CloudFormation has, until they are deployed again.
    SkipInRollback {
        /// The stack.
        stack: String,
        /// The resources, and why they cannot be rolled back.
        resources: Vec<ResourceEvent>,
    },
    /// A deletion of the stack ended half-way: finish it, with all that is in these buckets?
    FinishDeletion {
        /// The stack.
        stack: String,
        /// The buckets, by name.
        buckets: Vec<String>,
    },
    /// The stack cannot be deleted with these: delete it without them? They stay, and
    /// belong to no stack then.
    Abandon {
        /// The stack.
        stack: String,
        /// The resources, and why they cannot be deleted.
        resources: Vec<ResourceEvent>,
    },
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkipInRollback { stack, resources } => write!(
                f,
                "The rollback of {stack} cannot undo {}. Go on without, and leave them as they are?",
                list(resources)
            ),
            Self::FinishDeletion { stack, buckets } => write!(
                f,
                "A deletion of {stack} ended half-way. Finish it, with all objects in {}?",
                buckets.join(", ")
            ),
            Self::Abandon { stack, resources } => write!(
                f,
                "{stack} cannot be deleted because of {}. Delete it, and leave them behind?",
                list(resources)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_adds_up_what_came_again_and_keeps_the_order() {
        let mut timeline = Timeline::default();
        timeline.begin("build");
        timeline.note(&Progress::Phase(Phase::Plan));
        timeline.note(&Progress::Planning {
            stack: "app-dev".to_owned(),
        });
        timeline.note(&Progress::Phase(Phase::Execute));
        timeline.note(&Progress::Phase(Phase::Plan));
        let phases: Vec<String> = timeline
            .finish()
            .into_iter()
            .map(|timing| timing.phase)
            .collect();
        assert_eq!(phases, ["build", "plan", "execute"]);
    }
}
