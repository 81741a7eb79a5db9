//! Reads certificates and private keys from PEM. Only this file uses rustls-pemfile, which is archived. It is
//! a thin layer over rustls-pki-types.

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The reason why a PEM text is unusable.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("is not valid PEM: {0}")]
    Malformed(std::io::Error),
    #[error("contains no certificate")]
    NoCertificate,
    #[error("contains no private key")]
    NoKey,
}

/// Returns all certificates in their order, at least one.
pub fn certificates(mut pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let all: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem).collect();
    match all.map_err(PemError::Malformed)? {
        none if none.is_empty() => Err(PemError::NoCertificate),
        all => Ok(all),
    }
}

/// Returns the first private key, in PKCS#8, PKCS#1 or SEC1.
pub fn private_key(mut pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let key = rustls_pemfile::private_key(&mut pem).map_err(PemError::Malformed)?;
    key.ok_or(PemError::NoKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_certificate_or_key_is_rejected() {
        assert!(matches!(
            certificates(b"hello"),
            Err(PemError::NoCertificate)
        ));
        assert!(matches!(private_key(b""), Err(PemError::NoKey)));
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(certificates(cut), Err(PemError::Malformed(_))));
    }
}
