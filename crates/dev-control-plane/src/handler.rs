//! Routes requests: health, version, discovery, OpenAPI, or a verb on a resource.

use std::sync::Arc;

use http::{Method, Response, StatusCode};
use serde_json::json;

use super::api_server::ApiServer;
use super::body::Body;
use super::crud::Endpoint;
use super::discovery;
use super::error::{StatusError, to_json};
use super::openapi;
use super::read;
use super::reply;
use super::request::{RecordedRequest, Target};
use super::resource::Resource;
use super::watch;
use super::write;

/// The version in `/version`.
const GIT_VERSION: &str = "v1.37.2";

/// Returns the response to a request.
pub(crate) fn respond(
    server: &Arc<ApiServer>,
    request: &RecordedRequest,
    authenticated: bool,
) -> Response<Body> {
    match request.path.as_str() {
        "/livez" | "/readyz" | "/healthz" => return reply::text(StatusCode::OK, "ok"),
        "/version" => return version(request),
        _ if !authenticated => {
            // filters/authentication.go closes the connection (UnauthenticatedHTTP2DOSMitigation).
            server.faults.goaway_on(request.connection);
            return reply::error(request, &StatusError::unauthorized());
        }
        _ => {}
    }
    let response = documents(server, request).or_else(|| {
        let target = Target::parse(&request.path)?;
        Some(on_resource(server, request, &target))
    });
    match response {
        None => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        Some(Ok(response)) => response,
        Some(Err(error)) => reply::error(request, &error),
    }
}

/// Serves discovery and OpenAPI. Returns `None` for any other path.
fn documents(
    server: &ApiServer,
    request: &RecordedRequest,
) -> Option<Result<Response<Body>, StatusError>> {
    let (resources, generation) = server
        .store
        .read(|state| (state.resources().to_vec(), state.resources_generation()));
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    Some(match segments.as_slice() {
        ["api"] => discovery::root(request, &resources, true),
        ["apis"] => discovery::root(request, &resources, false),
        ["api", version] => discovery::version(request, &resources, "", version),
        ["apis", group] => discovery::group(request, &resources, group),
        ["apis", group, version] => discovery::version(request, &resources, group, version),
        ["openapi", "v2"] => openapi::v2(&server.documents, request, &resources, generation),
        ["openapi", "v3"] => openapi::v3_root(&server.documents, request, &resources, generation),
        ["openapi", "v3", path @ ..] => {
            let path = path.join("/");
            openapi::v3(&server.documents, request, &resources, generation, &path)
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
    server: &Arc<ApiServer>,
    request: &RecordedRequest,
    target: &Target,
) -> Result<Response<Body>, StatusError> {
    let (group, version, plural) = (&target.group, &target.version, &target.plural);
    let resource = server
        .store
        .read(|state| state.resource(group, version, plural));
    let resource = resource.ok_or_else(StatusError::no_such_resource)?;
    // Cluster-scoped resources have no namespace in the path. Namespaced ones need one if the path has a name.
    if target.namespace.is_some() && !resource.namespaced
        || target.name.is_some() && target.namespace.is_none() && resource.namespaced
    {
        return Err(StatusError::no_such_resource());
    }
    match (target.name.as_deref(), target.subresource.as_deref()) {
        (None, _) => on_collection(server, request, &resource, target),
        (Some(name), None) => on_object(server, request, &resource, target, name),
        (Some(name), Some("status")) if resource.status && !group.is_empty() => {
            on_status(server, request, &resource, target, name)
        }
        (Some(name), Some("scale")) if resource.scale.is_some() => match request.method {
            Method::GET | Method::PATCH | Method::PUT => write::scale(
                &server.store,
                request,
                &resource,
                namespaced_name(target, name),
            ),
            _ => Err(StatusError::method_not_allowed(
                &resource,
                verb(&request.method),
            )),
        },
        _ => Err(StatusError::no_such_resource()),
    }
}

fn on_collection(
    server: &Arc<ApiServer>,
    request: &RecordedRequest,
    resource: &Arc<Resource>,
    target: &Target,
) -> Result<Response<Body>, StatusError> {
    let namespace = target.namespace.as_deref();
    match request.method {
        Method::GET if target.watch_path || request.wants_watch() => {
            watch::watch(server, request, resource, namespace)
        }
        Method::GET => read::list(&server.store, request, resource, namespace),
        Method::POST if resource.namespaced == namespace.is_some() => write::create(
            &server.store,
            request,
            resource,
            namespace.unwrap_or_default(),
        ),
        Method::DELETE => write::delete_collection(&server.store, request, resource, namespace),
        _ => Err(StatusError::method_not_allowed(
            resource,
            verb(&request.method),
        )),
    }
}

fn on_object(
    server: &Arc<ApiServer>,
    request: &RecordedRequest,
    resource: &Arc<Resource>,
    target: &Target,
    name: &str,
) -> Result<Response<Body>, StatusError> {
    let (store, namespaced_name) = (&server.store, namespaced_name(target, name));
    match request.method {
        Method::GET if target.watch_path => {
            let mut named = request.clone();
            named.query = format!("{}&fieldSelector=metadata.name%3D{name}", request.query);
            watch::watch(server, &named, resource, target.namespace.as_deref())
        }
        Method::GET => read::get(store, request, resource, namespaced_name),
        Method::PUT => write::update(store, request, resource, namespaced_name, Endpoint::Object),
        Method::PATCH => write::patch(store, request, resource, namespaced_name, Endpoint::Object),
        Method::DELETE => write::delete(store, request, resource, namespaced_name),
        _ => Err(StatusError::method_not_allowed(
            resource,
            verb(&request.method),
        )),
    }
}

fn on_status(
    server: &ApiServer,
    request: &RecordedRequest,
    resource: &Resource,
    target: &Target,
    name: &str,
) -> Result<Response<Body>, StatusError> {
    let (store, namespaced_name) = (&server.store, namespaced_name(target, name));
    match request.method {
        Method::GET => read::get(store, request, resource, namespaced_name),
        Method::PUT => write::update(store, request, resource, namespaced_name, Endpoint::Status),
        Method::PATCH => write::patch(store, request, resource, namespaced_name, Endpoint::Status),
        _ => Err(StatusError::method_not_allowed(
            resource,
            verb(&request.method),
        )),
    }
}

fn namespaced_name<'a>(target: &'a Target, name: &'a str) -> (&'a str, &'a str) {
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
