//! A stream that sends all writes of one poll with one system call.
//!
//! h2 flushes after every DATA frame of 16 KiB, and rustls writes after every record. Each write would be
//! a system call and a pass through the TCP stack. So the writes of one poll are buffered, and sent when
//! the poll returns. The buffer is bounded by [`BUFFER_BYTES_MAX`].
//!
//! `tokio::io::BufWriter` does not fit: it sends on every flush, and h2 flushes after every frame.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Largest size of the buffer in bytes.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// A stream whose writes are sent at the end of each poll of the future that runs within
/// [`coalesce`](Self::coalesce).
///
/// Only that future may write to it. Tasks that the future spawns, as hyper's clients do, may not: their
/// writes would never be sent. Clones share the stream.
#[derive(Debug)]
pub(super) struct CoalescedStream<S>(Arc<Mutex<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    stream: S,
    buffer: Vec<u8>,
    /// Bytes at the beginning of `buffer` that have been sent.
    sent: usize,
    /// Whether something was written since the last poll ended.
    written: bool,
    /// The failure of a send at the end of a poll; the next write returns it.
    failure: Option<io::Error>,
}

impl<S> Clone for CoalescedStream<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> CoalescedStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream,
            buffer: Vec::new(),
            sent: 0,
            written: false,
            failure: None,
        })))
    }

    /// Runs a future that writes to the stream. Sends its writes at the end of each poll.
    pub(super) async fn coalesce<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            self.inner().end_poll(context);
            polled
        })
        .await
    }
}

impl<S> CoalescedStream<S> {
    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn end_poll(&mut self, context: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = self.send(context) {
            self.failure = Some(error);
            // Woken, because the future has to see the failure and may be waiting for something else.
            context.waker().wake_by_ref();
        }
        // An idle connection frees its buffer; a busy one keeps it.
        if !std::mem::take(&mut self.written) && self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.buffer.get(self.sent..) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.buffer.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    fn failure(&mut self) -> io::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CoalescedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for CoalescedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        inner.failure()?;
        if inner.buffer.len() + bytes.len() > BUFFER_BYTES_MAX {
            ready!(inner.send(context))?;
        }
        let (accepted, _) = bytes.split_at(bytes.len().min(BUFFER_BYTES_MAX));
        inner.buffer.extend_from_slice(accepted);
        inner.written = true;
        Poll::Ready(Ok(accepted.len()))
    }

    /// Returns a pending failure. Sends nothing, because the buffer is sent when the poll ends.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.inner().failure())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        inner.failure()?;
        ready!(inner.send(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pair(capacity: usize) -> (CoalescedStream<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(capacity);
        (CoalescedStream::new(near), far)
    }

    /// The bytes that have arrived so far.
    fn received(far: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _nothing_is_pending = Pin::new(far).poll_read(&mut context, &mut buffer);
        buffer.filled().to_vec()
    }

    #[tokio::test]
    async fn writes_of_one_poll_are_sent_when_it_ends() {
        let (near, mut far) = pair(1 << 20);
        let mut writer = near.clone();
        let written = async {
            for part in ["a", "b", "c"] {
                writer.write_all(part.as_bytes()).await.unwrap();
                writer.flush().await.unwrap();
            }
            let early = received(&mut far);
            tokio::task::yield_now().await;
            (early, received(&mut far))
        };
        let (early, late) = near.coalesce(written).await;
        assert_eq!((early.as_slice(), late.as_slice()), (&b""[..], &b"abc"[..]));
    }

    #[tokio::test]
    async fn buffer_stays_within_its_bound_and_loses_nothing() {
        let (near, mut far) = pair(1000);
        let text: Vec<u8> = (0..=250).cycle().take(3 * BUFFER_BYTES_MAX).collect();
        let mut writer = near.clone();
        let writing = near.coalesce(async {
            for part in text.chunks(10_000) {
                writer.write_all(part).await.unwrap();
                assert!(near.inner().buffer.len() <= BUFFER_BYTES_MAX);
            }
            writer.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        let (_, read) = tokio::join!(writing, far.read_to_end(&mut received));
        read.unwrap();
        assert!(received == text);
    }

    #[tokio::test]
    async fn idle_connection_frees_its_buffer() {
        let (near, _far) = pair(1 << 20);
        let mut writer = near.clone();
        let polls = async {
            writer.write_all(&[0; 50_000]).await.unwrap();
            tokio::task::yield_now().await;
            let busy = near.inner().buffer.capacity();
            tokio::task::yield_now().await;
            (busy, near.inner().buffer.capacity())
        };
        let (busy, idle) = near.coalesce(polls).await;
        assert!(busy >= 50_000);
        assert_eq!(idle, 0);
    }

    #[tokio::test]
    async fn failure_at_the_end_of_a_poll_is_returned_by_the_next_write() {
        let (near, far) = pair(1 << 20);
        let mut writer = near.clone();
        drop(far);
        let written = near.coalesce(async {
            writer.write_all(b"a").await.unwrap();
            tokio::task::yield_now().await;
            writer.flush().await
        });
        assert!(written.await.is_err());
    }
}
