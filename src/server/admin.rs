//! Serves `/livez`, `/readyz`, `/healthz`, `/metrics` and `/status` for probes, scrapers and `claimgate status`.
//!
//! The admin listener uses HTTP/1.1 without TLS and authentication, so its default address is loopback.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::AcceptLoop;
use crate::body::ReplyBody;
use crate::health::{self, Readiness};
use crate::response::{TEXT, with_body};
use crate::status::{self, StatusReport};

/// Number of concurrent connections. Probes and a few scrapers need fewer.
const CONNECTIONS_MAX: usize = 64;

/// Time within which a client must send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The functions that create the responses. They are called for every request.
#[derive(Clone)]
pub struct Reports {
    /// Returns whether the daemon should get new requests.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Returns the metrics in the OpenMetrics text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub status: Arc<dyn Fn() -> StatusReport + Send + Sync>,
}

/// Serves until `stop` is cancelled, which also ends open connections.
pub async fn serve(listener: TcpListener, reports: Reports, stop: CancellationToken) {
    let accept = AcceptLoop {
        listener,
        max_connections: CONNECTIONS_MAX,
        tasks: TaskTracker::new(),
        stop: stop.clone(),
    };
    accept
        .run(move |stream| serve_connection(stream, reports.clone(), stop.clone()))
        .await;
}

async fn serve_connection(stream: TcpStream, reports: Reports, stop: CancellationToken) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(request.uri(), &reports).map(ReplyBody::whole);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    tokio::select! {
        served = builder.serve_connection(TokioIo::new(stream), service) => {
            if let Err(error) = served {
                tracing::debug!(%error, "an admin connection failed");
            }
        }
        () = stop.cancelled() => {}
    }
}

fn respond(uri: &Uri, reports: &Reports) -> Response<Bytes> {
    match uri.path() {
        path if health::is_health_path(path) => {
            health::respond(path, uri.query(), &(reports.readiness)())
        }
        "/metrics" => with_body(StatusCode::OK, OPENMETRICS, (reports.metrics)()),
        status::PATH => {
            // Serialization of this type cannot fail.
            let report = serde_json::to_string(&(reports.status)()).unwrap_or_default();
            with_body(StatusCode::OK, JSON, report)
        }
        _ => with_body(
            StatusCode::NOT_FOUND,
            TEXT,
            "not found; the paths are /livez, /readyz, /healthz, /metrics and /status",
        ),
    }
}
