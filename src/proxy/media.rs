//! Media types of replies and request bodies.
//!
//! Only JSON can be mapped. So the Accept header is translated to JSON for the control plane, and
//! the reply is converted to what the client accepts afterwards.

mod accept;
mod content_type;
mod request_media;

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

pub(super) use self::accept::Accept;
pub(super) use self::content_type::{converted_to_json, is_json_type, media_type};
pub(super) use self::request_media::{PatchKind, RequestMedia};
use crate::error::RequestError;
use kube_wire::request_info::Verb;

/// The media types of one request and its reply.
pub(super) struct Media {
    pub(super) accept: Accept,
    pub(super) request: RequestMedia,
}

impl Media {
    /// Reads both from the request's headers.
    ///
    /// # Errors
    /// One of the media types is not supported. For a patch, kube-apiserver checks the type of the body before Accept, otherwise after it
    /// (`apiserver/pkg/endpoints/handlers`, `patch.go` and `create.go`).
    pub(super) fn negotiate(verb: Verb, headers: &HeaderMap) -> Result<Self, RequestError> {
        let accept = Accept::parse(verb, headers);
        let request = RequestMedia::parse(verb, headers);
        match (accept, request) {
            (Ok(accept), Ok(request)) => Ok(Self { accept, request }),
            (_, Err(error)) if verb == Verb::Patch => Err(error),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

/// Returns whether the client accepts gzip. Weights are ignored, as in kube-apiserver.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING);
    accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|token| token.trim() == "gzip"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{ACCEPT, CONTENT_TYPE};

    use super::*;

    #[test]
    fn patch_reports_its_media_type_before_accept() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/html"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        let error = |verb| Media::negotiate(verb, &headers).err();
        assert!(matches!(
            error(Verb::Patch),
            Some(RequestError::UnsupportedMediaType(_))
        ));
        assert!(matches!(
            error(Verb::Create),
            Some(RequestError::NotAcceptable(_))
        ));
    }
}
