//! TLS towards clients: the serving certificate, and the proof that a client has its certificate's key.
//!
//! `authn` verifies for each request which CA signed a client's certificate. So an unknown issuer leads to
//! an HTTP 401, as with kube-apiserver, and a changed CA also applies to open connections.
//!
//! This module also chooses the cryptography ([`provider`]), reads PEM ([`pem`]) and reloads files
//! ([`watched`]).

mod client_certificate;
pub mod pem;
pub mod provider;
pub mod watched;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use self::client_certificate::PossessionVerifier;
use self::watched::{LoadError, Reload, Watched};

/// ALPN protocols in the order of preference. HTTP/1.1 is for upgrades, which kube-apiserver dials with
/// HTTP/1.1 only, and for old probes.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate for all clients, with or without a server name. kube-apiserver before 1.36 checks
/// availability by address, without SNI.
pub enum ServingCertificate {
    /// Of files that are read again when they change.
    Files(Arc<Watched<CertifiedKey>>),
    /// From a Secret of the app cluster.
    Managed(watch::Receiver<Arc<CertifiedKey>>),
}

impl ServingCertificate {
    /// Reads the certificate chain and its key, both PEM.
    ///
    /// # Errors
    /// A file is unreadable, or the key does not belong to the certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, LoadError> {
        let paths = vec![certificate.to_owned(), key.to_owned()];
        Watched::load(paths, |files| {
            let [certificate, key] = files else {
                return Err("a certificate file and a key file are required".into());
            };
            let chain = pem::certificates(certificate).map_err(|e| e.to_string())?;
            let key = pem::private_key(key).map_err(|e| e.to_string())?;
            CertifiedKey::from_der(chain, key, &provider::provider()).map_err(|e| e.to_string())
        })
        .map(Self::Files)
    }

    /// The two files, to be reloaded when they change.
    pub fn watched(&self) -> Option<Arc<dyn Reload>> {
        match self {
            Self::Files(files) => Some(Arc::clone(files) as Arc<dyn Reload>),
            Self::Managed(_) => None,
        }
    }
}

impl std::fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServingCertificate")
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(match self {
            Self::Files(files) => files.current(),
            Self::Managed(certificate) => Arc::clone(&certificate.borrow()),
        })
    }
}

/// Returns a configuration for TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1. A client certificate is requested
/// but not required.
pub fn server_config(
    certificate: ServingCertificate,
) -> Result<ServerConfig, tokio_rustls::rustls::Error> {
    let provider = provider::provider();
    let verifier = PossessionVerifier::new(&provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}
