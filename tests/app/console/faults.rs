//! Faults on purpose.

use super::browser::Browser;
use crate::library::Stage;

/// The status of a request to the media API.
fn status(stage: &Stage) -> u16 {
    stage.get("/").status
}

/// The status of a request that scans a table.
fn status_of_scan(stage: &Stage) -> u16 {
    stage.post("USERS_API_URL", "/scan", "{}").status
}

pub(crate) fn faults_are_made_and_stopped(stage: &Stage, browser: &Browser<'_>) {
    let window = &browser.window;
    assert_eq!(status(stage), 200);
    browser.go("/faults");
    window.shows("Nothing yet.");
    window.fill("input[name=seed]", "7");
    for (share, percent) in [
        ("calls", "100"),
        ("late", "0"),
        ("twice", "0"),
        ("killed", "0"),
    ] {
        window.fill(&format!("input[name={share}]"), percent);
    }
    window.click_text("Inject faults");
    window.shows("The stage injects faults with seed 7");
    assert_eq!(status(stage), 500);
    window.shows("calls throttled");
    browser.picture("faults-on");
    window.click_text("Stop all faults");
    window.shows("The stage injects no more faults");
    assert_eq!(status(stage), 200);
    window.fill("input[name=late]", "101");
    window.run("document.querySelector('form[action=\"/faults/on\"]').noValidate = true");
    window.click_text("Inject faults");
    window.shows("a share is a number from 0 to 100");
}

pub(crate) fn calls_of_an_operation_fail(stage: &Stage, browser: &Browser<'_>) {
    let window = &browser.window;
    browser.go("/faults");
    window.fill("input[name=operation]", "dynamodb Scan");
    // As often as the SDK tries.
    window.fill("input[name=calls]", "3");
    browser.choose("fault", "internal error");
    window.click_text("Fail calls");
    window.shows("The next 3 calls of dynamodb Scan will meet: internal error");
    assert_eq!(status_of_scan(stage), 500);
    assert_eq!(status_of_scan(stage), 200);
    window.shows("calls failed (scheduled)");
    browser.go("/events?kind=request&text=an%20injected%20fault");
    window.click("tbody th a");
    window.shows("fault: dynamodb Scan, internal error");
    browser.go("/faults");
    window.fill("input[name=operation]", "Scan");
    window.click_text("Fail calls");
    window.shows("`Scan` does not name a service and an operation");
}

pub(crate) fn a_function_is_killed(stage: &Stage, browser: &Browser<'_>) {
    let window = &browser.window;
    browser.go("/faults");
    browser.choose("function", "media-api");
    window.fill("input[name=after]", "0");
    window.click_text("Kill the next invocation");
    window.shows("The next invocation of media-api will be killed after 0 ms");
    assert_eq!(status(stage), 500);
    assert_eq!(status(stage), 200);
    window.shows("processes killed (scheduled)");
    browser.choose("function", "media-api");
    window.click_text("Kill its processes now");
    window.shows("Killed 1 process of media-api");
    assert_eq!(status(stage), 200);
}
