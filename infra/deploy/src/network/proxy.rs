//! The proxies that the environment names, heeded as the AWS CLI heeds them.

use std::fmt;

use aws_smithy_http_client::proxy::ProxyConfig;
use http::Uri;

use crate::error::{Error, ErrorKind, Result};
use crate::network::environment::{Environment, Setting};

/// Where instances and containers get their credentials and region. They are on the machine
/// itself, where no proxy leads.
const METADATA: [&str; 5] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
];

/// The proxies for both schemes, and the hosts that are reached without one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    bypassed: String,
}

/// A proxy, and the variable that names it.
#[derive(Clone)]
pub(crate) struct Proxy {
    uri: Uri,
    variable: String,
}

impl Proxies {
    /// The variables in lower case win, as in curl and in the AWS CLI. `ALL_PROXY` stands in
    /// for either of the others.
    ///
    /// # Errors
    /// When a variable does not name a proxy that can be used.
    pub(crate) fn of(environment: &Environment) -> Result<Self> {
        // What is in `ALL_PROXY` is often for other programs, as a SOCKS proxy is. The AWS CLI
        // does not read the variable at all.
        let all = environment
            .first(&["all_proxy", "ALL_PROXY"])
            .filter(|all| !all.value.starts_with("socks"));
        let proxy = |names: &[&str]| {
            let setting = environment.first(names).or_else(|| all.clone());
            setting.map(|setting| Proxy::of(&setting)).transpose()
        };
        Ok(Self {
            http: proxy(&["http_proxy", "HTTP_PROXY"])?,
            https: proxy(&["https_proxy", "HTTPS_PROXY"])?,
            bypassed: environment
                .first(&["no_proxy", "NO_PROXY"])
                .map(|bypassed| bypassed.value)
                .unwrap_or_default(),
        })
    }

    /// The proxy that a request goes through.
    pub(crate) fn proxy_for(&self, uri: &Uri) -> Option<&Proxy> {
        let host = uri.host()?;
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let direct = METADATA.contains(&host) || bypasses(&self.bypassed, host, port);
        let proxy = if secure { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !direct)
    }
}

/// Whether a list as in `NO_PROXY` has a host: by its name, by a domain that it is in, by its
/// address or a network of it. An entry may be for one port only.
fn bypasses(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).to_lowercase();
    let address: Option<std::net::IpAddr> = host.parse().ok();
    list.split([',', ' ']).any(|entry| {
        let entry = entry.trim().to_lowercase();
        if let (Some(address), Ok(network)) = (address, entry.parse::<ipnet::IpNet>()) {
            return network.contains(&address);
        }
        let (name, only_port) = match entry.rsplit_once(':') {
            // More colons are those of an address.
            Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
                (name.to_owned(), digits.parse().ok())
            }
            _ => (entry, None),
        };
        if only_port.is_some_and(|only: u16| only != port) {
            return false;
        }
        let name = name.trim_matches(['[', ']']);
        let domain = name.trim_start_matches('*').trim_start_matches('.');
        match address {
            _ if name == "*" => true,
            _ if domain.is_empty() => false,
            Some(address) => domain.parse() == Ok(address),
            None => {
                host == domain
                    || host
                        .strip_suffix(domain)
                        .is_some_and(|sub| sub.ends_with('.'))
            }
        }
    })
}

impl Proxy {
    fn of(setting: &Setting) -> Result<Self> {
        let value = setting.value.trim();
        let url = if value.contains("://") {
            value.to_owned()
        } else {
            format!("http://{value}")
        };
        let uri: Option<Uri> = url.parse().ok();
        let usable = |uri: &Uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        };
        // A proxy's URL may hold a password, so it is not shown.
        uri.filter(usable)
            .map(|uri| Self {
                uri,
                variable: setting.source.clone(),
            })
            .ok_or_else(|| {
                Error::new(format!(
                    "{} is not the URL of an HTTP proxy",
                    setting.source
                ))
                .of_kind(ErrorKind::Configuration)
                .hint("write it like http://proxy.example.com:8080; other kinds of proxies, such as SOCKS, are not supported")
            })
    }

    /// Sends requests of either scheme through this proxy.
    pub(crate) fn config(&self) -> Result<ProxyConfig> {
        ProxyConfig::all(self.uri.clone())
            .map_err(|error| Error::new(format!("{}: {error}", self.variable)))
    }
}

impl fmt::Display for Proxy {
    /// Without the user's name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let authority = self
            .uri
            .authority()
            .map_or("", http::uri::Authority::as_str);
        let host = authority.rsplit('@').next().unwrap_or(authority);
        write!(f, "{scheme}://{host} ({})", self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies> {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Proxies::of(&variables.collect())
    }

    /// The proxy for a URL, as errors name it.
    fn proxy(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxies = proxies(variables).unwrap();
        proxies
            .proxy_for(&url.parse().unwrap())
            .map(ToString::to_string)
    }

    const AWS: &str = "https://sts.eu-west-1.amazonaws.com/";

    #[test]
    fn the_scheme_decides_and_lower_case_wins() {
        let both = [
            ("HTTPS_PROXY", "http://secure:1"),
            ("HTTP_PROXY", "http://plain:2"),
        ];
        assert_eq!(
            proxy(&both, AWS),
            Some("http://secure:1 (HTTPS_PROXY)".to_owned())
        );
        assert_eq!(
            proxy(&both, "http://127.0.0.1:4566"),
            Some("http://plain:2 (HTTP_PROXY)".to_owned())
        );
        assert_eq!(proxy(&both[1..], AWS), None);
        let cases = [("HTTPS_PROXY", "upper:1"), ("https_proxy", "lower:1")];
        assert_eq!(
            proxy(&cases, AWS),
            Some("http://lower:1 (https_proxy)".to_owned())
        );
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let variables = [("https_proxy", ""), ("HTTPS_PROXY", "upper:1")];
        assert!(proxy(&variables, AWS).is_some());
        assert_eq!(proxy(&[("HTTPS_PROXY", " ")], AWS), None);
    }

    #[test]
    fn all_proxy_stands_in_unless_it_is_no_http_proxy() {
        assert!(proxy(&[("ALL_PROXY", "http://p:1")], AWS).is_some());
        assert_eq!(proxy(&[("ALL_PROXY", "socks5h://p:1")], AWS), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        for value in ["socks5://ann:secret@p:1", "http://", "http://ann:secret@:x"] {
            let error = proxies(&[("HTTPS_PROXY", value)]).unwrap_err();
            assert!(error.what().contains("HTTPS_PROXY"), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = proxy(&[("HTTPS_PROXY", "http://ann:secret@p:8080")], AWS);
        assert_eq!(shown, Some("http://p:8080 (HTTPS_PROXY)".to_owned()));
    }

    #[test]
    fn no_proxy_names_hosts_domains_networks_and_ports() {
        for (list, host, port, expected) in [
            ("127.0.0.1", "127.0.0.1", 1, true),
            ("localhost, 127.0.0.1", "127.0.0.1", 1, true),
            ("127.0.0.1", "127.0.0.11", 1, false),
            ("amazonaws.com", "sts.amazonaws.com", 443, true),
            (".amazonaws.com", "sts.amazonaws.com", 443, true),
            ("*.amazonaws.com", "sts.amazonaws.com", 443, true),
            ("amazonaws.com", "notamazonaws.com", 443, false),
            ("STS.amazonaws.com", "sts.amazonaws.com", 443, true),
            ("*", "anything", 1, true),
            ("10.0.0.0/8", "10.1.2.3", 1, true),
            ("10.0.0.0/8", "11.1.2.3", 1, false),
            ("localhost:4566", "localhost", 4566, true),
            ("localhost:4566", "localhost", 4567, false),
            ("::1", "[::1]", 1, true),
            ("[::1]:4566", "[::1]", 4566, true),
            ("[::1]:4566", "[::1]", 4567, false),
            ("", "anything", 1, false),
            (",,", "anything", 1, false),
        ] {
            assert_eq!(bypasses(list, host, port), expected, "{list}: {host}");
        }
    }

    #[test]
    fn credentials_of_the_instance_are_not_asked_for_through_a_proxy() {
        let variables = [("HTTP_PROXY", "http://p:1")];
        assert_eq!(proxy(&variables, "http://169.254.169.254/latest"), None);
        assert_eq!(proxy(&variables, "http://[fd00:ec2::254]/latest"), None);
    }
}
