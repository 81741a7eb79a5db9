//! Documents in memory, and the requests and replies for them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use sha2::{Digest, Sha512};

use kube_wire::status::ResponseFormat;

/// A rendered document: a body and its ETag.
#[derive(Clone, Debug)]
pub(super) struct Document {
    body: Bytes,
    /// Upper-case hexadecimal SHA-512 of the body, without the quotes
    /// (`apiserver/pkg/endpoints/discovery/aggregated/etag.go`).
    hash: String,
}

/// A GET request for a document.
#[derive(Clone, Copy, Debug)]
pub struct DocumentRequest<'a> {
    pub path: &'a str,
    pub query: &'a str,
    pub accept: Option<&'a str>,
    /// The negotiated format of an APIResourceList; `None` if the client accepts none.
    pub format: Option<ResponseFormat>,
    pub if_none_match: Option<&'a str>,
}

/// The reply to a [`DocumentRequest`].
#[derive(Debug)]
pub enum DocumentReply {
    Response {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
    },
    /// The client accepts none of these media types.
    NotAcceptable(&'static str),
    NotFound,
    /// The named control plane has not been synced since the start, so the document is not known
    /// yet.
    NotSynced(String),
}

impl Document {
    pub(super) fn json(value: &Value) -> Self {
        Self::new(value.to_string().into())
    }

    fn new(body: Bytes) -> Self {
        let digest = Sha512::digest(&body);
        let hash = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Self { body, hash }
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }

    /// Returns whether a value of If-None-Match names the document. The comparison is weak (RFC 9110,
    /// section 13.1.2).
    fn matches(&self, if_none_match: &str) -> bool {
        let etag = self.etag();
        let mut known = if_none_match.split(',').map(str::trim);
        known.any(|known| known == "*" || known.trim_start_matches("W/") == etag)
    }

    /// Returns the reply 200, or 304 if the client has the document.
    pub(super) fn reply(
        &self,
        media_type: &'static str,
        request: &DocumentRequest<'_>,
    ) -> DocumentReply {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        if let Ok(etag) = HeaderValue::try_from(self.etag()) {
            headers.insert(header::ETAG, etag);
        }
        let is_known = request
            .if_none_match
            .is_some_and(|known| self.matches(known));
        if is_known {
            // Without Content-Type, because caches copy the headers of a 304 to the stored response
            // (RFC 9111, section 3.2).
            return DocumentReply::Response {
                status: StatusCode::NOT_MODIFIED,
                headers,
                body: Bytes::new(),
            };
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        DocumentReply::Response {
            status: StatusCode::OK,
            headers,
            body: self.body.clone(),
        }
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new(Bytes::new())
    }
}
