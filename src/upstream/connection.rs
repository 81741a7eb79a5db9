//! One HTTP/2 connection, and the task that drives it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::sent_body::SentBody;

/// Interval in which a new connection looks for the server's settings. They arrive one round trip after the TLS
/// handshake.
const SETTINGS_INTERVAL: Duration = Duration::from_millis(1);

/// The stream below HTTP/2.
type TlsIo = TokioIo<TlsStream<BufReader<TcpStream>>>;

/// A connection and the number of its streams. It closes when this value is dropped.
pub(super) struct Connection {
    sender: SendRequest<SentBody>,
    /// Duration of the TCP handshake.
    round_trip: Duration,
    streams: AtomicUsize,
    state: Arc<ConnectionState>,
}

/// State that a connection shares with its driver.
struct ConnectionState {
    /// Streams that the server currently allows.
    server_streams_max: AtomicUsize,
    /// The connection is ending, or it returned a request unprocessed.
    is_retired: AtomicBool,
}

impl Connection {
    pub(super) fn sender(&self) -> SendRequest<SentBody> {
        self.sender.clone()
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Returns whether the connection may get further streams.
    pub(super) fn is_usable(&self) -> bool {
        !self.state.is_retired.load(Ordering::Relaxed) && !self.sender.is_closed()
    }

    /// Prevents further streams.
    pub(super) fn retire(&self) {
        self.state.is_retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn server_streams_max(&self) -> usize {
        self.state.server_streams_max.load(Ordering::Relaxed)
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) fn add_stream(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_stream(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sends and receives the frames of a connection. Has no sender, because a sender keeps an idle
/// connection open.
pub(super) struct ConnectionDriver {
    frames: http2::Connection<TlsIo, SentBody, TokioExecutor>,
    state: Arc<ConnectionState>,
}

/// Splits a new connection into the part for requests and its driver.
pub(super) fn split(
    sender: SendRequest<SentBody>,
    frames: http2::Connection<TlsIo, SentBody, TokioExecutor>,
    round_trip: Duration,
) -> (Connection, ConnectionDriver) {
    let state = Arc::new(ConnectionState {
        server_streams_max: AtomicUsize::new(frames.current_max_send_streams()),
        is_retired: AtomicBool::new(false),
    });
    let connection = Connection {
        sender,
        round_trip,
        streams: AtomicUsize::new(0),
        state: Arc::clone(&state),
    };
    (connection, ConnectionDriver { frames, state })
}

impl ConnectionDriver {
    /// Runs a new connection until the server has sent its settings and allows a stream.
    ///
    /// # Errors
    /// The connection ended.
    pub(super) async fn first_stream(&mut self) -> Result<(), String> {
        // hyper does not report the arrival of the settings.
        let mut looks = tokio::time::interval(SETTINGS_INTERVAL);
        loop {
            let ended = tokio::select! {
                biased;
                ended = poll_fn(|context| self.poll(context)) => ended,
                _ = looks.tick() => match self.state.server_streams_max.load(Ordering::Relaxed) {
                    0 => continue,
                    _ => return Ok(()),
                },
            };
            let ended = ended.err().map(|error| error.to_string());
            return Err(ended.unwrap_or_else(|| "the server closed it".into()));
        }
    }

    /// Runs the connection until it ends, then retires it. Keeps the server's stream limit current,
    /// which SETTINGS frames may change at any time.
    pub(super) async fn run(mut self) {
        let ended = poll_fn(|context| self.poll(context));
        if let Err(error) = ended.await {
            tracing::debug!(%error, "a connection to an API server ended");
        }
        self.state.is_retired.store(true, Ordering::Relaxed);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let polled = Pin::new(&mut self.frames).poll(context);
        let max = self.frames.current_max_send_streams();
        self.state.server_streams_max.store(max, Ordering::Relaxed);
        polled
    }
}
