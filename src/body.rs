//! Response bodies as the serving side sends them: whole, or streamed as pieces.

pub mod events;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::rewrite::Output;

/// Bytes of a frame towards the client: with its header of 9 bytes one TLS record. Pieces are copied
/// into one, since h2 writes at most 16 of them at a time, and every write is a record and a call of
/// the kernel.
pub const FRAME_BYTES_MAX: usize = (16 << 10) - 9;

/// A body broke off; the stream is reset, so that the client can't take what it has for the whole.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

type Streamed = Pin<Box<dyn Body<Data = Output, Error = Broken> + Send>>;

/// A response body.
pub enum ReplyBody {
    /// Known as a whole; `None` once it was sent.
    Whole(Option<Bytes>),
    /// Sent as it comes.
    Streamed(Streamed),
}

impl ReplyBody {
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }

    pub fn streamed(body: impl Body<Data = Output, Error = Broken> + Send + 'static) -> Self {
        Self::Streamed(Box::pin(body))
    }
}

impl Body for ReplyBody {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b.into())))),
            Self::Streamed(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Streamed(body) => body.size_hint(),
        }
    }
}
