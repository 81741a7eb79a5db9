//! Files that a configuration names: are they there, and are they what they should be?

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::sign::CertifiedKey;

use super::section::Section;
use super::{CertificateAuthority, Credentials, PemSource};
use crate::tls::{pem, provider};

const CURE: &str = "certs/README.md says how certificates are made";

/// A file of CA certificates.
pub(super) fn authority(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let path = section.required_path(key, "name a PEM file of CA certificates")?;
    match read(&path).and_then(|text| certificates(&text, &path)) {
        Ok(()) => Some(path),
        Err(problem) => {
            section.problem(key, problem, CURE);
            None
        }
    }
}

/// A certificate and the key that belongs to it.
pub(super) fn pair(section: &Section<'_>) -> Option<(PathBuf, PathBuf)> {
    let certificate = section.required_path("certificate", "name the PEM file to serve with");
    let key = section.required_path("key", "name the PEM file of the certificate's key");
    let (certificate, key) = (certificate?, key?);
    let sources = (
        PemSource::File(certificate.clone()),
        PemSource::File(key.clone()),
    );
    if let Err(problem) = matching(&sources.0, &sources.1) {
        section.problem("certificate", problem, CURE);
        return None;
    }
    Some((certificate, key))
}

pub(super) fn trusted(authority: &CertificateAuthority) -> Result<(), String> {
    match authority {
        CertificateAuthority::System => Ok(()),
        CertificateAuthority::File(path) => read(path).and_then(|text| certificates(&text, path)),
        CertificateAuthority::Inline(text) => certificates(text, Path::new("its CA")),
    }
}

pub(super) fn usable(credentials: &Credentials) -> Result<(), String> {
    match credentials {
        Credentials::Token(_) => Ok(()),
        Credentials::TokenFile(path) => match read(path)? {
            text if text.trim_ascii().is_empty() => Err(format!("{} is empty", path.display())),
            _ => Ok(()),
        },
        Credentials::ClientCertificate { certificate, key } => matching(certificate, key),
    }
}

fn matching(certificate: &PemSource, key: &PemSource) -> Result<(), String> {
    let named = |source: &PemSource| match source {
        PemSource::File(path) => path.display().to_string(),
        PemSource::Inline(_) => "its inline PEM".to_owned(),
    };
    let read = |source: &PemSource| {
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
        .map_err(|error| format!("{} and its key do not work: {error}", named(certificate)))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn certificates(text: &[u8], path: &Path) -> Result<(), String> {
    let all = pem::certificates(text).map_err(|error| format!("{} {error}", path.display()))?;
    for certificate in &all {
        webpki::anchor_from_trusted_cert(certificate)
            .map_err(|error| format!("{}: a certificate is unusable: {error}", path.display()))?;
    }
    Ok(())
}
