//! Authenticates requests: the front proxy on behalf of a user, or a client with its own certificate.
//!
//! Turns a client's certificates and the request's headers into an [`Identity`] or an
//! [`AuthenticationError`]. The TLS handshake proved that the client has the certificate's key.
//! X-Remote-* headers are read only after the front proxy's certificate was verified, as in Kubernetes'
//! `apiserver/pkg/authentication/request/{headerrequest,x509}`.

mod client_ca;
mod front_proxy;
mod identity;
mod peer;

use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;

use self::client_ca::ClientCa;
use self::front_proxy::FrontProxy;
pub use self::front_proxy::FrontProxyCell;
pub use self::identity::{Identity, User};
pub use self::peer::Peer;
use crate::config::{self, FrontProxyConfig};
use crate::tls::watched::{LoadError, Reload};

/// The reason why a request has no identity.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AuthenticationError {
    /// The client sent no certificate.
    NoCertificate,
    /// Neither CA has signed the client's certificate.
    UnknownIssuer,
    /// The certificate, or the front proxy's headers, name no user.
    NoUser,
}

impl AuthenticationError {
    /// The value of the metric's label `reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::UnknownIssuer => "unknown_issuer",
            Self::NoUser => "no_user",
        }
    }
}

/// Verifies certificates and reads headers, as configured.
pub struct Authenticator {
    front_proxy: FrontProxyCell,
    clients: Option<ClientCa>,
    watched: Vec<Arc<dyn Reload>>,
}

impl Authenticator {
    /// # Errors
    /// A CA file is unreadable or contains no usable certificate.
    pub fn load(config: &config::Authentication) -> Result<Self, LoadError> {
        let mut watched = Vec::new();
        let mut load = |path: &Path| -> Result<ClientCa, LoadError> {
            let (ca, reload) = ClientCa::load(path)?;
            watched.push(reload);
            Ok(ca)
        };
        let front_proxy = FrontProxyCell::default();
        if let Some(FrontProxyConfig::File { client_ca, headers }) = &config.request_header {
            front_proxy.set(FrontProxy {
                ca: load(client_ca)?,
                headers: headers.clone(),
            });
        }
        let clients = match &config.client_certificate {
            Some(client) => Some(load(&client.client_ca)?),
            None => None,
        };
        Ok(Self {
            front_proxy,
            clients,
            watched,
        })
    }

    /// The CA files, to be reloaded when they change.
    pub fn watched(&self) -> Vec<Arc<dyn Reload>> {
        self.watched.clone()
    }

    /// Returns the cell with the front proxy, for the task that follows its description.
    pub fn front_proxy(&self) -> FrontProxyCell {
        self.front_proxy.clone()
    }

    /// Returns whether the connection is the front proxy's.
    pub fn is_front_proxy(&self, peer: &Peer) -> bool {
        let front_proxy = self.front_proxy.get();
        front_proxy.is_some_and(|front_proxy| front_proxy.is_peer(peer))
    }

    /// Authenticates a request. Tries the front proxy first, then client certificates, in the order of
    /// Kubernetes' delegating authenticator.
    pub fn authenticate(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<Identity, AuthenticationError> {
        if peer.chain.is_empty() {
            return Err(AuthenticationError::NoCertificate);
        }
        let front_proxy = self.front_proxy.get().filter(|known| known.is_peer(peer));
        if let Some(user) = front_proxy.as_ref().and_then(|known| known.user(headers)) {
            return Ok(Identity::Forwarded(user.authenticated()));
        }
        let is_client = self
            .clients
            .as_ref()
            .is_some_and(|ca| ca.has_signed(&peer.chain, &peer.client));
        match peer.subject() {
            Some(user) if is_client && !user.name.is_empty() => {
                Ok(Identity::Direct(user.authenticated()))
            }
            _ if is_client || front_proxy.is_some() => Err(AuthenticationError::NoUser),
            _ => Err(AuthenticationError::UnknownIssuer),
        }
    }
}
