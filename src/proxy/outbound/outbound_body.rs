//! The body that is sent to the control plane.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderValue;

use crate::error::RequestError;
use crate::upstream::RequestBody;
use claim_mapping::quoted_prefix::QuotedPrefix;

/// A body that is ready to be sent, and the data for its headers and for the reply.
#[derive(Default)]
pub(crate) struct OutboundBody {
    pub(crate) body: RequestBody,
    /// The body's media type, if it was converted; otherwise the client's header is sent.
    pub(crate) content_type: Option<HeaderValue>,
    /// The failure that aborts a streamed body.
    pub(crate) failure: Failure,
    /// The beginning of the body, if it differs from the client's.
    pub(crate) quoted_prefix: Option<QuotedPrefix>,
    /// Warnings for the client.
    pub(crate) warnings: Vec<HeaderValue>,
}

impl OutboundBody {
    /// Creates a body that can be sent again.
    pub(crate) fn whole(bytes: Bytes, quoted_prefix: Option<QuotedPrefix>) -> Self {
        Self {
            body: match bytes.is_empty() {
                true => RequestBody::Empty,
                false => RequestBody::Full(bytes),
            },
            quoted_prefix,
            ..Self::default()
        }
    }
}

/// The failure that aborted a streamed body, if any. The sender takes it.
#[derive(Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<RequestError>>>);

impl Failure {
    pub(crate) fn take(&self) -> Option<RequestError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn set(&self, error: RequestError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}
