//! Sends the client's requests and claimgate's own to the control plane.
//!
//! A fixed list of client headers is sent. [`Upstream`](crate::upstream::Upstream) adds claimgate's
//! credentials.

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};

use super::context::RequestContext;
use super::outbound::OutboundBody;
use super::plan::RemoteRequest;
use crate::error::RequestError;
use crate::upstream::{ConnectionClass, RequestBody, ResponseBody};
use claim_mapping::RequestScope;
use claim_mapping::quoted_prefix::QuotedPrefix;
use kube_wire::request_info::Verb;

/// Client headers that are sent to the control plane. Headers with the user's identity are not among
/// them, because claimgate authenticates as itself.
const FORWARDED: [HeaderName; 4] = [
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("audit-id"),
    HeaderName::from_static("traceparent"),
];

/// The control plane's reply to a request.
pub(super) struct UpstreamReply {
    pub(super) response: Response<ResponseBody>,
    /// The beginning of the sent body, if it differs from the client's.
    pub(super) quoted_prefix: Option<QuotedPrefix>,
    /// Warnings for the client, in addition to the control plane's.
    pub(super) warnings: Vec<HeaderValue>,
    /// The scope of the object that the reply is about, if the path of the client's request does not name it.
    pub(super) object_scope: Option<RequestScope>,
}

impl UpstreamReply {
    /// Creates the reply to a request whose body was not changed.
    pub(super) fn new(response: Response<ResponseBody>) -> Self {
        Self {
            response,
            quoted_prefix: None,
            warnings: Vec::new(),
            object_scope: None,
        }
    }
}

/// A request that claimgate sends in addition to the client's.
pub(super) struct OwnRequest {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) accept: HeaderValue,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) body: RequestBody,
}

impl OwnRequest {
    pub(super) fn get(uri: Uri, accept: HeaderValue) -> Self {
        Self {
            method: Method::GET,
            uri,
            accept,
            content_type: None,
            body: RequestBody::Empty,
        }
    }
}

/// Sends the client's request.
///
/// # Errors
/// No response arrived, or the request's body turned out to be invalid while it streamed.
pub(super) async fn send(
    context: &RequestContext<'_>,
    remote: &RemoteRequest,
    outbound: OutboundBody,
) -> Result<UpstreamReply, RequestError> {
    let OutboundBody {
        body,
        content_type,
        failure,
        quoted_prefix,
        warnings,
    } = outbound;
    let verb = context.request.verb;
    let class = match verb {
        Verb::Watch => ConnectionClass::Watches,
        _ => ConnectionClass::Requests,
    };
    let mut request = Request::new(body);
    *request.method_mut() = match context.needs_body_for_head() {
        true => Method::GET,
        false => context.parts.method.clone(),
    };
    *request.uri_mut() = remote.uri()?;
    *request.headers_mut() = headers(context, context.accept.header()?);
    if let Some(content_type) = content_type {
        request.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    let control_plane = context.control_plane;
    let response = control_plane.upstream.send(class, request).await;
    // The control plane may reply although claimgate aborted the body. That reply is meaningless.
    if let Some(error) = failure.take() {
        return Err(error);
    }
    let group = &context.request.group;
    let response =
        response.map_err(|error| control_plane.upstream_error(group, &error, verb.is_read()))?;
    Ok(UpstreamReply {
        quoted_prefix,
        warnings,
        ..UpstreamReply::new(response)
    })
}

/// Sends a request of claimgate's own.
///
/// # Errors
/// No response arrived. The client's request was not sent yet, so the outcome is never unknown.
pub(super) async fn send_own(
    context: &RequestContext<'_>,
    own: OwnRequest,
) -> Result<Response<ResponseBody>, RequestError> {
    let mut request = Request::new(own.body);
    *request.method_mut() = own.method;
    *request.uri_mut() = own.uri;
    let mut headers = headers(context, own.accept);
    headers.remove(CONTENT_TYPE);
    headers.extend(own.content_type.map(|value| (CONTENT_TYPE, value)));
    *request.headers_mut() = headers;
    let control_plane = context.control_plane;
    let response = control_plane
        .upstream
        .send(ConnectionClass::Requests, request)
        .await;
    let group = &context.request.group;
    response.map_err(|error| control_plane.upstream_error(group, &error, true))
}

fn headers(context: &RequestContext<'_>, accept: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in FORWARDED {
        if let Some(value) = context.parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(ACCEPT, accept);
    headers
}
