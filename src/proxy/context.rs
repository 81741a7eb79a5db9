//! The context of one request for every stage: its route, its user and its media types.

use http::Method;
use http::request::Parts;

use super::control_plane::ControlPlane;
use super::media::{self, Accept, Media, RequestMedia};
use crate::authn::Identity;
use crate::error::RequestError;
use claim_mapping::mapping::{Mapping, NameLimit};
use kube_wire::request_info::{Query, ResourceRequest, Verb};

/// The group, version and kind of a resource, as lists, bookmarks and messages name them.
#[derive(Clone, Debug)]
pub struct ResourceKind {
    /// Group and version, joined by a slash.
    pub api_version: String,
    pub kind: String,
    pub list_kind: String,
    /// The limit of the names of objects, for a mapping that translates them.
    pub name_limit: NameLimit,
}

/// A request for claims that was authenticated, authorized and routed to its control plane.
pub struct RequestContext<'a> {
    pub control_plane: &'a ControlPlane,
    pub kind: &'a ResourceKind,
    pub request: &'a ResourceRequest,
    pub parts: &'a Parts,
    /// The user who sends the request.
    pub identity: &'a Identity,
    /// The query as the client sent it.
    pub(super) query: Query,
    /// The media types in which the client accepts the reply.
    pub(super) accept: Accept,
    /// How the request's body is read.
    pub(super) request_media: RequestMedia,
}

impl<'a> RequestContext<'a> {
    /// Negotiates the media types of a routed request.
    ///
    /// # Errors
    /// [`RequestError::NotAcceptable`] or [`RequestError::UnsupportedMediaType`].
    pub fn negotiate(
        control_plane: &'a ControlPlane,
        kind: &'a ResourceKind,
        request: &'a ResourceRequest,
        parts: &'a Parts,
        identity: &'a Identity,
    ) -> Result<Self, RequestError> {
        let Media {
            accept,
            request: request_media,
        } = Media::negotiate(request.verb, &parts.headers)?;
        Ok(Self {
            control_plane,
            kind,
            request,
            parts,
            identity,
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            accept,
            request_media,
        })
    }

    pub(super) fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }

    /// Returns whether the reply to a HEAD request needs the body: Content-Encoding is gzip only for a
    /// long body. kube-apiserver also writes the body in this case, and its HTTP server drops it.
    pub(super) fn needs_body_for_head(&self) -> bool {
        self.is_head()
            && self.request.verb != Verb::Watch
            && media::accepts_gzip(&self.parts.headers)
    }

    /// Returns the error for a request to a local namespace that is not mapped. A shared mapping maps every valid name.
    pub(super) fn namespace_not_mapped(&self) -> RequestError {
        let namespace = self.request.namespace.clone().unwrap_or_default();
        let resource = self.request.resource.clone();
        let group = self.request.group.clone();
        let name = self.request.name.clone();
        match &self.control_plane.mapping {
            Mapping::Table(_) => RequestError::NamespaceNotMapped {
                control_plane: self.control_plane.name.clone(),
                namespace,
                resource,
                group,
                name,
            },
            Mapping::Shared(_) => RequestError::InvalidNamespace {
                namespace,
                resource,
                group,
                name,
            },
        }
    }

    /// Returns the error for an object that does not exist.
    pub(super) fn not_found(&self) -> RequestError {
        RequestError::NotFound {
            resource: self.request.resource.clone(),
            group: self.request.group.clone(),
            name: self.request.name.clone().unwrap_or_default(),
        }
    }

    /// Returns the error for a new object whose name on the control plane belongs to another object.
    pub(super) fn name_taken(&self, name: &str) -> RequestError {
        RequestError::NameTaken {
            resource: self.request.resource.clone(),
            group: self.request.group.clone(),
            name: name.to_owned(),
        }
    }

    /// Returns the error for an orphaning deletion of a claim that is already being deleted.
    pub(super) fn orphan_after_deletion(&self) -> RequestError {
        RequestError::OrphanAfterDeletion {
            resource: self.request.resource.clone(),
            group: self.request.group.clone(),
            name: self.request.name.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::header::ACCEPT_ENCODING;

    use crate::proxy::testing::TestRequest;

    #[test]
    fn head_request_needs_body_only_if_reply_may_be_compressed() {
        const LIST: &str = "/apis/a.org/v1/namespaces/team-a/claims";
        for (method, uri, encoding, expected) in [
            (Method::HEAD, LIST, "gzip", true),
            (Method::HEAD, LIST, "br", false),
            (Method::GET, LIST, "gzip", false),
            (Method::HEAD, "/apis/a.org/v1/claims?watch=1", "gzip", false),
        ] {
            let request = TestRequest::new(method, uri).header(ACCEPT_ENCODING, encoding);
            assert_eq!(request.context().needs_body_for_head(), expected, "{uri}");
        }
    }
}
