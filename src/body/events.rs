//! Splits the body of a watch into its events.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};

use super::{BrokenBody, ReplyBody};
use json_rewrite::Output;

/// How the body of a watch separates its events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delimiter {
    /// For JSON: kube-apiserver writes a newline after each event and none inside
    /// (`apimachinery/pkg/runtime/serializer/json/json.go`, `Encode`). The newline belongs to the
    /// event.
    Newline,
    /// For protobuf: the length precedes each event, in four bytes, most significant first
    /// (`apimachinery/pkg/util/framer/framer.go`).
    Length,
}

/// Size in bytes of the length before an event.
const LENGTH_BYTES: usize = 4;

/// Returns an event with its length in front, or `None` if it is too long for one.
pub fn with_length(event: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(event.len()).ok()?;
    Some([&length.to_be_bytes(), event].concat())
}

/// Splits a body into its events. Each event is buffered until it is complete.
pub struct Events {
    body: ReplyBody,
    delimiter: Delimiter,
    /// Received bytes that were not split yet.
    chunk: Output,
    /// The beginning of an event, at most `event_bytes_max`.
    event: BytesMut,
    event_bytes_max: usize,
}

impl Events {
    pub fn new(body: ReplyBody, delimiter: Delimiter, event_bytes_max: usize) -> Self {
        Self {
            body,
            delimiter,
            chunk: Output::default(),
            event: BytesMut::new(),
            event_bytes_max,
        }
    }

    /// Returns the next event, or `None` at the end of the watch. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, BrokenBody>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Polls for the next event; `None` is the end of the watch.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenBody>>> {
        loop {
            if let Some(event) = self.split().transpose() {
                return Poll::Ready(Some(event));
            }
            let next = match ready!(self.body.poll_chunk(context)) {
                Some(Ok(chunk)) => {
                    self.chunk = chunk;
                    continue;
                }
                Some(Err(broken)) => Some(Err(broken)),
                None if self.event.is_empty() => None,
                // A body that was not interrupted ends with a complete event, with or without a
                // newline.
                None if self.delimiter == Delimiter::Newline => Some(Ok(self.take_event())),
                None => Some(Err(BrokenBody(
                    "an event is shorter than its length".into(),
                ))),
            };
            return Poll::Ready(next);
        }
    }

    /// Returns an event if one is complete.
    fn split(&mut self) -> Result<Option<Bytes>, BrokenBody> {
        while self.chunk.has_remaining() {
            let (length, is_complete) = self.next_part();
            if self.event.len() + length > self.event_bytes_max {
                return Err(BrokenBody(
                    "an event is longer than limits.maxBufferedSize".into(),
                ));
            }
            let part = self.chunk.chunk().get(..length).unwrap_or_default();
            self.event.extend_from_slice(part);
            self.chunk.advance(length);
            if is_complete {
                return Ok(Some(self.take_event()));
            }
        }
        Ok(None)
    }

    /// Returns how many of the received bytes belong to the current event, as far as they are
    /// contiguous, and whether they complete it.
    fn next_part(&self) -> (usize, bool) {
        let chunk = self.chunk.chunk();
        if self.delimiter == Delimiter::Newline {
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            return newline.map_or((chunk.len(), false), |at| (at + 1, true));
        }
        let length = self.event.first_chunk::<LENGTH_BYTES>();
        let whole = length.map_or(LENGTH_BYTES, |length| {
            let length = usize::try_from(u32::from_be_bytes(*length));
            LENGTH_BYTES.saturating_add(length.unwrap_or(usize::MAX))
        });
        let missing = whole - self.event.len();
        let is_complete = length.is_some() && missing <= chunk.len();
        (missing.min(chunk.len()), is_complete)
    }

    /// Takes the whole buffer, so that an idle watch keeps no memory.
    fn take_event(&mut self) -> Bytes {
        let mut event = std::mem::take(&mut self.event).freeze();
        if self.delimiter == Delimiter::Length {
            event.advance(LENGTH_BYTES);
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::body::ChunkSource;

    /// A body of these chunks; an empty one breaks off.
    struct Chunks(VecDeque<&'static str>);

    impl ChunkSource for Chunks {
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Output, BrokenBody>>> {
            Poll::Ready(self.0.pop_front().map(|chunk| match chunk {
                "" => Err(BrokenBody("broken off".into())),
                chunk => Ok(Bytes::from(chunk).into()),
            }))
        }
    }

    async fn events(chunks: &[&'static str]) -> Vec<Result<String, String>> {
        delimited(Delimiter::Newline, chunks).await
    }

    async fn delimited(
        delimiter: Delimiter,
        chunks: &[&'static str],
    ) -> Vec<Result<String, String>> {
        let chunks = Chunks(chunks.iter().copied().collect());
        let mut events = Events::new(ReplyBody::streamed(chunks), delimiter, 8);
        let mut all = Vec::new();
        while let Some(event) = events.next().await {
            let event = event.map(|bytes| String::from_utf8(bytes.into()).unwrap());
            all.push(event.map_err(|broken| broken.0));
            if all.last().is_some_and(Result::is_err) {
                break;
            }
        }
        all
    }

    #[tokio::test]
    async fn newline_delimited_events_are_reassembled_from_any_chunks() {
        for chunks in [
            &["{1}\n{2}\n{3}\n"][..],
            &["{1}\n", "{2}\n", "{3}\n"],
            &["{", "1}", "\n", "{2", "}\n{3", "}\n"],
            &["{1", "}\n{2}\n{", "3}\n"],
        ] {
            let whole = ["{1}\n", "{2}\n", "{3}\n"].map(|event| Ok(event.to_owned()));
            assert_eq!(events(chunks).await, whole, "{chunks:?}");
        }
        assert_eq!(
            events(&["{1}\n{2}"]).await,
            [Ok("{1}\n".to_owned()), Ok("{2}".to_owned())]
        );
        assert!(events(&[]).await.is_empty());
    }

    #[tokio::test]
    async fn incomplete_event_of_broken_body_is_not_returned() {
        assert_eq!(
            events(&["{1}\n{2", ""]).await,
            [Ok("{1}\n".to_owned()), Err("broken off".to_owned())]
        );
    }

    #[tokio::test]
    async fn event_longer_than_limit_breaks_the_watch() {
        assert_eq!(events(&["{12345}\n"]).await, [Ok("{12345}\n".to_owned())]);
        for chunks in [&["{1}\n{123456}\n"][..], &["{1}\n{123", "4567", "}"]] {
            let events = events(chunks).await;
            assert_eq!(events.len(), 2, "{events:?}");
            let broken = events[1].as_ref().unwrap_err();
            assert!(broken.contains("maxBufferedSize"), "{broken}");
        }
    }

    #[tokio::test]
    async fn length_delimited_events_are_reassembled_from_any_chunks() {
        for chunks in [
            &["\0\0\0\x031\n3\0\0\0\x01a\0\0\0\x04\0\0\0\x01"][..],
            &["\0\0\0\x031\n3", "\0\0\0\x01a", "\0\0\0\x04\0\0\0\x01"],
            &[
                "\0\0",
                "\0\x03",
                "1",
                "\n",
                "3\0",
                "\0\0\x01",
                "a\0\0\0",
                "\x04\0\0\0",
                "\x01",
            ],
        ] {
            let whole = ["1\n3", "a", "\0\0\0\x01"].map(|event| Ok(event.to_owned()));
            assert_eq!(
                delimited(Delimiter::Length, chunks).await,
                whole,
                "{chunks:?}"
            );
        }
        assert!(delimited(Delimiter::Length, &[]).await.is_empty());
    }

    #[tokio::test]
    async fn short_or_too_long_length_delimited_event_breaks_the_watch() {
        for (chunks, why) in [
            (&["\0\0\0\x02a"][..], "shorter"),
            (&["\0\0\0"], "shorter"),
            (&["\0\0\0\x02a", ""], "broken off"),
            (&["\0\0\0\x0512345"], "maxBufferedSize"),
            (&["\x7f\x7f\x7f\x7f12345"], "maxBufferedSize"),
        ] {
            let events = delimited(Delimiter::Length, chunks).await;
            let broken = events[0].as_ref().unwrap_err();
            assert!(events.len() == 1 && broken.contains(why), "{events:?}");
        }
    }

    #[test]
    fn length_prefix_is_big_endian() {
        assert_eq!(with_length(&[b'x'; 258]).unwrap()[..5], *b"\0\0\x01\x02x");
    }
}
