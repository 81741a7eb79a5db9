//! Response bodies as the serving side sends them: whole, or streamed in chunks.
//!
//! [`ReplyBody`] is the only [`Body`] here. Everything that streams implements [`ChunkSource`],
//! which has one method to write instead of the three of a `Body`.

pub mod events;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use json_rewrite::Output;

/// Largest payload in bytes of a frame to the client. With its header of 9 bytes, such a frame fills one
/// TLS record.
///
/// Chunks are copied into one frame. Otherwise h2 would write at most 16 of them at a time, and every
/// write is a TLS record and a system call.
pub const FRAME_BYTES_MAX: usize = (16 << 10) - 9;

/// The failure of a body that ended early. The stream is then reset, so that the client does not
/// mistake the received part for the whole body.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BrokenBody(pub String);

/// The chunks of a body, in order.
pub trait ChunkSource: Send {
    /// Returns the next chunk, `None` at the end, or an error if the body was interrupted.
    ///
    /// After an error nothing else is polled.
    fn poll_chunk(&mut self, context: &mut Context<'_>)
    -> Poll<Option<Result<Output, BrokenBody>>>;

    /// Returns whether the end is known without another poll. `false` is always correct.
    fn is_finished(&self) -> bool {
        false
    }

    /// Returns how many bytes are left, if that is known.
    fn bytes_left(&self) -> Option<usize> {
        None
    }
}

/// A response body.
pub enum ReplyBody {
    /// All bytes are known; `None` once they were sent.
    Whole(Option<Bytes>),
    /// Sent while it arrives.
    Streamed(Box<dyn ChunkSource>),
}

impl ReplyBody {
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }

    pub fn streamed(source: impl ChunkSource + 'static) -> Self {
        Self::Streamed(Box::new(source))
    }

    /// Returns a body of these bytes, which were made from this body.
    ///
    /// It keeps what this body owns, such as the permit of the request, until it is sent.
    pub fn replaced_by(self, bytes: Bytes) -> Self {
        Self::streamed(Replacement {
            bytes: (!bytes.is_empty()).then_some(bytes),
            _original: self,
        })
    }

    /// Returns the next chunk, `None` at the end, or an error if the body was interrupted.
    pub fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, BrokenBody>>> {
        match self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(bytes.into()))),
            Self::Streamed(source) => source.poll_chunk(context),
        }
    }

    /// Reads this body into memory until it ends or is longer than `bytes_max`.
    ///
    /// # Errors
    /// The body was interrupted.
    pub async fn buffer(&mut self, bytes_max: usize) -> Result<Buffered, BrokenBody> {
        let mut buffered = BytesMut::new();
        while buffered.len() <= bytes_max {
            match poll_fn(|context| self.poll_chunk(context)).await {
                Some(chunk) => buffered.put(chunk?),
                None => return Ok(Buffered::Whole(buffered.freeze())),
            }
        }
        Ok(Buffered::Prefix(buffered.freeze()))
    }
}

/// The result of [`ReplyBody::buffer`].
pub enum Buffered {
    Whole(Bytes),
    /// The first bytes, more than the limit. The body has not ended.
    Prefix(Bytes),
}

impl Body for ReplyBody {
    type Data = Output;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, BrokenBody>>> {
        let chunk = self.get_mut().poll_chunk(context);
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed(source) => source.is_finished(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let bytes_left = match self {
            Self::Whole(bytes) => Some(bytes.as_ref().map_or(0, Bytes::len)),
            Self::Streamed(source) => source.bytes_left(),
        };
        bytes_left.map_or_else(SizeHint::default, |bytes| {
            SizeHint::with_exact(bytes as u64)
        })
    }
}

/// Bytes that replace a body, and the original body.
struct Replacement {
    bytes: Option<Bytes>,
    _original: ReplyBody,
}

impl ChunkSource for Replacement {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Output, BrokenBody>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(bytes.into())))
    }

    fn is_finished(&self) -> bool {
        self.bytes.is_none()
    }

    fn bytes_left(&self) -> Option<usize> {
        Some(self.bytes.as_ref().map_or(0, Bytes::len))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A source with chunks of ten bytes that counts how often it is dropped.
    struct TenTimes {
        chunks_left: usize,
        drops: Arc<AtomicUsize>,
    }

    impl ChunkSource for TenTimes {
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Output, BrokenBody>>> {
            let chunk = Bytes::from_static(b"0123456789");
            Poll::Ready(self.chunks_left.checked_sub(1).map(|left| {
                self.chunks_left = left;
                Ok(chunk.into())
            }))
        }
    }

    impl Drop for TenTimes {
        fn drop(&mut self) {
            self.drops.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn body(chunks_left: usize) -> (ReplyBody, Arc<AtomicUsize>) {
        let drops = Arc::<AtomicUsize>::default();
        let source = TenTimes {
            chunks_left,
            drops: Arc::clone(&drops),
        };
        (ReplyBody::streamed(source), drops)
    }

    #[tokio::test]
    async fn buffering_stops_once_the_limit_is_exceeded() {
        for (limit, whole, length) in [(20, true, 20), (19, false, 20), (5, false, 10)] {
            let (mut body, _drops) = body(2);
            let (is_whole, bytes) = match body.buffer(limit).await.unwrap() {
                Buffered::Whole(bytes) => (true, bytes),
                Buffered::Prefix(bytes) => (false, bytes),
            };
            assert_eq!((is_whole, bytes.len()), (whole, length), "{limit}");
        }
    }

    #[tokio::test]
    async fn replacement_has_exact_length_and_keeps_original_until_dropped() {
        let (original, drops) = body(0);
        let replaced = original.replaced_by(Bytes::from_static(b"new"));
        assert_eq!(replaced.size_hint().exact(), Some(3));
        assert!(!replaced.is_end_stream());
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        drop(replaced);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
}
