//! Dialling: name, TCP, TLS, HTTP/2, all within one time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::client::conn::http2::{self, Connection as Driver};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pool::Connection;
use super::tls::Tls;
use super::{Error, RequestBody, Windows};
use crate::config;

/// Bytes of a frame that the peer may send: fewer, larger frames cost less than HTTP/2's 16 KiB.
const FRAME_BYTES_MAX: u32 = 256 << 10;

/// Bytes of a response's headers, as kube-apiserver takes for a request's.
const HEADER_BYTES_MAX: u32 = 1 << 20;

/// Bytes of a request's body that wait in a stream's send buffer.
const SEND_BUFFER_BYTES_MAX: usize = 256 << 10;

type Io = TokioIo<TlsStream<BufReader<TcpStream>>>;

pub(super) struct Connector {
    host: String,
    port: u16,
    tls: Tls,
    timeouts: config::Timeouts,
}

/// Drives a connection until it ends.
pub(super) struct Driving(Driver<Io, RequestBody, TokioExecutor>);

impl Connector {
    pub(super) fn new(config: &config::ControlPlane) -> Result<Self, String> {
        Ok(Self {
            host: config.server.host.clone(),
            port: config.server.port,
            tls: Tls::new(config)?,
            timeouts: config.timeouts.clone(),
        })
    }

    pub(super) async fn connect(
        &self,
        windows: Windows,
    ) -> Result<(Arc<Connection>, Driving), Error> {
        let limit = self.timeouts.connect;
        tokio::time::timeout(limit, self.try_connect(windows))
            .await
            .unwrap_or(Err(Error::ConnectTimeout {
                seconds: limit.as_secs(),
            }))
    }

    async fn try_connect(&self, windows: Windows) -> Result<(Arc<Connection>, Driving), Error> {
        let (stream, round_trip) = self.tcp().await?;
        let (config, name) = self.tls.config().map_err(Error::Tls)?;
        let stream = BufReader::with_capacity(windows.read_bytes, stream);
        let tls = TlsConnector::from(config).connect(name, stream).await;
        let tls = tls.map_err(|error| Error::Tls(error.to_string()))?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Error::Protocol("it chose another protocol".into()));
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(windows.stream_bytes)
            .initial_connection_window_size(windows.connection_bytes)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .keep_alive_interval(self.timeouts.ping_interval)
            .keep_alive_timeout(self.timeouts.ping_timeout)
            .keep_alive_while_idle(true);
        let shaken = builder.handshake(TokioIo::new(tls)).await;
        let (sender, driver) = shaken.map_err(|error| Error::Protocol(error.to_string()))?;
        let max = driver.current_max_send_streams();
        let connection = Connection::new(sender, max, round_trip);
        Ok((Arc::new(connection), Driving(driver)))
    }

    /// The first address that answers, in the order in which they were found, and how long it took:
    /// one round trip between the two kernels. A busy server adds nothing to it, this one being busy does.
    async fn tcp(&self) -> Result<(TcpStream, Duration), Error> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addresses: Vec<_> = found
            .map_err(|error| Error::Resolve(error.to_string()))?
            .collect();
        // Each gets its share of the time, so that a silent one does not spend it all.
        let share = self.timeouts.connect / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = Error::Resolve("it has no address".into());
        for address in addresses {
            let begin = Instant::now();
            last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => match self.tune(&stream) {
                    Ok(()) => return Ok((stream, begin.elapsed())),
                    Err(error) => Error::Connect(phrase(&error)),
                },
                Ok(Err(error)) => Error::Connect(phrase(&error)),
                Err(_) => Error::ConnectTimeout {
                    seconds: self.timeouts.connect.as_secs(),
                },
            };
        }
        Err(last)
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let silent: Duration = self.timeouts.ping_interval + self.timeouts.ping_timeout;
        SockRef::from(stream).set_tcp_user_timeout(Some(silent))
    }
}

/// `connection refused` instead of `Connection refused (os error 111)`.
fn phrase(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Other => error.to_string(),
        kind => kind.to_string(),
    }
}

impl Driving {
    /// Publishes how many streams the peer allows, which its settings may change at any time.
    pub(super) async fn run(mut self, connection: Arc<Connection>) {
        let ended = std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut self.0).poll(context);
            let max = self.0.current_max_send_streams();
            connection.peer_streams_max.store(max, Ordering::Relaxed);
            polled
        });
        // The pool's own sender would keep an idle connection alive for ever.
        if let Err(error) = ended.await {
            tracing::debug!(%error, "a connection to a control plane ended");
        }
    }
}
