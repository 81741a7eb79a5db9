//! Opens connections: name lookup, TCP, TLS and the HTTP/2 handshake, all within the connect timeout. The handshake ends
//! once the server allows a stream.

use std::io;
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::{self, Connection, ConnectionDriver};
use super::connection_class::ConnectionLimits;
use super::credentials::Credentials;
use super::endpoint::{Endpoint, Timeouts};
use super::error::UpstreamError;
use super::tls::ClientTls;

/// Largest size in bytes of a frame from the server. Fewer, larger frames cost less than HTTP/2's default
/// of 16 KiB.
const FRAME_BYTES_MAX: u32 = 256 << 10;

/// Largest size in bytes of the headers of a response: kube-apiserver's own limit for requests.
const HEADER_BYTES_MAX: u32 = 1 << 20;

/// Size in bytes of a stream's send buffer for a request body.
const SEND_BUFFER_BYTES_MAX: usize = 256 << 10;

/// Opens connections to one API server.
pub(super) struct Connector {
    host: String,
    port: u16,
    tls: ClientTls,
    timeouts: Timeouts,
}

impl Connector {
    /// # Errors
    /// The certificate authority or the client certificate is invalid.
    pub(super) fn new(endpoint: &Endpoint, credentials: &Credentials) -> Result<Self, String> {
        Ok(Self {
            host: endpoint.host.clone(),
            port: endpoint.port,
            tls: ClientTls::new(endpoint, credentials)?,
            timeouts: endpoint.timeouts.clone(),
        })
    }

    /// Opens a connection and returns it with its driver, which must run.
    pub(super) async fn connect(
        &self,
        limits: ConnectionLimits,
    ) -> Result<(Connection, ConnectionDriver), UpstreamError> {
        let limit = self.timeouts.connect;
        let seconds = limit.as_secs();
        let deadline = tokio::time::Instant::now() + limit;
        let connected = tokio::time::timeout_at(deadline, self.try_connect(limits)).await;
        let (connection, mut driver) =
            connected.unwrap_or(Err(UpstreamError::ConnectTimeout { seconds }))?;
        match tokio::time::timeout_at(deadline, driver.first_stream()).await {
            Ok(Ok(())) => Ok((connection, driver)),
            Ok(Err(error)) => Err(UpstreamError::Protocol(error)),
            Err(_) => Err(UpstreamError::NoStream { seconds }),
        }
    }

    /// Returns the time within which a connection is opened.
    pub(super) fn timeout(&self) -> Duration {
        self.timeouts.connect
    }

    async fn try_connect(
        &self,
        limits: ConnectionLimits,
    ) -> Result<(Connection, ConnectionDriver), UpstreamError> {
        let (stream, round_trip) = self.tcp().await?;
        let (config, name) = self.tls.config().map_err(UpstreamError::Tls)?;
        let stream = BufReader::with_capacity(limits.read_buffer_bytes, stream);
        let tls = TlsConnector::from(config).connect(name, stream).await;
        let tls = tls.map_err(|error| UpstreamError::Tls(error.to_string()))?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(UpstreamError::Protocol("ALPN did not choose h2".into()));
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            // No stream is opened before the server's settings limit them.
            .initial_max_send_streams(0)
            .initial_stream_window_size(limits.stream_window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .keep_alive_interval(self.timeouts.ping_interval)
            .keep_alive_timeout(self.timeouts.ping_timeout)
            .keep_alive_while_idle(true);
        let handshake = builder.handshake(TokioIo::new(tls)).await;
        let (sender, frames) =
            handshake.map_err(|error| UpstreamError::Protocol(error.to_string()))?;
        Ok(connection::split(sender, frames, round_trip))
    }

    /// Connects to the first address that accepts, in the order of the name lookup. Also returns
    /// the duration of the TCP handshake: one round trip between the kernels. A busy server does
    /// not prolong it; a busy client does.
    async fn tcp(&self) -> Result<(TcpStream, Duration), UpstreamError> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addresses: Vec<_> = found
            .map_err(|error| UpstreamError::Resolve(error.to_string()))?
            .collect();
        // Each address gets a share of the timeout, so that a silent one does not use all of it.
        let share = self.timeouts.connect / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = UpstreamError::Resolve("it has no address".into());
        for address in addresses {
            let begin = Instant::now();
            last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => match self.set_options(&stream) {
                    Ok(()) => return Ok((stream, begin.elapsed())),
                    Err(error) => UpstreamError::Connect(error_phrase(&error)),
                },
                Ok(Err(error)) => UpstreamError::Connect(error_phrase(&error)),
                Err(_) => UpstreamError::ConnectTimeout {
                    seconds: self.timeouts.connect.as_secs(),
                },
            };
        }
        Err(last)
    }

    fn set_options(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let timeout: Duration = self.timeouts.ping_interval + self.timeouts.ping_timeout;
        SockRef::from(stream).set_tcp_user_timeout(Some(timeout))
    }
}

/// Returns `connection refused` instead of `Connection refused (os error 111)`.
fn error_phrase(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Other => error.to_string(),
        kind => kind.to_string(),
    }
}
