//! The front proxy, and the user that it names in headers once it is verified
//! (`apiserver/pkg/authentication/request/headerrequest/requestheader.go`).

use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderMap, HeaderName};

use super::client_ca::ClientCa;
use super::identity::User;
use super::peer::Peer;
use crate::config::RequestHeader;
use kube_wire::request_info::percent_decode;

/// The front proxy of the app cluster.
pub(super) struct FrontProxy {
    pub(super) ca: ClientCa,
    pub(super) headers: RequestHeader,
}

/// A cell with the front proxy. It is empty until the front proxy is known. Clones share the content.
#[derive(Clone, Default)]
pub struct FrontProxyCell(Arc<RwLock<Option<Arc<FrontProxy>>>>);

impl FrontProxyCell {
    pub(super) fn get(&self) -> Option<Arc<FrontProxy>> {
        let content = self.0.read().unwrap_or_else(PoisonError::into_inner);
        content.clone()
    }

    pub(super) fn set(&self, front_proxy: FrontProxy) {
        let mut content = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *content = Some(Arc::new(front_proxy));
    }

    /// Replaces the front proxy by one with this client CA, in PEM. It also applies to open connections.
    ///
    /// # Errors
    /// The PEM contains no usable certificate. The previous front proxy stays.
    pub fn replace(&self, client_ca: &[u8], headers: RequestHeader) -> Result<(), String> {
        let ca = ClientCa::parse(client_ca)?;
        self.set(FrontProxy { ca, headers });
        Ok(())
    }
}

impl FrontProxy {
    /// Returns whether a client is this front proxy.
    pub(super) fn is_peer(&self, peer: &Peer) -> bool {
        let names = &self.headers.allowed_names;
        self.ca.has_signed(&peer.chain, &peer.front_proxy)
            && peer
                .subject()
                .is_some_and(|subject| names.is_empty() || names.contains(&subject.name))
    }

    /// Returns the user whom the headers name.
    pub(super) fn user(&self, headers: &HeaderMap) -> Option<User> {
        user(&self.headers, headers)
    }
}

/// Returns the user, or `None` if no header names a user.
fn user(config: &RequestHeader, headers: &HeaderMap) -> Option<User> {
    let name = first(headers, &config.username_headers)?;
    Some(User {
        name,
        uid: first(headers, &config.uid_headers).unwrap_or_default(),
        groups: config
            .group_headers
            .iter()
            .flat_map(|header| all(headers, header))
            .collect(),
        extra: extra(headers, &config.extra_headers_prefix),
    })
}

/// The first value that is not empty, in the order of `names`.
fn first(headers: &HeaderMap, names: &[HeaderName]) -> Option<String> {
    names
        .iter()
        .flat_map(|name| all(headers, name))
        .find(|value| !value.is_empty())
}

fn all(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

/// Extra values by key. Header names are lower case, and percent-encoded where a header name cannot
/// contain a character; an invalid encoding is kept as it is.
fn extra(headers: &HeaderMap, prefixes: &[String]) -> Vec<(String, Vec<String>)> {
    let mut extra = Vec::new();
    for prefix in prefixes {
        for name in headers.keys() {
            if let Some(key) = name.as_str().strip_prefix(prefix.as_str()) {
                let key = percent_decode(key).unwrap_or_else(|| key.to_owned());
                extra.push((key, all(headers, name)));
            }
        }
    }
    extra
}
