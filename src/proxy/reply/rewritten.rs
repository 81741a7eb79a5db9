//! Maps a response body while it streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::Body;

use crate::body::{BrokenBody, ChunkSource, FRAME_BYTES_MAX};
use crate::proxy::admission::RequestPermit;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{BodyError, ResponseBody};
use claim_mapping::response::ResponseHandler;
use json_rewrite::{Output, Rewriter};

pub(super) struct Rewritten<B = ResponseBody> {
    upstream: B,
    rewriter: Rewriter<ResponseHandler>,
    metrics: Metrics,
    /// Mapped bytes that were not sent yet.
    mapped: Output,
    has_ended: bool,
    /// Counts the request as in flight until the body is dropped.
    _permit: RequestPermit,
}

impl<B> Rewritten<B> {
    pub(super) fn new(
        upstream: B,
        rewriter: Rewriter<ResponseHandler>,
        metrics: Metrics,
        permit: RequestPermit,
    ) -> Self {
        Self {
            upstream,
            rewriter,
            metrics,
            mapped: Output::contiguous(),
            has_ended: false,
            _permit: permit,
        }
    }

    fn broken(&mut self, why: &dyn std::fmt::Display) -> BrokenBody {
        self.has_ended = true;
        self.mapped = Output::default();
        BrokenBody(why.to_string())
    }
}

impl<B> ChunkSource for Rewritten<B>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin + Send,
{
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, BrokenBody>>> {
        // Takes all frames that have arrived, because a control plane that streams lists sends small ones.
        while self.mapped.len() < FRAME_BYTES_MAX && !self.has_ended {
            let frame = match Pin::new(&mut self.upstream).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending if self.mapped.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            };
            let fed = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rewriter.feed(data, &mut self.mapped),
                    Err(_trailers) => Ok(()),
                },
                Some(Err(error)) => {
                    tracing::warn!(%error, "the control plane interrupted a response");
                    return Poll::Ready(Some(Err(self.broken(&error))));
                }
                None => {
                    self.has_ended = true;
                    let finished = self.rewriter.finish(&mut self.mapped);
                    self.metrics.replacements(self.rewriter.replacements());
                    let damaged = self.rewriter.handler_mut().take_damaged_objects();
                    self.metrics.damaged_objects(damaged);
                    finished
                }
            };
            if let Err(error) = fed {
                tracing::warn!(%error, "a response was aborted: it cannot be mapped");
                self.metrics.rewrite_error(&error);
                return Poll::Ready(Some(Err(self.broken(&error))));
            }
        }
        let length = self.mapped.len().min(FRAME_BYTES_MAX);
        let chunk = (length > 0).then(|| {
            self.metrics.sent(length);
            Ok(self.mapped.copy_to_bytes(length).into())
        });
        Poll::Ready(chunk)
    }

    fn is_finished(&self) -> bool {
        self.has_ended && self.mapped.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::body::ReplyBody;
    use crate::proxy::plan::RemoteRequest;
    use crate::proxy::response_mapper::ResponseMapper;
    use crate::proxy::testing::{self, TestRequest};
    use claim_mapping::ReferencePaths;
    use claim_mapping::response::Shape;

    fn body(upstream: &'static str) -> ReplyBody {
        let request = TestRequest::new(Method::GET, "/apis/a.org/v1/namespaces/team-a/claims/b");
        let remote = RemoteRequest::plan(&request.context()).unwrap().unwrap();
        let mapper = ResponseMapper::compile(&ReferencePaths::default(), 1 << 20).unwrap();
        let rewriter = mapper.rewriter(remote, Shape::Object);
        let upstream = Full::new(Bytes::from(upstream)).map_err(|never| match never {});
        let permit = testing::permit();
        ReplyBody::streamed(Rewritten::new(upstream, rewriter, Metrics::new(), permit))
    }

    #[tokio::test]
    async fn object_names_local_namespace() {
        let body = body(r#"{"metadata":{"namespace":"remote-a"}}"#);
        let mapped = body.collect().await.unwrap().to_bytes();
        assert_eq!(mapped, r#"{"metadata":{"namespace":"team-a"}}"#);
    }

    #[tokio::test]
    async fn truncated_json_breaks_the_body() {
        assert!(body(r#"{"metadata":{"#).collect().await.is_err());
    }
}
