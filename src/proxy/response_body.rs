//! A response body that is mapped as it streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http_body::{Body, Frame};

use super::admission::Admitted;
use crate::body::{Broken, FRAME_BYTES_MAX};
use crate::metrics::Metrics;
use crate::rewrite::{Output, Rewriter};
use crate::translate::response::ResponseHandler;
use crate::upstream::ResponseBody;

pub(super) struct Rewritten {
    pub(super) upstream: ResponseBody,
    pub(super) rewriter: Rewriter<ResponseHandler>,
    pub(super) metrics: Metrics,
    /// What was mapped and has not left yet.
    pub(super) out: Output,
    pub(super) ended: bool,
    /// Counts the request as in flight until the body is gone.
    pub(super) _admitted: Admitted,
}

impl Rewritten {
    fn broken(&mut self, why: &dyn std::fmt::Display) -> Broken {
        self.ended = true;
        self.out = Output::default();
        Broken(why.to_string())
    }
}

impl Body for Rewritten {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        let this = self.get_mut();
        // As much as has come already: a control plane that streams its lists sends small frames.
        while this.out.len() < FRAME_BYTES_MAX && !this.ended {
            let frame = match Pin::new(&mut this.upstream).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending if this.out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            };
            let fed = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rewriter.feed(data, &mut this.out),
                    Err(_trailers) => Ok(()),
                },
                Some(Err(error)) => {
                    tracing::warn!(%error, "the control plane broke a response off");
                    return Poll::Ready(Some(Err(this.broken(&error))));
                }
                None => {
                    this.ended = true;
                    let finished = this.rewriter.finish(&mut this.out);
                    this.metrics.replacements(this.rewriter.replacements());
                    finished
                }
            };
            if let Err(error) = fed {
                tracing::warn!(%error, "a response cannot be mapped and is broken off");
                this.metrics.rewrite_error(&error);
                return Poll::Ready(Some(Err(this.broken(&error))));
            }
        }
        let length = this.out.len().min(FRAME_BYTES_MAX);
        let frame = (length > 0).then(|| {
            this.metrics.sent(length);
            Ok(Frame::data(this.out.copy_to_bytes(length).into()))
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.out.is_empty()
    }
}
