//! Converts a watch from mapped JSON to protobuf, event by event.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::body::events::{Delimiter, Events, with_length};
use crate::body::{BrokenBody, ChunkSource, FRAME_BYTES_MAX, ReplyBody};
use crate::proxy::conversion::Conversions;
use json_rewrite::Output;
use kube_wire::protobuf;

/// Largest size in bytes of an event that is converted on the current thread. This is faster than
/// another thread, and short enough not to delay other requests.
const INLINE_BYTES_MAX: usize = 64 << 10;

type ConvertedEvent = Result<Vec<u8>, BrokenBody>;

pub(super) struct ProtobufWatch {
    events: Events,
    /// The conversion of a long event.
    conversion: Option<Pin<Box<dyn Future<Output = ConvertedEvent> + Send>>>,
    conversions: Conversions,
    has_ended: bool,
}

impl ProtobufWatch {
    /// Converts the body of a watch in JSON. Each event is buffered whole, up to `event_bytes_max`.
    pub(super) fn new(body: ReplyBody, event_bytes_max: usize, conversions: Conversions) -> Self {
        Self {
            events: Events::new(body, Delimiter::Newline, event_bytes_max),
            conversion: None,
            conversions,
            has_ended: false,
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<ConvertedEvent>> {
        if self.conversion.is_none() {
            match ready!(self.events.poll_next(context)) {
                Some(Ok(event)) if event.len() > INLINE_BYTES_MAX => {
                    let conversions = self.conversions.clone();
                    self.conversion = Some(Box::pin(convert_elsewhere(conversions, event)));
                }
                Some(event) => return Poll::Ready(Some(event.and_then(|event| convert(&event)))),
                None => return Poll::Ready(None),
            }
        }
        let Some(conversion) = &mut self.conversion else {
            return Poll::Ready(None);
        };
        let converted = ready!(conversion.as_mut().poll(context));
        self.conversion = None;
        Poll::Ready(Some(converted))
    }
}

/// Converts one event. An error aborts the watch.
fn convert(event: &[u8]) -> ConvertedEvent {
    let converted = protobuf::event_from_json(event).map_err(|error| {
        tracing::warn!(%error, "a watch was aborted: an event cannot be converted to protobuf");
        BrokenBody(error.to_string())
    })?;
    with_length(&converted).ok_or_else(|| BrokenBody("an event is too long for its length".into()))
}

async fn convert_elsewhere(conversions: Conversions, event: Bytes) -> ConvertedEvent {
    let converted = conversions.run(move || convert(&event)).await;
    converted.map_err(|error| BrokenBody(error.to_string()))?
}

impl ChunkSource for ProtobufWatch {
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, BrokenBody>>> {
        let mut out = Output::contiguous();
        // Takes all events that have arrived.
        while out.len() < FRAME_BYTES_MAX && !self.has_ended {
            match self.poll_event(context) {
                Poll::Ready(Some(Ok(event))) => out.push(event.into()),
                Poll::Ready(Some(Err(broken))) => {
                    self.has_ended = true;
                    return Poll::Ready(Some(Err(broken)));
                }
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready((!out.is_empty()).then_some(Ok(out)))
    }

    fn is_finished(&self) -> bool {
        self.has_ended
    }
}
