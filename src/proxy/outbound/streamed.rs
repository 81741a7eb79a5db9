//! Streams a body that is too long to be buffered.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::stream;
use http_body::{Body, Frame};
use http_body_util::StreamBody;

use super::outbound_body::{Failure, OutboundBody};
use super::rewriter::{BodyRewriter, RewriteFailure, unreadable};
use crate::body::BrokenBody;
use crate::error::RequestError;
use crate::upstream::RequestBody;
use json_rewrite::{Output, RewriteError};

/// Returns a body that begins with `rewritten` and continues with `incoming`.
pub(super) fn outbound<B>(
    mut rewriter: BodyRewriter,
    incoming: B,
    mut rewritten: Output,
) -> OutboundBody
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    let beginning = rewritten.copy_to_bytes(rewritten.remaining());
    let quoted_prefix = rewriter.quoted_prefix(&beginning);
    rewriter.stop_buffering();
    let failure = Failure::default();
    let mut streamed = Streamed {
        incoming,
        rewriter,
        rewritten: beginning.into(),
        failure: failure.clone(),
        has_ended: false,
    };
    let frames = stream::poll_fn(move |context| streamed.poll_frame(context));
    OutboundBody {
        body: RequestBody::stream(StreamBody::new(frames)),
        failure,
        quoted_prefix,
        ..OutboundBody::default()
    }
}

struct Streamed<B> {
    incoming: B,
    rewriter: BodyRewriter,
    /// Rewritten bytes that were not sent yet.
    rewritten: Output,
    failure: Failure,
    has_ended: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Streamed<B> {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        while self.rewritten.is_empty() && !self.has_ended {
            let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
            match self.rewriter.feed(frame, &mut self.rewritten) {
                Ok(has_ended) => self.has_ended = has_ended,
                Err(stopped) => {
                    self.has_ended = true;
                    if let Some(error) = failure(stopped) {
                        let broken = BrokenBody(error.to_string());
                        self.failure.set(error);
                        return Poll::Ready(Some(Err(broken)));
                    }
                }
            }
        }
        let length = self.rewritten.remaining();
        let data = (length > 0).then(|| Ok(Frame::data(self.rewritten.copy_to_bytes(length))));
        Poll::Ready(data)
    }
}

/// Returns the error that aborts the body. Truncated JSON is no reason to abort it: the sent part is
/// invalid too, so the control plane rejects it.
fn failure(failure: RewriteFailure) -> Option<RequestError> {
    match failure {
        RewriteFailure::Rejected(error) => Some(error),
        RewriteFailure::Unreadable(RewriteError::Truncated) => None,
        RewriteFailure::Unreadable(why) => Some(unreadable(&why)),
    }
}
