//! Sends a request body, and observes whether the server accepts the data.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::request_body::{BoxError, RequestBody};

/// Largest size in bytes of one chunk. Progress means that the server has accepted a whole chunk. Nearly every body is
/// one chunk.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// A request body whose chunks report when they were written to the connection.
pub(super) struct SentBody {
    body: RequestBody,
    /// The rest of a frame that is longer than a chunk.
    rest: Bytes,
    /// `None` for an empty body.
    progress: Option<Arc<Progress>>,
    has_started: bool,
}

/// The progress of one body.
pub(super) struct Progress(Mutex<ProgressState>);

struct ProgressState {
    /// Number of chunks that HTTP/2 has not written yet. Before the first one, the body as a whole counts.
    unwritten: usize,
    changed_at: Instant,
}

/// A chunk. h2 drops it after it was written, which happens only when the server's flow control allows it.
struct Chunk {
    bytes: Bytes,
    progress: Arc<Progress>,
}

impl SentBody {
    pub(super) fn new(body: RequestBody) -> Self {
        let progress = (!body.is_end_stream()).then(|| {
            Arc::new(Progress(Mutex::new(ProgressState {
                unwritten: 1,
                changed_at: Instant::now(),
            })))
        });
        Self {
            body,
            rest: Bytes::new(),
            progress,
            has_started: false,
        }
    }

    /// Returns the progress, or `None` for an empty body.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }

    fn chunk(&mut self, mut bytes: Bytes) -> Bytes {
        self.rest = bytes.split_off(bytes.len().min(CHUNK_BYTES_MAX));
        let Some(progress) = self.progress() else {
            return bytes;
        };
        progress.change(|state| state.unwritten += 1);
        Bytes::from_owner(Chunk { bytes, progress })
    }
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, ProgressState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut ProgressState)) {
        let mut state = self.state();
        change(&mut state);
        state.changed_at = Instant::now();
    }

    /// Waits until the server has accepted no data for `limit`. Does not count the time in which there is nothing to
    /// send, because the client has not sent it yet.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let (is_waiting, deadline) = {
                let state = self.state();
                (state.unwritten > 0, state.changed_at + limit)
            };
            match Instant::now() < deadline {
                true => tokio::time::sleep_until(deadline).await,
                false if is_waiting => return,
                false => tokio::time::sleep(limit).await,
            }
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.progress.change(|state| state.unwritten -= 1);
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(progress) = &self.progress
            && !self.has_started
        {
            progress.change(|state| state.unwritten -= 1);
        }
        self.has_started = true;
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.chunk(rest)))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?.into_data();
            Ok(match frame {
                Ok(data) => Frame::data(self.chunk(data)),
                Err(trailers) => trailers,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // hyper reads it before the first frame.
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn body_stalls_while_a_chunk_is_not_written() {
        const LIMIT: Duration = Duration::from_secs(30);
        let plain = Bytes::from(vec![b'x'; CHUNK_BYTES_MAX + 1]);
        let mut sent = SentBody::new(RequestBody::Full(plain.clone()));
        let progress = sent.progress().unwrap();
        assert_eq!(sent.size_hint().exact(), Some(plain.len() as u64));
        let mut received = Vec::new();
        while let Some(frame) = sent.frame().await {
            let chunk = frame.unwrap().into_data().unwrap();
            let before = Instant::now();
            progress.stalled(LIMIT).await;
            assert_eq!(before.elapsed(), LIMIT);
            received.extend_from_slice(&chunk);
            drop(chunk);
            let stalled = tokio::time::timeout(4 * LIMIT, progress.stalled(LIMIT));
            assert!(stalled.await.is_err(), "the client has to send more");
        }
        assert_eq!(received, plain);
        assert!(SentBody::new(RequestBody::Empty).progress().is_none());
    }
}
