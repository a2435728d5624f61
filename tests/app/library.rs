//! A local stage with the media library and its users, and short ways to its main parts.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use acceptance::{Reply, program};

/// The built `xtask` of this app.
pub(crate) fn xtask_program() -> PathBuf {
    program("xtask")
}

/// A stage of this app. Dropping it stops it.
pub(crate) struct Stage(acceptance::Stage);

impl Stage {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Stage::start`], with more arguments for `xtask local`.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self(acceptance::Stage::of(xtask_program(), arguments))
    }

    /// As [`Stage::start`], with more variables in the environment of `xtask local`.
    pub(crate) fn start_in(variables: &[(&str, &str)]) -> Self {
        let program = xtask_program();
        Self(acceptance::Stage::with_variables(program, &[], variables))
    }

    /// `GET` on the media API; the path and query are sent as they are.
    pub(crate) fn get(&self, path_and_query: &str) -> Reply {
        self.0.get("API_URL", path_and_query)
    }

    /// Uploads a file under a key of the media bucket.
    pub(crate) fn upload(&self, key: &str, body: &Path) {
        self.0.upload("MEDIA_BUCKET_NAME", key, body);
    }
}

impl Deref for Stage {
    type Target = acceptance::Stage;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
