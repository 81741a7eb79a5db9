//! Rewrites a JSON request body to remote names.

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use serde::de::IgnoredAny;

use super::received::Received;
use crate::error::RequestError;
use claim_mapping::hidden_metadata::OWNER_REFERENCES_REJECTED;
use claim_mapping::quoted_prefix::QuotedPrefix;
use claim_mapping::request::{COPIES_MAPPED_METADATA, RequestHandler};
use json_rewrite::{Output, RewriteError, Rewriter};

/// Counts and rewrites one body.
pub(super) struct BodyRewriter {
    /// `None` for a body in which nothing is mapped.
    rewriter: Option<Rewriter<RequestHandler>>,
    received: Received,
}

/// The reason why a body cannot be rewritten.
pub(super) enum RewriteFailure {
    Rejected(RequestError),
    /// The body may not be JSON.
    Unreadable(RewriteError),
}

impl From<RewriteError> for RewriteFailure {
    fn from(error: RewriteError) -> Self {
        match error {
            RewriteError::Rejected(OWNER_REFERENCES_REJECTED) => {
                Self::Rejected(RequestError::OwnerReferences)
            }
            RewriteError::Rejected(COPIES_MAPPED_METADATA) => {
                Self::Rejected(RequestError::CopiesMappedMetadata)
            }
            RewriteError::Rejected(why) => Self::Rejected(RequestError::BadRequest(why.to_owned())),
            error => Self::Unreadable(error),
        }
    }
}

impl BodyRewriter {
    pub(super) fn new(rewriter: Option<Rewriter<RequestHandler>>, received: Received) -> Self {
        Self { rewriter, received }
    }

    /// Reads and rewrites the next frame. Returns whether the body has ended.
    pub(super) async fn read_frame<B>(
        &mut self,
        incoming: &mut B,
        out: &mut Output,
    ) -> Result<bool, RewriteFailure>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let frame = incoming.frame().await;
        self.feed(frame, out)
    }

    /// Rewrites a frame, or the end of the body if it is `None`. Returns whether the body has ended.
    pub(super) fn feed<E>(
        &mut self,
        frame: Option<Result<Frame<Bytes>, E>>,
        out: &mut Output,
    ) -> Result<bool, RewriteFailure> {
        let Some(frame) = frame else {
            self.finish(out)?;
            return Ok(true);
        };
        let data = self
            .received
            .take(frame)
            .map_err(RewriteFailure::Rejected)?;
        match &mut self.rewriter {
            Some(rewriter) => rewriter.feed(data, out)?,
            None => out.push(data),
        }
        Ok(false)
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), RewriteFailure> {
        match &mut self.rewriter {
            Some(rewriter) if !self.received.is_empty() => {
                let replacements = rewriter.replacements();
                self.received.metrics().replacements(replacements);
                Ok(rewriter.finish(out)?)
            }
            _ => Ok(()),
        }
    }

    /// Rewrites a whole body that was counted elsewhere, or returns it unchanged if it is not JSON.
    ///
    /// # Errors
    /// The body is rejected, or is JSON that cannot be read here.
    pub(super) fn rewrite_or_keep(&mut self, whole: Bytes) -> Result<Bytes, RequestError> {
        let Some(rewriter) = &mut self.rewriter else {
            return Ok(whole);
        };
        match rewriter
            .rewrite_all(whole.clone())
            .map_err(RewriteFailure::from)
        {
            Ok(rewritten) => {
                let replacements = rewriter.replacements();
                self.received.metrics().replacements(replacements);
                Ok(rewritten)
            }
            // The control plane says better what is wrong.
            Err(RewriteFailure::Rejected(_)) if !is_json(&whole) => Ok(whole),
            Err(RewriteFailure::Rejected(error)) => Err(error),
            Err(RewriteFailure::Unreadable(why)) => unreadable_as_received(whole.into(), &why),
        }
    }

    /// Returns whether the patch must be completed with the metadata of the current object.
    pub(super) fn needs_current_object(&self) -> bool {
        let handler = self.rewriter.as_ref().map(Rewriter::handler);
        handler.is_some_and(RequestHandler::needs_current)
    }

    /// Returns whether the result of the patch depends on metadata that the client does not see.
    pub(super) fn depends_on_hidden(&self) -> bool {
        let handler = self.rewriter.as_ref().map(Rewriter::handler);
        handler.is_some_and(RequestHandler::depends_on_hidden)
    }

    /// Returns whether the patch itself contains a resourceVersion.
    pub(super) fn names_version(&self) -> bool {
        let handler = self.rewriter.as_ref().map(Rewriter::handler);
        handler.is_some_and(RequestHandler::sets_resource_version)
    }

    /// Returns the beginning of the sent body, if it differs from the received one.
    pub(super) fn quoted_prefix(&self, sent: &[u8]) -> Option<QuotedPrefix> {
        QuotedPrefix::new(self.received.buffer()?, sent)
    }

    /// Frees the buffer, because a part of the body is sent and the rest cannot be sent as received.
    pub(super) fn stop_buffering(&mut self) {
        self.received.stop_buffering();
    }

    /// Reads the rest of a body that cannot be rewritten, and returns all of it as received.
    ///
    /// The control plane rejects it, and quotes the beginning of the body and its parser's message
    /// (`apiserver/pkg/endpoints/handlers/rest.go`, `transformDecodeError`).
    ///
    /// # Errors
    /// The body is JSON after all. It may contain names, so it cannot be sent without being mapped.
    pub(super) async fn into_raw<B>(
        self,
        incoming: B,
        why: RewriteError,
    ) -> Result<Bytes, RequestError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let raw = self.received.read_to_end(incoming).await?;
        unreadable_as_received(raw, &why)
    }
}

/// Returns a body that cannot be rewritten, if it is not JSON.
fn unreadable_as_received(mut raw: Vec<u8>, why: &RewriteError) -> Result<Bytes, RequestError> {
    // Parsers have different depth limits. The truncated text is invalid for all of them.
    if let RewriteError::TooDeep { offset, .. } = why {
        raw.truncate(usize::try_from(*offset).map_or(0, |offset| offset.saturating_add(1)));
    }
    if is_json(&raw) {
        Err(unreadable(why))
    } else {
        Ok(raw.into())
    }
}

/// Returns whether serde_json can read the text. It accepts whatever Go's `encoding/json` accepts.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

pub(super) fn unreadable(why: &RewriteError) -> RequestError {
    RequestError::BadRequest(format!("the request body cannot be read as JSON: {why}"))
}
