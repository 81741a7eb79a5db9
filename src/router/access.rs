//! Authenticates the senders of requests, and checks whether they may call claimgate.

use std::collections::BTreeSet;

use http::HeaderMap;
use http::request::Parts;

use crate::authn::{Authenticator, Identity, Peer, User};
use crate::error::RequestError;
use crate::health;
use crate::limits;
use crate::telemetry::metrics::Metrics;

/// The sender of a request.
pub(super) enum Caller {
    /// A sender that was not authenticated, because the request is for a health path.
    Anyone,
    Authenticated(Identity),
}

impl Caller {
    /// Returns whether the client connected directly, without the aggregator.
    pub(super) fn is_direct(&self) -> bool {
        matches!(self, Self::Authenticated(Identity::Direct(_)))
    }

    /// Returns the user of the request.
    ///
    /// # Errors
    /// [`RequestError::Unauthenticated`] if the sender was not authenticated.
    pub(super) fn identity(&self) -> Result<&Identity, RequestError> {
        match self {
            Self::Authenticated(identity) => Ok(identity),
            Self::Anyone => Err(RequestError::Unauthenticated),
        }
    }
}

/// Authenticates requests and authorizes direct ones. Requests that the aggregator forwards have passed
/// the app cluster's RBAC.
pub(crate) struct AccessControl {
    pub(crate) authenticator: Authenticator,
    /// Groups whose members may send requests without the aggregator.
    pub(crate) direct_groups: BTreeSet<String>,
    pub(crate) metrics: Metrics,
}

impl AccessControl {
    /// Returns the sender of a request.
    ///
    /// # Errors
    /// The request is not authenticated, or the user may not call claimgate directly.
    pub(super) fn caller(&self, peer: &Peer, parts: &Parts) -> Result<Caller, RequestError> {
        let limits = match self.authenticator.is_front_proxy(peer) {
            true => limits::FRONT_PROXY,
            false => limits::ANY_CLIENT,
        };
        if limits.are_exceeded_by(&parts.headers) {
            return Err(RequestError::headers_too_large(&parts.headers, limits));
        }
        if health::is_health_path(parts.uri.path()) {
            return Ok(Caller::Anyone);
        }
        match self.authenticator.authenticate(peer, &parts.headers) {
            Ok(Identity::Direct(user)) if !self.may_call_directly(&user) => {
                Err(RequestError::DirectAccessDenied { user: user.name })
            }
            // If claimgate ignored these headers, the request would run as the wrong user.
            Ok(Identity::Direct(_)) if impersonates(&parts.headers) => {
                Err(RequestError::Impersonation)
            }
            Ok(identity) => Ok(Caller::Authenticated(identity)),
            Err(error) => {
                self.metrics.authentication_failure(error.reason());
                Err(RequestError::Unauthenticated)
            }
        }
    }

    fn may_call_directly(&self, user: &User) -> bool {
        user.groups
            .iter()
            .any(|group| self.direct_groups.contains(group))
    }
}

/// Returns whether the client requests impersonation. The aggregator handles and removes these headers.
fn impersonates(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("impersonate-"))
}
