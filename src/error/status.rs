//! The response to a failed request: a Kubernetes Status
//! (`apimachinery/pkg/api/errors/errors.go` has the codes and reasons).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::RequestError;
use crate::response::{TEXT, with_body};
use claim_mapping::hidden_metadata::OWNER_REFERENCES_REJECTED;
use kube_wire::status::{Cause, Details, ResponseFormat, Status};

/// The name of the status code (RFC 6585). Kubernetes has no reason for it.
const HEADERS_TOO_LARGE: &str = "RequestHeaderFieldsTooLarge";

const FIELD_FORBIDDEN: &str = "FieldValueForbidden";

impl RequestError {
    /// Returns the response for the client: a Status, or plain text for a path at which nothing is served.
    pub fn response(&self, media: ResponseFormat) -> Response<Bytes> {
        if !matches!(self, Self::PathNotFound) {
            return self.status().response(media);
        }
        let mut response = with_body(StatusCode::NOT_FOUND, TEXT, format!("{self}\n"));
        response.headers_mut().insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        response
    }

    fn status(&self) -> Status {
        let (code, reason) = self.code_and_reason();
        Status {
            code,
            reason,
            message: self.to_string(),
            details: self.details(),
        }
    }

    fn code_and_reason(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) | Self::ForeignContinueToken => {
                (StatusCode::BAD_REQUEST, "BadRequest")
            }
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Self::ConversionFailed(_) => (StatusCode::INTERNAL_SERVER_ERROR, ""),
            Self::Internal(_) | Self::InvalidReply { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            }
            Self::DirectAccessDenied { .. }
            | Self::Impersonation
            | Self::InvalidNamespace { .. }
            | Self::NamespaceNotMapped { .. }
            | Self::NamespaceTerminating { .. }
            | Self::ResourceNotExposed { .. } => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::CopiesMappedMetadata
            | Self::ListOptions { .. }
            | Self::OrphanCollection
            | Self::OwnerReferences => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
            Self::MethodNotAllowed { .. }
            | Self::ReadOnly { .. }
            | Self::VerbNotSupported { .. } => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::NotAcceptable(_) | Self::ResponseTooLarge { .. } => {
                (StatusCode::NOT_ACCEPTABLE, "NotAcceptable")
            }
            Self::NamespaceNotFound { .. } | Self::NotFound { .. } | Self::PathNotFound => {
                (StatusCode::NOT_FOUND, "NotFound")
            }
            Self::NameTaken { .. } => (StatusCode::CONFLICT, "AlreadyExists"),
            Self::OrphanAfterDeletion { .. } => (StatusCode::CONFLICT, "Conflict"),
            Self::HeadersTooLarge { .. } => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                HEADERS_TOO_LARGE,
            ),
            Self::ControlPlaneBusy { .. } | Self::TooMany { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests")
            }
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::UnsupportedMediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType")
            }
            Self::ControlPlaneUnavailable { .. }
            | Self::NotSynced { .. }
            | Self::OutcomeUnknown { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
            Self::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "Timeout"),
            Self::UntranslatableFailure { code, .. } => (*code, reason_of(*code)),
        }
    }

    fn details(&self) -> Details {
        let object = |resource: &str, group: &str, name: &str| Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: resource.to_owned(),
            ..Details::default()
        };
        match self {
            Self::ListOptions { field, why } => Details {
                causes: vec![forbidden(field, why)],
                ..object("ListOptions", "meta.k8s.io", "")
            },
            Self::InvalidNamespace {
                resource,
                group,
                name,
                ..
            }
            | Self::NamespaceNotMapped {
                resource,
                group,
                name,
                ..
            } => object(resource, group, name.as_deref().unwrap_or_default()),
            Self::NameTaken {
                resource,
                group,
                name,
            }
            | Self::NotFound {
                resource,
                group,
                name,
            }
            | Self::OrphanAfterDeletion {
                resource,
                group,
                name,
            }
            | Self::ResourceNotExposed {
                resource,
                group,
                name,
                ..
            } => object(resource, group, name),
            Self::NamespaceNotFound { namespace } => object("namespaces", "", namespace),
            Self::NamespaceTerminating {
                namespace,
                resource,
                group,
                name,
            } => Details {
                causes: vec![terminating(namespace)],
                ..object(resource, group, name)
            },
            Self::HeadersTooLarge { cause, .. } => caused_by(headers_too_large(cause)),
            Self::OwnerReferences => caused_by(forbidden(
                "metadata.ownerReferences",
                OWNER_REFERENCES_REJECTED,
            )),
            Self::VerbNotSupported {
                resource, group, ..
            } => object(resource, group, ""),
            _ => Details {
                retry_after_seconds: self.retry_after_s(),
                ..Details::default()
            },
        }
    }
}

fn caused_by(cause: Cause) -> Details {
    Details {
        causes: vec![cause],
        ..Details::default()
    }
}

fn headers_too_large(cause: &str) -> Cause {
    Cause {
        reason: HEADERS_TOO_LARGE,
        message: cause.to_owned(),
        field: "",
    }
}

fn forbidden(field: &'static str, why: &str) -> Cause {
    Cause {
        reason: FIELD_FORBIDDEN,
        message: format!("Forbidden: {why}"),
        field,
    }
}

/// Returns the cause that the admission plugin NamespaceLifecycle adds.
fn terminating(namespace: &str) -> Cause {
    Cause {
        reason: "NamespaceTerminating",
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace",
    }
}

/// Returns the reason that Kubernetes uses with a code, or an empty string if it uses several.
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
    use crate::error::Fault;

    #[test]
    fn unavailable_control_plane_is_503_without_retry_after() {
        let error = RequestError::ControlPlaneUnavailable {
            group: "k8s.starter.org".into(),
            control_plane: "platform".into(),
            why: "connection refused".into(),
        };
        let response = error.response(ResponseFormat::JSON);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().get(header::RETRY_AFTER).is_none());
        assert_eq!(
            std::str::from_utf8(response.body()).unwrap(),
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":"API group \"k8s.starter.org\" is unavailable: control plane \"platform\" does not answer: "#,
                r#"connection refused","#,
                r#""reason":"ServiceUnavailable","code":503}"#,
                "\n"
            )
        );
    }

    #[test]
    fn path_not_found_is_text_like_kube_apiservers() {
        let response = RequestError::PathNotFound.response(ResponseFormat::JSON);
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
    fn method_without_verb_gets_kube_apiservers_message() {
        let error = RequestError::VerbNotSupported {
            verb: "",
            resource: "kubernetesclusters".into(),
            group: "k8s.starter.org".into(),
        };
        assert_eq!(
            std::str::from_utf8(error.response(ResponseFormat::JSON).body()).unwrap(),
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
    fn creates_in_missing_and_terminating_namespaces_get_kubernetes_status() {
        let missing = RequestError::NamespaceNotFound {
            namespace: "a".into(),
        };
        let terminating = RequestError::NamespaceTerminating {
            namespace: "a".into(),
            resource: "kubernetesclusters".into(),
            group: "k8s.starter.org".into(),
            name: "b".into(),
        };
        for (error, expected) in [
            (
                missing,
                concat!(
                    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                    r#""message":"namespaces \"a\" not found","reason":"NotFound","#,
                    r#""details":{"name":"a","kind":"namespaces"},"code":404}"#,
                    "\n"
                ),
            ),
            (
                terminating,
                concat!(
                    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"#,
                    r#""kubernetesclusters.k8s.starter.org \"b\" is forbidden: unable to create new content in "#,
                    r#"namespace a because it is being terminated","reason":"Forbidden","details":{"name":"b","#,
                    r#""group":"k8s.starter.org","kind":"kubernetesclusters","causes":[{"#,
                    r#""reason":"NamespaceTerminating","message":"namespace a is being terminated","#,
                    r#""field":"metadata.namespace"}]},"code":403}"#,
                    "\n"
                ),
            ),
        ] {
            let response = error.response(ResponseFormat::JSON);
            assert_eq!(std::str::from_utf8(response.body()).unwrap(), expected);
        }
    }

    #[test]
    fn too_many_watches_is_429_with_retry_after_in_header_and_details() {
        let error = RequestError::TooMany {
            what: "watches",
            key: "maxWatches",
            max: 7,
        };
        let response = error.response(ResponseFormat::JSON);
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["details"]["retryAfterSeconds"], 1);
    }

    #[test]
    fn unmapped_namespace_is_403_and_names_the_key_to_set() {
        let error = RequestError::NamespaceNotMapped {
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
