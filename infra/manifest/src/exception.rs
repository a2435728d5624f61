//! Differences between grants and code that are meant to be.

/// A difference between a function's grants and what its binary can call that is meant to be.
/// An exception that fits no difference is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    pub(crate) direction: Direction,
    pub(crate) action: String,
    pub(crate) reason: String,
}

/// Which side of a difference has the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The binary needs the action, and the function has no grant of it.
    Missing,
    /// The function has a grant of the action, and the binary does not need it.
    Unused,
}

impl Exception {
    /// The binary has an operation that needs `action`, and the function is not granted it:
    /// `reason` says why it never needs the action.
    #[must_use]
    pub fn missing(action: &str, reason: &str) -> Self {
        Self {
            direction: Direction::Missing,
            action: action.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// The function is granted `action`, and no operation in its binary needs it: `reason` says
    /// who does, such as a Lambda extension.
    #[must_use]
    pub fn unused(action: &str, reason: &str) -> Self {
        Self {
            direction: Direction::Unused,
            ..Self::missing(action, reason)
        }
    }
}
