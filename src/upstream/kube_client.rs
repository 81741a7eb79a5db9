//! A Kubernetes client over the connections of an API server, for the controllers.

use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use tower::{BoxError, service_fn};

use super::client::Upstream;
use super::connection_class::ConnectionClass;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use kube_wire::request_info::Query;

/// Returns a client that uses the credentials and the connections of `upstream`.
pub fn kube_client(upstream: Upstream) -> kube::Client {
    let service = service_fn(move |request| send(upstream.clone(), request));
    kube::Client::new(service, "default")
}

async fn send(
    upstream: Upstream,
    request: Request<Body>,
) -> Result<Response<ResponseBody>, BoxError> {
    let class = match Query::parse(request.uri().query().unwrap_or_default()).is_watch() {
        true => ConnectionClass::Watches,
        false => ConnectionClass::Requests,
    };
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let body = match body.is_empty() {
        true => RequestBody::Empty,
        false => RequestBody::Full(body),
    };
    // The connection sets it.
    parts.headers.remove(CONTENT_LENGTH);
    Ok(upstream
        .send(class, Request::from_parts(parts, body))
        .await?)
}
