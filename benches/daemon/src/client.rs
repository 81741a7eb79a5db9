//! Clients that behave like kube-apiserver's aggregator: they use Go's flow-control windows, the front
//! proxy's certificate, and request headers for the user.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use crate::Error;
use crate::identities::NAME;

/// Go's flow-control windows (`net/http/internal/http2`: transportDefaultStreamFlow, transportDefaultConnFlow).
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

/// One HTTP/2 connection. Clones share it.
#[derive(Clone)]
pub struct Client(SendRequest<Empty<Bytes>>);

impl Client {
    pub async fn connect(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let tls = TlsConnector::from(tls)
            .connect(NAME.try_into()?, stream)
            .await?;
        let (sender, driver) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .handshake(TokioIo::new(tls))
            .await?;
        // The driver ends with the last sender. If it fails, its requests fail with the same error.
        tokio::spawn(driver);
        Ok(Self(sender))
    }

    /// Sends a GET and returns the response once its headers have arrived.
    ///
    /// # Errors
    /// The connection failed, or the status is not 200.
    pub async fn get(&mut self, path: &str) -> Result<Response<Incoming>, Error> {
        let response = self.send(path, "developer").await?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(format!("GET {path} returned {status}, expected 200").into()),
        }
    }

    /// Sends a GET of a user and returns the response once its headers have arrived.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn send(&mut self, path: &str, user: &str) -> Result<Response<Incoming>, Error> {
        let request = Request::get(format!("https://{NAME}{path}"))
            .header("accept", "application/json")
            .header("user-agent", "claimgate-daemon-bench")
            .header("x-remote-user", user)
            .header("x-remote-group", "system:authenticated")
            .body(Empty::new())?;
        self.0.ready().await?;
        Ok(self.0.send_request(request).await?)
    }
}
