//! The door of the local stage: who gets in, and who does not.
//!
//! A stranger is a web page of another origin in the user's browser, a page whose name was made to
//! lead to this machine (DNS rebinding), or another user of the machine. None of them may call a
//! part of the stage or read its files; only the HTTP APIs are public, as on AWS. Whoever has the
//! keys that `xtask env` hands out may do everything.
//!
//! What a test needs and this machine lacks is told in a line that begins with "skipped:". Under
//! `CI=true` the test fails instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod hosts;
mod keys;
mod other_user;
mod pages;
mod paths;
mod target;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use acceptance::browser::chromium;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::hosts::{
    foreign_hosts_and_origins_are_refused_everywhere, public_apis_heed_hosts_and_cors,
};
use crate::keys::{
    keys_are_random_and_in_a_file_of_the_owner, known_and_guessed_keys_are_refused,
    no_secret_is_among_arguments, the_owner_is_served,
};
use crate::other_user::{another_user_gets_no_further_than_the_public_apis, as_nobody};
use crate::pages::{
    a_page_of_another_origin_gets_nothing, a_page_with_a_rebound_name_gets_nothing,
    pages_are_served_where_cors_allows_it,
};
use crate::paths::no_path_of_the_emulator_serves_a_stranger;
use crate::target::Stages;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The tests share stages, and the later ones attack what the earlier ones look at.
    arguments.test_threads = Some(1);
    let stages = Arc::new(Stages {
        verbose: arguments.nocapture,
        ..Stages::default()
    });
    let test = |name: &'static str, lacking: Option<String>, run: fn(&Stages)| {
        let stages = Arc::clone(&stages);
        let Some(lacking) = lacking else {
            return Trial::test(name, move || {
                run(&stages);
                Ok(())
            });
        };
        if std::env::var_os("CI").is_some_and(|value| value == "true") {
            return Trial::test(name, move || Err(Failed::from(lacking)));
        }
        eprintln!("skipped: {name}: {lacking}");
        Trial::test(name, || Ok(())).with_ignored_flag(true)
    };
    let no_browser = || {
        let reason = "no chromium was found on PATH (Debian: `apt install chromium`)";
        chromium().is_none().then(|| reason.to_owned())
    };
    let no_proc = || {
        let reason = "processes are looked up in /proc, which only Linux has";
        (!Path::new("/proc/self/fd").exists()).then(|| reason.to_owned())
    };
    let no_user = || {
        let reason = "becoming another user takes root, or `sudo` without a password";
        no_proc().or_else(|| as_nobody().is_none().then(|| reason.to_owned()))
    };
    let tests = vec![
        test("the_owner_is_served", None, the_owner_is_served),
        test(
            "pages_are_served_where_cors_allows_it",
            no_browser(),
            pages_are_served_where_cors_allows_it,
        ),
        test(
            "keys_are_random_and_in_a_file_of_the_owner",
            None,
            keys_are_random_and_in_a_file_of_the_owner,
        ),
        test(
            "known_and_guessed_keys_are_refused",
            None,
            known_and_guessed_keys_are_refused,
        ),
        test(
            "no_secret_is_among_arguments",
            no_proc(),
            no_secret_is_among_arguments,
        ),
        test(
            "public_apis_heed_hosts_and_cors",
            None,
            public_apis_heed_hosts_and_cors,
        ),
        test(
            "foreign_hosts_and_origins_are_refused_everywhere",
            no_proc(),
            foreign_hosts_and_origins_are_refused_everywhere,
        ),
        test(
            "another_user_gets_no_further_than_the_public_apis",
            no_user(),
            another_user_gets_no_further_than_the_public_apis,
        ),
        test(
            "no_path_of_the_emulator_serves_a_stranger",
            None,
            no_path_of_the_emulator_serves_a_stranger,
        ),
        test(
            "a_page_of_another_origin_gets_nothing",
            no_browser().or_else(no_proc),
            a_page_of_another_origin_gets_nothing,
        ),
        test(
            "a_page_with_a_rebound_name_gets_nothing",
            no_browser().or_else(no_proc),
            a_page_with_a_rebound_name_gets_nothing,
        ),
    ];
    let conclusion = libtest_mimic::run(&arguments, tests);
    if conclusion.has_failed() {
        for stage in [&stages.plain, &stages.chaos] {
            if let Some(target) = stage.get() {
                eprintln!("what the stage printed:\n{}", target.stage.log());
            }
        }
    }
    conclusion.exit_code()
}

/// Fails with the first of what was found, if anything was.
fn assert_none(what: &str, found: &[String]) {
    let first: Vec<&str> = found.iter().take(40).map(String::as_str).collect();
    assert!(
        found.is_empty(),
        "{} {what}, such as:\n{}",
        found.len(),
        first.join("\n")
    );
}
