//! Relays a watch to the client through a bounded buffer.
//!
//! A separate task reads the control plane's stream. So a client that reads slowly does not delay
//! other streams of the same upstream connection. It also does not exhaust the connection's budget for
//! small frames (h2's `too_many_data_frames`). While the buffer is full, the stream is not read. A
//! client that reads nothing for `watchWriteTimeout` is disconnected.

mod buffer;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio_util::sync::CancellationToken;

use self::buffer::Buffer;
use crate::body::{BrokenBody, ChunkSource};
use crate::proxy::admission::RequestPermit;
use crate::telemetry::metrics::Metrics;
use crate::upstream::BodyError;
use claim_mapping::response::ResponseHandler;
use json_rewrite::{Output, RewriteError, Rewriter};

/// The settings of all watches.
pub(super) struct Settings {
    pub(super) buffer_bytes_max: usize,
    pub(super) write_timeout: Duration,
    pub(super) draining: CancellationToken,
    pub(super) metrics: Metrics,
}

/// The client's side of a relayed watch, which reads from the buffer.
pub(super) struct RelayedWatch(Arc<Buffer>);

/// The control plane's side, which fills the buffer.
struct Relay<B> {
    upstream: B,
    rewriter: Rewriter<ResponseHandler>,
    buffer: Arc<Buffer>,
    settings: Arc<Settings>,
    _permit: RequestPermit,
}

/// Starts to relay a watch. The relay ends when either side ends.
pub(super) fn relay<B>(
    upstream: B,
    rewriter: Rewriter<ResponseHandler>,
    settings: Arc<Settings>,
    permit: RequestPermit,
) -> RelayedWatch
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin + Send + Sync + 'static,
{
    let buffer = Arc::new(Buffer::new(settings.buffer_bytes_max));
    let mut relay = Relay {
        upstream,
        rewriter,
        buffer: Arc::clone(&buffer),
        settings,
        _permit: permit,
    };
    // Borrowed, because a future reserves memory twice for a value that is moved into it.
    tokio::spawn(async move { relay.run().await });
    RelayedWatch(buffer)
}

/// Whether the relay continues.
enum Step {
    Continue,
    End,
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Relay<B> {
    async fn run(&mut self) {
        let result = self.forward_frames().await;
        if let Err(broken) = &result {
            tracing::warn!(error = %broken, "a watch was aborted");
        }
        self.buffer.end(result);
        let replacements = self.rewriter.replacements();
        self.settings.metrics.replacements(replacements);
    }

    async fn forward_frames(&mut self) -> Result<(), BrokenBody> {
        let draining = self.settings.draining.clone();
        let mut drain_begins = pin!(draining.cancelled());
        loop {
            let is_draining = draining.is_cancelled();
            if is_draining && self.rewriter.at_boundary() {
                return Ok(());
            }
            let next = poll_fn(|context| {
                let begins = !is_draining && drain_begins.as_mut().poll(context).is_ready();
                if begins || self.buffer.poll_abandoned(context).is_ready() {
                    return Poll::Ready(None);
                }
                Pin::new(&mut self.upstream).poll_frame(context).map(Some)
            });
            let Some(frame) = next.await else {
                if self.buffer.is_abandoned() {
                    return Ok(());
                }
                continue;
            };
            let (out, step) = self.map(frame)?;
            if !out.is_empty() {
                self.push(out).await?;
            }
            if matches!(step, Step::End) {
                return Ok(());
            }
        }
    }

    /// Maps a frame, or the end of the stream if it is `None`.
    fn map(
        &mut self,
        frame: Option<Result<Frame<Bytes>, BodyError>>,
    ) -> Result<(Output, Step), BrokenBody> {
        let mut out = Output::default();
        let fed = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if self.settings.draining.is_cancelled() => self.feed_last(data, &mut out),
                Ok(data) => self.rewriter.feed(data, &mut out).map(|()| Step::Continue),
                Err(_trailers) => Ok(Step::Continue),
            },
            // If the connection fails between two events, the watch ends as after a timeout. The
            // client continues from the last resourceVersion.
            Some(Err(BodyError::Interrupted(_))) if self.rewriter.at_boundary() => Ok(Step::End),
            Some(Err(error)) => return Err(BrokenBody(error.to_string())),
            None => self.rewriter.finish(&mut out).map(|()| Step::End),
        };
        let step = fed.map_err(|error| {
            self.settings.metrics.rewrite_error(&error);
            BrokenBody(error.to_string())
        })?;
        for (event, count) in self.rewriter.handler_mut().take_forwarded_events() {
            self.settings.metrics.watch_events(event.name(), count);
        }
        let damaged = self.rewriter.handler_mut().take_damaged_objects();
        self.settings.metrics.damaged_objects(damaged);
        Ok((out, step))
    }

    /// Maps the rest of the current event, which ends with a newline, and nothing after it.
    ///
    /// Frames of a busy watch may end anywhere, because kube-apiserver flushes only when it has
    /// nothing more to send (`apiserver/pkg/endpoints/handlers/watch.go`).
    fn feed_last(&mut self, mut data: Bytes, out: &mut Output) -> Result<Step, RewriteError> {
        while !self.rewriter.at_boundary() && !data.is_empty() {
            let newline = data.iter().position(|byte| *byte == b'\n');
            let rest = data.split_to(newline.map_or(data.len(), |at| at + 1));
            self.rewriter.feed(rest, out)?;
        }
        Ok(match self.rewriter.at_boundary() {
            true => Step::End,
            false => Step::Continue,
        })
    }

    async fn push(&self, out: Output) -> Result<(), BrokenBody> {
        if !self.buffer.has_room(out.len()) {
            self.settings.metrics.watch_buffer_full();
            // Boxed, because this is rare and its timer would be a large part of an idle watch's
            // memory.
            Box::pin(self.wait_for_room(out.len())).await?;
        }
        self.settings.metrics.sent(out.len());
        self.buffer.push(out);
        Ok(())
    }

    async fn wait_for_room(&self, bytes: usize) -> Result<(), BrokenBody> {
        loop {
            let before = self.buffer.taken();
            let room = poll_fn(|context| self.buffer.poll_room(bytes, context));
            if tokio::time::timeout(self.settings.write_timeout, room)
                .await
                .is_ok()
            {
                return Ok(());
            }
            if self.buffer.taken() == before {
                return Err(BrokenBody(
                    "the client read nothing for limits.watchWriteTimeout".into(),
                ));
            }
        }
    }
}

impl<B> Drop for Relay<B> {
    fn drop(&mut self) {
        // The buffer keeps the first result, so this one applies only if the task was cancelled.
        self.buffer
            .end(Err(BrokenBody("the watch was cancelled".into())));
    }
}

impl ChunkSource for RelayedWatch {
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, BrokenBody>>> {
        self.0.poll_take(context)
    }
}

impl Drop for RelayedWatch {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http_body_util::BodyExt;
    use http_body_util::channel::{Channel, Sender};

    use super::*;
    use crate::body::ReplyBody;
    use crate::proxy::plan::RemoteRequest;
    use crate::proxy::response_mapper::ResponseMapper;
    use crate::proxy::testing::{self, TestRequest};
    use claim_mapping::ReferencePaths;
    use claim_mapping::response::Shape;

    fn watch(draining: &CancellationToken) -> (Sender<Bytes, BodyError>, ReplyBody) {
        let request = TestRequest::new(Method::GET, "/apis/a.org/v1/claims?watch=1");
        let remote = RemoteRequest::plan(&request.context()).unwrap().unwrap();
        let mapper = ResponseMapper::compile(&ReferencePaths::default(), 1 << 20).unwrap();
        let settings = Settings {
            buffer_bytes_max: 1 << 20,
            write_timeout: Duration::from_secs(1),
            draining: draining.clone(),
            metrics: Metrics::new(),
        };
        let (sender, upstream) = Channel::new(4);
        let rewriter = mapper.rewriter(remote, Shape::Watch);
        let relayed = relay(upstream, rewriter, Arc::new(settings), testing::permit());
        (sender, ReplyBody::streamed(relayed))
    }

    fn event(namespace: &str) -> String {
        format!(r#"{{"type":"ADDED","object":{{"metadata":{{"namespace":"{namespace}"}}}}}}"#)
            + "\n"
    }

    #[tokio::test]
    async fn events_use_local_namespaces_and_foreign_events_are_dropped() {
        let (mut sender, body) = watch(&CancellationToken::new());
        for namespace in ["remote-a", "foreign", "remote-b"] {
            sender.send_data(event(namespace).into()).await.unwrap();
        }
        drop(sender);
        let relayed = body.collect().await.unwrap().to_bytes();
        assert_eq!(relayed, event("team-a") + &event("team-b"));
    }

    #[tokio::test]
    async fn draining_ends_the_watch_after_the_current_event() {
        let draining = CancellationToken::new();
        let (mut sender, mut body) = watch(&draining);
        let events = event("remote-a") + &event("remote-b") + &event("remote-a");
        let (first, rest) = events.split_at(event("remote-a").len() + 5);
        sender.send_data(first.to_owned().into()).await.unwrap();
        let mut relayed = Vec::new();
        let begun = body.frame().await.unwrap().unwrap();
        relayed.extend(begun.into_data().map(bytes_of).unwrap());
        draining.cancel();
        sender.send_data(rest.to_owned().into()).await.unwrap();
        while let Some(frame) = body.frame().await {
            relayed.extend(frame.unwrap().into_data().map(bytes_of).unwrap());
        }
        assert_eq!(relayed, (event("team-a") + &event("team-b")).as_bytes());
    }

    fn bytes_of(mut output: Output) -> Bytes {
        let length = output.len();
        bytes::Buf::copy_to_bytes(&mut output, length)
    }
}
