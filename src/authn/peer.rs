//! The client at the other end of a connection.

use tokio_rustls::rustls::pki_types::CertificateDer;

use super::client_ca::CachedVerification;
use super::identity::User;

/// A client's certificates, leaf first. The client proved in the TLS handshake that it has the leaf's
/// key. The CA of the chain is verified for each request.
#[derive(Default)]
pub struct Peer {
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Verification of the chain under the front proxy's CA.
    pub(super) front_proxy: CachedVerification,
    /// Verification of the chain under the CA for clients.
    pub(super) client: CachedVerification,
}

impl Peer {
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Self {
        Self {
            chain,
            ..Self::default()
        }
    }

    /// The user that the leaf names: the common name, and the organisations as groups. `None` if the
    /// certificate is unreadable or has no common name.
    pub(super) fn subject(&self) -> Option<User> {
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
