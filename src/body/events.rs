//! The events of a watch's body, one by one.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;

use super::{Broken, ReplyBody};
use crate::rewrite::Output;

/// How events are told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delimiter {
    /// JSON. kube-apiserver writes a newline behind each event and none within
    /// (`apimachinery/pkg/runtime/serializer/json/json.go`, `Encode`); it belongs to the event.
    Newline,
    /// Protobuf. Before each event stand so many bytes of its length, the highest first
    /// (`apimachinery/pkg/util/framer/framer.go`).
    Length,
}

/// Bytes of a length before an event.
const LENGTH_BYTES: usize = 4;

/// An event behind its length; `None` if it is too long for one.
pub fn with_length(event: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(event.len()).ok()?;
    Some([&length.to_be_bytes(), event].concat())
}

/// Cuts a body into its events, which are held until they are whole.
pub struct Events {
    body: ReplyBody,
    delimiter: Delimiter,
    /// What came and was not cut yet.
    piece: Output,
    /// The beginning of an event, at most `bytes_max`.
    event: BytesMut,
    bytes_max: usize,
}

impl Events {
    pub fn new(body: ReplyBody, delimiter: Delimiter, bytes_max: usize) -> Self {
        Self {
            body,
            delimiter,
            piece: Output::default(),
            event: BytesMut::new(),
            bytes_max,
        }
    }

    /// The next event, or `None` at the end of the watch. Loses nothing when it is dropped.
    pub async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            if let Some(event) = self.cut().transpose() {
                return Poll::Ready(Some(event));
            }
            let next = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                // Trailers say nothing.
                Some(Ok(frame)) => {
                    self.piece = frame.into_data().unwrap_or_default();
                    continue;
                }
                Some(Err(broken)) => Some(Err(broken)),
                None if self.event.is_empty() => None,
                // A body that does not break off ends with a whole event, newline or not.
                None if self.delimiter == Delimiter::Newline => Some(Ok(self.take())),
                None => Some(Err(Broken("an event is shorter than its length".into()))),
            };
            return Poll::Ready(next);
        }
    }

    /// An event that is whole.
    fn cut(&mut self) -> Result<Option<Bytes>, Broken> {
        while self.piece.has_remaining() {
            let (length, is_whole) = self.part();
            if self.event.len() + length > self.bytes_max {
                return Err(Broken("an event is longer than limits.heldBytesMax".into()));
            }
            let part = self.piece.chunk().get(..length).unwrap_or_default();
            self.event.extend_from_slice(part);
            self.piece.advance(length);
            if is_whole {
                return Ok(Some(self.take()));
            }
        }
        Ok(None)
    }

    /// How many bytes of what came belong to the event in hand, as far as they lie together, and whether
    /// it is whole with them.
    fn part(&self) -> (usize, bool) {
        let chunk = self.piece.chunk();
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
        let is_whole = length.is_some() && missing <= chunk.len();
        (missing.min(chunk.len()), is_whole)
    }

    /// A watch that says nothing keeps nothing.
    fn take(&mut self) -> Bytes {
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

    use http_body::Frame;

    use super::*;

    /// A body of these pieces; an empty one breaks off.
    struct Pieces(VecDeque<&'static str>);

    impl Body for Pieces {
        type Data = Output;
        type Error = Broken;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
            Poll::Ready(self.0.pop_front().map(|piece| match piece {
                "" => Err(Broken("broken off".into())),
                piece => Ok(Frame::data(Bytes::from(piece).into())),
            }))
        }
    }

    async fn events(pieces: &[&'static str]) -> Vec<Result<String, String>> {
        delimited(Delimiter::Newline, pieces).await
    }

    async fn delimited(
        delimiter: Delimiter,
        pieces: &[&'static str],
    ) -> Vec<Result<String, String>> {
        let pieces = Pieces(pieces.iter().copied().collect());
        let mut events = Events::new(ReplyBody::streamed(pieces), delimiter, 8);
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
    async fn events_are_whole_however_they_come() {
        for pieces in [
            &["{1}\n{2}\n{3}\n"][..],
            &["{1}\n", "{2}\n", "{3}\n"],
            &["{", "1}", "\n", "{2", "}\n{3", "}\n"],
            &["{1", "}\n{2}\n{", "3}\n"],
        ] {
            let whole = ["{1}\n", "{2}\n", "{3}\n"].map(|event| Ok(event.to_owned()));
            assert_eq!(events(pieces).await, whole, "{pieces:?}");
        }
        assert_eq!(
            events(&["{1}\n{2}"]).await,
            [Ok("{1}\n".to_owned()), Ok("{2}".to_owned())]
        );
        assert!(events(&[]).await.is_empty());
    }

    #[tokio::test]
    async fn the_beginning_of_an_event_is_never_taken_for_a_whole() {
        assert_eq!(
            events(&["{1}\n{2", ""]).await,
            [Ok("{1}\n".to_owned()), Err("broken off".to_owned())]
        );
    }

    #[tokio::test]
    async fn an_event_beyond_the_bound_ends_the_watch() {
        assert_eq!(events(&["{12345}\n"]).await, [Ok("{12345}\n".to_owned())]);
        for pieces in [&["{1}\n{123456}\n"][..], &["{1}\n{123", "4567", "}"]] {
            let events = events(pieces).await;
            assert_eq!(events.len(), 2, "{events:?}");
            let broken = events[1].as_ref().unwrap_err();
            assert!(broken.contains("heldBytesMax"), "{broken}");
        }
    }

    #[tokio::test]
    async fn events_behind_their_lengths_are_whole_however_they_come() {
        for pieces in [
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
                delimited(Delimiter::Length, pieces).await,
                whole,
                "{pieces:?}"
            );
        }
        assert!(delimited(Delimiter::Length, &[]).await.is_empty());
    }

    #[tokio::test]
    async fn an_event_that_is_shorter_than_its_length_or_too_long_is_none() {
        for (pieces, why) in [
            (&["\0\0\0\x02a"][..], "shorter"),
            (&["\0\0\0"], "shorter"),
            (&["\0\0\0\x02a", ""], "broken off"),
            (&["\0\0\0\x0512345"], "heldBytesMax"),
            (&["\x7f\x7f\x7f\x7f12345"], "heldBytesMax"),
        ] {
            let events = delimited(Delimiter::Length, pieces).await;
            let broken = events[0].as_ref().unwrap_err();
            assert!(events.len() == 1 && broken.contains(why), "{events:?}");
        }
    }

    #[test]
    fn a_length_is_written_as_it_is_read() {
        assert_eq!(with_length(&[b'x'; 258]).unwrap()[..5], *b"\0\0\x01\x02x");
    }
}
