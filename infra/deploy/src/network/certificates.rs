//! The certificate authorities that are trusted.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Error, ErrorKind, Result};
use crate::network::environment::Setting;

/// The authorities of the system, and those of a file of the user's.
///
/// The AWS CLI trusts only a bundle's authorities if there is one, so that people put the
/// public ones into it as well. Here both are trusted: such a bundle works, and so does one
/// that has the company's authority alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Authorities {
    /// Whether the system has any.
    pub(crate) system: bool,
    /// More of them, in PEM.
    pub(crate) more: Option<Vec<u8>>,
}

impl Authorities {
    /// # Errors
    /// When the bundle cannot be read, or has something else in it.
    pub(crate) fn with(bundle: Option<&Setting>) -> Result<Self> {
        // `SSL_CERT_FILE` may lead to none, which the HTTP client takes for a defect of its own.
        let found = rustls_native_certs::load_native_certs();
        let (usable, _) = RootCertStore::empty().add_parsable_certificates(found.certs);
        Ok(Self {
            system: usable > 0,
            more: bundle.map(read).transpose()?,
        })
    }
}

/// A bundle whose certificates can all be used.
fn read(bundle: &Setting) -> Result<Vec<u8>> {
    let error = || {
        Error::new(format!(
            "could not read the certificates in {}, which {} names",
            bundle.value, bundle.source
        ))
        .of_kind(ErrorKind::Configuration)
    };
    let pem = std::fs::read(&bundle.value).map_err(|why| error().because(why.to_string()))?;
    let certificates: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&pem).collect();
    let certificates =
        certificates.map_err(|why| error().because(format!("it is not PEM: {why}")))?;
    if certificates.is_empty() {
        return Err(error().because("the file has no certificate in PEM format").hint(
            "the file must hold certificates between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----",
        ));
    }
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        store.add(certificate).map_err(|why| {
            error().because(format!(
                "certificate {} of it is not usable: {why}",
                index + 1
            ))
        })?;
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(contents: Option<&[u8]>) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        if let Some(contents) = contents {
            std::fs::write(&file, contents).unwrap();
        }
        let bundle = Setting {
            value: file.display().to_string(),
            source: "AWS_CA_BUNDLE".to_owned(),
        };
        Authorities::with(Some(&bundle)).unwrap_err()
    }

    #[test]
    fn a_bundle_that_cannot_be_used_is_named() {
        for (contents, why) in [
            (None, "No such file"),
            (Some(&b""[..]), "no certificate"),
            (Some(b"<html>"), "no certificate"),
            (Some(b"\xff\xfe\0"), "no certificate"),
            (
                Some(b"-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n"),
                "certificate 1 of it is not usable",
            ),
            (
                Some(b"-----BEGIN CERTIFICATE-----\n&&&\n-----END CERTIFICATE-----\n"),
                "not PEM",
            ),
        ] {
            let error = refused(contents);
            assert!(error.what().contains("AWS_CA_BUNDLE"), "{error}");
            assert!(error.why().unwrap().contains(why), "{error}");
        }
    }
}
