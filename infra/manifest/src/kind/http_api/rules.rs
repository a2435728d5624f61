//! What API Gateway does not accept.

use std::collections::BTreeMap;

use super::{Cors, Declaration, Route, path};
use crate::check::{Check, Subject};

/// The longest that an HTTP API waits for a function, in seconds.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
const INTEGRATION_TIMEOUT_SECONDS: u32 = 30;
/// Routes of one HTTP API, by the same page.
pub(super) const ROUTES_MAX: usize = 300;

impl Declaration {
    pub(super) fn check_routes(&self, check: &mut Check<'_>) {
        let mut taken: BTreeMap<(&str, String), &str> = BTreeMap::new();
        let mut count = 0;
        for function in check.functions() {
            let mut serves = false;
            for (origin, Route { method, path }) in function.triggers_of::<Route>(&self.named.id) {
                let subject = Subject::of_function(function).at(origin);
                serves = true;
                count += 1;
                check.require(
                    path::is_valid(path),
                    &subject,
                    format!("has the route `{method} {path}`, which is not a path"),
                    "write one like `/`, `/orders/{id}` or `/{name+}`, the `+` in the last segment only",
                );
                if let Some(other) = taken.insert((method, path::shape(path)), &function.name) {
                    check.require(
                        false,
                        &subject,
                        format!(
                            "serves `{method} {path}` of {}, as function `{other}` does",
                            self.named.id
                        ),
                        "remove one of the routes",
                    );
                }
            }
            if serves {
                let subject = Subject::of_function(function);
                let (timeout_seconds, subject) = check.effective_timeout(subject, function);
                check.require(
                    timeout_seconds <= INTEGRATION_TIMEOUT_SECONDS,
                    &subject,
                    format!(
                        "serves an HTTP API and may take {timeout_seconds} s, but the API answers 503 after {INTEGRATION_TIMEOUT_SECONDS} s"
                    ),
                    format!("set `timeout_seconds` to at most {INTEGRATION_TIMEOUT_SECONDS}"),
                );
            }
        }
        check.require(
            count <= ROUTES_MAX,
            &self.subject(),
            format!("has {count} routes, where API Gateway takes {ROUTES_MAX}"),
            "split it into two APIs",
        );
    }

    pub(super) fn check_cors(&self, check: &mut Check<'_>) {
        if let Some(cors) = &self.cors {
            cors.check(check, &self.subject());
        }
    }

    fn subject(&self) -> Subject {
        Subject::new(&self.named.id).at(self.named.origin)
    }
}

impl Cors {
    /// What is wrong with it, as part of `subject`.
    pub(in crate::kind) fn check(&self, check: &mut Check<'_>, subject: &Subject) {
        let Self {
            origins,
            exposed_headers,
        } = self;
        check.require(
            !origins.is_empty(),
            subject,
            "has `Cors` for no origin",
            "name origins, or remove it",
        );
        for origin in origins {
            check.require(
                is_origin(origin) || (origin == "*" && origins.len() == 1),
                subject,
                format!("allows the CORS origin `{origin}`, which is not an origin"),
                "write one like `https://example.com`, without a path, or `*` alone",
            );
        }
        for header in exposed_headers {
            check.require(
                is_header_name(header),
                subject,
                format!("exposes `{header}`, which is not a name of a header"),
                "write one like `next-cursor`",
            );
        }
    }
}

/// Whether `origin` is what a browser sends as `Origin`, or all of a scheme.
fn is_origin(origin: &str) -> bool {
    let authority = ["https://", "http://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    authority.is_some_and(|authority| {
        authority == "*"
            || !authority.is_empty()
                && authority.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte)
                })
    })
}

/// <https://www.rfc-editor.org/rfc/rfc9110#name-tokens>
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
