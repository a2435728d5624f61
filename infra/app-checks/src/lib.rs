//! What the media library and the users' service promise, as checks that `cargo xtask verify`
//! makes on a stage that is deployed.
//!
//! The checks use what a user of the stage can use: S3, the HTTP APIs, the tables, and
//! invocations. Everything that they make has the run's own part in its name: objects below
//! `xtask-verify/<run>/`, users with e-mail addresses that begin with `xtask-verify-<run>-`. They
//! touch nothing else, and show nothing else.

mod api;
mod image;
mod media;
mod refusal;
mod roles;
mod users;
mod video;

use verify::{Flow, Suite};

/// The checks of this app.
#[must_use]
pub fn suite() -> Suite {
    Suite {
        about: "The checks upload files, create users and ask the HTTP APIs. On AWS, a run costs about two cents.",
        flows: vec![
            Flow::new("image", image::CHECKS, image::run),
            Flow::new("video", video::CHECKS, video::run),
            Flow::new("refusal", refusal::CHECKS, refusal::run),
            Flow::new("media-errors", api::MEDIA_CHECKS, api::media),
            Flow::new("users", users::CHECKS, users::run),
            Flow::new("users-errors", api::USERS_CHECKS, api::users),
            Flow::new("roles", roles::CHECKS, roles::run),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let suite = suite();
        let names: Vec<&str> = suite
            .flows
            .iter()
            .flat_map(|flow| flow.checks)
            .map(|check| check.name)
            .collect();
        let unique: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(unique.len(), names.len(), "{names:?}");
    }
}
