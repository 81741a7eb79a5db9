//! Finds out whether the state of a local namespace forbids the creation of claims in it.
//!
//! kube-apiserver checks this with the admission plugin NamespaceLifecycle, but it runs no admission plugins for
//! aggregated APIs. A dry run is checked too. Only creates are rejected: claims that exist can be changed and deleted in
//! every namespace.

use super::context::RequestContext;
use super::media::PatchKind;
use crate::error::RequestError;
use crate::namespaces::{LocalNamespaces, NamespaceError, NamespaceState};
use kube_wire::request_info::Verb;

/// The reason why no claim can be created in a namespace.
pub(super) enum Obstacle {
    Missing,
    Terminating,
    Unreadable(NamespaceError),
}

impl Obstacle {
    /// Returns what forbids the creation of a claim, or `None` if nothing does or the request cannot create one.
    pub(super) async fn find(
        namespaces: &LocalNamespaces,
        context: &RequestContext<'_>,
    ) -> Option<Self> {
        let namespace = context.request.namespace.as_deref()?;
        if !can_create(context) {
            return None;
        }
        match namespaces.state(namespace).await {
            Ok(NamespaceState::Active | NamespaceState::Unknown) => None,
            Ok(NamespaceState::Missing) => Some(Self::Missing),
            Ok(NamespaceState::Terminating) => Some(Self::Terminating),
            Err(error) => Some(Self::Unreadable(error)),
        }
    }

    /// Returns the error for the creation of a claim with this name.
    pub(super) fn error(&self, context: &RequestContext<'_>, name: String) -> RequestError {
        let request = context.request;
        let namespace = request.namespace.clone().unwrap_or_default();
        match self {
            Self::Missing => RequestError::NamespaceNotFound { namespace },
            Self::Terminating => RequestError::NamespaceTerminating {
                namespace,
                resource: request.resource.clone(),
                group: request.group.clone(),
                name,
            },
            Self::Unreadable(error) => RequestError::Internal(format!(
                "namespace {namespace:?} cannot be read from the app cluster: {error}; check that claimgate can reach \
                 its API server, then try again"
            )),
        }
    }
}

/// Returns whether a request creates a claim, or may create one. An update cannot create a custom resource.
fn can_create(context: &RequestContext<'_>) -> bool {
    let request = context.request;
    let is_create = match request.verb {
        Verb::Create => request.name.is_none(),
        Verb::Patch => context.request_media.is_patch_kind(PatchKind::Apply),
        _ => false,
    };
    is_create && request.subresource.is_none()
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::proxy::testing::TestRequest;

    #[test]
    fn only_posts_and_apply_patches_of_objects_can_create() {
        const CLAIMS: &str = "/apis/a.org/v1/namespaces/team-a/claims";
        const APPLY: &str = "application/apply-patch+yaml";
        const MERGE: &str = "application/merge-patch+json";
        for (method, end, content_type, expected) in [
            (Method::POST, "", "application/json", true),
            (Method::POST, "?dryRun=All", "application/json", true),
            (Method::PATCH, "/b?fieldManager=me", APPLY, true),
            (Method::PATCH, "/b/status?fieldManager=me", APPLY, false),
            (Method::PATCH, "/b", MERGE, false),
            (Method::PUT, "/b", "application/json", false),
            (Method::DELETE, "/b", "application/json", false),
            (Method::DELETE, "", "application/json", false),
            (Method::GET, "/b", "application/json", false),
        ] {
            let uri = format!("{CLAIMS}{end}");
            let request = TestRequest::new(method.clone(), &uri).header(CONTENT_TYPE, content_type);
            assert_eq!(can_create(&request.context()), expected, "{method} {uri}");
        }
    }
}
