//! From a request to what answers it: health, discovery, OpenAPI, or a verb on a resource.

use std::sync::Arc;

use http::{Method, Response, StatusCode};
use serde_json::json;

use super::Inner;
use super::body::Body;
use super::crud::Part;
use super::discovery;
use super::error::{ApiError, to_json};
use super::openapi;
use super::read;
use super::reply;
use super::request::{RecordedRequest, Target};
use super::resource::Resource;
use super::watch;
use super::write;

/// The version that `/version` tells.
const GIT_VERSION: &str = "v1.37.2";

pub(crate) fn answer(
    inner: &Arc<Inner>,
    request: &RecordedRequest,
    authenticated: bool,
) -> Response<Body> {
    match request.path.as_str() {
        "/livez" | "/readyz" | "/healthz" => return reply::text(StatusCode::OK, "ok"),
        "/version" => return version(request),
        _ if !authenticated => {
            // UnauthenticatedHTTP2DOSMitigation: filters/authentication.go closes the connection.
            inner.faults.goaway_on(request.connection);
            return reply::error(request, &ApiError::unauthorized());
        }
        _ => {}
    }
    let answered = documents(inner, request).or_else(|| {
        let target = Target::parse(&request.path)?;
        Some(on_resource(inner, request, &target))
    });
    match answered {
        None => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        Some(Ok(response)) => response,
        Some(Err(error)) => reply::error(request, &error),
    }
}

/// None if the path is not that of a document.
fn documents(inner: &Inner, request: &RecordedRequest) -> Option<Result<Response<Body>, ApiError>> {
    let (resources, generation) = inner
        .store
        .read(|state| (state.resources().to_vec(), state.resources_generation()));
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    Some(match segments.as_slice() {
        ["api"] => discovery::root(request, &resources, true),
        ["apis"] => discovery::root(request, &resources, false),
        ["api", version] => discovery::version(request, &resources, "", version),
        ["apis", group] => discovery::group(request, &resources, group),
        ["apis", group, version] => discovery::version(request, &resources, group, version),
        ["openapi", "v2"] => openapi::v2(&inner.documents, request, &resources, generation),
        ["openapi", "v3"] => openapi::v3_root(&inner.documents, request, &resources, generation),
        ["openapi", "v3", path @ ..] => {
            let path = path.join("/");
            openapi::v3(&inner.documents, request, &resources, generation, &path)
        }
        _ => return None,
    })
}

fn version(request: &RecordedRequest) -> Response<Body> {
    let document = json!({"major": "1", "minor": "37", "gitVersion": GIT_VERSION,
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "", "platform": "linux/amd64"});
    reply::json(request, StatusCode::OK, to_json(&document))
}

fn on_resource(
    inner: &Arc<Inner>,
    request: &RecordedRequest,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let (group, version, plural) = (&target.group, &target.version, &target.plural);
    let resource = inner
        .store
        .read(|state| state.resource(group, version, plural));
    let resource = resource.ok_or_else(ApiError::no_such_resource)?;
    // Cluster-scoped resources have no namespace in the path, namespaced ones need it for names.
    if target.namespace.is_some() && !resource.namespaced
        || target.name.is_some() && target.namespace.is_none() && resource.namespaced
    {
        return Err(ApiError::no_such_resource());
    }
    match (target.name.as_deref(), target.subresource.as_deref()) {
        (None, _) => on_collection(inner, request, &resource, target),
        (Some(name), None) => on_object(inner, request, &resource, target, name),
        (Some(name), Some("status")) if resource.status && !group.is_empty() => {
            on_status(inner, request, &resource, target, name)
        }
        (Some(name), Some("scale")) if resource.scale.is_some() => match request.method {
            Method::GET | Method::PATCH | Method::PUT => {
                write::scale(&inner.store, request, &resource, place(target, name))
            }
            _ => Err(ApiError::method_not_allowed(
                &resource,
                verb(&request.method),
            )),
        },
        _ => Err(ApiError::no_such_resource()),
    }
}

fn on_collection(
    inner: &Arc<Inner>,
    request: &RecordedRequest,
    resource: &Arc<Resource>,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let namespace = target.namespace.as_deref();
    match request.method {
        Method::GET if target.watch_path || request.wants_watch() => {
            watch::watch(inner, request, resource, namespace)
        }
        Method::GET => read::list(&inner.store, request, resource, namespace),
        Method::POST if resource.namespaced == namespace.is_some() => write::create(
            &inner.store,
            request,
            resource,
            namespace.unwrap_or_default(),
        ),
        Method::DELETE => write::delete_collection(&inner.store, request, resource, namespace),
        _ => Err(ApiError::method_not_allowed(
            resource,
            verb(&request.method),
        )),
    }
}

fn on_object(
    inner: &Arc<Inner>,
    request: &RecordedRequest,
    resource: &Arc<Resource>,
    target: &Target,
    name: &str,
) -> Result<Response<Body>, ApiError> {
    let (store, place) = (&inner.store, place(target, name));
    match request.method {
        Method::GET if target.watch_path => {
            let mut named = request.clone();
            named.query = format!("{}&fieldSelector=metadata.name%3D{name}", request.query);
            watch::watch(inner, &named, resource, target.namespace.as_deref())
        }
        Method::GET => read::get(store, request, resource, place),
        Method::PUT => write::update(store, request, resource, place, Part::Main),
        Method::PATCH => write::patch(store, request, resource, place, Part::Main),
        Method::DELETE => write::delete(store, request, resource, place),
        _ => Err(ApiError::method_not_allowed(
            resource,
            verb(&request.method),
        )),
    }
}

fn on_status(
    inner: &Inner,
    request: &RecordedRequest,
    resource: &Resource,
    target: &Target,
    name: &str,
) -> Result<Response<Body>, ApiError> {
    let (store, place) = (&inner.store, place(target, name));
    match request.method {
        Method::GET => read::get(store, request, resource, place),
        Method::PUT => write::update(store, request, resource, place, Part::Status),
        Method::PATCH => write::patch(store, request, resource, place, Part::Status),
        _ => Err(ApiError::method_not_allowed(
            resource,
            verb(&request.method),
        )),
    }
}

fn place<'a>(target: &'a Target, name: &'a str) -> (&'a str, &'a str) {
    (target.namespace.as_deref().unwrap_or_default(), name)
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::DELETE => "delete",
        Method::GET => "get",
        Method::PATCH => "patch",
        Method::POST => "create",
        Method::PUT => "update",
        _ => "unknown",
    }
}
