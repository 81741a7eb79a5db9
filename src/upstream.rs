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
mod gunzip;
mod pool;
pub mod source;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Method, Request, Response, Uri, uri};

pub use self::body::{BodyError, RequestBody, ResponseBody};
use self::connect::Connector;
pub use self::error::{Error, Outcome};
use self::pool::{Place, Pool};
use crate::config::{self, Compression};
use crate::metrics::Metrics;

/// Which connections a request goes over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lane {
    Requests,
    Watches,
}

/// Bytes that a peer may send on one stream, and on all of a connection, without being read; and what
/// else a connection of a lane is given.
#[derive(Clone, Copy, Debug)]
struct Windows {
    stream_bytes: u32,
    connection_bytes: u32,
    /// Streams that are put on one connection, even if the peer would allow more.
    streams_max: usize,
    /// Bytes that are read at once below TLS, for which each connection has a buffer. rustls alone asks
    /// the kernel five times for a full record.
    read_bytes: usize,
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
                read_bytes: 64 << 10,
            },
            Self::Watches => Windows {
                stream_bytes: 64 << 10,
                connection_bytes: 16 << 20,
                streams_max: 256,
                read_bytes: 16 << 10,
            },
        }
    }
}

/// Round trip from which a link is long enough for gzip.
///
/// A round trip carries one stream's window of the requests' lane, 1 MiB, and kube-apiserver packs
/// 200 MB/s or so, on one core. Within 5 ms it sends as much as it would pack: packing could not make
/// an answer come sooner, and costs it 5 s of CPU a GB. Beyond them the window is what an answer waits
/// for, and holds 8 times as much or more of one that is packed.
const LONG_ROUND_TRIP: Duration = Duration::from_millis(5);

/// Events of a watch are small and come one by one; packed they would only come later.
fn asks_for_gzip(compression: Compression, lane: Lane, round_trip: Duration) -> bool {
    let is_wanted = match compression {
        Compression::Auto => round_trip >= LONG_ROUND_TRIP,
        Compression::Off => false,
        Compression::On => true,
    };
    is_wanted && lane == Lane::Requests
}

/// One control plane. Clones share its connections.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    name: String,
    authority: uri::Authority,
    compression: Compression,
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
            compression: config.compression,
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
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        let pool = match lane {
            Lane::Requests => &self.0.requests,
            Lane::Watches => &self.0.watches,
        };
        let place: Place = pool.place().await?;
        let encoding = match asks_for_gzip(self.0.compression, lane, place.round_trip()) {
            true => HeaderValue::from_static("gzip"),
            false => HeaderValue::from_static("identity"),
        };
        request.headers_mut().insert(ACCEPT_ENCODING, encoding);
        let sent = place.sender().try_send_request(request).await;
        match sent {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                let body = ResponseBody::new(body, place, &mut parts.headers);
                Ok(Response::from_parts(parts, body))
            }
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

#[cfg(test)]
pub(crate) mod tests {
    use std::net::SocketAddr;

    use tokio::net::{TcpSocket, TcpStream};

    use super::*;
    use crate::config::{CertificateAuthority, Credentials, Secret, Server, Timeouts};
    use crate::dev::control_plane::{ControlPlane, Options};
    use crate::mapping::Namespaces;

    #[test]
    fn gzip_is_asked_for_over_long_links_and_never_for_watches() {
        let (short, long) = (LONG_ROUND_TRIP - Duration::from_nanos(1), LONG_ROUND_TRIP);
        for (compression, round_trip, wanted) in [
            (Compression::Auto, Duration::ZERO, false),
            (Compression::Auto, short, false),
            (Compression::Auto, long, true),
            (Compression::Off, long, false),
            (Compression::On, short, true),
        ] {
            let asks = asks_for_gzip(compression, Lane::Requests, round_trip);
            assert_eq!(asks, wanted, "{compression:?} at {round_trip:?}");
            assert!(!asks_for_gzip(compression, Lane::Watches, round_trip));
        }
    }

    /// The way to a control plane, by this port.
    pub(crate) fn upstream(control_plane: &ControlPlane, port: u16) -> Upstream {
        let config = config::ControlPlane {
            name: "platform".to_owned(),
            server: Server {
                host: "127.0.0.1".to_owned(),
                port,
                path: String::new(),
            },
            certificate_authority: CertificateAuthority::Inline(control_plane.ca_pem().into()),
            credentials: Credentials::Token(Secret::new(String::new())),
            tls_server_name: None,
            mapping: Namespaces::table([("default".to_owned(), "app-ns-1".to_owned())].into())
                .unwrap(),
            compression: Compression::Auto,
            timeouts: Timeouts {
                connect: Duration::from_secs(20),
                request: Duration::from_secs(20),
                ping_interval: Duration::from_secs(20),
                ping_timeout: Duration::from_secs(20),
            },
        };
        Upstream::new(&config, &Metrics::new()).unwrap()
    }

    /// A listener whose queue is full: the kernel drops what else would connect, which tries again
    /// after a second.
    async fn full() -> (TcpStream, tokio::net::TcpListener) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(0).unwrap();
        let first = TcpStream::connect(listener.local_addr().unwrap()).await;
        (first.unwrap(), listener)
    }

    /// Whether somebody has asked for a connection to the port and was not answered yet.
    fn is_asked_for(port: u16) -> bool {
        const SYN_SENT: &str = "02";
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let (remote, state) = (columns.get(2).unwrap(), columns.get(3).unwrap());
            remote.ends_with(&format!(":{port:04X}")) && *state == SYN_SENT
        })
    }

    #[tokio::test]
    async fn a_slow_handshake_makes_it_ask_for_gzip() {
        let control_plane = ControlPlane::start(Options::default()).await.unwrap();
        let (first, listener) = full().await;
        let port = listener.local_addr().unwrap().port();
        let far = upstream(&control_plane, port);
        let request = Request::get("/livez").body(RequestBody::Empty).unwrap();
        let sent = tokio::spawn(async move { far.send(Lane::Requests, request).await });
        let asking = async {
            while !is_asked_for(port) {
                tokio::task::yield_now().await;
            }
        };
        let asking = tokio::time::timeout(Duration::from_secs(20), asking).await;
        asking.expect("it was let in, or never came");
        drop(first);
        listener.accept().await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut there = TcpStream::connect(control_plane.address()).await.unwrap();
        let relay =
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut stream, &mut there).await },
            );
        sent.await.unwrap().unwrap();
        relay.abort();

        let requests = control_plane.requests();
        let asked: Vec<_> = requests.iter().map(|r| r.header(ACCEPT_ENCODING)).collect();
        assert_eq!(asked, ["gzip"]);
    }
}
