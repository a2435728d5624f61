//! The console in a real browser: what a person does there, and what hostile data does not.

mod access;
mod browser;
mod data;
mod events;
mod failures;
mod faults;
mod functions;
mod hostile;
use acceptance::webdriver::Window;

use self::browser::{Browser, Console, DESKTOP};
use crate::library::Stage;

/// A window, if this machine can open one.
fn window() -> Option<Window> {
    let (width, height) = DESKTOP;
    let window = Window::open(width, height);
    if window.is_none() {
        eprintln!("left out: this machine has no chromium and chromedriver");
    }
    window
}

/// The steps follow each other on one stage: starting one takes longer than most of them.
#[test]
fn console() {
    let stage = Stage::start();
    let console = Console::of(&stage);
    access::nobody_is_let_in_without_the_key(&console);
    access::what_changes_something_comes_from_a_page(&console);
    let Some(window) = window() else { return };
    let browser = Browser {
        window,
        console: &console,
    };
    access::the_key_does_not_stay_in_the_address(&browser);
    data::the_steps_of_the_tutorial_are_done(&browser);
    let trace = data::an_upload_is_followed(&stage, &browser);
    data::a_request_is_followed_through_the_stream(&stage, &browser);
    functions::a_function_is_invoked(&browser);
    failures::a_denied_call_is_told_and_its_event_redriven(&stage, &browser);
    faults::faults_are_made_and_stopped(&stage, &browser);
    faults::calls_of_an_operation_fail(&stage, &browser);
    faults::a_function_is_killed(&stage, &browser);
    hostile::an_uploaded_page_is_not_shown(&stage, &browser);
    hostile::hostile_data_is_text(&stage, &browser);
    events::are_listed_in_pages(&stage, &browser, 1_000);
    browser.look_at_all(&[
        ("trace", trace),
        ("function", "/functions/media-api".to_owned()),
        ("table", "/data/table/users".to_owned()),
        ("item", "/data/table/users/item?partition=ID1".to_owned()),
        ("new-item", "/data/table/users/new".to_owned()),
        ("bucket", "/data/bucket/media".to_owned()),
        ("queue", "/data/queue/waiting-images".to_owned()),
        ("failures", "/data/failures/label-waiting".to_owned()),
        ("topic", "/data/topic/video".to_owned()),
    ]);
    let mut complaints = browser.window.complaints();
    // Chromium also tells of what the console refuses, and of pages that it does not have.
    complaints.retain(|complaint| {
        !complaint.contains("status of 422") && !complaint.contains("status of 404")
    });
    assert_eq!(complaints, [""; 0]);
}

/// Does something with a stage of its own, in a browser that shows the console.
fn on_a_stage(act: impl FnOnce(&Stage, &Browser<'_>)) {
    let stage = Stage::start();
    let console = Console::of(&stage);
    let Some(window) = window() else { return };
    let browser = Browser {
        window,
        console: &console,
    };
    browser.window.go(&console.url);
    act(&stage, &browser);
}

#[test]
fn a_poison_record_is_followed_until_its_redrive() {
    on_a_stage(|stage, browser| {
        failures::a_poison_record_is_followed_until_its_redrive(stage, browser);
    });
}

#[test]
#[ignore = "takes minutes: ten thousand events"]
fn long_ten_thousand_events_are_listed_in_pages() {
    on_a_stage(|stage, browser| events::are_listed_in_pages(stage, browser, 10_000));
}
