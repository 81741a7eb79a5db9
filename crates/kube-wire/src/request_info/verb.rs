//! Verbs of the Kubernetes API.

use std::fmt;

/// What a request does to a resource, as RBAC and discovery name it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    /// The verb of the legacy path `proxy/`. No custom resource supports it.
    Proxy,
    Update,
    Watch,
    /// The method has no verb in Kubernetes.
    Unknown,
}

impl Verb {
    /// Returns the name in RBAC and discovery, which is empty for [`Verb::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Proxy => "proxy",
            Self::Update => "update",
            Self::Watch => "watch",
            Self::Unknown => "",
        }
    }

    /// Returns whether the verb changes nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }

    /// Returns whether the verb covers the objects that the request's selectors select. kube-apiserver ignores
    /// selectors of other verbs (`apimachinery/pkg/apis/meta/v1/types.go`, `ListOptions`).
    pub fn has_selectors(self) -> bool {
        matches!(self, Self::DeleteCollection | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
