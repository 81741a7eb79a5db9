//! What can go wrong with a request, whose fault it is, and what the client is told.
//!
//! One type holds the facts, [`Error::response`] alone turns them into an answer
//! (`apimachinery/pkg/api/errors/errors.go` has the reasons and codes). Messages are in local names
//! and say what to do; none holds a credential or a remote name.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

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
         which is too long for YAML; ask for application/json, or page by page with limit"
    )]
    TooLongForYaml { max: usize },
    /// In the words of kube-apiserver, which can't write it either.
    #[error("{0}")]
    UnwritableInYaml(String),
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
            Self::NotAcceptable(_) | Self::TooLongForYaml { .. } => {
                (StatusCode::NOT_ACCEPTABLE, "NotAcceptable")
            }
            Self::UnwritableInYaml(_) => (StatusCode::INTERNAL_SERVER_ERROR, ""),
            Self::OwnerReferences => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
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
    pub fn response(&self) -> Response<Bytes> {
        if !matches!(self, Self::PathNotFound) {
            return self.status().response();
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
        let retry_after_s = self.retry_after_s();
        let details = match self {
            Self::NotFound {
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
                retry_after_seconds: retry_after_s,
                ..Details::default()
            },
        };
        Status {
            code,
            reason,
            message: self.to_string(),
            details,
            retry_after_s,
        }
    }
}

/// JSON with the escapes of Go's `encoding/json`. Outside of strings there are no such characters.
fn escaped(json: String) -> String {
    let is_escaped = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if !json.contains(is_escaped) {
        return json;
    }
    let escaped = json.chars().map(|c| match c {
        c if is_escaped(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    escaped.collect()
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

/// A failure as Kubernetes describes it.
#[derive(Clone, Debug)]
pub struct Status {
    pub code: StatusCode,
    pub reason: &'static str,
    pub message: String,
    details: Details,
    retry_after_s: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
}

/// What is wrong with a field (`apimachinery/pkg/apis/meta/v1/types.go`, `StatusCause`).
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
    field: &'static str,
}

/// The fields in the order in which kube-apiserver writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusObject<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    code: u16,
}

#[derive(Serialize)]
struct Empty {}

impl Status {
    /// The JSON document, with the newline that kube-apiserver ends it with, unless it is indented.
    pub fn body(&self) -> Bytes {
        let object = StatusObject {
            kind: "Status",
            api_version: "v1",
            metadata: Empty {},
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: (self.details != Details::default()).then_some(&self.details),
            code: self.code.as_u16(),
        };
        // Where nothing that the client accepts can be had, kube-apiserver writes the Status by other
        // means (`apiserver/pkg/endpoints/handlers/responsewriters/writers.go`, `WriteRawJSON`).
        if self.code == StatusCode::NOT_ACCEPTABLE {
            return escaped(serde_json::to_string_pretty(&object).unwrap_or_default()).into();
        }
        let mut body = escaped(serde_json::to_string(&object).unwrap_or_default());
        body.push('\n');
        body.into()
    }

    pub fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body());
        *response.status_mut() = self.code;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
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
        let response = error.status().response();
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
        let response = Error::PathNotFound.response();
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
            std::str::from_utf8(error.response().body()).unwrap(),
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
    fn what_is_not_acceptable_is_refused_in_an_indented_status() {
        let status = Error::NotAcceptable("application/json").status();
        assert_eq!(
            std::str::from_utf8(&status.body()).unwrap(),
            concat!(
                "{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {},\n",
                "  \"status\": \"Failure\",\n",
                "  \"message\": \"only the following media types are accepted: application/json\",\n",
                "  \"reason\": \"NotAcceptable\",\n  \"code\": 406\n}"
            )
        );
    }

    #[test]
    fn load_is_answered_with_retry_after_in_header_and_details() {
        let error = Error::TooMany {
            what: "watches",
            key: "watchesMax",
        };
        let response = error.status().response();
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
