//! A promise of an app, and why it is not kept.

use serde::Serialize;

/// One thing that an app promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Check {
    /// In kebab-case, like `image-removed`. No two checks of a suite have the same.
    pub name: &'static str,
    /// The promise in a sentence without a full stop.
    pub what: &'static str,
}

/// A flow cannot go on, because a check failed that the others build on. What failed has been
/// noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Why a check is not passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The stage does something else than the app promises.
    Difference(Difference),
    /// The check cannot be made here, and the stage is not the reason.
    NotChecked(String),
}

/// What a stage does instead of what the app promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// What to look at next: a command, or an instruction.
    pub next: String,
}

impl Problem {
    /// A difference. `next` says what to look at.
    pub fn difference(
        expected: impl Into<String>,
        seen: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::Difference(Difference {
            expected: expected.into(),
            seen: seen.into(),
            next: next.into(),
        })
    }

    /// A call that should have succeeded.
    pub fn call(expected: impl Into<String>, error: &deploy::Error) -> Self {
        let next = error.next_step().unwrap_or("see what the service says");
        Self::difference(expected, error.to_string(), next)
    }
}

impl From<deploy::Error> for Problem {
    fn from(error: deploy::Error) -> Self {
        Self::call("an answer", &error)
    }
}
