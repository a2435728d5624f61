//! How requests are sent: by HTTP with TLS, or without it where no endpoint speaks it.

use std::fs;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::service::Service;
use crate::environment::Environment;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest silence of a service. Rekognition may look at a large image for seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// The pool of connections that all clients of a function share.
pub(crate) fn http_connector(environment: &Environment) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
    if environment.speaks_plain_http() {
        let connector = Connector::builder().connector_settings(settings);
        return SharedHttpConnector::new(connector.build_http());
    }
    let mut connector = Connector::builder()
        .connector_settings(settings)
        .tls_provider(Provider::Rustls(CryptoMode::Ring));
    if let Some(tls) = environment.bundled_roots() {
        connector = connector.tls_context(tls);
    }
    SharedHttpConnector::new(connector.build())
}

/// Where Amazon Linux and Debian keep all root certificates in one file.
const ROOT_BUNDLES: [&str; 2] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];

impl Environment {
    /// Whether no service has an endpoint with TLS, as on the local stage. Reading root certificates would be half of a
    /// function's start there.
    fn speaks_plain_http(&self) -> bool {
        let is_plain = |url: &str| url.to_ascii_lowercase().starts_with("http://");
        self.get("AWS_ENDPOINT_URL").is_some_and(is_plain)
            && Service::IDS.iter().all(|id| {
                let of_service = self.get(&format!("AWS_ENDPOINT_URL_{id}"));
                of_service.is_none_or(is_plain)
            })
    }

    /// The system's root certificates, read from one file. The default looks for them in
    /// that file and in hundreds more that hold the same, which takes as long as all
    /// the rest of starting a function.
    ///
    /// `None` leaves it to the default: when the environment names other roots, and
    /// when the file is not there or is not wholly readable, because the connector
    /// panics at a certificate that it cannot parse.
    fn bundled_roots(&self) -> Option<TlsContext> {
        if self
            .get("SSL_CERT_FILE")
            .or_else(|| self.get("SSL_CERT_DIR"))
            .is_some()
        {
            return None;
        }
        let pem = ROOT_BUNDLES.iter().find_map(|path| fs::read(path).ok())?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .ok()?;
        let (valid, invalid) = RootCertStore::empty().add_parsable_certificates(certificates);
        if valid == 0 || invalid > 0 {
            return None;
        }
        let roots = TrustStore::empty().with_pem_certificate(pem);
        TlsContext::builder().with_trust_store(roots).build().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    fn roots_that_the_environment_names_are_left_to_the_default() {
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let environment = environment(&[(name, "/etc/own")]);
            assert!(environment.bundled_roots().is_none());
        }
    }

    #[test]
    fn root_certificates_are_spared_only_where_every_endpoint_is_plain_http() {
        let plain = |more: &[(&str, &str)]| environment(more).speaks_plain_http();
        let local = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        assert!(plain(&[local]));
        assert!(plain(&[
            local,
            ("AWS_ENDPOINT_URL_S3", "HTTP://127.0.0.1:2")
        ]));
        assert!(!plain(&[]));
        assert!(!plain(&[("AWS_ENDPOINT_URL", "https://127.0.0.1:1")]));
        assert!(!plain(&[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")]));
        for service in [Service::DYNAMODB, Service::REKOGNITION, Service::s3("b")] {
            let own = format!("AWS_ENDPOINT_URL_{}", service.id);
            assert!(!plain(&[local, (&own, "https://127.0.0.1:2")]));
        }
    }
}
