//! TLS towards clients: the serving certificate, and client certificates up to proof of possession.
//!
//! Whose certificate it is, authn decides: here a client only proves that it holds the key, so that
//! an unknown issuer gets an HTTP 401 as from kube-apiserver, and CAs can change under open
//! connections. Also the one place that chooses the cryptography ([`provider`]) and the one that
//! reads PEM ([`pem`]).

mod client_certificate;
pub mod pem;
pub mod provider;
pub mod watched;

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use self::client_certificate::AnyClientCertificate;
use self::watched::{LoadError, Watched};

/// ALPN in the order of preference. HTTP/1.1 stays for upgrades, which kube-apiserver dials with
/// that protocol alone, and for old probes.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate shown to every client, whatever name it asked for or none: kube-apiserver before
/// 1.36 checks availability by address, without SNI.
pub struct ServingCertificate(Arc<Watched<CertifiedKey>>);

impl ServingCertificate {
    /// Reads the certificate chain and its key, both PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, LoadError> {
        let paths = vec![certificate.to_owned(), key.to_owned()];
        Watched::load(paths, |files| {
            let [certificate, key] = files else {
                return Err("two files are needed".into());
            };
            let chain = pem::certificates(certificate).map_err(|e| e.to_string())?;
            let key = pem::private_key(key).map_err(|e| e.to_string())?;
            CertifiedKey::from_der(chain, key, &provider::provider()).map_err(|e| e.to_string())
        })
        .map(Self)
    }

    /// The files behind it, to be kept current.
    pub fn watched(&self) -> Arc<Watched<CertifiedKey>> {
        Arc::clone(&self.0)
    }
}

impl std::fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServingCertificate")
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, a client certificate asked for but not required.
pub fn server_config(
    certificate: ServingCertificate,
) -> Result<ServerConfig, tokio_rustls::rustls::Error> {
    let provider = provider::provider();
    let verifier = AnyClientCertificate::new(&provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}
