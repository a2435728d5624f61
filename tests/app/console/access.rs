//! Who is let in, and what changes something.

use super::browser::{Browser, Console};

pub(crate) fn nobody_is_let_in_without_the_key(console: &Console) {
    for path in ["/", "/data", "/?key=", "/?key=wrong", "/live", "/logs"] {
        let reply = console.ask("GET", path, &[], "");
        assert_eq!(reply.status, 403, "{path}");
        assert!(!reply.body.contains("media"), "{path}");
        assert_eq!(reply.header("set-cookie"), None);
    }
    for (name, value) in [
        ("host", "evil.example"),
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let reply = console.ask("GET", &console.keyed("/"), &[(name, value)], "");
        assert_eq!(reply.status, 403, "{name}");
    }
    let cookie = console.cookie();
    assert!(cookie.starts_with(&format!("stage-console-{}=", console.port)));
    for method in ["GET", "HEAD"] {
        let reply = console.ask(method, "/data", &[("cookie", &cookie)], "");
        assert_eq!(reply.status, 200);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.body.contains("users"), method == "GET");
    }
}

pub(crate) fn what_changes_something_comes_from_a_page(console: &Console) {
    let cookie = console.cookie();
    let page = console.ask("GET", "/data", &[("cookie", &cookie)], "").body;
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap();
    let token = format!("token={}", token.split('"').next().unwrap());
    let path = "/data/schedule/find-lost-jobs/fire";
    let own = ("origin", console.origin.as_str());
    let other = ("origin", "http://127.0.0.1:1");
    let cookie = ("cookie", cookie.as_str());
    // Without it, the answer leads to a page.
    let script = ("x-console-script", "1");
    for (headers, body, status) in [
        (&[cookie, own][..], token.as_str(), 200),
        (&[cookie, own], "token=wrong", 403),
        (&[cookie, own], "", 403),
        (&[cookie], &token, 403),
        (&[cookie, other], &token, 403),
        (&[own], &token, 403),
    ] {
        let reply = console.ask("POST", path, &[headers, &[script]].concat(), body);
        assert_eq!(reply.status, status, "{headers:?} {body}");
    }
}

pub(crate) fn the_key_does_not_stay_in_the_address(browser: &Browser<'_>) {
    browser.window.go(&browser.console.url);
    browser.window.shows("handle-object-created");
    assert_eq!(browser.window.url(), format!("{}/", browser.console.origin));
    assert_eq!(browser.window.run("return document.cookie"), "");
}
