//! HTTP on one connection.
//!
//! In flows a TLS stream, out go its requests to the [`Router`], each with the [`Peer`] whose
//! certificate the connection showed. Bounds are chosen after the handshake, by who is there. A
//! connection that becomes a WebSocket goes on as a [`Session`].

use std::convert::Infallible;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::authn::Peer;
use crate::body::ReplyBody;
use crate::body::events::Delimiter;
use crate::corked::Corked;
use crate::route::Router;
use crate::websocket::Session;

/// What one connection may use.
struct Bounds {
    /// Concurrent HTTP/2 streams. An aggregated API server needs many, since the aggregator sends
    /// all its users over one connection (`apiserver/pkg/server/options/recommended.go`).
    streams_max: u32,
    /// All header fields of a request, as HPACK counts them.
    header_bytes_max: u32,
}

/// Headers as kube-apiserver takes them (`net/http`, `DefaultMaxHeaderBytes`), who passes them all on.
const FRONT_PROXY: Bounds = Bounds {
    streams_max: 1000,
    header_bytes_max: 1 << 20,
};
const ANYONE: Bounds = Bounds {
    streams_max: 100,
    header_bytes_max: 16 << 10,
};

/// Header fields of a request.
pub const HEADERS_MAX: usize = 1000;

/// Flow-control windows for request bodies, as kube-apiserver has them for a stream; the
/// connection's lets sixteen bodies come at once.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Bytes of a response that wait in one stream's send buffer.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;

/// Streams that a peer reset and that are remembered (the rapid reset attack, CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 50;

const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Time in which an HTTP/1.1 client has to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves one connection to its end; once `draining` is cancelled it takes no new requests.
pub async fn connection(
    stream: TlsStream<Corked<TcpStream>>,
    router: Arc<Router>,
    draining: CancellationToken,
) {
    let (_, session) = stream.get_ref();
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let chain = session
        .peer_certificates()
        .map(|chain| chain.to_vec())
        .unwrap_or_default();
    let chain = chain
        .into_iter()
        .map(|certificate| certificate.into_owned())
        .collect();
    let client = Client {
        router,
        peer: Arc::new(Peer::new(chain)),
    };
    let bounds = if client.router.authenticator().is_front_proxy(&client.peer) {
        FRONT_PROXY
    } else {
        ANYONE
    };
    let served = if is_http2 {
        serve_http2(stream, &bounds, client, draining).await
    } else {
        serve_http1(stream, &bounds, client, draining).await
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// Who is at the other end, and who answers.
#[derive(Clone)]
struct Client {
    router: Arc<Router>,
    peer: Arc<Peer>,
}

async fn serve_http2(
    stream: TlsStream<Corked<TcpStream>>,
    bounds: &Bounds,
    client: Client,
    draining: CancellationToken,
) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let client = client.clone();
        // Boxed: a stream's task lives as long as the response's body, a watch's for an hour, and
        // would keep room for all that was needed to come to it.
        Box::pin(async move {
            let response: Response<ReplyBody> = client.router.handle(&client.peer, request).await;
            Ok::<_, Infallible>(response)
        })
    });
    let connection = http2(bounds).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => served,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// Its last response may be the beginning of a WebSocket.
async fn serve_http1(
    stream: TlsStream<Corked<TcpStream>>,
    bounds: &Bounds,
    client: Client,
    draining: CancellationToken,
) -> hyper::Result<()> {
    let session: Arc<Mutex<Option<Session>>> = Arc::default();
    let begun = Arc::clone(&session);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (client, begun) = (client.clone(), Arc::clone(&begun));
        Box::pin(async move {
            let upgrade = hyper::upgrade::on(&mut request);
            let mut response = client.router.handle(&client.peer, request).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let nothing = ReplyBody::whole(Bytes::new());
                let delimiter = response.extensions().get().copied();
                let session = Session {
                    upgrade,
                    events: mem::replace(response.body_mut(), nothing),
                    delimiter: delimiter.unwrap_or(Delimiter::Newline),
                    bounds: client.router.websockets,
                };
                *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
            }
            Ok::<_, Infallible>(response)
        })
    });
    let connection = http1(bounds).serve_connection(TokioIo::new(stream), service);
    let connection = connection.with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => served?,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await?;
        }
    }
    let session = session
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(session) = session {
        // Boxed, for other connections need no room for it.
        Box::pin(session.run()).await;
    }
    Ok(())
}

fn http2(bounds: &Bounds) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams_max)
        .max_header_list_size(bounds.header_bytes_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

fn http1(bounds: &Bounds) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let buffer = usize::try_from(bounds.header_bytes_max).unwrap_or(usize::MAX);
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(buffer);
    builder
}
