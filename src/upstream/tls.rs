//! TLS towards a control plane. Files are read anew for every connection, so what was rotated is in
//! use from the next one on.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::{self, CertificateAuthority, Credentials, PemSource};
use crate::tls::{pem, provider};

pub(super) struct Tls {
    name: ServerName<'static>,
    authority: Authority,
    identity: Option<(PemSource, PemSource)>,
}

enum Authority {
    /// Read once: there are many, and they change with the system.
    System(Arc<RootCertStore>),
    Pem(PemSource),
}

impl Tls {
    /// Fails if what is configured can't be used now.
    pub(super) fn new(config: &config::ControlPlane) -> Result<Self, String> {
        let name = config
            .tls_server_name
            .clone()
            .unwrap_or_else(|| config.server.host.clone());
        let identity = match &config.credentials {
            Credentials::ClientCertificate { certificate, key } => {
                Some((certificate.clone(), key.clone()))
            }
            Credentials::Token(_) | Credentials::TokenFile(_) => None,
        };
        let authority = match &config.certificate_authority {
            CertificateAuthority::System => Authority::System(Arc::new(system_roots()?)),
            CertificateAuthority::File(path) => Authority::Pem(PemSource::File(path.clone())),
            CertificateAuthority::Inline(pem) => Authority::Pem(PemSource::Inline(pem.clone())),
        };
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        let tls = Self {
            name,
            authority,
            identity,
        };
        tls.config()?;
        Ok(tls)
    }

    pub(super) fn config(&self) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
        let roots = match &self.authority {
            Authority::System(roots) => Arc::clone(roots),
            Authority::Pem(source) => Arc::new(roots(source)?),
        };
        let builder = ClientConfig::builder_with_provider(provider::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let read = |source: &PemSource| source.read().map_err(|error| error.to_string());
                let chain = pem::certificates(&read(certificate)?).map_err(|e| e.to_string())?;
                let key = pem::private_key(&read(key)?).map_err(|e| e.to_string())?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| error.to_string())?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok((Arc::new(config), self.name.clone()))
    }
}

fn roots(source: &PemSource) -> Result<RootCertStore, String> {
    let text = source.read().map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(&text).map_err(|error| error.to_string())? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err("the system has no root certificates; set certificateAuthority".into());
    }
    Ok(roots)
}
