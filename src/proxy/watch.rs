//! A watch on its way to the client, through a bounded buffer of its own.
//!
//! A task drains the control plane's stream, so that a client which reads slowly costs its neighbours
//! on the same upstream connection nothing, nor spends the connection's budget for small frames
//! (h2's `too_many_data_frames`). While the buffer is full the stream rests; only a client that takes
//! nothing at all for `watchStallMax` is cut off.

mod buffer;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio_util::sync::CancellationToken;

use self::buffer::Buffer;
use super::admission::Admitted;
use crate::body::Broken;
use crate::metrics::Metrics;
use crate::rewrite::{self, Output, Rewriter};
use crate::translate::response::ResponseHandler;
use crate::upstream::{BodyError, ResponseBody};

/// What all watches share.
pub(super) struct Settings {
    pub(super) buffer_bytes_max: usize,
    pub(super) stall_max: Duration,
    pub(super) draining: CancellationToken,
    pub(super) metrics: Metrics,
}

/// The end of the buffer from which the client is served.
pub(super) struct Relayed(Arc<Buffer>);

/// The end that is filled.
struct Relay {
    upstream: ResponseBody,
    rewriter: Rewriter<ResponseHandler>,
    buffer: Arc<Buffer>,
    settings: Arc<Settings>,
    _admitted: Admitted,
}

/// Starts to relay; ends when either side does.
pub(super) fn relay(
    upstream: ResponseBody,
    rewriter: Rewriter<ResponseHandler>,
    settings: Arc<Settings>,
    admitted: Admitted,
) -> Relayed {
    let buffer = Arc::new(Buffer::new(settings.buffer_bytes_max));
    let mut relay = Relay {
        upstream,
        rewriter,
        buffer: Arc::clone(&buffer),
        settings,
        _admitted: admitted,
    };
    // Run by reference: a future keeps room for what moves into it twice.
    tokio::spawn(async move { relay.run().await });
    Relayed(buffer)
}

/// How a relay goes on.
enum Step {
    Go,
    End,
}

impl Relay {
    async fn run(&mut self) {
        let result = self.drain().await;
        if let Err(broken) = &result {
            tracing::warn!(error = %broken, "a watch is broken off");
        }
        self.buffer.end(result);
        let replacements = self.rewriter.replacements();
        self.settings.metrics.replacements(replacements);
    }

    async fn drain(&mut self) -> Result<(), Broken> {
        let draining = self.settings.draining.clone();
        let mut drains = pin!(draining.cancelled());
        loop {
            let is_draining = draining.is_cancelled();
            if is_draining && self.rewriter.at_boundary() {
                return Ok(());
            }
            let next = poll_fn(|context| {
                let is_told = !is_draining && drains.as_mut().poll(context).is_ready();
                if is_told || self.buffer.poll_abandoned(context).is_ready() {
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
            let (out, step) = self.take(frame)?;
            if !out.is_empty() {
                self.push(out).await?;
            }
            if matches!(step, Step::End) {
                return Ok(());
            }
        }
    }

    fn take(
        &mut self,
        frame: Option<Result<Frame<Bytes>, BodyError>>,
    ) -> Result<(Output, Step), Broken> {
        let mut out = Output::default();
        let fed = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if self.settings.draining.is_cancelled() => self.feed_last(data, &mut out),
                Ok(data) => self.rewriter.feed(data, &mut out).map(|()| Step::Go),
                Err(_trailers) => Ok(Step::Go),
            },
            // A control plane that goes away between two events ends the watch as a timeout does:
            // the client starts the next one from the last resourceVersion.
            Some(Err(BodyError::BrokeOff(_))) if self.rewriter.at_boundary() => Ok(Step::End),
            Some(Err(error)) => return Err(Broken(error.to_string())),
            None => self.rewriter.finish(&mut out).map(|()| Step::End),
        };
        let step = fed.map_err(|error| {
            self.settings.metrics.rewrite_error(&error);
            Broken(error.to_string())
        })?;
        for (event, count) in self.rewriter.handler_mut().take_passed_on() {
            self.settings.metrics.watch_events(event, count);
        }
        Ok((out, step))
    }

    /// Takes no more than the rest of the event that is being relayed: kube-apiserver flushes only
    /// when it has nothing more to send (`apiserver/pkg/endpoints/handlers/watch.go`), so that frames
    /// of a busy watch may end anywhere. An event is a line.
    fn feed_last(&mut self, mut data: Bytes, out: &mut Output) -> Result<Step, rewrite::Error> {
        while !self.rewriter.at_boundary() && !data.is_empty() {
            let newline = data.iter().position(|byte| *byte == b'\n');
            let rest = data.split_to(newline.map_or(data.len(), |at| at + 1));
            self.rewriter.feed(rest, out)?;
        }
        Ok(match self.rewriter.at_boundary() {
            true => Step::End,
            false => Step::Go,
        })
    }

    async fn push(&self, out: Output) -> Result<(), Broken> {
        if !self.buffer.has_room(out.len()) {
            self.settings.metrics.watch_buffer_full();
            // Boxed, for it is rare, and its timer would be a good part of an idle watch's memory.
            Box::pin(self.wait_for_room(out.len())).await?;
        }
        self.settings.metrics.sent(out.len());
        self.buffer.push(out);
        Ok(())
    }

    async fn wait_for_room(&self, bytes: usize) -> Result<(), Broken> {
        loop {
            let before = self.buffer.taken();
            let room = poll_fn(|context| self.buffer.poll_room(bytes, context));
            if tokio::time::timeout(self.settings.stall_max, room)
                .await
                .is_ok()
            {
                return Ok(());
            }
            if self.buffer.taken() == before {
                return Err(Broken(
                    "the client took nothing for limits.watchStallMax".into(),
                ));
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The first word counts; this one is for a task that did not come to its end.
        self.buffer
            .end(Err(Broken("the watch was given up".into())));
    }
}

impl Body for Relayed {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        let piece = ready!(self.0.poll_take(context));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
