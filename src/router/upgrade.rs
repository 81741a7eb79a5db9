//! Upgrades to WebSocket, and response headers that the aggregator sets for forwarded requests.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use uuid::Uuid;

use crate::body::ReplyBody;
use crate::body::events::Delimiter;
use crate::websocket::handshake;
use kube_wire::accept::Serializer;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The upgrade that a request requests, if any.
pub(super) struct Upgrade {
    /// Whether the client wants to switch to another protocol.
    is_requested: bool,
    /// The response to a WebSocket handshake, if the request is one.
    handshake: Option<Response<Bytes>>,
}

impl Upgrade {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            is_requested: handshake::is_upgrade(parts),
            handshake: handshake::respond(parts),
        }
    }

    /// Sets the headers that the aggregator would set, and turns a successful watch into a WebSocket if
    /// the client asked for one.
    ///
    /// The aggregator copies the response to an upgrade unchanged, and closes the connection unless the
    /// response accepts the upgrade (`apimachinery/pkg/util/proxy/upgradeaware.go`, `tryUpgrade`).
    pub(super) fn apply(
        self,
        mut response: Response<ReplyBody>,
        is_direct: bool,
        is_watch: bool,
    ) -> Response<ReplyBody> {
        if is_direct || self.is_requested {
            add_aggregator_headers(response.headers_mut());
        } else {
            // The aggregator adds its own.
            response.headers_mut().remove(CACHE_CONTROL);
        }
        if let Some(handshake) = self.handshake
            && is_watch
            && response.status().is_success()
        {
            response = websocket_response(handshake, response);
        }
        if self.is_requested && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}

/// Replaces a watch's status and headers by those of the handshake. kube-apiserver too checks the
/// handshake after the watch has started, and drops the watch's headers
/// (`apiserver/pkg/endpoints/handlers/watch.go`, `serveWatchHandler`).
fn websocket_response(
    handshake: Response<Bytes>,
    watch: Response<ReplyBody>,
) -> Response<ReplyBody> {
    if handshake.status() != StatusCode::SWITCHING_PROTOCOLS {
        return handshake.map(ReplyBody::whole);
    }
    let delimiter = match watch.headers().get(CONTENT_TYPE) {
        Some(stream) if stream == Serializer::Protobuf.stream_type() => Delimiter::Length,
        _ => Delimiter::Newline,
    };
    let mut response = handshake.map(|_empty| watch.into_body());
    response.extensions_mut().insert(delimiter);
    response
}

fn add_aggregator_headers(headers: &mut HeaderMap) {
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.entry(AUDIT_ID).or_insert(id);
    }
    let private = HeaderValue::from_static("no-cache, private");
    headers.entry(CACHE_CONTROL).or_insert(private);
}
