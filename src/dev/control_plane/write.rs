//! create, update, patch, delete, deletecollection, and the status and scale subresources.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue, WARNING};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::Body;
use super::crud::{self, Deleted, Part, Preconditions};
use super::error::{self, ApiError, quoted};
use super::object;
use super::patch::{self, PatchError};
use super::read;
use super::reply;
use super::request::RecordedRequest;
use super::resource::Resource;
use super::scale;
use super::schema;
use super::storage::{Store, Stored, key, prefix};

/// What becomes of fields that the schema does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldValidation {
    Ignore,
    Strict,
    Warn,
}

/// A patch, parsed.
pub(crate) enum Patch {
    Json(Value),
    Merge(Value),
}

const PATCH_TYPES: [&str; 2] = [
    "application/json-patch+json",
    "application/merge-patch+json",
];
const BODY_TYPES: [&str; 1] = ["application/json"];

pub(crate) fn create(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespace: &str,
) -> Result<Response<Body>, ApiError> {
    let dry_run = dry_run(request)?;
    let mut object = decode_object(request, resource)?;
    let unknown = check_fields(request, resource, &mut object)?;
    let stored = store.write(|state| crud::create(state, resource, namespace, object, dry_run))?;
    let response = reply::object(request, StatusCode::CREATED, resource, &stored)?;
    Ok(warned(response, &unknown))
}

pub(crate) fn update(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    place: (&str, &str),
    part: Part,
) -> Result<Response<Body>, ApiError> {
    let dry_run = dry_run(request)?;
    let mut object = decode_object(request, resource)?;
    let unknown = check_fields(request, resource, &mut object)?;
    let stored = store.write(|state| {
        crud::modify(state, resource, place, part, dry_run, |_| {
            // Custom resources allow no unconditional update (registry/customresource/strategy.go).
            if object::meta(&object, "resourceVersion").is_none_or(str::is_empty) {
                let message = "Invalid value: 0: must be specified for an update".to_owned();
                let field = "metadata.resourceVersion".to_owned();
                let cause = error::Cause {
                    field,
                    reason: "FieldValueInvalid",
                    message,
                };
                return Err(ApiError::invalid(resource, place.1, &[cause]));
            }
            Ok(object)
        })
    })?;
    let response = reply::object(request, StatusCode::OK, resource, &stored)?;
    Ok(warned(response, &unknown))
}

pub(crate) fn patch(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    place: (&str, &str),
    part: Part,
) -> Result<Response<Body>, ApiError> {
    let dry_run = dry_run(request)?;
    let validation = field_validation(request)?;
    let patch = Patch::parse(request)?;
    let mut unknown = Vec::new();
    let stored = store.write(|state| {
        crud::modify(state, resource, place, part, dry_run, |current| {
            let mut patched = patch.apply(current)?;
            check_kind(resource, &patched, &request.body)?;
            let whole = patched.to_string();
            unknown = schema::prune(&resource.schema, &mut patched);
            if validation == FieldValidation::Strict && !unknown.is_empty() {
                return Err(ApiError::invalid_patch(&whole, &strict_error(&unknown)));
            }
            Ok(patched)
        })
    })?;
    if validation == FieldValidation::Ignore {
        unknown.clear();
    }
    let response = reply::object(request, StatusCode::OK, resource, &stored)?;
    Ok(warned(response, &unknown))
}

pub(crate) fn delete(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    place: (&str, &str),
) -> Result<Response<Body>, ApiError> {
    let (preconditions, dry_run) = delete_options(request)?;
    match store.write(|state| crud::delete(state, resource, place, &preconditions, dry_run))? {
        Deleted::Gone(last) => {
            let uid = object::meta(&last.value, "uid").unwrap_or_default();
            let status = error::deleted(resource, place.1, uid);
            Ok(reply::json(request, StatusCode::OK, status))
        }
        Deleted::Terminating(stored) => reply::object(request, StatusCode::OK, resource, &stored),
    }
}

/// Answers with the list of what it deleted.
pub(crate) fn delete_collection(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespace: Option<&str>,
) -> Result<Response<Body>, ApiError> {
    let (preconditions, dry_run) = delete_options(request)?;
    let selectors = read::selectors(request)?;
    let (items, resource_version) = store.write(|state| {
        let snapshot = state
            .snapshot(resource, &prefix(namespace), None)
            .map_err(|_| ApiError::expired("the newest state is gone"))?;
        let mut items = Vec::new();
        for (_, stored) in snapshot.objects {
            if selectors.matches(&stored.value) {
                let place = (
                    object::namespace(&stored.value),
                    object::name(&stored.value),
                );
                crud::delete(state, resource, place, &preconditions, dry_run)?;
                items.push(stored);
            }
        }
        Ok((items, state.log.latest()))
    })?;
    let metadata = json!({"resourceVersion": resource_version.to_string()});
    Ok(reply::pieces(
        request,
        read::pieces(resource, &items, metadata),
    ))
}

/// get, update and patch of the scale subresource.
pub(crate) fn scale(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    place: (&str, &str),
) -> Result<Response<Body>, ApiError> {
    let paths = resource
        .scale
        .as_ref()
        .ok_or_else(ApiError::no_such_resource)?;
    let stored = if request.method == http::Method::GET {
        let stored = store.read(|state| state.get(resource, &key(place.0, place.1)));
        stored.ok_or_else(|| ApiError::not_found(resource, place.1))?
    } else {
        let dry_run = dry_run(request)?;
        let is_patch = request.method == http::Method::PATCH;
        let patch = is_patch.then(|| Patch::parse(request)).transpose()?;
        store.write(|state| {
            crud::modify(state, resource, place, Part::Main, dry_run, |current| {
                let wanted = match &patch {
                    Some(patch) => patch.apply(&scale::of(paths, current))?,
                    None => parse_json(request)?,
                };
                scale::apply(paths, current, &wanted)
            })
        })?
    };
    let json = scale::json(paths, &stored.value);
    Ok(reply::json(request, StatusCode::OK, json))
}

impl Patch {
    fn parse(request: &RecordedRequest) -> Result<Self, ApiError> {
        match media_type(request) {
            "application/json-patch+json" => Ok(Self::Json(parse_json(request)?)),
            "application/merge-patch+json" => Ok(Self::Merge(parse_json(request)?)),
            _ => Err(ApiError::unsupported_media_type(&PATCH_TYPES)),
        }
    }

    fn apply(&self, current: &Value) -> Result<Value, ApiError> {
        let mut patched = current.clone();
        match self {
            Self::Json(operations) => {
                patch::json_patch(&mut patched, operations).map_err(|error| match error {
                    PatchError::Malformed(why) => ApiError::bad_request(why),
                    PatchError::NotApplicable => ApiError::unprocessable_patch(),
                })?;
            }
            Self::Merge(change) => patch::merge(&mut patched, change),
        }
        Ok(patched)
    }
}

fn media_type(request: &RecordedRequest) -> &str {
    request
        .header(CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}

fn parse_json(request: &RecordedRequest) -> Result<Value, ApiError> {
    serde_json::from_slice(&request.body).map_err(|error| {
        ApiError::bad_request(format!("error decoding the body of the request: {error}"))
    })
}

fn decode_object(request: &RecordedRequest, resource: &Resource) -> Result<Value, ApiError> {
    if !matches!(media_type(request), "" | "application/json") {
        return Err(ApiError::unsupported_media_type(&BODY_TYPES));
    }
    let object: Value = serde_json::from_slice(&request.body).map_err(|error| {
        let (kind, version) = (&resource.kind, &resource.version);
        ApiError::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {error}"
        ))
    })?;
    check_kind(resource, &object, &request.body)?;
    Ok(object)
}

fn check_kind(resource: &Resource, object: &Value, body: &[u8]) -> Result<(), ApiError> {
    let text = |field| {
        object
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    if kind.is_empty() {
        let body = String::from_utf8_lossy(body);
        return Err(ApiError::bad_request(format!(
            "Object 'Kind' is missing in '{body}'"
        )));
    }
    let expected = resource.api_version();
    if api_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if kind != resource.kind {
        return Err(ApiError::bad_request(format!(
            "{api_version}, Kind={kind} does not match {}",
            resource.kind
        )));
    }
    Ok(())
}

/// Prunes unknown fields; an error if they are forbidden, else those to warn of.
fn check_fields(
    request: &RecordedRequest,
    resource: &Resource,
    object: &mut Value,
) -> Result<Vec<String>, ApiError> {
    let validation = field_validation(request)?;
    let unknown = schema::prune(&resource.schema, object);
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Strict if !unknown.is_empty() => {
            let (kind, version) = (&resource.kind, &resource.version);
            Err(ApiError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {}",
                strict_error(&unknown)
            )))
        }
        FieldValidation::Strict | FieldValidation::Warn => Ok(unknown),
    }
}

fn strict_error(unknown: &[String]) -> String {
    let fields: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field {}", quoted(path)))
        .collect();
    format!("strict decoding error: {}", fields.join(", "))
}

fn field_validation(request: &RecordedRequest) -> Result<FieldValidation, ApiError> {
    match request.parameter("fieldValidation").as_deref() {
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some("Strict") => Ok(FieldValidation::Strict),
        None | Some("" | "Warn") => Ok(FieldValidation::Warn),
        Some(other) => Err(ApiError::bad_request(format!(
            "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
        ))),
    }
}

fn dry_run(request: &RecordedRequest) -> Result<bool, ApiError> {
    match request.parameter("dryRun").as_deref() {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => Err(ApiError::bad_request(format!(
            "dryRun: Unsupported value: \"{other}\": supported values: \"All\""
        ))),
    }
}

fn delete_options(request: &RecordedRequest) -> Result<(Preconditions, bool), ApiError> {
    let mut dry_run = dry_run(request)?;
    if request.body.is_empty() {
        return Ok((Preconditions::default(), dry_run));
    }
    if !matches!(media_type(request), "" | "application/json") {
        return Err(ApiError::unsupported_media_type(&BODY_TYPES));
    }
    let options = parse_json(request)?;
    dry_run |= options
        .get("dryRun")
        .is_some_and(|asked| *asked == json!(["All"]));
    let condition = |field| {
        let value = options
            .get("preconditions")
            .and_then(|conditions| conditions.get(field));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let (uid, resource_version) = (condition("uid"), condition("resourceVersion"));
    Ok((
        Preconditions {
            uid,
            resource_version,
        },
        dry_run,
    ))
}

fn warned(mut response: Response<Body>, unknown: &[String]) -> Response<Body> {
    for path in unknown {
        let text = quoted(&format!("unknown field {}", quoted(path)));
        if let Ok(value) = HeaderValue::try_from(format!("299 - {text}")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

/// In-process writes take the same way, without a request.
pub(crate) fn merge_patch(
    store: &Store,
    resource: &Resource,
    place: (&str, &str),
    part: Part,
    change: &Value,
) -> Result<Arc<Stored>, ApiError> {
    store.write(|state| {
        crud::modify(state, resource, place, part, false, |current| {
            let mut patched = current.clone();
            patch::merge(&mut patched, change);
            Ok(patched)
        })
    })
}
