//! What can go wrong with a request, whose fault it is, and what the client is told.
//!
//! One type holds the facts, [`Error::response`] alone turns them into an answer
//! (`apimachinery/pkg/api/errors/errors.go` has the reasons and codes). Messages are in local names
//! and say what to do; none holds a credential or a remote name.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::status::{Cause, Details, Media, Status};
use crate::translate::hidden::OWNER_REFERENCES;

/// Seconds after which a client that was turned away for load may come again.
pub const RETRY_AFTER_S: u32 = 1;

/// Who has to act.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    Client,
    ControlPlane,
    Ourselves,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    BadRequest(String),
    /// In the words of kube-apiserver, whose bound is the same unless limits.bodyMax says otherwise.
    #[error("Request entity too large: limit is {max}")]
    BodyTooLarge { max: usize },
    #[error("the request has more than {max} header fields; send fewer")]
    HeadersTooLarge { max: usize },
    #[error(
        "claimgate is draining and takes no new requests; try again, another replica will answer"
    )]
    Draining,
    #[error("claimgate failed: {0}")]
    Internal(String),
    #[error(
        "the continue token was not given out by this server for this list; start the list again without it"
    )]
    ForeignContinueToken,
    #[error("{method} is not a method of this API")]
    MethodNotAllowed { method: String },
    /// A method that is no verb, on objects (`NewMethodNotSupported`).
    #[error(" is not supported on resources of kind \"{resource}.{group}\"")]
    VerbNotSupported { resource: String, group: String },
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
    #[error("only the following media types are accepted: {0}")]
    NotAcceptable(&'static str),
    #[error(
        "the answer is longer than {max} bytes (limits.heldBytesMax in claimgate's configuration), \
         which is too long for {media_type}; ask for application/json, or page by page with limit"
    )]
    TooLongFor {
        media_type: &'static str,
        max: usize,
    },
    #[error("{0}")]
    Unwritable(String),
    #[error("{resource}.{group} {name:?} not found")]
    NotFound {
        resource: String,
        group: String,
        name: String,
    },
    #[error(
        "user {user:?} may not call claimgate directly: none of its groups is listed in \
         authorization.directGroups; ask through the app cluster's API server instead"
    )]
    NotDirect { user: String },
    #[error(
        "claimgate does not impersonate: the app cluster's API server does, so ask through it, or \
         leave the Impersonate-* headers out"
    )]
    Impersonation,
    /// In the words of kube-apiserver (`NewConflict`).
    #[error(
        "Operation cannot be fulfilled on {resource}.{group} {name:?}: it is being deleted already, and \
         then nothing more can tell the garbage collector of this cluster to orphan what it owns; take \
         its owner references off what is to stay"
    )]
    OrphanedTooLate {
        resource: String,
        group: String,
        name: String,
    },
    #[error(
        "propagationPolicy: Invalid value: \"Orphan\": a collection of claims cannot be deleted so, for \
         the garbage collector of this cluster has to be told of each before it is deleted; delete them \
         one by one"
    )]
    OrphansOfMany,
    #[error("metadata.ownerReferences: Forbidden: {OWNER_REFERENCES}")]
    OwnerReferences,
    /// Nothing is served there, which Go's multiplexer says as text (`net/http`, `NotFound`).
    #[error("404 page not found")]
    PathNotFound,
    #[error("{group:?} is read only here (apis.readOnly in claimgate's configuration)")]
    ReadOnly { group: String },
    #[error(
        "too many {what} at once (limits.{key} in claimgate's configuration); try again shortly"
    )]
    TooMany {
        what: &'static str,
        key: &'static str,
    },
    #[error("Unauthorized")]
    Unauthenticated,
    #[error("the body of the request was in an unknown format - accepted media types include: {0}")]
    UnsupportedMediaType(&'static str),

    #[error("control plane {control_plane:?} does not answer: {why}")]
    Away { control_plane: String, why: String },
    #[error(
        "control plane {control_plane:?} broke off: {why}; whether the request was carried out is \
         not known, look before you repeat it"
    )]
    OutcomeUnknown { control_plane: String, why: String },
    #[error("control plane {control_plane:?} did not answer within {seconds} s")]
    Timeout { control_plane: String, seconds: u64 },
    #[error(
        "control plane {control_plane:?} has not been seen since claimgate started; its APIs are not known yet"
    )]
    Unseen { control_plane: String },
    /// A failure whose own message can't be passed on; its code can.
    #[error(
        "control plane {control_plane:?} answered {code}, with a message that cannot be passed on: {why}"
    )]
    Failed {
        control_plane: String,
        code: StatusCode,
        why: String,
    },
    #[error("control plane {control_plane:?} gave an answer that cannot be passed on: {why}")]
    BadAnswer { control_plane: String, why: String },
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Self::Away { .. }
            | Self::BadAnswer { .. }
            | Self::Failed { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Timeout { .. }
            | Self::Unseen { .. } => Fault::ControlPlane,
            Self::Draining | Self::Internal(_) | Self::TooMany { .. } => Fault::Ourselves,
            _ => Fault::Client,
        }
    }

    /// HTTP code and `reason` of the Status.
    fn code_and_reason(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) | Self::ForeignContinueToken => {
                (StatusCode::BAD_REQUEST, "BadRequest")
            }
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Self::HeadersTooLarge { .. } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ""),
            Self::Internal(_) | Self::BadAnswer { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            }
            Self::MethodNotAllowed { .. }
            | Self::ReadOnly { .. }
            | Self::VerbNotSupported { .. } => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::Impersonation | Self::NamespaceNotMapped { .. } | Self::NotDirect { .. } => {
                (StatusCode::FORBIDDEN, "Forbidden")
            }
            Self::NotAcceptable(_) | Self::TooLongFor { .. } => {
                (StatusCode::NOT_ACCEPTABLE, "NotAcceptable")
            }
            Self::Unwritable(_) => (StatusCode::INTERNAL_SERVER_ERROR, ""),
            Self::OrphanedTooLate { .. } => (StatusCode::CONFLICT, "Conflict"),
            Self::OrphansOfMany | Self::OwnerReferences => {
                (StatusCode::UNPROCESSABLE_ENTITY, "Invalid")
            }
            Self::NotFound { .. } | Self::PathNotFound => (StatusCode::NOT_FOUND, "NotFound"),
            Self::TooMany { .. } | Self::Draining => {
                (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests")
            }
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::UnsupportedMediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType")
            }
            Self::Away { .. } | Self::OutcomeUnknown { .. } | Self::Unseen { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
            Self::Failed { code, .. } => (*code, reason_of(*code)),
            Self::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "Timeout"),
        }
    }

    /// Seconds after which the same request may be sent again, unchanged and without harm.
    ///
    /// client-go repeats every request, writes too, that is answered with Retry-After
    /// (`client-go/rest/with_retry.go`), so a control plane that is away has none: ten tries would
    /// pass before anybody sees the message.
    fn retry_after_s(&self) -> Option<u32> {
        matches!(self, Self::TooMany { .. } | Self::Draining).then_some(RETRY_AFTER_S)
    }

    /// What the client is answered with: a Status, but for paths at which nothing is served.
    pub fn response(&self, media: Media) -> Response<Bytes> {
        if !matches!(self, Self::PathNotFound) {
            return self.status().response(media);
        }
        let mut response = Response::new(Bytes::from(format!("{self}\n")));
        *response.status_mut() = StatusCode::NOT_FOUND;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        response
    }

    /// The Status that Kubernetes' clients expect.
    pub fn status(&self) -> Status {
        let (code, reason) = self.code_and_reason();
        let details = match self {
            Self::NotFound {
                resource,
                group,
                name,
            }
            | Self::OrphanedTooLate {
                resource,
                group,
                name,
            } => Details {
                name: name.clone(),
                group: group.clone(),
                kind: resource.clone(),
                ..Details::default()
            },
            Self::NamespaceNotMapped {
                resource,
                group,
                name,
                ..
            } => Details {
                name: name.clone().unwrap_or_default(),
                group: group.clone(),
                kind: resource.clone(),
                ..Details::default()
            },
            Self::OwnerReferences => Details {
                causes: vec![Cause {
                    reason: "FieldValueForbidden",
                    message: format!("Forbidden: {OWNER_REFERENCES}"),
                    field: "metadata.ownerReferences",
                }],
                ..Details::default()
            },
            Self::VerbNotSupported { resource, group } => Details {
                group: group.clone(),
                kind: resource.clone(),
                ..Details::default()
            },
            _ => Details {
                retry_after_seconds: self.retry_after_s(),
                ..Details::default()
            },
        };
        Status {
            code,
            reason,
            message: self.to_string(),
            details,
        }
    }
}

/// The reason that goes with a code, where there is but one.
fn reason_of(code: StatusCode) -> &'static str {
    match code {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::UNPROCESSABLE_ENTITY => "Invalid",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_plane_that_is_away_is_named_and_asks_for_no_retry() {
        let error = Error::Away {
            control_plane: "platform".into(),
            why: "connection refused".into(),
        };
        let response = error.response(Media::JSON);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().get(header::RETRY_AFTER).is_none());
        assert_eq!(
            std::str::from_utf8(response.body()).unwrap(),
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":"control plane \"platform\" does not answer: connection refused","#,
                r#""reason":"ServiceUnavailable","code":503}"#,
                "\n"
            )
        );
    }

    #[test]
    fn where_nothing_is_served_the_answer_is_text_as_from_kube_apiserver() {
        let response = Error::PathNotFound.response(Media::JSON);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/plain; charset=utf-8"
        );
        assert_eq!(
            response.headers()[header::X_CONTENT_TYPE_OPTIONS],
            "nosniff"
        );
        assert_eq!(response.body(), "404 page not found\n");
    }

    #[test]
    fn a_method_without_a_verb_is_refused_in_kube_apiservers_words() {
        let error = Error::VerbNotSupported {
            resource: "kubernetesclusters".into(),
            group: "k8s.starter.org".into(),
        };
        assert_eq!(
            std::str::from_utf8(error.response(Media::JSON).body()).unwrap(),
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":" is not supported on resources of kind \"kubernetesclusters.k8s.starter.org\"","#,
                r#""reason":"MethodNotAllowed","details":{"group":"k8s.starter.org","kind":"kubernetesclusters"},"#,
                r#""code":405}"#,
                "\n"
            )
        );
    }

    #[test]
    fn load_is_answered_with_retry_after_in_header_and_details() {
        let error = Error::TooMany {
            what: "watches",
            key: "watchesMax",
        };
        let response = error.response(Media::JSON);
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["details"]["retryAfterSeconds"], 1);
    }

    #[test]
    fn an_unmapped_namespace_names_the_key_to_set() {
        let error = Error::NamespaceNotMapped {
            control_plane: "platform".into(),
            namespace: "team-x".into(),
            resource: "kubernetesclusters".into(),
            group: "k8s.starter.org".into(),
            name: None,
        };
        assert!(
            error
                .to_string()
                .contains("controlPlanes.platform.mapping.namespaces")
        );
        assert_eq!(error.status().code, StatusCode::FORBIDDEN);
        assert_eq!(error.fault(), Fault::Client);
    }
}
