//! Listener, TLS, HTTP connections and authentication; what a request says is `handler`'s.

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

use super::Inner;
use super::body::Body;
use super::error::ApiError;
use super::faults::{Fault, Gate, Listening};
use super::handler;
use super::reply;
use super::request::RecordedRequest;

/// kube-apiserver's figures (apiserver pkg/server/secure_serving.go).
const STREAMS_MAX: u32 = 100;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX;
const FRAME_MAX: u32 = 256 * 1024;
const HEADERS_MAX: u32 = 1024 * 1024;
const HEADERS_COUNT_MAX: usize = 1000;

/// The request body limit (apiserver pkg/server/config.go MaxRequestBodyBytes).
const BODY_MAX: usize = 3 * 1024 * 1024;

const BACKLOG: u32 = 1024;

pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // To return at the same port after an outage.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections as the fault switches say, for ever.
pub(crate) async fn serve(inner: Arc<Inner>, listener: TcpListener, tls: TlsAcceptor) {
    let mut listening = inner.faults.listening();
    let address = inner.address;
    let mut listener = Some(listener);
    loop {
        let wanted = *listening.borrow_and_update();
        if wanted == Listening::Refusing {
            listener = None;
        } else if listener.is_none() {
            // Someone else may hold the port for a moment.
            match bind(address) {
                Ok(bound) => listener = Some(bound),
                Err(error) => {
                    tracing::warn!(%error, %address, "the control plane cannot listen again");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    continue;
                }
            }
        }
        inner.faults.listener.send_replace(wanted);
        let accept = async {
            match &listener {
                Some(listener) if wanted == Listening::Accepting => listener.accept().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = listening.changed() => if changed.is_err() { return },
            accepted = accept => if let Ok((stream, _)) = accepted {
                open(&inner, stream, tls.clone());
            },
        }
    }
}

/// Starts the task of one connection.
fn open(inner: &Arc<Inner>, stream: TcpStream, tls: TlsAcceptor) {
    let id = inner.faults.next_connection();
    let goaway = CancellationToken::new();
    let entered = Entered {
        inner: Arc::clone(inner),
        id,
    };
    let task = tokio::spawn(connection(entered, stream, tls, goaway.clone()));
    inner.faults.opened(id, task.abort_handle(), goaway);
}

/// Takes the connection off the list when its task ends, aborted or not.
struct Entered {
    inner: Arc<Inner>,
    id: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.inner.faults.closed(self.id);
    }
}

async fn connection(
    entered: Entered,
    stream: TcpStream,
    tls: TlsAcceptor,
    goaway: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let gated = Gated {
        stream,
        gate: Arc::clone(&entered.inner.faults.gate),
    };
    let stream = match tls.accept(gated).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "the control plane got no TLS handshake");
            return;
        }
    };
    // rustls has verified it already.
    let certified = stream.get_ref().1.peer_certificates().is_some();
    let service = service_fn(|request| {
        let (inner, id) = (Arc::clone(&entered.inner), entered.id);
        async move { respond(&inner, id, certified, request).await }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_headers(HEADERS_COUNT_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_MAX)
        .max_header_list_size(HEADERS_MAX);
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

/// An error resets the stream with its reason.
async fn respond(
    inner: &Arc<Inner>,
    connection: u64,
    certified: bool,
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
    inner.requests.push(request.clone());
    let bearer = format!("Bearer {}", inner.token);
    let authenticated = certified || request.header(AUTHORIZATION) == bearer;
    let handle = || match collected {
        Some(_) => handler::answer(inner, &request, authenticated),
        None => reply::error(&request, &ApiError::too_large(BODY_MAX)),
    };
    Ok(match inner.faults.take(&request) {
        None => handle(),
        Some(Fault::Answer {
            status,
            headers,
            body,
        }) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
        Some(Fault::CutBody { after_bytes, then }) => {
            let mut response = handle();
            response.body_mut().cut_after(after_bytes, then);
            response
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
            inner.faults.drop_connection(connection);
            std::future::pending().await
        }
        Some(Fault::Hang) => std::future::pending().await,
    })
}

/// None if it is too large.
async fn collect(mut body: Incoming) -> io::Result<Option<Bytes>> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            if bytes.len() + data.len() > BODY_MAX {
                return Ok(None);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Some(bytes.freeze()))
}

/// A stream that stands still while the gate is closed.
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
