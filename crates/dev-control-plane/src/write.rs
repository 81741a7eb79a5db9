//! The verbs create, update, patch, apply, delete and deletecollection, and the subresources
//! status and scale.

mod body;
mod options;

use std::sync::Arc;

use http::header::{HeaderValue, WARNING};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::apply::{FieldManager, Operation};
use super::body::Body;
use super::crud::{self, Applied, Deleted, Endpoint, Write};
use super::error::{self, StatusError, quoted};
use super::object;
use super::patch;
use super::read;
use super::reply;
use super::request::RecordedRequest;
use super::resource::Resource;
use super::scale;
use super::schema;
use super::storage::{Store, key, prefix};
use super::stored_object::StoredObject;
use body::{Patch, check_kind, parse_config, parse_json, parse_object};
use options::{FieldValidation, delete_options, dry_run, field_manager, forced};

pub(crate) fn create(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespace: &str,
) -> Result<Response<Body>, StatusError> {
    let namespaced_name = (namespace, "");
    let write = requested_write(
        request,
        resource,
        namespaced_name,
        Endpoint::Object,
        Operation::Update,
    )?;
    let mut object = parse_object(request, resource)?;
    let unknown = prune_unknown(request, resource, &mut object)?;
    let stored = store.write(|state| crud::create(state, &write, object))?;
    let response = reply::object(request, StatusCode::CREATED, resource, &stored)?;
    Ok(with_warnings(response, &unknown))
}

pub(crate) fn update(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespaced_name: (&str, &str),
    endpoint: Endpoint,
) -> Result<Response<Body>, StatusError> {
    let write = requested_write(
        request,
        resource,
        namespaced_name,
        endpoint,
        Operation::Update,
    )?;
    let mut object = parse_object(request, resource)?;
    let unknown = prune_unknown(request, resource, &mut object)?;
    let stored = store.write(|state| {
        crud::modify(state, &write, |_| {
            // Custom resources allow no unconditional update (registry/customresource/strategy.go).
            if object::meta(&object, "resourceVersion").is_none_or(str::is_empty) {
                let message = "Invalid value: 0: must be specified for an update".to_owned();
                let field = "metadata.resourceVersion".to_owned();
                let cause = error::Cause {
                    field,
                    reason: "FieldValueInvalid",
                    message,
                };
                return Err(StatusError::invalid(resource, namespaced_name.1, &[cause]));
            }
            Ok(object)
        })
    })?;
    let response = reply::object(request, StatusCode::OK, resource, &stored)?;
    Ok(with_warnings(response, &unknown))
}

pub(crate) fn patch(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespaced_name: (&str, &str),
    endpoint: Endpoint,
) -> Result<Response<Body>, StatusError> {
    if body::is_apply(request) {
        return apply(store, request, resource, namespaced_name, endpoint);
    }
    let write = requested_write(
        request,
        resource,
        namespaced_name,
        endpoint,
        Operation::Update,
    )?;
    let validation = FieldValidation::of(request)?;
    let patch = Patch::parse(request)?;
    let mut unknown = Vec::new();
    let stored = store.write(|state| {
        crud::modify(state, &write, |current| {
            let mut patched = patch.apply(current)?;
            check_kind(resource, &patched, &request.body)?;
            let whole = patched.to_string();
            unknown = schema::prune(&resource.schema, &mut patched);
            if validation == FieldValidation::Strict && !unknown.is_empty() {
                return Err(StatusError::invalid_patch(&whole, &strict_error(&unknown)));
            }
            Ok(patched)
        })
    })?;
    if validation == FieldValidation::Ignore {
        unknown.clear();
    }
    let response = reply::object(request, StatusCode::OK, resource, &stored)?;
    Ok(with_warnings(response, &unknown))
}

/// Handles a server-side apply.
fn apply(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespaced_name: (&str, &str),
    endpoint: Endpoint,
) -> Result<Response<Body>, StatusError> {
    let write = requested_write(
        request,
        resource,
        namespaced_name,
        endpoint,
        Operation::Apply,
    )?;
    let config = parse_config(request, resource)?;
    let force = forced(request);
    let applied = store.write(|state| crud::apply(state, &write, &config, force))?;
    let (status, stored) = match applied {
        Applied::Created(stored) => (StatusCode::CREATED, stored),
        Applied::Updated(stored) => (StatusCode::OK, stored),
    };
    reply::object(request, status, resource, &stored)
}

pub(crate) fn delete(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespaced_name: (&str, &str),
) -> Result<Response<Body>, StatusError> {
    let (preconditions, dry_run) = delete_options(request)?;
    match store
        .write(|state| crud::delete(state, resource, namespaced_name, &preconditions, dry_run))?
    {
        Deleted::Gone(last) => {
            let uid = object::meta(&last.value, "uid").unwrap_or_default();
            let status = error::deleted(resource, namespaced_name.1, uid);
            Ok(reply::json(request, StatusCode::OK, status))
        }
        Deleted::Terminating(stored) => reply::object(request, StatusCode::OK, resource, &stored),
    }
}

/// Deletes all objects that match, and returns the list of them.
pub(crate) fn delete_collection(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespace: Option<&str>,
) -> Result<Response<Body>, StatusError> {
    let (preconditions, dry_run) = delete_options(request)?;
    let selectors = read::selectors(request)?;
    let (items, resource_version) = store.write(|state| {
        let snapshot = state
            .snapshot(resource, &prefix(namespace), None)
            .map_err(|_| StatusError::expired("the newest state is gone"))?;
        let mut items = Vec::new();
        for (_, stored) in snapshot.objects {
            if selectors.matches(&stored.value) {
                let namespaced_name = (
                    object::namespace(&stored.value),
                    object::name(&stored.value),
                );
                crud::delete(state, resource, namespaced_name, &preconditions, dry_run)?;
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

/// Handles get, update and patch of the subresource scale.
pub(crate) fn scale(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespaced_name: (&str, &str),
) -> Result<Response<Body>, StatusError> {
    let paths = resource
        .scale
        .as_ref()
        .ok_or_else(StatusError::no_such_resource)?;
    let stored = if request.method == Method::GET {
        let stored =
            store.read(|state| state.get(resource, &key(namespaced_name.0, namespaced_name.1)));
        stored.ok_or_else(|| StatusError::not_found(resource, namespaced_name.1))?
    } else {
        let (endpoint, operation) = (Endpoint::Scale, Operation::Update);
        let write = requested_write(request, resource, namespaced_name, endpoint, operation)?;
        let is_patch = request.method == Method::PATCH;
        let patch = is_patch.then(|| Patch::parse(request)).transpose()?;
        store.write(|state| {
            crud::modify(state, &write, |current| {
                let scale = match &patch {
                    Some(patch) => patch.apply(&scale::of(paths, current))?,
                    None => parse_json(request)?,
                };
                scale::with_replicas(paths, current, &scale)
            })
        })?
    };
    let json = scale::json(paths, &stored.value);
    Ok(reply::json(request, StatusCode::OK, json))
}

/// Applies a merge patch outside of any HTTP request.
pub(crate) fn merge_patch(
    store: &Store,
    resource: &Resource,
    (namespace, name): (&str, &str),
    endpoint: Endpoint,
    manager: FieldManager,
    change: &Value,
) -> Result<Arc<StoredObject>, StatusError> {
    let write = Write {
        resource,
        namespace,
        name,
        endpoint,
        manager,
        dry_run: false,
    };
    store.write(|state| {
        crud::modify(state, &write, |current| {
            let mut patched = current.clone();
            patch::merge(&mut patched, change);
            Ok(patched)
        })
    })
}

fn requested_write<'a>(
    request: &RecordedRequest,
    resource: &'a Resource,
    (namespace, name): (&'a str, &'a str),
    endpoint: Endpoint,
    operation: Operation,
) -> Result<Write<'a>, StatusError> {
    Ok(Write {
        resource,
        namespace,
        name,
        endpoint,
        manager: field_manager(request, resource, endpoint, operation)?,
        dry_run: dry_run(request)?,
    })
}

/// Removes unknown fields. Returns the fields that need a warning, or an error if the client forbids unknown
/// fields.
fn prune_unknown(
    request: &RecordedRequest,
    resource: &Resource,
    object: &mut Value,
) -> Result<Vec<String>, StatusError> {
    let validation = FieldValidation::of(request)?;
    let unknown = schema::prune(&resource.schema, object);
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Strict if !unknown.is_empty() => {
            let (kind, version) = (&resource.kind, &resource.version);
            Err(StatusError::bad_request(format!(
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

/// Adds a warning header for each unknown field.
fn with_warnings(mut response: Response<Body>, unknown: &[String]) -> Response<Body> {
    for path in unknown {
        let text = quoted(&format!("unknown field {}", quoted(path)));
        if let Ok(value) = HeaderValue::try_from(format!("299 - {text}")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}
