//! TLS to an API server. Files are read for each connection, so a rotated file takes effect with
//! the next one.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::credentials::{ClientCertificate, Credentials};
use super::endpoint::{Endpoint, PemSource};
use crate::tls::{pem, provider};

pub(super) struct ClientTls {
    server_name: ServerName<'static>,
    roots: TrustedRoots,
    client_certificate: Option<ClientCertificate>,
}

enum TrustedRoots {
    /// Loaded once: there are many, and they change only with the system.
    System(Arc<RootCertStore>),
    Pem(PemSource),
}

impl ClientTls {
    /// # Errors
    /// The server name, the CA certificates or the client certificate is invalid.
    pub(super) fn new(endpoint: &Endpoint, credentials: &Credentials) -> Result<Self, String> {
        let server_name = endpoint.tls_server_name.as_ref().unwrap_or(&endpoint.host);
        let server_name = ServerName::try_from(server_name.clone());
        let tls = Self {
            server_name: server_name.map_err(|error| error.to_string())?,
            roots: match &endpoint.certificate_authority {
                None => TrustedRoots::System(Arc::new(system_roots()?)),
                Some(pem) => TrustedRoots::Pem(pem.clone()),
            },
            client_certificate: credentials.certificate().cloned(),
        };
        tls.config()?;
        Ok(tls)
    }

    /// Returns the configuration for a new connection, and the name that the server's certificate
    /// must have.
    ///
    /// # Errors
    /// A file cannot be read or is invalid.
    pub(super) fn config(&self) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
        let roots = match &self.roots {
            TrustedRoots::System(roots) => Arc::clone(roots),
            TrustedRoots::Pem(source) => Arc::new(pem_roots(source)?),
        };
        let builder = ClientConfig::builder_with_provider(provider::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match &self.client_certificate {
            None => builder.with_no_client_auth(),
            Some(ClientCertificate { chain, key }) => {
                let read = |source: &PemSource| source.read().map_err(|error| error.to_string());
                let chain = pem::certificates(&read(chain)?).map_err(|e| e.to_string())?;
                let key = pem::private_key(&read(key)?).map_err(|e| e.to_string())?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| error.to_string())?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok((Arc::new(config), self.server_name.clone()))
    }
}

fn pem_roots(source: &PemSource) -> Result<RootCertStore, String> {
    let text = source.read().map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(&text).map_err(|error| error.to_string())? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    for error in loaded.errors {
        tracing::warn!(%error, "cannot read a root certificate of the system");
    }
    let (added, _ignored) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        return Err("the system has no root certificates; set certificateAuthority".into());
    }
    Ok(roots)
}
