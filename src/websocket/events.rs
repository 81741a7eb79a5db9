//! The events of a watch's body, one by one.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::body::{Broken, ReplyBody};
use crate::rewrite::Output;

/// Cuts a body behind each newline: kube-apiserver writes one behind each event and none within
/// (`apimachinery/pkg/runtime/serializer/json/json.go`, `Encode`), and puts it into the message. An
/// event becomes one frame, since clients of golang.org/x/net/websocket take a frame for a message.
pub(super) struct Events {
    body: ReplyBody,
    /// What came and was not cut yet.
    piece: Output,
    /// The beginning of an event, at most `bytes_max`.
    event: BytesMut,
    bytes_max: usize,
}

impl Events {
    pub(super) fn new(body: ReplyBody, bytes_max: usize) -> Self {
        Self {
            body,
            piece: Output::default(),
            event: BytesMut::new(),
            bytes_max,
        }
    }

    /// The next event, or `None` at the end of the watch. Loses nothing when it is dropped.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            if let Some(event) = self.cut().transpose() {
                return Some(event);
            }
            match self.body.frame().await {
                // Trailers say nothing.
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                Some(Err(broken)) => return Some(Err(broken)),
                // A body that does not break off ends with a whole event, newline or not.
                None if self.event.is_empty() => return None,
                None => return Some(Ok(self.take())),
            }
        }
    }

    /// An event that is whole.
    fn cut(&mut self) -> Result<Option<Bytes>, Broken> {
        while self.piece.has_remaining() {
            let mut lines = self.piece.chunk().split_inclusive(|byte| *byte == b'\n');
            let line = lines.next().unwrap_or_default();
            let (length, is_whole) = (line.len(), line.ends_with(b"\n"));
            if self.event.len() + length > self.bytes_max {
                return Err(Broken("an event is longer than limits.heldBytesMax".into()));
            }
            self.event.extend_from_slice(line);
            self.piece.advance(length);
            if is_whole {
                return Ok(Some(self.take()));
            }
        }
        Ok(None)
    }

    /// A watch that says nothing keeps nothing.
    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.event).freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::{Body, Frame};

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
        let pieces = Pieces(pieces.iter().copied().collect());
        let mut events = Events::new(ReplyBody::streamed(pieces), 8);
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
}
