//! The user of a request, and whether the front proxy forwarded the request.

/// The group of all authenticated users. It is added here, because the aggregator's own requests have no
/// group headers.
const AUTHENTICATED: &str = "system:authenticated";

/// A user as Kubernetes describes one (`apiserver/pkg/authentication/user/user.go`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// Keys are lower case and unescaped; each has one or more values.
    pub extra: Vec<(String, Vec<String>)>,
}

impl User {
    /// Adds the group of all authenticated users.
    pub(super) fn authenticated(mut self) -> Self {
        if !self.groups.iter().any(|group| group == AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }
}

/// An authenticated user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Identity {
    /// The app cluster's API server forwards the user's request, which has passed its RBAC.
    Forwarded(User),
    /// The user connects with a certificate of the client CA.
    Direct(User),
}

impl Identity {
    pub fn user(&self) -> &User {
        match self {
            Self::Forwarded(user) | Self::Direct(user) => user,
        }
    }
}
