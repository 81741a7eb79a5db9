//! A stream whose writes wait until its task's turn ends.
//!
//! h2 flushes after every DATA frame of 16 KiB, and rustls writes after every record. Each would be a call
//! of the kernel, and a walk through TCP; so what a connection writes in one turn leaves together. Nothing
//! waits longer than that, nor is more than 64 KiB kept.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that wait at most.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// A stream that only a future within [`turns`](Self::turns) may write to, and no task that it spawns, as
/// hyper's clients do: outside of it nothing leaves. Clones are of the same stream.
#[derive(Debug)]
pub struct Corked<S>(Arc<Mutex<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    stream: S,
    waiting: Vec<u8>,
    /// How many of these have left.
    left: usize,
    /// Something was written since the last turn ended.
    written: bool,
    /// What sending failed with while nobody asked.
    failure: Option<io::Error>,
}

impl<S> Clone for Corked<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Corked<S> {
    pub fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream,
            waiting: Vec::new(),
            left: 0,
            written: false,
            failure: None,
        })))
    }

    /// Runs a future that writes to the stream; at the end of each of its turns lets out what it wrote.
    pub async fn turns<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            self.inner().end_turn(context);
            polled
        })
        .await
    }
}

impl<S> Corked<S> {
    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn end_turn(&mut self, context: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = self.send(context) {
            self.failure = Some(error);
            // The future has to see it, and may wait for something else.
            context.waker().wake_by_ref();
        }
        // A connection that has gone quiet keeps nothing; one that is at work keeps its buffer.
        if !std::mem::take(&mut self.written) && self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
    }

    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.waiting.get(self.left..) {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.left += sent;
        }
        self.waiting.clear();
        self.left = 0;
        Poll::Ready(Ok(()))
    }

    fn failure(&mut self) -> io::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        inner.failure()?;
        if inner.waiting.len() + bytes.len() > WAITING_BYTES_MAX {
            ready!(inner.send(context))?;
        }
        let (taken, _) = bytes.split_at(bytes.len().min(WAITING_BYTES_MAX));
        inner.waiting.extend_from_slice(taken);
        inner.written = true;
        Poll::Ready(Ok(taken.len()))
    }

    /// What was written leaves when the turn ends, and not before.
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

    fn pair(room: usize) -> (Corked<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(room);
        (Corked::new(near), far)
    }

    /// What has come so far.
    fn come(far: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _nothing_is_pending = Pin::new(far).poll_read(&mut context, &mut buffer);
        buffer.filled().to_vec()
    }

    #[tokio::test]
    async fn what_is_written_in_a_turn_leaves_when_it_ends() {
        let (near, mut far) = pair(1 << 20);
        let mut writer = near.clone();
        let written = async {
            for part in ["a", "b", "c"] {
                writer.write_all(part.as_bytes()).await.unwrap();
                writer.flush().await.unwrap();
            }
            let early = come(&mut far);
            tokio::task::yield_now().await;
            (early, come(&mut far))
        };
        let (early, late) = near.turns(written).await;
        assert_eq!((early.as_slice(), late.as_slice()), (&b""[..], &b"abc"[..]));
    }

    #[tokio::test]
    async fn no_more_than_the_bound_waits_and_nothing_is_lost() {
        let (near, mut far) = pair(1000);
        let text: Vec<u8> = (0..=250).cycle().take(3 * WAITING_BYTES_MAX).collect();
        let mut writer = near.clone();
        let writing = near.turns(async {
            for part in text.chunks(10_000) {
                writer.write_all(part).await.unwrap();
                assert!(near.inner().waiting.len() <= WAITING_BYTES_MAX);
            }
            writer.shutdown().await.unwrap();
        });
        let mut come = Vec::new();
        let (_, read) = tokio::join!(writing, far.read_to_end(&mut come));
        read.unwrap();
        assert!(come == text);
    }

    #[tokio::test]
    async fn a_quiet_connection_keeps_no_buffer() {
        let (near, _far) = pair(1 << 20);
        let mut writer = near.clone();
        let turns = async {
            writer.write_all(&[0; 50_000]).await.unwrap();
            tokio::task::yield_now().await;
            let busy = near.inner().waiting.capacity();
            tokio::task::yield_now().await;
            (busy, near.inner().waiting.capacity())
        };
        let (busy, quiet) = near.turns(turns).await;
        assert!(busy >= 50_000);
        assert_eq!(quiet, 0);
    }

    #[tokio::test]
    async fn a_failure_at_a_turns_end_is_seen_by_the_next_write() {
        let (near, far) = pair(1 << 20);
        let mut writer = near.clone();
        drop(far);
        let written = near.turns(async {
            writer.write_all(b"a").await.unwrap();
            tokio::task::yield_now().await;
            writer.flush().await
        });
        assert!(written.await.is_err());
    }
}
