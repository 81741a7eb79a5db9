//! gzip towards the client, as kube-apiserver has it: at the fastest level, above 128 KiB, never a
//! watch (`apiserver/pkg/endpoints/handlers/responsewriters/writers.go`). A WatchList neither, though
//! it is from 1.37 on: the aggregator asks for gzip whether its client does or not, and would only
//! unpack every one of them again.
//!
//! Up to that size a body is held, since its headers say how it comes; beyond it streams.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::body::{Broken, FRAME_BYTES_MAX, ReplyBody};
use crate::rewrite::Output;

/// Bytes beyond which a body is compressed.
const THRESHOLD_BYTES: usize = 128 << 10;

/// Whether the client takes gzip; weights count as little as for kube-apiserver.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING);
    accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|token| token.trim() == "gzip"))
}

/// A body, and how it comes.
pub(super) enum Encoded {
    Gzip(ReplyBody),
    Identity(ReplyBody),
}

/// Compresses a body that is large.
///
/// # Errors
/// The body broke off before anything of it was sent.
pub(super) async fn compress(mut body: ReplyBody) -> Result<Encoded, Broken> {
    let mut held = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            held.put(data);
        }
        if held.len() > THRESHOLD_BYTES {
            let gzip = Gzip {
                waits: Some(held.freeze().into()),
                body,
                encoder: GzEncoder::new(BytesMut::new().writer(), Compression::fast()),
                packed: BytesMut::new(),
                has_ended: false,
            };
            return Ok(Encoded::Gzip(ReplyBody::streamed(gzip)));
        }
    }
    let bytes = Some(held.freeze()).filter(|bytes| !bytes.is_empty());
    Ok(Encoded::Identity(ReplyBody::streamed(Whole {
        bytes,
        _body: body,
    })))
}

/// A body that has been read, and what it held on to while it was not sent.
pub(super) struct Whole {
    pub(super) bytes: Option<Bytes>,
    pub(super) _body: ReplyBody,
}

impl Body for Whole {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

struct Gzip {
    /// What was read and not compressed yet.
    waits: Option<Output>,
    body: ReplyBody,
    encoder: GzEncoder<bytes::buf::Writer<BytesMut>>,
    /// What was compressed and has not left yet.
    packed: BytesMut,
    has_ended: bool,
}

impl Gzip {
    fn write(&mut self, mut piece: Output) -> std::io::Result<()> {
        while piece.has_remaining() {
            let chunk = piece.chunk();
            self.encoder.write_all(chunk)?;
            let length = chunk.len();
            piece.advance(length);
        }
        self.take_packed();
        Ok(())
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.has_ended = true;
        self.encoder.try_finish()?;
        self.take_packed();
        Ok(())
    }

    fn take_packed(&mut self) {
        let packed = self.encoder.get_mut().get_mut().split();
        self.packed.unsplit(packed);
    }

    /// What is to leave now: a full frame, or what is left at the end.
    fn frame(&mut self) -> Option<Bytes> {
        let length = self.packed.len().min(FRAME_BYTES_MAX);
        let leaves = length == FRAME_BYTES_MAX || self.has_ended && length > 0;
        leaves.then(|| self.packed.split_to(length).freeze())
    }
}

impl Body for Gzip {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.frame() {
                return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
            }
            if this.has_ended {
                return Poll::Ready(None);
            }
            let next = match this.waits.take() {
                Some(piece) => Some(Ok(Frame::data(piece))),
                None => ready!(Pin::new(&mut this.body).poll_frame(context)),
            };
            let packed = match next {
                Some(Ok(frame)) => this.write(frame.into_data().unwrap_or_default()),
                Some(Err(broken)) => {
                    // Never may a body that broke off get the end of one that is whole.
                    this.has_ended = true;
                    this.packed.clear();
                    return Poll::Ready(Some(Err(broken)));
                }
                None => this.finish(),
            };
            packed.map_err(|error| Broken(error.to_string()))?;
        }
    }
}
