//! Serves HTTP on one connection.
//!
//! Requests go to the [`Router`], with the [`Peer`] of the connection. The limits of a connection depend
//! on the certificate that the client sent in the TLS handshake. A connection that was upgraded to a
//! WebSocket becomes a [`WatchSession`].

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
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::tls_stream::{self, ServerStream};
use crate::authn::Peer;
use crate::body::ReplyBody;
use crate::body::events::Delimiter;
use crate::limits::{self, HeaderLimits};
use crate::router::Router;
use crate::websocket::{WatchLimits, WatchSession};

/// Limits of one client connection.
struct ConnectionLimits {
    /// Concurrent HTTP/2 streams. The aggregator needs many, because it sends the requests of all
    /// users over one connection (`apiserver/pkg/server/options/recommended.go`).
    streams_max: u32,
    headers: HeaderLimits,
}

const FRONT_PROXY: ConnectionLimits = ConnectionLimits {
    streams_max: 1000,
    headers: limits::FRONT_PROXY,
};
const ANY_CLIENT: ConnectionLimits = ConnectionLimits {
    streams_max: 100,
    headers: limits::ANY_CLIENT,
};

/// Flow-control window of each request body: kube-apiserver's. The window of a connection covers all of its streams, so
/// that bodies for a control plane that stalls never delay others. The limits on requests bound the memory.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// Size in bytes of one stream's send buffer for a response.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;

/// Number of streams that the client may reset before they are accepted. A connection with more is closed
/// (the rapid reset attack, CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 50;

const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Time within which an HTTP/1.1 client must send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The state that all connections of the main listener share.
#[derive(Clone)]
pub struct HttpServer {
    pub acceptor: TlsAcceptor,
    pub router: Arc<Router>,
    pub websocket_limits: WatchLimits,
    /// Cancelled when connections should finish their requests and close.
    pub draining: CancellationToken,
}

impl HttpServer {
    /// Serves one connection until it ends.
    pub async fn serve(self, stream: TcpStream) {
        let acceptor = self.acceptor.clone();
        tls_stream::serve(stream, acceptor, |stream| self.serve_tls(stream)).await;
    }

    async fn serve_tls(self, stream: ServerStream) {
        let (_, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let chain = session.peer_certificates().unwrap_or_default().iter();
        let chain = chain.map(|certificate| certificate.clone().into_owned());
        let peer = Arc::new(Peer::new(chain.collect()));
        let limits = if self.router.is_front_proxy(&peer) {
            FRONT_PROXY
        } else {
            ANY_CLIENT
        };
        let connection = Connection { server: self, peer };
        let served = if is_http2 {
            connection.serve_http2(stream, &limits).await
        } else {
            connection.serve_http1(stream, &limits).await
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection failed");
        }
    }
}

/// One connection, after its TLS handshake.
struct Connection {
    server: HttpServer,
    peer: Arc<Peer>,
}

impl Connection {
    async fn serve_http2(
        self,
        stream: ServerStream,
        limits: &ConnectionLimits,
    ) -> hyper::Result<()> {
        let (router, peer) = (self.server.router, self.peer);
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, peer) = (Arc::clone(&router), Arc::clone(&peer));
            // Boxed, because a stream's task lives as long as the response's body. For a watch that is
            // an hour, during which the task would keep the memory of this future.
            Box::pin(async move {
                let response: Response<ReplyBody> = router.handle(&peer, request).await;
                Ok::<_, Infallible>(response)
            })
        });
        let connection = http2(limits).serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            served = connection.as_mut() => served,
            () = self.server.draining.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }

    /// Serves requests. If the last response accepts a WebSocket, serves it too.
    async fn serve_http1(
        self,
        stream: ServerStream,
        limits: &ConnectionLimits,
    ) -> hyper::Result<()> {
        let upgraded: Arc<Mutex<Option<WatchSession>>> = Arc::default();
        let (router, peer) = (self.server.router, self.peer);
        let watch_limits = self.server.websocket_limits;
        let service = service_fn(|mut request: Request<Incoming>| {
            let (router, peer) = (Arc::clone(&router), Arc::clone(&peer));
            let upgraded = Arc::clone(&upgraded);
            Box::pin(async move {
                let upgrade = hyper::upgrade::on(&mut request);
                let mut response = router.handle(&peer, request).await;
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    let delimiter = response.extensions().get().copied();
                    let empty = ReplyBody::whole(Bytes::new());
                    let session = WatchSession {
                        upgrade,
                        events: mem::replace(response.body_mut(), empty),
                        delimiter: delimiter.unwrap_or(Delimiter::Newline),
                        limits: watch_limits,
                    };
                    *upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
                }
                Ok::<_, Infallible>(response)
            })
        });
        let connection = http1(limits).serve_connection(TokioIo::new(stream), service);
        let connection = connection.with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            served = connection.as_mut() => served?,
            () = self.server.draining.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await?;
            }
        }
        let session = upgraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(session) = session {
            // Boxed, so that connections without a WebSocket do not reserve its memory.
            Box::pin(session.run()).await;
        }
        Ok(())
    }
}

fn http2(limits: &ConnectionLimits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let header_bytes_max = limits.headers.connection_bytes_max();
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits.streams_max * STREAM_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

fn http1(limits: &ConnectionLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(limits.headers.connection_fields_max())
        .max_buf_size(limits.headers.connection_bytes_max());
    builder
}
