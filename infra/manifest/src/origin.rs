//! Where something was written: the line to look at when it is at fault.

use std::fmt;
use std::panic::Location;

/// A line of the declaration or of `stages.yaml`. It says where to look and never
/// decides anything, so it is not part of the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A call in the declaration.
    Declaration(&'static Location<'static>),
    /// A setting; without a line when the stage does not have it.
    Stages(Option<usize>),
}

impl Origin {
    /// The line that calls the function that calls this one.
    #[track_caller]
    pub(crate) fn of_caller() -> Self {
        Self::Declaration(Location::caller())
    }

    /// The file and the line of a declaration.
    pub(crate) fn of_declaration(self) -> Option<(&'static str, u32)> {
        match self {
            Self::Declaration(location) => Some((location.file(), location.line())),
            Self::Stages(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Cargo compiles a workspace from its root, so the path starts there.
            Self::Declaration(location) => write!(f, "{}:{}", location.file(), location.line()),
            Self::Stages(Some(line)) => write!(f, "infra/stages.yaml:{line}"),
            Self::Stages(None) => f.write_str("infra/stages.yaml"),
        }
    }
}

/// A part of the declaration, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared<T> {
    pub(crate) what: T,
    pub(crate) origin: Origin,
}

impl<T> Declared<T> {
    /// `what`, declared by the caller of the function that calls this one.
    #[track_caller]
    pub(crate) fn by_caller(what: T) -> Self {
        Self {
            what,
            origin: Origin::of_caller(),
        }
    }
}
