//! A watch on its way to the client, through a bounded buffer of its own.
//!
//! A task drains the control plane's stream, so that a client which reads slowly costs its neighbours
//! on the same upstream connection nothing, nor spends the connection's budget for small frames
//! (h2's `too_many_data_frames`). While the buffer is full the stream rests; only a client that takes
//! nothing at all for `watchStallMax` is cut off.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::admission::Admitted;
use crate::body::Broken;
use crate::metrics::Metrics;
use crate::rewrite::{Output, Rewriter};
use crate::translate::response::ResponseHandler;
use crate::upstream::ResponseBody;

pub(super) struct Settings {
    pub(super) buffer_bytes_max: usize,
    pub(super) stall_max: Duration,
    pub(super) draining: CancellationToken,
    pub(super) metrics: Metrics,
}

/// What reader and writer of the buffer share.
struct Buffer {
    /// A permit for each byte that still fits.
    room: Semaphore,
    /// Bytes that the client's side took, ever.
    taken: AtomicU64,
}

/// The end of the buffer from which the client is served.
pub(super) struct Relayed {
    pieces: mpsc::UnboundedReceiver<Result<(Output, u32), Broken>>,
    buffer: Arc<Buffer>,
}

/// The end that is filled.
struct Relay {
    upstream: ResponseBody,
    rewriter: Rewriter<ResponseHandler>,
    pieces: mpsc::UnboundedSender<Result<(Output, u32), Broken>>,
    buffer: Arc<Buffer>,
    settings: Settings,
}

/// Starts to relay; ends when either side does.
pub(super) fn relay(
    upstream: ResponseBody,
    rewriter: Rewriter<ResponseHandler>,
    settings: Settings,
    admitted: Admitted,
) -> Relayed {
    // The channel needs no bound of its own: what goes in has taken its room before.
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Semaphore::new(settings.buffer_bytes_max);
    let buffer = Arc::new(Buffer {
        room,
        taken: AtomicU64::new(0),
    });
    let relay = Relay {
        upstream,
        rewriter,
        pieces: sender,
        buffer: Arc::clone(&buffer),
        settings,
    };
    tokio::spawn(async move {
        relay.run().await;
        drop(admitted);
    });
    Relayed {
        pieces: receiver,
        buffer,
    }
}

/// How a relay goes on.
enum Step {
    Go,
    End,
}

impl Relay {
    async fn run(mut self) {
        let closed = self.pieces.clone();
        tokio::select! {
            () = closed.closed() => {}
            result = self.drain() => {
                if let Err(broken) = result {
                    tracing::warn!(error = %broken, "a watch is broken off");
                    // The receiver may be gone, and then nobody needs to know.
                    let _ = self.pieces.send(Err(broken));
                }
            }
        }
        self.settings
            .metrics
            .replacements(self.rewriter.replacements());
    }

    async fn drain(&mut self) -> Result<(), Broken> {
        let draining = self.settings.draining.clone();
        loop {
            let drains = draining.is_cancelled();
            if drains && self.rewriter.at_boundary() {
                return Ok(());
            }
            let frame = tokio::select! {
                biased;
                () = draining.cancelled(), if !drains => continue,
                frame = self.upstream.frame() => frame,
            };
            if matches!(self.take(frame).await?, Step::End) {
                return Ok(());
            }
        }
    }

    async fn take(
        &mut self,
        frame: Option<Result<Frame<bytes::Bytes>, crate::upstream::BodyError>>,
    ) -> Result<Step, Broken> {
        let mut out = Output::default();
        let fed = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.rewriter.feed(data, &mut out).map(|()| Step::Go),
                Err(_trailers) => Ok(Step::Go),
            },
            // A control plane that goes away between two events ends the watch as a timeout does:
            // the client starts the next one from the last resourceVersion.
            Some(Err(_)) if self.rewriter.at_boundary() => Ok(Step::End),
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
        if !out.is_empty() {
            self.push(out).await?;
        }
        Ok(step)
    }

    async fn push(&self, out: Output) -> Result<(), Broken> {
        // A piece larger than the whole buffer fits when the buffer is empty.
        let most = self.settings.buffer_bytes_max.min(out.len());
        let bytes = u32::try_from(most).unwrap_or(u32::MAX);
        if let Ok(room) = self.buffer.room.try_acquire_many(bytes) {
            room.forget();
        } else {
            self.settings.metrics.watch_buffer_full();
            self.wait_for_room(bytes).await?;
        }
        self.settings.metrics.sent(out.len());
        // An error means that the client is gone, which `run` notices.
        let _ = self.pieces.send(Ok((out, bytes)));
        Ok(())
    }

    async fn wait_for_room(&self, bytes: u32) -> Result<(), Broken> {
        let acquire = self.buffer.room.acquire_many(bytes);
        tokio::pin!(acquire);
        loop {
            let before = self.buffer.taken.load(Ordering::Relaxed);
            match tokio::time::timeout(self.settings.stall_max, &mut acquire).await {
                Ok(Ok(room)) => {
                    room.forget();
                    return Ok(());
                }
                Ok(Err(_closed)) => return Err(Broken("the watch's buffer is closed".into())),
                Err(_) if self.buffer.taken.load(Ordering::Relaxed) != before => {}
                Err(_) => {
                    return Err(Broken(
                        "the client took nothing for limits.watchStallMax".into(),
                    ));
                }
            }
        }
    }
}

impl Body for Relayed {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        let Some(piece) = ready!(self.pieces.poll_recv(context)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(piece.map(|(out, bytes)| {
            self.buffer
                .taken
                .fetch_add(u64::from(bytes), Ordering::Relaxed);
            self.buffer
                .room
                .add_permits(usize::try_from(bytes).unwrap_or(usize::MAX));
            Frame::data(out)
        })))
    }
}
