//! Plain reads of a control plane, for discovery and OpenAPI.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::credentials::Credentials;
use super::{Lane, RequestBody, ResponseBody, Upstream};

const AGENT: &str = concat!("claimgate/", env!("CARGO_PKG_VERSION"));

/// Reads documents with the connector's own identity.
#[derive(Clone)]
pub struct Source {
    upstream: Upstream,
    credentials: Credentials,
    path_prefix: String,
}

/// A document, or the word that the one known is still right.
pub enum Fetched<T> {
    Unchanged,
    Document {
        etag: Option<String>,
        content_type: String,
        body: T,
    },
}

impl Source {
    pub fn new(upstream: Upstream, credentials: Credentials, path_prefix: String) -> Self {
        Self {
            upstream,
            credentials,
            path_prefix,
        }
    }

    pub fn name(&self) -> &str {
        self.upstream.name()
    }

    async fn get(
        &self,
        path: &str,
        accept: &'static str,
        etag: Option<&str>,
    ) -> Result<Response<ResponseBody>, String> {
        let uri = format!("{}{path}", self.path_prefix);
        let mut request = Request::get(uri)
            .header(ACCEPT, accept)
            .header(USER_AGENT, AGENT)
            .body(RequestBody::Empty)
            .map_err(|error| error.to_string())?;
        self.credentials.authorize(request.headers_mut());
        if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request.headers_mut().insert(IF_NONE_MATCH, etag);
        }
        let sent = self.upstream.send(Lane::Requests, request).await;
        sent.map_err(|error| error.to_string())
    }

    /// A document as a stream.
    pub async fn open(
        &self,
        path: &str,
        accept: &'static str,
        etag: Option<&str>,
    ) -> Result<Fetched<ResponseBody>, String> {
        let (parts, body) = self.get(path, accept, etag).await?.into_parts();
        let text = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        match parts.status {
            StatusCode::NOT_MODIFIED => Ok(Fetched::Unchanged),
            StatusCode::OK => Ok(Fetched::Document {
                etag: text(ETAG),
                content_type: text(CONTENT_TYPE).unwrap_or_default(),
                body,
            }),
            status => Err(format!("{path} answered {status}")),
        }
    }

    /// A document of at most `bytes_max`, whole.
    pub async fn read(
        &self,
        path: &str,
        accept: &'static str,
        etag: Option<&str>,
        bytes_max: usize,
    ) -> Result<Fetched<Bytes>, String> {
        Ok(match self.open(path, accept, etag).await? {
            Fetched::Unchanged => Fetched::Unchanged,
            Fetched::Document {
                etag,
                content_type,
                body,
            } => {
                let whole = Limited::new(body, bytes_max).collect().await;
                let body = whole
                    .map_err(|error| format!("{path}: {error}"))?
                    .to_bytes();
                Fetched::Document {
                    etag,
                    content_type,
                    body,
                }
            }
        })
    }

    /// Whether the control plane calls itself ready.
    pub async fn is_ready(&self) -> bool {
        self.get("/readyz", "*/*", None)
            .await
            .is_ok_and(|answer| answer.status().is_success())
    }
}
