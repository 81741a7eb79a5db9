//! Request bodies of writes: objects, patches and applied configurations.

use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::super::error::StatusError;
use super::super::object;
use super::super::patch::{self, PatchError};
use super::super::request::RecordedRequest;
use super::super::resource::Resource;
use super::super::schema;

/// A parsed patch.
pub(super) enum Patch {
    Json(Value),
    Merge(Value),
}

const APPLY: &str = "application/apply-patch+yaml";
const PATCH_TYPES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    APPLY,
];
const BODY_TYPES: [&str; 1] = ["application/json"];

impl Patch {
    pub(super) fn parse(request: &RecordedRequest) -> Result<Self, StatusError> {
        match media_type(request) {
            "application/json-patch+json" => Ok(Self::Json(parse_json(request)?)),
            "application/merge-patch+json" => Ok(Self::Merge(parse_json(request)?)),
            _ => Err(StatusError::unsupported_media_type(&PATCH_TYPES)),
        }
    }

    /// Returns the patched object.
    pub(super) fn apply(&self, current: &Value) -> Result<Value, StatusError> {
        let mut patched = current.clone();
        match self {
            Self::Json(operations) => {
                patch::json_patch(&mut patched, operations).map_err(|error| match error {
                    PatchError::Malformed(why) => StatusError::bad_request(why),
                    PatchError::NotApplicable => StatusError::unprocessable_patch(),
                })?;
            }
            Self::Merge(change) => patch::merge(&mut patched, change),
        }
        Ok(patched)
    }
}

pub(super) fn is_apply(request: &RecordedRequest) -> bool {
    media_type(request) == APPLY
}

/// Parses the configuration of an apply, in YAML or in JSON, which is valid YAML
/// (handlers/patch.go applyPatcher; managedfields/internal/structuredmerge.go Apply).
pub(super) fn parse_config(
    request: &RecordedRequest,
    resource: &Resource,
) -> Result<Value, StatusError> {
    let config: Value = serde_saphyr::from_slice(&request.body)
        .map_err(|error| StatusError::bad_request(format!("error decoding YAML: {error}")))?;
    let (version, expected) = (text(&config, "apiVersion"), resource.api_version());
    if version != expected {
        return Err(StatusError::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, \
             expected: {expected}"
        )));
    }
    check_kind(resource, &config, &request.body)?;
    let metadata = config.get("metadata");
    if metadata.is_some_and(|metadata| metadata.get("managedFields").is_some()) {
        return Err(StatusError::bad_request(
            "metadata.managedFields must be nil",
        ));
    }
    let undeclared = schema::prune(&resource.schema, &mut config.clone());
    if undeclared.is_empty() {
        Ok(config)
    } else {
        let (namespace, name) = (object::namespace(&config), object::name(&config));
        let object = format!("{namespace}/{name}; {version}, Kind={}", resource.kind);
        Err(StatusError::untyped_apply(&object, &undeclared))
    }
}

pub(super) fn parse_json(request: &RecordedRequest) -> Result<Value, StatusError> {
    serde_json::from_slice(&request.body).map_err(|error| {
        StatusError::bad_request(format!("error decoding the body of the request: {error}"))
    })
}

/// Parses an object of the resource's kind.
pub(super) fn parse_object(
    request: &RecordedRequest,
    resource: &Resource,
) -> Result<Value, StatusError> {
    check_json(request)?;
    let object: Value = serde_json::from_slice(&request.body).map_err(|error| {
        let (kind, version) = (&resource.kind, &resource.version);
        StatusError::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {error}"
        ))
    })?;
    check_kind(resource, &object, &request.body)?;
    Ok(object)
}

/// Rejects bodies that are not JSON.
pub(super) fn check_json(request: &RecordedRequest) -> Result<(), StatusError> {
    if matches!(media_type(request), "" | "application/json") {
        Ok(())
    } else {
        Err(StatusError::unsupported_media_type(&BODY_TYPES))
    }
}

/// Rejects objects of a different kind or version; `body` is quoted in the error.
pub(super) fn check_kind(
    resource: &Resource,
    object: &Value,
    body: &[u8],
) -> Result<(), StatusError> {
    let (kind, api_version) = (text(object, "kind"), text(object, "apiVersion"));
    if kind.is_empty() {
        let body = String::from_utf8_lossy(body);
        return Err(StatusError::bad_request(format!(
            "Object 'Kind' is missing in '{body}'"
        )));
    }
    let expected = resource.api_version();
    if api_version != expected {
        return Err(StatusError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if kind != resource.kind {
        return Err(StatusError::bad_request(format!(
            "{api_version}, Kind={kind} does not match {}",
            resource.kind
        )));
    }
    Ok(())
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    let value = object.get(field).and_then(Value::as_str);
    value.unwrap_or_default()
}

fn media_type(request: &RecordedRequest) -> &str {
    request
        .header(CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}
