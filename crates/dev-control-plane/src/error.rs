//! Errors with the messages of kube-apiserver, and their form as Status objects
//! (apimachinery pkg/api/errors/errors.go).

mod apply;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::resource::Resource;

/// An error that becomes a `Status` object.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message} ({code} {reason})")]
pub struct StatusError {
    /// HTTP status code.
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// `details` of the Status, or null.
    pub details: Value,
    /// `metadata` of the Status, possibly with a continue token.
    pub metadata: Map<String, Value>,
}

/// One entry of `details.causes`.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) field: String,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

#[derive(Serialize)]
struct Status<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: &'a Map<String, Value>,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    details: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl StatusError {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let (message, metadata) = (message.into(), Map::new());
        Self {
            code,
            reason,
            message,
            details: Value::Null,
            metadata,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified_name());
        Self {
            details: details(resource, name),
            ..Self::new(404, "NotFound", message)
        }
    }

    pub(crate) fn namespace_not_found(name: &str) -> Self {
        Self::not_found(&Resource::namespaces(), name)
    }

    /// Returns the error for an unknown path below a served group-version.
    pub(crate) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self {
            details: json!({}),
            ..Self::new(404, "NotFound", message)
        }
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified_name());
        Self {
            details: details(resource, name),
            ..Self::new(409, "AlreadyExists", message)
        }
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let what = resource.qualified_name();
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        Self {
            details: details(resource, name),
            ..Self::new(409, "Conflict", message)
        }
    }

    pub(crate) fn name_mismatch(given: &str, name: &str) -> Self {
        Self::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))
    }

    pub(crate) fn method_not_allowed(resource: &Resource, verb: &str) -> Self {
        let what = resource.qualified_name();
        let message = format!("{verb} is not supported on resources of kind \"{what}\"");
        Self {
            details: json!({}),
            ..Self::new(405, "MethodNotAllowed", message)
        }
    }

    pub(crate) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json";
        Self::new(406, "NotAcceptable", message)
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit_bytes}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// Returns the error for a resourceVersion in the future (storage/errors.go
    /// NewTooLargeResourceVersionError).
    pub(crate) fn too_large_resource_version(requested: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {requested}, current: {current}");
        let causes =
            json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]);
        let details = json!({"causes": causes, "retryAfterSeconds": 1});
        Self {
            details,
            ..Self::new(504, "Timeout", format!("Timeout: {message}"))
        }
    }

    /// Returns the error for a JSON patch that does not apply. The Status has no name and no causes
    /// (handlers/patch.go).
    pub(crate) fn unprocessable_patch() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self {
            details: json!({}),
            ..Self::new(422, "Invalid", message)
        }
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        let (group, kind) = (resource.group.as_str(), resource.kind.as_str());
        Self::invalid_named(&resource.qualified_kind(), group, kind, name, causes)
    }

    /// Returns the error for unknown fields in a patched object. The message quotes the whole object, and the
    /// details have no kind and no name (handlers/patch.go applyPatchToCurrentObject).
    pub(crate) fn invalid_patch(patched: &str, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", quoted(patched));
        let cause = Cause {
            field: "patch".to_owned(),
            reason: "FieldValueInvalid",
            message,
        };
        Self::invalid_named("", "", "", "", &[cause])
    }

    fn invalid_named(what: &str, group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let sentences: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let all = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut details = Map::new();
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), json!(value));
            }
        }
        let causes = causes.iter().map(
            |cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}),
        );
        details.insert("causes".to_owned(), causes.collect());
        let message = format!("{what} {} is invalid: {all}", quoted(name));
        Self {
            details: details.into(),
            ..Self::new(422, "Invalid", message)
        }
    }

    /// Returns the seconds for the `Retry-After` header.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details
            .get("retryAfterSeconds")
            .and_then(Value::as_u64)
    }

    pub(crate) fn to_status(&self) -> Vec<u8> {
        to_json(&Status {
            kind: "Status",
            api_version: "v1",
            metadata: &self.metadata,
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: &self.details,
            code: Some(self.code),
        })
    }
}

/// Returns the Status of a completed delete.
pub(crate) fn deleted(resource: &Resource, name: &str, uid: &str) -> Vec<u8> {
    let mut details = details(resource, name);
    if let Some(map) = details.as_object_mut() {
        map.insert("uid".to_owned(), json!(uid));
    }
    to_json(&Status {
        kind: "Status",
        api_version: "v1",
        metadata: &Map::new(),
        status: "Success",
        message: "",
        reason: "",
        details: &details,
        code: None,
    })
}

fn details(resource: &Resource, name: &str) -> Value {
    let mut details = json!({"name": name, "kind": resource.plural});
    if let (false, Some(map)) = (resource.group.is_empty(), details.as_object_mut()) {
        map.insert("group".to_owned(), json!(resource.group));
    }
    details
}

/// Quotes a string as JSON, which is close to Go's `%q`.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Serializes a value whose map keys are strings, which cannot fail.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
