//! Functions, invoked by hand.

use super::browser::Browser;

pub(crate) fn a_function_is_invoked(browser: &Browser<'_>) {
    let window = &browser.window;
    browser.go("/functions/media-api");
    window.click_text("Invoke");
    window.shows("statusCode");
    window.shows("REPORT RequestId");
    window.shows("dynamodb:Scan");
    browser.picture("function");
    window.fill("textarea[name=event]", "{");
    window.click_text("Invoke");
    window.shows("the event is not JSON");
}
