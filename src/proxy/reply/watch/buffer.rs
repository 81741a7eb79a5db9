//! The bounded buffer between the task of a watch and its client: a queue and three wakers behind a
//! lock.
//!
//! A channel with a semaphore would also work, but it uses 4 KiB for every idle watch.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::body::BrokenBody;
use json_rewrite::Output;

pub(super) struct Buffer {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Output>,
    /// Bytes of all chunks.
    bytes: usize,
    /// Total bytes that the client's side has read.
    taken: u64,
    /// The result of the task, which the client's side gets after the last chunk. `Some(None)` once it was
    /// returned.
    ended: Option<Option<Result<(), BrokenBody>>>,
    /// Whether the client's side was dropped.
    is_abandoned: bool,
    /// Wakes the client's side, which waits for a chunk.
    chunk_waker: Option<Waker>,
    /// Wakes the task, which waits for room.
    room_waker: Option<Waker>,
    /// Wakes the task when the client's side is dropped.
    abandoned_waker: Option<Waker>,
}

impl State {
    /// Returns whether a chunk fits. A chunk larger than the whole buffer fits if the buffer is empty.
    fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= bytes_max
    }
}

/// Registers the current task. Does not clone its waker again if it is already registered.
fn register(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(known) => known.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Buffer {
    pub(super) fn new(bytes_max: usize) -> Self {
        let state = Mutex::default();
        Self { bytes_max, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.state().has_room(bytes, self.bytes_max)
    }

    /// Ready once there is room, or once the client's side was dropped.
    pub(super) fn poll_room(&self, bytes: usize, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_abandoned || state.has_room(bytes, self.bytes_max) {
            return Poll::Ready(());
        }
        register(&mut state.room_waker, context);
        Poll::Pending
    }

    /// Returns the total bytes that the client's side has read.
    pub(super) fn taken(&self) -> u64 {
        self.state().taken
    }

    /// Appends a chunk, for which there must be room.
    pub(super) fn push(&self, chunk: Output) {
        let mut state = self.state();
        if state.is_abandoned {
            return;
        }
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        let waker = state.chunk_waker.take();
        drop(state);
        wake(waker);
    }

    /// Ends the buffer with a result. Only the first call counts.
    pub(super) fn end(&self, result: Result<(), BrokenBody>) {
        let mut state = self.state();
        state.ended.get_or_insert(Some(result));
        let waker = state.chunk_waker.take();
        drop(state);
        wake(waker);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.state().is_abandoned
    }

    /// Ready once the client's side was dropped.
    pub(super) fn poll_abandoned(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_abandoned {
            return Poll::Ready(());
        }
        register(&mut state.abandoned_waker, context);
        Poll::Pending
    }

    /// Returns the next chunk, or the result of the task after the last one.
    pub(super) fn poll_take(
        &self,
        context: &Context<'_>,
    ) -> Poll<Option<Result<Output, BrokenBody>>> {
        let mut state = self.state();
        if let Some(chunk) = state.chunks.pop_front() {
            state.bytes -= chunk.len();
            state.taken += chunk.len() as u64;
            if state.chunks.is_empty() {
                // An idle watch keeps no memory for chunks.
                state.chunks = VecDeque::new();
            }
            let waker = state.room_waker.take();
            drop(state);
            wake(waker);
            return Poll::Ready(Some(Ok(chunk)));
        }
        if let Some(ended) = &mut state.ended {
            return Poll::Ready(ended.take().and_then(Result::err).map(Err));
        }
        register(&mut state.chunk_waker, context);
        Poll::Pending
    }

    /// Drops all chunks, because the client's side reads no more.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.is_abandoned = true;
        let chunks = std::mem::take(&mut state.chunks);
        let wakers = [state.room_waker.take(), state.abandoned_waker.take()];
        drop(state);
        drop(chunks);
        wakers.into_iter().for_each(wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn chunk(bytes: usize) -> Output {
        Bytes::from(vec![b'x'; bytes]).into()
    }

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn take(buffer: &Buffer) -> Poll<Option<Result<usize, String>>> {
        let taken = buffer.poll_take(&context());
        taken.map(|taken| taken.map(|chunk| chunk.map(|p| p.len()).map_err(|b| b.0)))
    }

    #[test]
    fn chunk_larger_than_buffer_fits_if_buffer_is_empty() {
        let buffer = Buffer::new(10);
        assert!(buffer.has_room(11));
        buffer.push(chunk(4));
        assert!(buffer.has_room(6) && !buffer.has_room(7));
        assert!(buffer.poll_room(7, &context()).is_pending());
        assert_eq!(take(&buffer), Poll::Ready(Some(Ok(4))));
        assert_eq!(buffer.taken(), 4);
        assert!(buffer.poll_room(11, &context()).is_ready());
        assert!(take(&buffer).is_pending());
    }

    #[test]
    fn first_result_is_returned_after_last_chunk() {
        let buffer = Buffer::new(10);
        buffer.push(chunk(1));
        buffer.end(Err(BrokenBody("first".into())));
        buffer.end(Ok(()));
        assert_eq!(take(&buffer), Poll::Ready(Some(Ok(1))));
        assert_eq!(take(&buffer), Poll::Ready(Some(Err("first".into()))));
        assert_eq!(take(&buffer), Poll::Ready(None));
    }

    #[test]
    fn abandoned_buffer_drops_chunks_and_never_blocks() {
        let buffer = Buffer::new(10);
        buffer.push(chunk(10));
        assert!(buffer.poll_abandoned(&context()).is_pending());
        assert!(buffer.poll_room(1, &context()).is_pending());
        buffer.abandon();
        assert!(buffer.poll_abandoned(&context()).is_ready() && buffer.is_abandoned());
        assert!(buffer.poll_room(1, &context()).is_ready());
        buffer.push(chunk(1));
        assert!(take(&buffer).is_pending());
    }
}
