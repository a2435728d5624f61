//! Who may see the console.
//!
//! The console shows everything and changes everything, so it answers only the person who can read the terminal of
//! `cargo xtask local`. The address there holds a key. It is asked for once: the answer sets a cookie, which pages of
//! other origins cannot make a browser send.
//!
//! Beside that, the rules of the crate `loopback` hold for every request. A request that changes something must come
//! from a page of the console: it has its `Origin`, and a token that only these pages hold.

use std::fmt;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Uri};
use sha2::{Digest, Sha256};

use crate::fields::Fields;

/// The parameter of the address that holds the key.
const KEY: &str = "key";

/// What the console is opened with: random, and void when the stage ends.
#[derive(Clone)]
pub struct Secrets {
    key: String,
    session: String,
    token: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// Why a request is not answered by the page that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is for another host, or from a page of another origin.
    Stranger(loopback::Stranger),
    /// It has neither key nor cookie.
    Unknown,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Who has the address from the terminal, and gets a cookie.
    New,
    /// Who has the cookie.
    Known,
}

impl Secrets {
    /// Makes new ones.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self {
            key: random()?,
            session: random()?,
            token: random()?,
        })
    }

    /// The address of a console with these secrets. A secret itself.
    #[must_use]
    pub fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}/?{KEY}={}", self.key)
    }

    /// Whether a request is answered.
    pub(crate) fn admit(
        &self,
        port: u16,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Visitor, Refused> {
        loopback::admit(headers).map_err(Refused::Stranger)?;
        if self.has_cookie(port, headers) {
            return Ok(Visitor::Known);
        }
        let query = Fields::parse(uri.query().unwrap_or_default());
        match query.get(KEY) {
            Some(key) if same(key, &self.key) => Ok(Visitor::New),
            _ => Err(Refused::Unknown),
        }
    }

    /// Whether a request that changes something comes from a page of the console, by its headers:
    /// [`Self::admit`] has compared the origin.
    pub(crate) fn is_from_a_page(method: &Method, headers: &HeaderMap) -> bool {
        *method == Method::POST && headers.contains_key(header::ORIGIN)
    }

    /// Whether a form was made by the console.
    pub(crate) fn has_made(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| same(token, &self.token))
    }

    /// What every form sends.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The header by which a browser learns the cookie. Cookies are shared among the ports of a host, so its name holds
    /// the port.
    pub(crate) fn set_cookie(&self, port: u16) -> Option<HeaderValue> {
        let cookie = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            cookie_name(port),
            self.session
        );
        HeaderValue::try_from(cookie).ok()
    }

    fn has_cookie(&self, port: u16, headers: &HeaderMap) -> bool {
        let name = cookie_name(port);
        let cookies = headers.get_all(header::COOKIE).iter();
        cookies
            .filter_map(|cookies| cookies.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(known, value)| known == name && same(value, &self.session))
    }
}

fn cookie_name(port: u16) -> String {
    format!("stage-console-{port}")
}

/// 160 random bits.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Compares hashes: how long it takes says nothing about where two texts differ.
fn same(left: &str, right: &str) -> bool {
    Sha256::digest(left) == Sha256::digest(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u16 = 4568;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("127.0.0.1:4568"));
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    fn admit(
        secrets: &Secrets,
        uri: &str,
        pairs: &[(&'static str, &str)],
    ) -> Result<Visitor, Refused> {
        secrets.admit(PORT, &headers(pairs), &uri.parse().unwrap())
    }

    #[test]
    fn who_has_key_or_cookie_is_admitted() {
        let secrets = Secrets::random().unwrap();
        let url = secrets.url(PORT);
        assert_eq!(admit(&secrets, &url, &[]), Ok(Visitor::New));
        let cookie = secrets.set_cookie(PORT).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(
            cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
            "{cookie}"
        );
        let pair = cookie.split(';').next().unwrap();
        let others = format!("a=b; {pair}; c=d");
        assert_eq!(
            admit(&secrets, "/logs", &[("cookie", &others)]),
            Ok(Visitor::Known)
        );
        // The key is no cookie, and the cookie no key.
        assert!(!cookie.contains(url.rsplit('=').next().unwrap()));
    }

    #[test]
    fn who_has_neither_is_refused() {
        let (secrets, others) = (Secrets::random().unwrap(), Secrets::random().unwrap());
        let cookie = secrets.set_cookie(PORT + 1).unwrap();
        let cookie = cookie
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        for (uri, pairs) in [
            ("/", &[][..]),
            ("/?key=", &[]),
            (others.url(PORT).as_str(), &[]),
            // Of a console on another port.
            ("/", &[("cookie", cookie.as_str())]),
            ("/", &[("cookie", "stage-console-4568=")]),
        ] {
            assert_eq!(admit(&secrets, uri, pairs), Err(Refused::Unknown), "{uri}");
        }
    }

    #[test]
    fn strangers_are_refused_even_with_the_key() {
        let secrets = Secrets::random().unwrap();
        let url = secrets.url(PORT);
        for pair in [
            ("host", "evil.example"),
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:4568"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let refused = admit(&secrets, &url, &[pair]);
            assert!(matches!(refused, Err(Refused::Stranger(_))), "{pair:?}");
        }
    }

    #[test]
    fn a_change_needs_the_origin_and_the_token() {
        let secrets = Secrets::random().unwrap();
        let own = headers(&[("origin", "http://127.0.0.1:4568")]);
        assert!(Secrets::is_from_a_page(&Method::POST, &own));
        assert!(!Secrets::is_from_a_page(&Method::POST, &headers(&[])));
        assert!(!Secrets::is_from_a_page(&Method::PUT, &own));
        assert!(secrets.has_made(Some(secrets.token())));
        assert!(!secrets.has_made(Some("")));
        assert!(!secrets.has_made(None));
    }
}
