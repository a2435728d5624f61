//! Settings of a stage that are of its HTTP APIs.

use super::{NOUN, Route};
use crate::check::Check;
use crate::resource_id::ResourceId;
use crate::settings::is_graphic;
use crate::stage::{Authorization, DEFAULT_ROUTE, Jwt, Throttle};

/// Audiences of one JWT authorizer.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
const AUDIENCES_MAX: usize = 50;

pub(super) fn check(check: &mut Check<'_>) {
    authorization(check);
    writable(check);
    throttling(check);
}

fn declared(check: &mut Check<'_>, setting: &str, http_api: &str) {
    let names = check.names_of(&NOUN);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let subject = match setting {
        // A list of names.
        "writable" => check.setting(&[setting]),
        _ => check.setting(&[setting, http_api]),
    };
    check.known(&subject, setting, NOUN.noun, http_api, &names);
}

fn authorization(check: &mut Check<'_>) {
    let stage = check.stage();
    for (http_api, authorization) in &stage.authorization {
        declared(check, "authorization", http_api);
        let Authorization::Jwt(Jwt { issuer, audience }) = authorization else {
            continue;
        };
        check.require(
            issuer
                .strip_prefix("https://")
                .is_some_and(|rest| is_graphic(rest) && !rest.contains(['?', '#'])),
            &check.setting(&["authorization", http_api, "jwt", "issuer"]),
            format!("accepts tokens of `{issuer}`, which is not an issuer"),
            "write its URL, `https://` and without a query",
        );
        let subject = check.setting(&["authorization", http_api, "jwt", "audience"]);
        check.require(
            (1..=AUDIENCES_MAX).contains(&audience.len()),
            &subject,
            format!("accepts tokens for {} audiences", audience.len()),
            format!("name 1 to {AUDIENCES_MAX}"),
        );
        for audience in audience {
            check.require(
                !audience.is_empty() && !audience.contains(char::is_control),
                &subject,
                format!("accepts tokens for the audience `{audience}`, which is not an audience"),
                "write a value of the claim `aud`, without control characters",
            );
        }
    }
}

fn writable(check: &mut Check<'_>) {
    for http_api in &check.stage().writable {
        declared(check, "writable", http_api);
        if !check.names_of(&NOUN).contains(http_api) {
            continue;
        }
        let id = ResourceId::new(&NOUN, http_api);
        let mut functions = check.functions().iter();
        let has_routes = functions.any(|function| {
            let triggers = function.triggers.iter().map(|trigger| &trigger.what);
            triggers
                .filter(|trigger| trigger.is_for_writers())
                .any(|trigger| trigger.source() == &id)
        });
        check.require(
            has_routes,
            &check.setting(&["writable"]),
            format!(
                "lets everybody write by HTTP API `{http_api}`, which has no route for writers"
            ),
            "remove it, or declare a route with `for_writers()`",
        );
    }
}

fn throttling(check: &mut Check<'_>) {
    for (http_api, throttles) in &check.stage().throttling {
        declared(check, "throttling", http_api);
        let id = ResourceId::new(&NOUN, http_api);
        let functions = check.functions().iter();
        let routes: Vec<String> = functions
            .flat_map(|function| function.triggers_of::<Route>(&id))
            .map(|(_, route)| route.key())
            .collect();
        let names: Vec<&str> = std::iter::once(DEFAULT_ROUTE)
            .chain(routes.iter().map(String::as_str))
            .collect();
        for (route, Throttle { rate, burst }) in throttles {
            let subject = check.setting(&["throttling", http_api, route]);
            check.known(&subject, "throttling", "route", route, &names);
            check.require(
                *rate > 0 && *burst > 0,
                &subject,
                format!("lets no request through `{route}` of HTTP API `{http_api}`"),
                "set `rate` and `burst` to 1 or more",
            );
        }
    }
}
