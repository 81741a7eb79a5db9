//! Checks the files that a configuration refers to: certificates, keys and tokens.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::sign::CertifiedKey;

use super::section::Section;
use super::settings::{CertificateAuthority, CredentialsConfig, PemConfig};
use crate::tls::{pem, provider};

const CURE: &str = "see certs/README.md for how to make certificates";

/// Reads a key that refers to a file of CA certificates.
pub(super) fn authority(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let path = section.required_path(key, "set it to a PEM file of CA certificates")?;
    match read(&path).and_then(|text| certificates(&text, &path)) {
        Ok(()) => Some(path),
        Err(problem) => {
            section.problem(key, problem, CURE);
            None
        }
    }
}

/// Reads `certificate` and `key`: a serving certificate and its private key.
pub(super) fn pair(section: &Section<'_>) -> Option<(PathBuf, PathBuf)> {
    let certificate = section.required_path(
        "certificate",
        "set it to the PEM file of the serving certificate",
    );
    let key = section.required_path("key", "set it to the PEM file of the private key");
    let (certificate, key) = (certificate?, key?);
    let sources = (
        PemConfig::File(certificate.clone()),
        PemConfig::File(key.clone()),
    );
    if let Err(problem) = matching(&sources.0, &sources.1) {
        section.problem("certificate", problem, CURE);
        return None;
    }
    Some((certificate, key))
}

/// Checks that the certificates of a certificate authority are usable. The error is the problem.
pub(super) fn trusted(authority: &CertificateAuthority) -> Result<(), String> {
    match authority {
        CertificateAuthority::System => Ok(()),
        CertificateAuthority::File(path) => read(path).and_then(|text| certificates(&text, path)),
        CertificateAuthority::Inline(text) => {
            certificates(text, Path::new("certificate-authority-data"))
        }
    }
}

/// Checks that credentials are usable. The error is the problem.
pub(super) fn usable(credentials: &CredentialsConfig) -> Result<(), String> {
    match credentials {
        CredentialsConfig::Token(_) | CredentialsConfig::TokenSecret(_) => Ok(()),
        CredentialsConfig::TokenFile(path) => match read(path)? {
            text if text.trim_ascii().is_empty() => Err(format!("{} is empty", path.display())),
            _ => Ok(()),
        },
        CredentialsConfig::ClientCertificate { certificate, key } => matching(certificate, key),
    }
}

/// Checks that a certificate and a private key belong together.
fn matching(certificate: &PemConfig, key: &PemConfig) -> Result<(), String> {
    let named = |source: &PemConfig| match source {
        PemConfig::File(path) => path.display().to_string(),
        PemConfig::Inline(_) => "the inline PEM".to_owned(),
    };
    let read = |source: &PemConfig| {
        source
            .read()
            .map_err(|error| format!("{} cannot be read: {error}", named(source)))
    };
    let (certificate_pem, key_pem) = (read(certificate)?, read(key)?);
    let chain = pem::certificates(&certificate_pem)
        .map_err(|error| format!("{} {error}", named(certificate)))?;
    let private = pem::private_key(&key_pem).map_err(|error| format!("{} {error}", named(key)))?;
    CertifiedKey::from_der(chain, private, &provider::provider())
        .map(drop)
        .map_err(|error| {
            format!(
                "{} and its private key cannot be used: {error}",
                named(certificate)
            )
        })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn certificates(text: &[u8], path: &Path) -> Result<(), String> {
    let all = pem::certificates(text).map_err(|error| format!("{} {error}", path.display()))?;
    for certificate in &all {
        webpki::anchor_from_trusted_cert(certificate).map_err(|error| {
            format!("{}: a certificate cannot be used: {error}", path.display())
        })?;
    }
    Ok(())
}
