//! One control plane, as a client: connections, their streams, and what to do when they fail.
//!
//! In flows a request with its body, out comes the response, at its headers; its body keeps a place
//! among the connection's streams until it has ended. Knows nothing of mappings.
//!
//! A pool of its own, because hyper-util's client keeps one HTTP/2 connection for each host, and a
//! kube-apiserver allows 100 streams on one: the 101st watch would wait for ever. Watches have
//! connections apart from the rest ([`Lane`]), and on each the connection's flow-control window is
//! at least as large as those of all its streams together, so that a reader that stops reading
//! stops nobody else.

mod body;
mod connect;
pub mod credentials;
mod error;
mod pool;
pub mod source;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, Uri, uri};

pub use self::body::{BodyError, RequestBody, ResponseBody};
use self::connect::Connector;
pub use self::error::{Error, Outcome};
use self::pool::{Place, Pool};
use crate::config;
use crate::metrics::Metrics;

/// Which connections a request goes over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lane {
    Requests,
    Watches,
}

/// Bytes that a peer may send on one stream, and on all of a connection, without being read.
#[derive(Clone, Copy, Debug)]
struct Windows {
    stream_bytes: u32,
    connection_bytes: u32,
    /// Streams that are put on one connection, even if the peer would allow more.
    streams_max: usize,
}

impl Lane {
    /// For both lanes the connection's window covers all its streams' windows, and the half of it
    /// is the budget that h2 has for small frames that nobody reads
    /// (`GOAWAY too_many_data_frames`), so it is never less than 16 MiB.
    fn windows(self) -> Windows {
        match self {
            Self::Requests => Windows {
                stream_bytes: 1 << 20,
                connection_bytes: 16 << 20,
                streams_max: 16,
            },
            Self::Watches => Windows {
                stream_bytes: 64 << 10,
                connection_bytes: 16 << 20,
                streams_max: 256,
            },
        }
    }
}

/// One control plane. Clones share its connections.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    name: String,
    authority: uri::Authority,
    request_timeout: Duration,
    requests: Pool,
    watches: Pool,
    metrics: Metrics,
}

impl Upstream {
    /// Dials nothing yet.
    ///
    /// # Errors
    /// The CA or the client certificate can't be used.
    pub fn new(config: &config::ControlPlane, metrics: &Metrics) -> Result<Self, String> {
        let host = match config.server.host.contains(':') {
            true => format!("[{}]", config.server.host),
            false => config.server.host.clone(),
        };
        let authority = format!("{host}:{}", config.server.port);
        let connector = Arc::new(Connector::new(config)?);
        let pool = |lane| {
            Pool::new(
                config.name.clone(),
                lane,
                Arc::clone(&connector),
                metrics.clone(),
            )
        };
        Ok(Self(Arc::new(Inner {
            name: config.name.clone(),
            authority: authority
                .parse()
                .map_err(|_| format!("{authority:?} is no authority"))?,
            request_timeout: config.timeouts.request,
            requests: pool(Lane::Requests),
            watches: pool(Lane::Watches),
            metrics: metrics.clone(),
        })))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sends a request and waits for the response's headers, at most the configured time.
    ///
    /// # Errors
    /// Says whether the request was certainly not processed. It was tried twice if the first
    /// connection gave it back unprocessed and its body could be sent again.
    pub async fn send(
        &self,
        lane: Lane,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        let timeout = self.0.request_timeout;
        let sent = tokio::time::timeout(timeout, self.send_twice(lane, request)).await;
        let result = sent.unwrap_or(Err(Error::Timeout {
            seconds: timeout.as_secs(),
        }));
        if let Err(error) = &result {
            self.0.metrics.upstream_error(&self.0.name, error.reason());
        }
        result
    }

    async fn send_twice(
        &self,
        lane: Lane,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        let (mut parts, body) = request.into_parts();
        let mut uri = parts.uri.into_parts();
        uri.scheme = Some(uri::Scheme::HTTPS);
        uri.authority = Some(self.0.authority.clone());
        parts.uri = Uri::from_parts(uri).map_err(|error| Error::Request(error.to_string()))?;
        let again = body
            .replay()
            .map(|body| Request::from_parts(parts.clone(), body));
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        match (
            self.send_once(lane, Request::from_parts(parts, body)).await,
            again,
        ) {
            (Err(error), Some(again)) if error.may_be_sent_again(is_read) => {
                self.0.metrics.upstream_retry(error.reason());
                self.send_once(lane, again).await
            }
            (result, _) => result,
        }
    }

    async fn send_once(
        &self,
        lane: Lane,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        let pool = match lane {
            Lane::Requests => &self.0.requests,
            Lane::Watches => &self.0.watches,
        };
        let place: Place = pool.place().await?;
        let sent = place.sender().try_send_request(request).await;
        match sent {
            Ok(response) => Ok(response.map(|body| ResponseBody::new(body, place))),
            Err(mut error) => {
                let unsent = error.take_message().is_some();
                let error = Error::of_request(error.error(), unsent);
                if error.ends_connection() {
                    place.retire();
                }
                Err(error)
            }
        }
    }
}
