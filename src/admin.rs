//! `/livez`, `/readyz` and `/metrics` for the machine that claimgate runs on: HTTP/1.1, no TLS, no
//! authentication, which is why it listens on loopback unless told otherwise.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections at once; probes and a scraper or two need fewer.
const CONNECTIONS_MAX: usize = 64;

/// Time in which a client has to send its request's head, and the rest after a failed accept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is told; each is asked anew for every request.
#[derive(Clone)]
pub struct Reports {
    /// Why the daemon is not ready, if it is not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The text that Prometheus reads.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, reports: Reports, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        let (place, Ok((stream, _))) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let reports = reports.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let response = answer(request.uri().path(), &reports);
            async move { Ok::<_, Infallible>(response) }
        });
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                served = connection => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "an admin connection ended with an error");
                    }
                }
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
}

fn answer(path: &str, reports: &Reports) -> Response<Full<Bytes>> {
    let (status, kind, body) = match path {
        "/livez" | "/healthz" => (StatusCode::OK, TEXT, "ok".to_owned()),
        "/readyz" => match (reports.ready)() {
            Ok(()) => (StatusCode::OK, TEXT, "ok".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, why),
        },
        "/metrics" => (StatusCode::OK, OPENMETRICS, (reports.metrics)()),
        _ => (
            StatusCode::NOT_FOUND,
            TEXT,
            "there are /livez, /readyz and /metrics".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
