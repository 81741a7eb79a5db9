//! The listener, TLS, HTTP connections, faults and authentication. `handler` handles the requests.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::api_server::ApiServer;
use super::body::{self, Body};
use super::error::StatusError;
use super::faults::{Fault, Gate, Listening};
use super::handler;
use super::reply;
use super::request::RecordedRequest;

// HTTP/2 settings of kube-apiserver (apiserver pkg/server/secure_serving.go).
const CONNECTION_WINDOW_BYTES: u32 = 25 * 1024 * 1024;
const FRAME_BYTES_MAX: u32 = 256 * 1024;
const HEADERS_BYTES_MAX: u32 = 1024 * 1024;
const HEADERS_COUNT_MAX: usize = 1000;

/// Maximum length of a request body in bytes (apiserver pkg/server/config.go MaxRequestBodyBytes).
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

const BACKLOG: u32 = 1024;

pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // After an injected outage, the server listens on the same port again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until the task is aborted. Pauses while a fault prevents it.
pub(crate) async fn serve(server: Arc<ApiServer>, listener: TcpListener, tls: TlsAcceptor) {
    let mut listening = server.faults.listening();
    let address = server.address;
    let mut listener = Some(listener);
    loop {
        let requested = *listening.borrow_and_update();
        if requested == Listening::Refusing {
            listener = None;
        } else if listener.is_none() {
            // Another process may use the port for a moment.
            match bind(address) {
                Ok(bound) => listener = Some(bound),
                Err(error) => {
                    tracing::warn!(%error, %address, "the control plane cannot listen again");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    continue;
                }
            }
        }
        server.faults.listener.send_replace(requested);
        let accept = async {
            match &listener {
                Some(listener) if requested == Listening::Accepting => listener.accept().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = listening.changed() => if changed.is_err() { return },
            accepted = accept => if let Ok((stream, _)) = accepted {
                open(&server, stream, tls.clone());
            },
        }
    }
}

/// Spawns the task of a connection.
fn open(server: &Arc<ApiServer>, stream: TcpStream, tls: TlsAcceptor) {
    let id = server.faults.next_connection();
    let goaway = CancellationToken::new();
    let registration = Registration {
        server: Arc::clone(server),
        id,
    };
    let task = tokio::spawn(connection(registration, stream, tls, goaway.clone()));
    server.faults.opened(id, task.abort_handle(), goaway);
}

/// Removes the connection from the list when its task ends or is aborted.
struct Registration {
    server: Arc<ApiServer>,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.server.faults.closed(self.id);
    }
}

async fn connection(
    registration: Registration,
    stream: TcpStream,
    tls: TlsAcceptor,
    goaway: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let gated = Gated {
        stream,
        gate: Arc::clone(&registration.server.faults.gate),
    };
    let stream = match tls.accept(gated).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake with the control plane failed");
            return;
        }
    };
    // rustls has verified the certificate.
    let has_certificate = stream.get_ref().1.peer_certificates().is_some();
    let service = service_fn(|request| {
        let (server, id) = (Arc::clone(&registration.server), registration.id);
        async move { respond(&server, id, has_certificate, request).await }
    });
    let limits = registration.server.faults.http2();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_headers(HEADERS_COUNT_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = goaway.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection of the control plane ended");
    }
}

/// Records the request, applies faults, and returns the response. An error resets the stream.
async fn respond(
    server: &Arc<ApiServer>,
    connection: u64,
    has_certificate: bool,
    request: Request<Incoming>,
) -> Result<Response<Body>, h2::Error> {
    let (parts, body) = request.into_parts();
    let collected = collect(body).await.map_err(|_| h2::Reason::CANCEL)?;
    let request = RecordedRequest {
        connection,
        version: parts.version,
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: collected.clone().unwrap_or_default(),
    };
    server.requests.push(request.clone());
    let bearer = format!("Bearer {}", server.token);
    let authenticated = has_certificate || request.header(AUTHORIZATION) == bearer;
    let handle = || match collected {
        Some(_) => handler::respond(server, &request, authenticated),
        None => reply::error(&request, &StatusError::too_large(BODY_BYTES_MAX)),
    };
    Ok(match server.faults.take(&request) {
        None => handle(),
        Some(Fault::Answer {
            status,
            headers,
            body: bytes,
        }) => {
            let mut response = Response::new(body::full(bytes));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
        Some(Fault::CutBody { after_bytes, then }) => {
            handle().map(|body| body::cut(body, after_bytes, then))
        }
        Some(Fault::Delay(pause)) => {
            tokio::time::sleep(pause).await;
            handle()
        }
        Some(Fault::Until(token)) => {
            token.cancelled().await;
            handle()
        }
        Some(Fault::Refuse) => return Err(h2::Reason::REFUSED_STREAM.into()),
        Some(Fault::HandleAndDrop) => {
            drop(handle());
            server.faults.drop_connection(connection);
            std::future::pending().await
        }
        Some(Fault::Hang) => std::future::pending().await,
    })
}

/// Collects a request body. Returns `None` if it is too large.
async fn collect(mut body: Incoming) -> io::Result<Option<Bytes>> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            if bytes.len() + data.len() > BODY_BYTES_MAX {
                return Ok(None);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Some(bytes.freeze()))
}

/// A stream that neither reads nor writes while the gate is closed.
struct Gated {
    stream: TcpStream,
    gate: Arc<Gate>,
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.gate.poll_open(context));
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.gate.poll_open(context));
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.gate.poll_open(context));
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
