//! Explains why a request that has to precede the client's is forbidden.
//!
//! If claimgate's identity may not read the object, it probably may not make the client's request
//! either. The client should get the denial of its own request. kube-apiserver authorizes before it
//! does anything else, so claimgate sends the client's request in a form that changes nothing.

use bytes::Bytes;
use http::StatusCode;

use crate::proxy::context::RequestContext;
use crate::proxy::dispatch::{self, UpstreamReply};
use crate::proxy::media::{self, RequestMedia};
use crate::proxy::outbound::OutboundBody;
use crate::proxy::plan::RemoteRequest;
use kube_wire::request_info::Verb;

/// Dry-run DeleteOptions whose UID never matches.
const HARMLESS_DELETION: Bytes =
    Bytes::from_static(br#"{"dryRun":["All"],"preconditions":{"uid":"claimgate"}}"#);

/// Returns the control plane's denial of the client's request if it denied claimgate's own request
/// that comes first. Returns any other failure unchanged.
pub(super) async fn explain(
    context: &RequestContext<'_>,
    remote: &RemoteRequest,
    failed: UpstreamReply,
) -> UpstreamReply {
    if failed.response.status() != StatusCode::FORBIDDEN {
        return failed;
    }
    let remote = &remote.with_parameter("dryRun", "All");
    // Boxed, because this is rare.
    let probe = Box::pin(dispatch::send(context, remote, harmless_body(context)));
    let timeout = context.control_plane.upstream.request_timeout();
    match tokio::time::timeout(timeout, probe).await {
        Ok(Ok(reply)) if reply.response.status() == StatusCode::FORBIDDEN => reply,
        _ => failed,
    }
}

/// Returns a body with which the client's request changes nothing. An update or a patch without a body
/// is invalid.
fn harmless_body(context: &RequestContext<'_>) -> OutboundBody {
    let is_deletion = context.request.verb == Verb::Delete;
    let is_converted = is_deletion || context.request_media == RequestMedia::YamlObject;
    let body = match is_deletion {
        true => HARMLESS_DELETION,
        false => Bytes::new(),
    };
    OutboundBody {
        content_type: is_converted.then(|| media::converted_to_json(&context.parts.headers)),
        ..OutboundBody::whole(body, None)
    }
}
