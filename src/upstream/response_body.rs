//! Bodies of responses, decompressed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::task::coop;

use super::content_encoding::ContentEncoding;
use super::gunzip::{Gunzip, GunzipError, Step};
use super::pool::StreamPermit;

/// The reason why a response body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the response was interrupted: {0}")]
    Interrupted(#[from] hyper::Error),
    #[error("the response cannot be decompressed: {0}")]
    Gzip(#[from] GunzipError),
    #[error("the response has the encoding {0:?}, which the request does not accept")]
    UnknownEncoding(String),
}

/// The body of a response, decompressed. Returns the stream's permit when it ends or is dropped.
pub struct ResponseBody {
    received: ReceivedBody,
    encoding: ContentEncoding,
}

/// The body as it arrives.
struct ReceivedBody {
    incoming: Incoming,
    permit: Option<StreamPermit>,
}

impl ResponseBody {
    /// Wraps the body of a response. Removes the headers about its encoding.
    pub(super) fn new(incoming: Incoming, permit: StreamPermit, headers: &mut HeaderMap) -> Self {
        let permit = (!incoming.is_end_stream()).then_some(permit);
        Self {
            received: ReceivedBody { incoming, permit },
            encoding: ContentEncoding::take(headers),
        }
    }

    /// Checks that the body can be read.
    ///
    /// # Errors
    /// The encoding is unknown.
    pub fn check_encoding(&self) -> Result<(), BodyError> {
        match &self.encoding {
            ContentEncoding::Identity | ContentEncoding::Gzip(_) => Ok(()),
            ContentEncoding::Unknown(name) => Err(BodyError::UnknownEncoding(name.clone())),
        }
    }
}

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.permit = None;
        }
        polled.map_err(BodyError::Interrupted)
    }
}

/// Polls the next frame of a gzip body, decompressed.
fn poll_decompressed(
    compressed: &mut (impl Body<Data = Bytes, Error = BodyError> + Unpin),
    gunzip: &mut Gunzip,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    loop {
        // A few bytes can decompress to very many without waiting for the network. Each step uses the
        // task's budget, so that other tasks of the thread can run.
        let budget = ready!(coop::poll_proceed(context));
        match gunzip.step()? {
            Step::Plain(bytes) => {
                budget.made_progress();
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
            }
            Step::NeedInput => match ready!(Pin::new(&mut *compressed).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => gunzip.feed(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    gunzip.finish()?;
                    return Poll::Ready(None);
                }
            },
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match &mut this.encoding {
            ContentEncoding::Identity => Pin::new(&mut this.received).poll_frame(context),
            ContentEncoding::Gzip(gunzip) => poll_decompressed(&mut this.received, gunzip, context),
            ContentEncoding::Unknown(name) => {
                Poll::Ready(Some(Err(BodyError::UnknownEncoding(name.clone()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.encoding, ContentEncoding::Identity) && self.received.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.encoding {
            ContentEncoding::Identity => self.received.incoming.size_hint(),
            ContentEncoding::Gzip(_) | ContentEncoding::Unknown(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    /// tokio lets a task take 128 steps before it must yield.
    #[tokio::test]
    async fn decompression_bomb_yields_to_other_tasks() {
        const PLAIN_BYTES: usize = 9 << 20;
        let mut compressed =
            Full::new(gzip(&vec![b' '; PLAIN_BYTES])).map_err(|never| match never {});
        let mut gunzip = Gunzip::new();
        let (mut total, mut most, mut is_over) = (0, 0, false);
        while !is_over {
            let mut in_one_poll = 0;
            poll_fn(|context| {
                in_one_poll = 0;
                loop {
                    match poll_decompressed(&mut compressed, &mut gunzip, context) {
                        Poll::Ready(Some(frame)) => {
                            in_one_poll += frame.unwrap().into_data().unwrap().len();
                        }
                        Poll::Ready(None) => {
                            is_over = true;
                            return Poll::Ready(());
                        }
                        Poll::Pending => return Poll::Ready(()),
                    }
                }
            })
            .await;
            (total, most) = (total + in_one_poll, most.max(in_one_poll));
            tokio::task::yield_now().await;
        }
        assert_eq!(total, PLAIN_BYTES);
        assert!(most <= 4 << 20, "{most} bytes in one poll");
    }
}
