//! Asks an API server whether it is ready.

use http::Request;

use super::client::Upstream;
use super::connection_class::ConnectionClass;
use super::request_body::RequestBody;

/// Returns whether the server says that it is not ready. A kube-apiserver that starts forbids requests until it has read
/// its roles, and clients would conclude that they lost a right. Proxies may hide `/readyz`, so any answer but a server
/// error counts as ready.
pub async fn is_starting(upstream: &Upstream) -> bool {
    let request = Request::get("/readyz").body(RequestBody::Empty);
    let Ok(request) = request else {
        return false;
    };
    let reply = upstream.send(ConnectionClass::Requests, request).await;
    reply.is_ok_and(|reply| reply.status().is_server_error())
}
