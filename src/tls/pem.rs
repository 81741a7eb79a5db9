//! PEM: certificates and private keys. The one user of rustls-pemfile, which is archived and a thin
//! cover over rustls-pki-types; to leave it is a change to this file.

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why a PEM text can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("not readable as PEM: {0}")]
    Malformed(std::io::Error),
    #[error("holds no certificate")]
    NoCertificate,
    #[error("holds no private key")]
    NoKey,
}

/// All certificates, in their order; at least one.
pub fn certificates(mut pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let all: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem).collect();
    match all.map_err(PemError::Malformed)? {
        none if none.is_empty() => Err(PemError::NoCertificate),
        all => Ok(all),
    }
}

/// The first private key: PKCS#8, PKCS#1 or SEC1.
pub fn private_key(mut pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let key = rustls_pemfile::private_key(&mut pem).map_err(PemError::Malformed)?;
    key.ok_or(PemError::NoKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_certificates_is_refused() {
        assert!(matches!(
            certificates(b"hello"),
            Err(PemError::NoCertificate)
        ));
        assert!(matches!(private_key(b""), Err(PemError::NoKey)));
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(certificates(cut), Err(PemError::Malformed(_))));
    }
}
