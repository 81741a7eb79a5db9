//! Compresses bodies above 128 KiB for the client, at the fastest level, like kube-apiserver
//! (`apiserver/pkg/endpoints/handlers/responsewriters/writers.go`).
//!
//! Watches are never compressed. kube-apiserver compresses WatchLists since 1.37. Here that would be
//! wasted: the aggregator always requests gzip, and decompresses it if its client does not accept it.
//!
//! The first 128 KiB are buffered, because the headers depend on the length. A longer body streams.

use std::io::Write;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue};

use crate::body::{BrokenBody, Buffered, ChunkSource, FRAME_BYTES_MAX, ReplyBody};
use json_rewrite::Output;

/// Size in bytes above which a body is compressed.
const THRESHOLD_BYTES: usize = 128 << 10;

/// Compresses a body if it is large, and sets the headers.
///
/// # Errors
/// The body was interrupted within the buffered part.
pub(super) async fn compress_if_large(
    mut body: ReplyBody,
    headers: &mut HeaderMap,
) -> Result<ReplyBody, BrokenBody> {
    match body.buffer(THRESHOLD_BYTES).await? {
        Buffered::Whole(bytes) => Ok(body.replaced_by(bytes)),
        Buffered::Prefix(beginning) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
            Ok(ReplyBody::streamed(Gzip::new(beginning, body)))
        }
    }
}

struct Gzip {
    /// The buffered part, until it is compressed.
    beginning: Option<Output>,
    body: ReplyBody,
    encoder: GzEncoder<bytes::buf::Writer<BytesMut>>,
    /// Compressed bytes that were not sent yet.
    compressed: BytesMut,
    has_ended: bool,
}

impl Gzip {
    /// Compresses `beginning`, then the rest of the body in `body`.
    fn new(beginning: Bytes, body: ReplyBody) -> Self {
        Self {
            beginning: Some(beginning.into()),
            body,
            encoder: GzEncoder::new(BytesMut::new().writer(), Compression::fast()),
            compressed: BytesMut::new(),
            has_ended: false,
        }
    }

    fn write(&mut self, mut chunk: Output) -> std::io::Result<()> {
        while chunk.has_remaining() {
            let contiguous = chunk.chunk();
            self.encoder.write_all(contiguous)?;
            let length = contiguous.len();
            chunk.advance(length);
        }
        self.take_compressed();
        Ok(())
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.has_ended = true;
        self.encoder.try_finish()?;
        self.take_compressed();
        Ok(())
    }

    fn take_compressed(&mut self) {
        let compressed = self.encoder.get_mut().get_mut().split();
        self.compressed.unsplit(compressed);
    }

    /// Returns a full frame, or the remaining bytes at the end.
    fn next_frame(&mut self) -> Option<Bytes> {
        let length = self.compressed.len().min(FRAME_BYTES_MAX);
        let is_due = length == FRAME_BYTES_MAX || self.has_ended && length > 0;
        is_due.then(|| self.compressed.split_to(length).freeze())
    }
}

impl ChunkSource for Gzip {
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, BrokenBody>>> {
        loop {
            if let Some(frame) = self.next_frame() {
                return Poll::Ready(Some(Ok(frame.into())));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            let next = match self.beginning.take() {
                Some(beginning) => Some(Ok(beginning)),
                None => ready!(self.body.poll_chunk(context)),
            };
            let written = match next {
                Some(Ok(chunk)) => self.write(chunk),
                Some(Err(broken)) => {
                    // The client must not receive an interrupted body as a complete one.
                    self.has_ended = true;
                    self.compressed.clear();
                    return Poll::Ready(Some(Err(broken)));
                }
                None => self.finish(),
            };
            written.map_err(|error| BrokenBody(error.to_string()))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn only_large_bodies_are_compressed() {
        for (length, is_compressed) in [(THRESHOLD_BYTES, false), (THRESHOLD_BYTES + 1, true)] {
            let plain = Bytes::from(vec![b'a'; length]);
            let mut headers = HeaderMap::new();
            let body = compress_if_large(ReplyBody::whole(plain.clone()), &mut headers).await;
            let sent = body.unwrap().collect().await.unwrap().to_bytes();
            assert_eq!(headers.contains_key(CONTENT_ENCODING), is_compressed);
            assert_eq!(headers.contains_key(VARY), is_compressed);
            let mut received = Vec::new();
            match is_compressed {
                true => GzDecoder::new(&sent[..])
                    .read_to_end(&mut received)
                    .unwrap(),
                false => (&sent[..]).read_to_end(&mut received).unwrap(),
            };
            assert_eq!(received, plain);
        }
    }
}
