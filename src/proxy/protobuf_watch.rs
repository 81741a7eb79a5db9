//! A watch's events in protobuf, written from the mapped JSON one by one as they come.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::Semaphore;

use super::serialize;
use crate::body::events::{Delimiter, Events, with_length};
use crate::body::{Broken, FRAME_BYTES_MAX, ReplyBody};
use crate::protobuf;
use crate::rewrite::Output;

/// Bytes of an event up to which it is written at once: that takes less time than to have another
/// thread do it, and keeps nobody waiting.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;

type Written = Result<Vec<u8>, Broken>;

pub(super) struct ProtobufWatch {
    events: Events,
    /// A long event that is being written.
    writing: Option<Pin<Box<dyn Future<Output = Written> + Send>>>,
    conversions: Arc<Semaphore>,
    has_ended: bool,
}

impl ProtobufWatch {
    /// From a watch's body in JSON. An event is held until it is whole, up to so many bytes.
    pub(super) fn new(body: ReplyBody, bytes_max: usize, conversions: Arc<Semaphore>) -> Self {
        Self {
            events: Events::new(body, Delimiter::Newline, bytes_max),
            writing: None,
            conversions,
            has_ended: false,
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Written>> {
        if self.writing.is_none() {
            match ready!(self.events.poll_next(context)) {
                Some(Ok(event)) if event.len() > AT_ONCE_BYTES_MAX => {
                    let conversions = Arc::clone(&self.conversions);
                    self.writing = Some(Box::pin(write_elsewhere(conversions, event)));
                }
                Some(event) => return Poll::Ready(Some(event.and_then(|event| write(&event)))),
                None => return Poll::Ready(None),
            }
        }
        let Some(writing) = &mut self.writing else {
            return Poll::Ready(None);
        };
        let written = ready!(writing.as_mut().poll(context));
        self.writing = None;
        Poll::Ready(Some(written))
    }
}

/// What can't be written breaks the watch off.
fn write(event: &[u8]) -> Written {
    let written = protobuf::event_from_json(event).map_err(|error| {
        tracing::warn!(%error, "an event cannot be written in protobuf");
        Broken(error.to_string())
    })?;
    with_length(&written).ok_or_else(|| Broken("an event is too long for its length".into()))
}

async fn write_elsewhere(conversions: Arc<Semaphore>, event: Bytes) -> Written {
    let converted = serialize::convert(&conversions, move || write(&event)).await;
    converted.map_err(|error| Broken(error.to_string()))?
}

impl Body for ProtobufWatch {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        let this = self.get_mut();
        let mut out = Output::contiguous();
        // As many as have come already.
        while out.len() < FRAME_BYTES_MAX && !this.has_ended {
            match this.poll_event(context) {
                Poll::Ready(Some(Ok(event))) => out.push(event.into()),
                Poll::Ready(Some(Err(broken))) => {
                    this.has_ended = true;
                    return Poll::Ready(Some(Err(broken)));
                }
                Poll::Ready(None) => this.has_ended = true,
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let frame = (!out.is_empty()).then(|| Ok(Frame::data(out)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }
}
