//! Temporary certificates for all three hops, and TLS settings that match Go's at both ends.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dev_control_plane::certificates::{Authority, Identity};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::Error;

/// The DNS name in all serving certificates.
pub const NAME: &str = "localhost";

/// Names of the files that proxies read, in the directory of the run.
pub const CA: &str = "ca.crt";
pub const CERTIFICATE: &str = "tls.crt";
pub const KEY: &str = "tls.key";
pub const FRONT_PROXY_CA: &str = "front-proxy-ca.crt";
pub const TOKEN: &str = "token";

/// The certificates of one measurement.
pub struct Identities {
    ca: String,
    serving: Identity,
    front_proxy: Identity,
}

impl Identities {
    /// Creates the certificates and writes the files that proxies need.
    pub fn write(dir: &Path) -> Result<Self, Error> {
        let (serving, front) = (Authority::new("serving")?, Authority::new("front-proxy")?);
        let identities = Self {
            ca: serving.pem(),
            serving: serving.serving(&[NAME])?,
            front_proxy: front.client("front-proxy-client", &[])?,
        };
        fs::write(dir.join(CA), &identities.ca)?;
        fs::write(dir.join(CERTIFICATE), &identities.serving.certificate)?;
        fs::write(dir.join(KEY), &identities.serving.key)?;
        fs::write(dir.join(FRONT_PROXY_CA), front.pem())?;
        fs::write(dir.join(TOKEN), "token")?;
        Ok(identities)
    }

    /// Returns the TLS configuration of kube-apiserver as a server. The server's order of cipher suites wins.
    pub fn server(&self) -> Result<Arc<ServerConfig>, Error> {
        let (chain, key) = read(&self.serving)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// Returns the TLS configuration of kube-apiserver as the front proxy.
    pub fn client(&self) -> Result<Arc<ClientConfig>, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes())?)?;
        let (chain, key) = read(&self.front_proxy)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    Ok((vec![certificate], key))
}

/// Prefers AES-128, as Go's crypto/tls does on hardware with AES instructions, so that all proxies encrypt with
/// the same cipher.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = format!("{:?}", suite.suite());
        !name.contains("AES_128_GCM")
    });
    Arc::new(provider)
}
