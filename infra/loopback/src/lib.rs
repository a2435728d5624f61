//! Whom a server on this machine answers.
//!
//! A server that listens on 127.0.0.1 is within reach of every page that the developer's browser
//! shows. A page can
//!
//! - send requests to `http://127.0.0.1:PORT`, whose answers it cannot read, but whose effects it
//!   may want;
//! - resolve its own host name to 127.0.0.1 after it was loaded (DNS rebinding), and then read
//!   the answers, too.
//!
//! The browser tells both: the first by the headers `Origin` and `Sec-Fetch-Site`
//! ([Fetch Metadata Request Headers](https://www.w3.org/TR/fetch-metadata/)), the second by
//! `Host`. What is not a browser, such as the AWS CLI or a function, sends neither `Origin` nor
//! `Sec-Fetch-Site`, and is not restricted by this crate.
//!
//! The rules stand here once for all servers in Rust. `door.py` in `infra/local` has the same
//! for the AWS emulator.

use http::header::{self, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, Method};

/// Why a request is refused. The answer is 403 (Forbidden).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// It is for a host that is not this machine.
    Host,
    /// It comes from a page of another origin.
    Origin,
}

impl Stranger {
    /// What the client is told.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Host => "This server answers requests for 127.0.0.1, localhost and [::1] only",
            Self::Origin => "This server does not answer pages of other origins",
        }
    }
}

/// Lets requests pass that no page of another origin has sent.
///
/// # Errors
/// When the request is for another host, or comes from a page of another origin.
pub fn admit(headers: &HeaderMap) -> Result<(), Stranger> {
    if !is_for_this_machine(headers) {
        return Err(Stranger::Host);
    }
    if !has_own_origin(headers) || is_cross_site(headers) {
        return Err(Stranger::Origin);
    }
    Ok(())
}

/// Lets requests to a public API pass: those that [`admit`] does, links to it that somebody
/// follows, and those with an `Origin`, about which the API's CORS configuration decides.
///
/// # Errors
/// When the request is for another host, or a page of another site sends it without an `Origin`,
/// as an image or a script.
pub fn admit_to_public_api(method: &Method, headers: &HeaderMap) -> Result<(), Stranger> {
    if !is_for_this_machine(headers) {
        return Err(Stranger::Host);
    }
    if is_cross_site(headers)
        && !headers.contains_key(header::ORIGIN)
        && !is_followed_link(method, headers)
    {
        return Err(Stranger::Origin);
    }
    Ok(())
}

/// Whether `Host` is a name of this machine: 127.0.0.1, [::1], localhost or a name below it,
/// which never leave the machine (RFC 6761, 6.3).
fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    Authority::try_from(host.as_bytes()).is_ok_and(|authority| {
        let host = authority.host().to_ascii_lowercase();
        let is_local_name = host == "localhost" || host.ends_with(".localhost");
        !authority.as_str().contains('@')
            && (is_local_name || ["127.0.0.1", "[::1]"].contains(&host.as_str()))
    })
}

/// Whether there is no `Origin`, or that of this server itself.
fn has_own_origin(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).map(http::HeaderValue::as_bytes);
    headers
        .get_all(header::ORIGIN)
        .iter()
        .all(|origin| origin.as_bytes().strip_prefix(b"http://") == host)
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    sites.any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"))
}

/// Whether a link to this server was followed: it is then what the address bar shows, and the
/// page with the link sees nothing of it.
fn is_followed_link(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &HeaderName, wanted: &str| {
        headers
            .get(name)
            .is_some_and(|value| value.as_bytes() == wanted.as_bytes())
    };
    matches!(*method, Method::GET | Method::HEAD)
        && is(&SEC_FETCH_MODE, "navigate")
        && is(&SEC_FETCH_DEST, "document")
}

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<const N: usize>(pairs: [(&'static str, &'static str); N]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            );
        }
        headers
    }

    #[test]
    fn names_of_this_machine_are_answered() {
        for host in [
            "127.0.0.1:8000",
            "127.0.0.1",
            "localhost:9",
            "LocalHost",
            "bucket.s3.localhost:4566",
            "[::1]:8000",
            "[::1]",
        ] {
            assert_eq!(admit(&headers([("host", host)])), Ok(()), "{host}");
        }
    }

    #[test]
    fn names_of_other_machines_are_not() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.2",
            "0.0.0.0:8000",
            "127.0.0.1.evil.example:8000",
            "user@localhost",
            "localhost@evil.example",
            "",
        ] {
            let headers = headers([("host", host)]);
            assert_eq!(admit(&headers), Err(Stranger::Host), "{host}");
            assert_eq!(
                admit_to_public_api(&Method::GET, &headers),
                Err(Stranger::Host),
                "{host}"
            );
        }
        assert_eq!(admit(&HeaderMap::new()), Err(Stranger::Host));
        let two = headers([("host", "localhost"), ("host", "evil.example")]);
        assert_eq!(admit(&two), Err(Stranger::Host));
    }

    #[test]
    fn pages_of_other_origins_are_not_answered() {
        for origin in [
            "https://evil.example",
            "http://evil.example:8000",
            "http://localhost:8000",
            "http://127.0.0.1:3000",
            "https://127.0.0.1:8000",
            "null",
            "",
        ] {
            let headers = headers([("host", "127.0.0.1:8000"), ("origin", origin)]);
            assert_eq!(admit(&headers), Err(Stranger::Origin), "{origin}");
            // Its CORS configuration decides.
            assert_eq!(admit_to_public_api(&Method::POST, &headers), Ok(()));
        }
        let own = headers([
            ("host", "127.0.0.1:8000"),
            ("origin", "http://127.0.0.1:8000"),
            ("sec-fetch-site", "same-origin"),
        ]);
        assert_eq!(admit(&own), Ok(()));
    }

    #[test]
    fn a_page_of_another_site_that_hides_its_origin_is_not_answered() {
        let image = headers([
            ("host", "127.0.0.1:8000"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "image"),
        ]);
        assert_eq!(admit(&image), Err(Stranger::Origin));
        assert_eq!(
            admit_to_public_api(&Method::GET, &image),
            Err(Stranger::Origin)
        );
    }

    #[test]
    fn links_to_a_public_api_are_followed() {
        let link = headers([
            ("host", "127.0.0.1:8000"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ]);
        assert_eq!(admit_to_public_api(&Method::GET, &link), Ok(()));
        assert_eq!(admit(&link), Err(Stranger::Origin));
        // A form that is sent by itself; browsers add an origin to it.
        assert_eq!(
            admit_to_public_api(&Method::POST, &link),
            Err(Stranger::Origin)
        );
        let mut frame = link;
        frame.insert(SEC_FETCH_DEST, http::HeaderValue::from_static("iframe"));
        assert_eq!(
            admit_to_public_api(&Method::GET, &frame),
            Err(Stranger::Origin)
        );
    }

    #[test]
    fn what_is_no_browser_is_answered() {
        let function = headers([("host", "127.0.0.1:4566"), ("user-agent", "aws-sdk-rust")]);
        assert_eq!(admit(&function), Ok(()));
        let typed = headers([("host", "localhost:8000"), ("sec-fetch-site", "none")]);
        assert_eq!(admit(&typed), Ok(()));
    }
}
