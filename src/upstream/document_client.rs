//! Reads documents from an API server, for discovery and OpenAPI.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::access_review;
use super::client::Upstream;
use super::connection_class::ConnectionClass;
use super::error::UpstreamError;
use super::post_json::post_json;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;

const CLAIMGATE: &str = concat!("claimgate/", env!("CARGO_PKG_VERSION"));

/// Reads documents with the client's own credentials.
#[derive(Clone)]
pub struct DocumentClient {
    upstream: Upstream,
}

/// The result of a conditional read.
pub enum DocumentFetch<T> {
    /// The document still has the ETag of the request.
    NotModified,
    Document(FetchedDocument<T>),
}

/// A document with a body of type `T`: [`ResponseBody`] as a stream, or [`Bytes`].
pub struct FetchedDocument<T> {
    pub etag: Option<String>,
    pub content_type: String,
    pub body: T,
}

/// The reason why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("GET {path}: {error}")]
    Send { path: String, error: UpstreamError },
    #[error("GET {path} returned {status}")]
    Status { path: String, status: StatusCode },
    /// The body was interrupted or is too long.
    #[error("GET {path}: {problem}")]
    Body { path: String, problem: String },
    #[error("GET {path} returned an invalid document: {problem}")]
    Invalid { path: String, problem: String },
}

impl DocumentClient {
    pub fn new(upstream: Upstream) -> Self {
        Self { upstream }
    }

    /// Returns the name of the endpoint.
    pub fn name(&self) -> &str {
        self.upstream.name()
    }

    async fn get(
        &self,
        path: &str,
        accept: &'static str,
        etag: Option<&str>,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let mut request = Request::get(path)
            .header(ACCEPT, accept)
            .header(USER_AGENT, CLAIMGATE)
            .body(RequestBody::Empty)
            .map_err(|error| UpstreamError::InvalidRequest(error.to_string()))?;
        if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request.headers_mut().insert(IF_NONE_MATCH, etag);
        }
        self.upstream.send(ConnectionClass::Requests, request).await
    }

    /// Opens a document as a stream.
    ///
    /// # Errors
    /// There was no response, or its status is neither 200 nor 304.
    pub async fn open(
        &self,
        path: &str,
        accept: &'static str,
        etag: Option<&str>,
    ) -> Result<DocumentFetch<ResponseBody>, FetchError> {
        let sent = self.get(path, accept, etag).await;
        let response = sent.map_err(|error| FetchError::Send {
            path: path.to_owned(),
            error,
        })?;
        let (parts, body) = response.into_parts();
        let header = |name| {
            let value = parts.headers.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        match parts.status {
            StatusCode::NOT_MODIFIED => Ok(DocumentFetch::NotModified),
            StatusCode::OK => Ok(DocumentFetch::Document(FetchedDocument {
                etag: header(ETAG),
                content_type: header(CONTENT_TYPE).unwrap_or_default(),
                body,
            })),
            status => Err(FetchError::Status {
                path: path.to_owned(),
                status,
            }),
        }
    }

    /// Reads a whole document of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// The same as those of [`Self::open`], or the body was interrupted or is too long.
    pub async fn read(
        &self,
        path: &str,
        accept: &'static str,
        etag: Option<&str>,
        bytes_max: usize,
    ) -> Result<DocumentFetch<Bytes>, FetchError> {
        let FetchedDocument {
            etag,
            content_type,
            body,
        } = match self.open(path, accept, etag).await? {
            DocumentFetch::NotModified => return Ok(DocumentFetch::NotModified),
            DocumentFetch::Document(document) => document,
        };
        let body = Limited::new(body, bytes_max).collect().await;
        let body = body.map_err(|error| FetchError::Body {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        Ok(DocumentFetch::Document(FetchedDocument {
            etag,
            content_type,
            body: body.to_bytes(),
        }))
    }

    /// Sends JSON. Returns the status and the body of the response; a body that is not JSON is null.
    ///
    /// # Errors
    /// The server does not answer, or its answer is too long.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value), String> {
        post_json(&self.upstream, path, body).await
    }

    /// Calls [`access_review::is_allowed`].
    ///
    /// # Errors
    /// Those of [`access_review::is_allowed`].
    pub async fn is_allowed(&self, attributes: Value) -> Result<bool, String> {
        access_review::is_allowed(&self.upstream, attributes).await
    }

    /// Calls [`Upstream::is_starting`].
    pub async fn is_starting(&self) -> bool {
        self.upstream.is_starting().await
    }

    /// Returns whether `/readyz` reports a failure, for example that etcd does not answer. Proxies may hide `/readyz`, so
    /// any response except a server error counts as healthy.
    pub async fn reports_failure(&self) -> bool {
        let response = self.get("/readyz", "*/*", None).await;
        !response.is_ok_and(|response| !response.status().is_server_error())
    }

    /// Returns whether `/readyz` reports that the server is ready.
    pub async fn is_ready(&self) -> bool {
        let response = self.get("/readyz", "*/*", None).await;
        response.is_ok_and(|response| response.status().is_success())
    }
}

impl FetchError {
    /// Creates [`FetchError::Invalid`].
    pub fn invalid(path: &str, problem: impl ToString) -> Self {
        Self::Invalid {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}
