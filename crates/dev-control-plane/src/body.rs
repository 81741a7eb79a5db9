//! Response bodies: complete, streamed, or truncated by a fault.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::faults::AfterCut;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Maximum length in bytes of a body with a Content-Length. Larger bodies have none, like kube-apiserver's
/// lists.
const SIZED_BYTES_MAX: usize = 64 * 1024;

/// Approximate size in bytes of the frames into which the pieces of a large body are joined.
const FRAME_BYTES: usize = 16 * 1024;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    let full = Full::new(bytes.into());
    full.map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body of complete pieces.
pub(crate) fn pieces(pieces: Vec<Bytes>) -> Body {
    let len: usize = pieces.iter().map(Bytes::len).sum();
    if len <= SIZED_BYTES_MAX {
        return full(pieces.concat());
    }
    let mut pieces = pieces.into_iter().peekable();
    let frames = std::iter::from_fn(move || {
        let first = pieces.next()?;
        if first.len() >= FRAME_BYTES {
            return Some(first);
        }
        let mut frame = BytesMut::from(first.as_ref());
        while let Some(piece) = pieces.next_if(|_| frame.len() < FRAME_BYTES) {
            frame.extend_from_slice(&piece);
        }
        Some(frame.freeze())
    });
    let frames = frames.map(|frame| Ok(Frame::data(frame)));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// Returns a body that streams the messages of a channel. The sender fails once the client has closed the
/// connection.
pub(crate) fn stream(receiver: mpsc::Receiver<Bytes>) -> Body {
    let frames = stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok(Frame::data(bytes)), receiver))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Sends the first `bytes_max` bytes of a body, and then ends it as `then` requires.
pub(crate) fn cut(body: Body, bytes_max: usize, then: AfterCut) -> Body {
    let frames = stream::unfold((body, bytes_max), move |(mut body, left)| async move {
        if left == 0 {
            return match then {
                AfterCut::End => None,
                AfterCut::Reset => Some((Err(io::Error::other("cut by a fault")), (body, left))),
                AfterCut::Silence => std::future::pending().await,
            };
        }
        let frame = body.frame().await?;
        let frame = frame.map(|frame| {
            let mut data = frame.into_data().unwrap_or_default();
            data.truncate(left);
            data
        });
        let sent = frame.as_ref().map_or(0, Bytes::len);
        Some((frame.map(Frame::data), (body, left - sent)))
    });
    StreamBody::new(frames).boxed_unsync()
}
