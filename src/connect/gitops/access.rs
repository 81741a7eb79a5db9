//! Access to the claims of one namespace of a control plane.

use super::super::clusters::ClaimKind;
use super::super::endpoint::Endpoint;

/// The data that a tool needs. Has no `Debug`, because it contains a token.
pub(super) struct Access {
    /// The name under which the tool knows the control plane.
    pub(super) name: String,
    /// The namespace of the control plane.
    pub(super) namespace: String,
    pub(super) endpoint: Endpoint,
    pub(super) token: String,
    pub(super) kinds: Vec<ClaimKind>,
}
