//! The reasons why requests fail.
//!
//! [`RequestError`] has the message, and [`RequestError::response`] creates the response. Messages use
//! local names and say what to do. They contain no credentials and no remote names.

mod status;

use http::{HeaderMap, StatusCode};

use crate::limits::{self, HeaderLimits};
use claim_mapping::hidden_metadata::OWNER_REFERENCES_REJECTED;
use claim_mapping::request::COPIES_MAPPED_METADATA;

/// Seconds after which a client can retry a request that exceeded a limit.
const RETRY_AFTER_S: u32 = 1;

/// The party that has to act on a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    Claimgate,
    Client,
    ControlPlane,
}

/// The reason why a request fails.
///
/// If Kubernetes has a message for the same failure, that message is used, because clients and users
/// know it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    #[error("{0}")]
    BadRequest(String),
    /// kube-apiserver's message (`NewRequestEntityTooLargeError`).
    #[error("Request entity too large: limit is {max}")]
    BodyTooLarge { max: usize },
    #[error("{COPIES_MAPPED_METADATA}")]
    CopiesMappedMetadata,
    /// The response could not be converted to the media type that the client accepts.
    #[error("{0}")]
    ConversionFailed(String),
    #[error(
        "user {user:?} may not call claimgate directly; send the request to the app cluster's API \
         server, or add one of the user's groups to authorization.directGroups"
    )]
    DirectAccessDenied { user: String },
    #[error(
        "the continue token was not issued by this server for this list; start the list again without it"
    )]
    ForeignContinueToken,
    #[error(
        "claimgate does not support impersonation; send the request to the app cluster's API server, \
         or without Impersonate-* headers"
    )]
    Impersonation,
    /// The cause names the header that needs the most bytes.
    #[error(
        "the header of the request is too large: {fields} fields with {bytes} bytes; the limits are {fields_max} fields \
         and {bytes_max} bytes; send fewer, for example fewer groups of the user"
    )]
    HeadersTooLarge {
        fields: usize,
        bytes: usize,
        fields_max: usize,
        bytes_max: usize,
        cause: String,
    },
    #[error("claimgate failed: {0}")]
    Internal(String),
    /// kube-apiserver's message for list options that exclude each other (`ValidateListOptions`).
    #[error("ListOptions.meta.k8s.io \"\" is invalid: {field}: Forbidden: {why}")]
    ListOptions {
        field: &'static str,
        why: &'static str,
    },
    #[error(
        "namespace {namespace:?} is not a valid name; use at most 63 lower case letters, digits and hyphens, and begin \
         and end with a letter or digit"
    )]
    InvalidNamespace {
        namespace: String,
        resource: String,
        group: String,
        name: Option<String>,
    },
    #[error("method {method} is not supported at this path; use GET or HEAD")]
    MethodNotAllowed { method: String },
    #[error(
        "{resource}.{group} {name:?} already exists on the control plane, but as an object of another cluster or \
         name; choose another name, or ask the control plane's administrator to remove that object"
    )]
    NameTaken {
        resource: String,
        group: String,
        name: String,
    },
    #[error(
        "namespace {namespace:?} is not mapped to the control plane {control_plane:?}; add it to \
         controlPlanes.{control_plane}.mapping.namespaces in claimgate's configuration"
    )]
    NamespaceNotMapped {
        control_plane: String,
        namespace: String,
        resource: String,
        group: String,
        name: Option<String>,
    },
    /// kube-apiserver's message (`NewNotFound`).
    #[error("namespaces {namespace:?} not found")]
    NamespaceNotFound { namespace: String },
    /// The message of kube-apiserver's admission plugin NamespaceLifecycle.
    #[error(
        "{resource}.{group} {name:?} is forbidden: unable to create new content in namespace {namespace} because it \
         is being terminated"
    )]
    NamespaceTerminating {
        namespace: String,
        resource: String,
        group: String,
        name: String,
    },
    /// kube-apiserver's message (`NewNotAcceptableError`).
    #[error("only the following media types are accepted: {0}")]
    NotAcceptable(&'static str),
    /// kube-apiserver's message (`NewNotFound`).
    #[error("{resource}.{group} {name:?} not found")]
    NotFound {
        resource: String,
        group: String,
        name: String,
    },
    /// Begins with kube-apiserver's message (`NewConflict`).
    #[error(
        "Operation cannot be fulfilled on {resource}.{group} {name:?}: it is already being deleted, so \
         the garbage collector of this cluster can no longer orphan its dependents; remove the owner \
         references to it from the objects that should stay"
    )]
    OrphanAfterDeletion {
        resource: String,
        group: String,
        name: String,
    },
    #[error(
        "propagationPolicy: Invalid value: \"Orphan\": not supported for a collection of claims, because \
         the garbage collector of this cluster must observe each claim before it is deleted; delete the \
         claims one by one"
    )]
    OrphanCollection,
    #[error("metadata.ownerReferences: Forbidden: {OWNER_REFERENCES_REJECTED}")]
    OwnerReferences,
    /// Nothing is served at the path. The message is that of Go's multiplexer (`net/http`, `NotFound`).
    #[error("404 page not found")]
    PathNotFound,
    #[error(
        "API group {group:?} is read-only; to allow writes, set readOnly of its entry in apis to false \
         in claimgate's configuration"
    )]
    ReadOnly { group: String },
    #[error(
        "{resource}.{group} is not exposed in version {version:?}; add it to apis in claimgate's \
         configuration, or see claimgate's log if it is there"
    )]
    ResourceNotExposed {
        resource: String,
        group: String,
        version: String,
        name: String,
    },
    #[error(
        "the response is larger than {max} bytes (limits.maxBufferedSize in claimgate's configuration), the \
         limit for {media_type}; accept application/json, or read smaller pages with limit"
    )]
    ResponseTooLarge {
        media_type: &'static str,
        max: usize,
    },
    #[error(
        "too many {what} to all control planes together: the limit is {max}, limits.{key}; try again shortly, or \
         raise the limit in claimgate's configuration"
    )]
    TooMany {
        what: &'static str,
        key: &'static str,
        max: usize,
    },
    /// kube-apiserver's message (`NewUnauthorized`).
    #[error("Unauthorized")]
    Unauthenticated,
    /// kube-apiserver's message (`NewUnsupportedMediaTypeError`).
    #[error("the body of the request was in an unknown format - accepted media types include: {0}")]
    UnsupportedMediaType(&'static str),
    /// kube-apiserver's message for a method that is not a verb, or a verb that the resource does not
    /// support (`NewMethodNotSupported`).
    #[error("{verb} is not supported on resources of kind \"{resource}.{group}\"")]
    VerbNotSupported {
        verb: &'static str,
        resource: String,
        group: String,
    },

    #[error(
        "too many {what} to control plane {control_plane:?} at once: the limit is {max}, \
         {share}controlPlanes.{control_plane}.limits.{key}; try again shortly, or raise the limit in claimgate's \
         configuration"
    )]
    ControlPlaneBusy {
        control_plane: String,
        what: &'static str,
        max: usize,
        share: &'static str,
        key: &'static str,
    },
    #[error(
        "API group {group:?} is unavailable: control plane {control_plane:?} does not answer: {why}"
    )]
    ControlPlaneUnavailable {
        group: String,
        control_plane: String,
        why: String,
    },
    #[error("control plane {control_plane:?} sent a response that cannot be passed on: {why}")]
    InvalidReply { control_plane: String, why: String },
    #[error(
        "control plane {control_plane:?} has not answered since claimgate started, so its APIs are \
         unknown; try again once it is reachable"
    )]
    NotSynced { control_plane: String },
    #[error(
        "the request to control plane {control_plane:?} failed: {why}; it may have taken effect, so \
         check before you repeat it"
    )]
    OutcomeUnknown { control_plane: String, why: String },
    #[error(
        "control plane {control_plane:?} did not answer within {seconds} s \
         (controlPlanes.{control_plane}.timeouts.request in claimgate's configuration)"
    )]
    Timeout { control_plane: String, seconds: u64 },
    /// A failure whose message cannot be translated to local names; its code can be passed on.
    #[error(
        "control plane {control_plane:?} returned {code} with a message that cannot be passed on: {why}"
    )]
    UntranslatableFailure {
        control_plane: String,
        code: StatusCode,
        why: String,
    },
}

impl RequestError {
    /// Creates [`Self::HeadersTooLarge`].
    pub(crate) fn headers_too_large(headers: &HeaderMap, limits: HeaderLimits) -> Self {
        let sizes = headers.keys().map(|name| {
            let values = headers.get_all(name);
            let bytes = limits::bytes(values.iter().map(|value| (name, value)));
            (bytes, values.iter().count(), name)
        });
        let largest = sizes.max_by_key(|(bytes, _, _)| *bytes);
        Self::HeadersTooLarge {
            fields: headers.len(),
            bytes: limits::bytes(headers.iter()),
            fields_max: limits.fields_max,
            bytes_max: limits.bytes_max,
            cause: largest.map_or_else(String::new, |(bytes, fields, name)| {
                format!("{name}: {fields} fields with {bytes} bytes")
            }),
        }
    }

    pub fn fault(&self) -> Fault {
        match self {
            Self::ControlPlaneUnavailable { .. }
            | Self::InvalidReply { .. }
            | Self::NotSynced { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Timeout { .. }
            | Self::UntranslatableFailure { .. } => Fault::ControlPlane,
            Self::ControlPlaneBusy { .. }
            | Self::ConversionFailed(_)
            | Self::Internal(_)
            | Self::TooMany { .. } => Fault::Claimgate,
            _ => Fault::Client,
        }
    }

    /// Returns the seconds after which the client can safely repeat the same request.
    ///
    /// client-go repeats every request, including writes, whose response has Retry-After
    /// (`client-go/rest/with_retry.go`). The header is absent if the control plane is unavailable: the user
    /// would see the message only after ten attempts.
    fn retry_after_s(&self) -> Option<u32> {
        matches!(self, Self::ControlPlaneBusy { .. } | Self::TooMany { .. })
            .then_some(RETRY_AFTER_S)
    }
}
