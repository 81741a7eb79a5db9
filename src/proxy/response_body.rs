//! A response body that is mapped as it streams.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame};

use super::admission::Admitted;
use crate::body::Broken;
use crate::metrics::Metrics;
use crate::rewrite::{Output, Rewriter};
use crate::translate::response::ResponseHandler;
use crate::upstream::ResponseBody;

pub(super) struct Rewritten {
    pub(super) upstream: ResponseBody,
    pub(super) rewriter: Rewriter<ResponseHandler>,
    pub(super) metrics: Metrics,
    pub(super) ended: bool,
    /// Counts the request as in flight until the body is gone.
    pub(super) _admitted: Admitted,
}

impl Rewritten {
    fn broken(&mut self, why: &dyn std::fmt::Display) -> Broken {
        self.ended = true;
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
        let mut out = Output::default();
        while out.is_empty() && !this.ended {
            let fed = match ready!(Pin::new(&mut this.upstream).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rewriter.feed(data, &mut out),
                    Err(_trailers) => Ok(()),
                },
                Some(Err(error)) => {
                    tracing::warn!(%error, "the control plane broke a response off");
                    return Poll::Ready(Some(Err(this.broken(&error))));
                }
                None => {
                    this.ended = true;
                    this.rewriter.finish(&mut out)
                }
            };
            if let Err(error) = fed {
                tracing::warn!(%error, "a response cannot be mapped and is broken off");
                this.metrics.rewrite_error(&error);
                return Poll::Ready(Some(Err(this.broken(&error))));
            }
        }
        if this.ended {
            this.metrics.replacements(this.rewriter.replacements());
        }
        let frame = (!out.is_empty()).then(|| {
            this.metrics.sent(out.len());
            Ok(Frame::data(out))
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
