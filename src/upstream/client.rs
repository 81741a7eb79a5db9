//! Sends requests over the pools of an API server.

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT_ENCODING;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, Uri};

use super::bad_responses::BadResponses;
use super::circuit::Circuit;
use super::connect::Connector;
use super::connection_class::ConnectionClass;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::error::UpstreamError;
use super::gzip_policy::GzipPolicy;
use super::pool::Pool;
use super::readiness::Readiness;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use super::sent_body::SentBody;
use crate::telemetry::metrics::Metrics;

/// A client for one API server. Clones share its connections.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    name: String,
    authority: Authority,
    path_prefix: String,
    credentials: Credentials,
    gzip: GzipPolicy,
    request_timeout: Duration,
    request_body_stall: Duration,
    circuit: Arc<Circuit>,
    readiness: Readiness,
    bad_responses: BadResponses,
    requests: Pool,
    watches: Pool,
    metrics: Metrics,
}

impl Upstream {
    /// Creates a client. It connects when it sends the first request.
    ///
    /// # Errors
    /// The host, the certificate authority or the client certificate is invalid.
    pub fn new(
        endpoint: Endpoint,
        credentials: Credentials,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let authority = endpoint.authority()?;
        let connector = Arc::new(Connector::new(&endpoint, &credentials)?);
        let circuit = Arc::new(Circuit::new(endpoint.name.clone()));
        let pool = |class| {
            let (name, connector) = (endpoint.name.clone(), Arc::clone(&connector));
            Pool::new(
                name,
                class,
                connector,
                Arc::clone(&circuit),
                metrics.clone(),
            )
        };
        Ok(Self(Arc::new(Inner {
            authority,
            requests: pool(ConnectionClass::Requests),
            watches: pool(ConnectionClass::Watches),
            name: endpoint.name,
            path_prefix: endpoint.path_prefix,
            credentials,
            gzip: endpoint.gzip,
            request_timeout: endpoint.timeouts.request,
            request_body_stall: endpoint.timeouts.request_body_stall,
            circuit,
            readiness: Readiness::default(),
            bad_responses: BadResponses::default(),
            metrics: metrics.clone(),
        })))
    }

    /// Returns the name of the endpoint.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the time that [`Self::send`] waits for the headers of a response.
    pub fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    /// Returns the time within which a request body must make progress.
    pub fn request_body_stall(&self) -> Duration {
        self.0.request_body_stall
    }

    /// Returns the reason why the server cannot be reached, or `None` if the last dial succeeded or a connection is
    /// open.
    pub fn outage(&self) -> Option<String> {
        let mut pools = [&self.0.requests, &self.0.watches].into_iter();
        let problem = self.0.circuit.problem();
        problem.filter(|_| !pools.any(Pool::is_connected))
    }

    /// Returns whether the server is starting: its `/readyz` has failed, but only for a short time. A kube-apiserver
    /// that is starting forbids requests until it has read its roles, and clients would conclude that they lost a
    /// right. Proxies may hide `/readyz`, so any response except a server error counts as ready.
    pub async fn is_starting(&self) -> bool {
        let readiness = &self.0.readiness;
        if let Some(known) = readiness.is_starting() {
            return known;
        }
        let Ok(request) = Request::get("/readyz").body(RequestBody::Empty) else {
            return false;
        };
        let reply = self.send(ConnectionClass::Requests, request).await;
        readiness.record(!reply.is_ok_and(|reply| reply.status().is_server_error()))
    }

    /// Returns the reason why the server is degraded, or `None`. A degraded server can be reached, but serves no
    /// request.
    pub fn degradation(&self) -> Option<String> {
        self.0.bad_responses.problem()
    }

    /// Sends a request and waits for the headers of the response, at most for the request timeout.
    ///
    /// The request's URI needs only a path and a query. The client adds the server, the endpoint's
    /// path prefix and the credentials.
    ///
    /// # Errors
    /// The error says whether the server may have processed the request. If the first connection
    /// returned the request unprocessed and its body can be replayed, it was sent twice.
    pub async fn send(
        &self,
        class: ConnectionClass,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let timeout = self.0.request_timeout;
        let sent = tokio::time::timeout(timeout, self.send_with_retry(class, request)).await;
        let result = sent.unwrap_or(Err(UpstreamError::ResponseTimeout {
            seconds: timeout.as_secs(),
        }));
        self.0.bad_responses.observe(&result);
        if let Err(error) = &result {
            self.0.metrics.upstream_error(&self.0.name, error.reason());
        }
        result
    }

    async fn send_with_retry(
        &self,
        class: ConnectionClass,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.absolute_uri(parts.uri)?;
        self.0.credentials.authorize(&mut parts.headers);
        let retry = body
            .replay()
            .map(|body| Request::from_parts(parts.clone(), body));
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let first = Request::from_parts(parts, body);
        match (self.send_once(class, first).await, retry) {
            (Err(error), Some(retry)) if error.may_retry(is_read) => {
                self.0.metrics.upstream_retry(error.reason());
                self.send_once(class, retry).await
            }
            (result, _) => result,
        }
    }

    fn absolute_uri(&self, uri: Uri) -> Result<Uri, UpstreamError> {
        let invalid = |error: http::Error| UpstreamError::InvalidRequest(error.to_string());
        let mut uri = uri.into_parts();
        uri.scheme = Some(Scheme::HTTPS);
        uri.authority = Some(self.0.authority.clone());
        if !self.0.path_prefix.is_empty() {
            let path = uri
                .path_and_query
                .as_ref()
                .map_or("/", PathAndQuery::as_str);
            let path = PathAndQuery::try_from(format!("{}{path}", self.0.path_prefix));
            uri.path_and_query = Some(path.map_err(|error| invalid(error.into()))?);
        }
        Uri::from_parts(uri).map_err(|error| invalid(error.into()))
    }

    async fn send_once(
        &self,
        class: ConnectionClass,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let pool = match class {
            ConnectionClass::Requests => &self.0.requests,
            ConnectionClass::Watches => &self.0.watches,
        };
        let permit = pool.acquire().await?;
        let encoding = match self.0.gzip.asks_for_gzip(class, permit.round_trip()) {
            true => HeaderValue::from_static("gzip"),
            false => HeaderValue::from_static("identity"),
        };
        request.headers_mut().insert(ACCEPT_ENCODING, encoding);
        let request = request.map(SentBody::new);
        let progress = request.body().progress();
        let mut sender = permit.sender();
        let sent = sender.try_send_request(request);
        let sent = match progress {
            None => sent.await,
            Some(progress) => tokio::select! {
                biased;
                sent = sent => sent,
                () = progress.stalled(self.0.request_body_stall) => {
                    let seconds = self.0.request_body_stall.as_secs();
                    return Err(UpstreamError::RequestBodyStalled { seconds });
                }
            },
        };
        match sent {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                let body = ResponseBody::new(body, permit, &mut parts.headers);
                Ok(Response::from_parts(parts, body))
            }
            Err(mut error) => {
                let was_returned = error.take_message().is_some();
                let error = UpstreamError::from_hyper(error.error(), was_returned);
                if error.ends_connection() {
                    permit.retire_connection();
                }
                Err(error)
            }
        }
    }
}
