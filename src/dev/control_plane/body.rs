//! Response bodies: pieces known beforehand, or a stream, possibly broken off by a fault.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

use super::faults::AfterCut;

pub(crate) struct Body {
    source: Source,
    cut: Option<Cut>,
}

enum Source {
    Pieces(VecDeque<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
}

struct Cut {
    remaining: usize,
    then: AfterCut,
}

/// Bodies beyond this have no Content-Length, as kube-apiserver's lists have none.
const SIZED_MAX: u64 = 64 * 1024;

/// Pieces are gathered into frames of about this size.
const FRAME_LEN: usize = 16 * 1024;

impl Body {
    pub(crate) fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self {
            source: Source::Pieces(pieces.into_iter().collect()),
            cut: None,
        }
    }

    pub(crate) fn stream(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self {
            source: Source::Stream(receiver),
            cut: None,
        }
    }

    /// Lets `bytes` pass, and then does what `then` says.
    pub(crate) fn cut_after(&mut self, bytes: usize, then: AfterCut) {
        self.cut = Some(Cut {
            remaining: bytes,
            then,
        });
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::pieces([bytes.into()])
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(Cut { remaining: 0, then }) = &self.cut {
            return match then {
                AfterCut::End => Poll::Ready(None),
                AfterCut::Reset => Poll::Ready(Some(Err(io::Error::other("cut by a fault")))),
                AfterCut::Silence => Poll::Pending,
            };
        }
        let next = match &mut self.source {
            Source::Pieces(pieces) => next_frame(pieces),
            Source::Stream(receiver) => match receiver.poll_recv(context) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
        };
        let Some(mut bytes) = next else {
            return Poll::Ready(None);
        };
        if let Some(cut) = &mut self.cut {
            bytes.truncate(cut.remaining);
            cut.remaining -= bytes.len();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && matches!(&self.source, Source::Pieces(pieces) if pieces.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Pieces(pieces) if self.cut.is_none() => {
                let len = pieces.iter().map(|piece| piece.len() as u64).sum();
                if len <= SIZED_MAX {
                    SizeHint::with_exact(len)
                } else {
                    SizeHint::default()
                }
            }
            _ => SizeHint::default(),
        }
    }
}

fn next_frame(pieces: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let first = pieces.pop_front()?;
    if first.len() >= FRAME_LEN || pieces.is_empty() {
        return Some(first);
    }
    let mut frame = BytesMut::from(first.as_ref());
    while frame.len() < FRAME_LEN {
        let Some(piece) = pieces.pop_front() else {
            break;
        };
        frame.extend_from_slice(&piece);
    }
    Some(frame.freeze())
}
