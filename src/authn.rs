//! Who is asking: the front proxy on behalf of a user, or somebody with a client certificate.
//!
//! In flow the certificates that a client proved to hold and the request's headers; out comes an
//! [`Identity`] or the reason why there is none. X-Remote-* headers are read only after the front
//! proxy's certificate was verified, as in Kubernetes'
//! `apiserver/pkg/authentication/request/{headerrequest,x509}`.

mod front_proxy;
mod issuer;

use std::sync::Arc;

use http::HeaderMap;
use tokio_rustls::rustls::pki_types::CertificateDer;

pub use self::issuer::Issuer;
use crate::config;
use crate::tls::watched::{LoadError, Reload};

/// Every authenticated user is in this group, whatever the headers say: the aggregator's own users
/// come without any group.
const AUTHENTICATED: &str = "system:authenticated";

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// Keys in lower case, unescaped; several values each.
    pub extra: Vec<(String, Vec<String>)>,
}

impl User {
    fn authenticated(mut self) -> Self {
        if !self.groups.iter().any(|group| group == AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Identity {
    /// The app cluster's API server forwards this user's request, which has passed its RBAC.
    Forwarded(User),
    /// A client came by itself, with a certificate of the client CA.
    Direct(User),
}

/// Why nobody is known.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Anonymous {
    NoCertificate,
    UnknownIssuer,
    NoUser,
}

impl Anonymous {
    /// Value of the metric's label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::UnknownIssuer => "unknown_issuer",
            Self::NoUser => "no_user",
        }
    }
}

/// Verifies certificates and reads headers, by the configuration.
pub struct Authenticator {
    front_proxy: Option<(Issuer, config::RequestHeader)>,
    clients: Option<Issuer>,
}

impl Authenticator {
    pub fn load(config: &config::Authentication) -> Result<Self, LoadError> {
        let front_proxy = match &config.request_header {
            Some(header) => Some((Issuer::load(&header.client_ca)?, header.clone())),
            None => None,
        };
        let clients = match &config.client_certificate {
            Some(client) => Some(Issuer::load(&client.client_ca)?),
            None => None,
        };
        Ok(Self {
            front_proxy,
            clients,
        })
    }

    /// The CA files, to be kept current.
    pub fn watched(&self) -> Vec<Arc<dyn Reload>> {
        let front_proxy = self.front_proxy.iter().map(|(issuer, _)| issuer.watched());
        front_proxy
            .chain(self.clients.iter().map(Issuer::watched))
            .collect()
    }

    /// Whether the connection is the front proxy's.
    pub fn is_front_proxy(&self, peer: &Peer) -> bool {
        self.front_proxy.as_ref().is_some_and(|(issuer, header)| {
            issuer.vouches_for(&peer.chain, &peer.front_proxy)
                && peer.subject().is_some_and(|subject| {
                    header.allowed_names.is_empty() || header.allowed_names.contains(&subject.name)
                })
        })
    }

    /// Front proxy first, then client certificates, the order of Kubernetes' delegating
    /// authenticator.
    pub fn authenticate(&self, peer: &Peer, headers: &HeaderMap) -> Result<Identity, Anonymous> {
        if peer.chain.is_empty() {
            return Err(Anonymous::NoCertificate);
        }
        let front_proxy = self.is_front_proxy(peer);
        if front_proxy
            && let Some((_, header)) = &self.front_proxy
            && let Some(user) = front_proxy::user(header, headers)
        {
            return Ok(Identity::Forwarded(user.authenticated()));
        }
        let known = self
            .clients
            .as_ref()
            .is_some_and(|ca| ca.vouches_for(&peer.chain, &peer.client));
        match peer.subject() {
            Some(user) if known && !user.name.is_empty() => {
                Ok(Identity::Direct(user.authenticated()))
            }
            _ if known || front_proxy => Err(Anonymous::NoUser),
            _ => Err(Anonymous::UnknownIssuer),
        }
    }
}

/// The other end of a connection: its certificates, leaf first, whose key it proved to hold.
#[derive(Default)]
pub struct Peer {
    chain: Vec<CertificateDer<'static>>,
    front_proxy: issuer::Remembered,
    client: issuer::Remembered,
}

impl Peer {
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Self {
        Self {
            chain,
            ..Self::default()
        }
    }

    /// Common name and organisations of the leaf, which mean user and groups to Kubernetes.
    fn subject(&self) -> Option<User> {
        let (_, leaf) = x509_parser::parse_x509_certificate(self.chain.first()?).ok()?;
        let subject = leaf.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups = subject
            .iter_organization()
            .filter_map(|group| group.as_str().ok().map(str::to_owned))
            .collect();
        Some(User {
            name,
            groups,
            ..User::default()
        })
    }
}
