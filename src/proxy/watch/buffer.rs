//! The bounded buffer between a watch's task and its client: a queue and three wakers under a lock.
//!
//! A channel and a semaphore would do the same, and keep 4 KiB for every watch that says nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::body::Broken;
use crate::rewrite::Output;

pub(super) struct Buffer {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Output>,
    /// Bytes of all pieces.
    bytes: usize,
    /// Bytes that the client's side took, ever.
    taken: u64,
    /// How the task ended, for whoever takes the last piece; `Some(None)` once it was told.
    ended: Option<Option<Result<(), Broken>>>,
    /// The client's side is gone.
    is_abandoned: bool,
    wants_piece: Option<Waker>,
    wants_room: Option<Waker>,
    wants_abandoned: Option<Waker>,
}

impl State {
    /// A piece larger than the whole buffer fits when the buffer is empty.
    fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= bytes_max
    }
}

/// Has `waker` woken up next, without a clone if it is so already.
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

    /// Ready when there is room, or nobody who could make any.
    pub(super) fn poll_room(&self, bytes: usize, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_abandoned || state.has_room(bytes, self.bytes_max) {
            return Poll::Ready(());
        }
        register(&mut state.wants_room, context);
        Poll::Pending
    }

    /// Bytes that the client's side took, ever.
    pub(super) fn taken(&self) -> u64 {
        self.state().taken
    }

    /// Puts a piece in, for which there has to be room.
    pub(super) fn push(&self, piece: Output) {
        let mut state = self.state();
        if state.is_abandoned {
            return;
        }
        state.bytes += piece.len();
        state.pieces.push_back(piece);
        let waker = state.wants_piece.take();
        drop(state);
        wake(waker);
    }

    /// Nothing more will come. Only the first word counts.
    pub(super) fn end(&self, result: Result<(), Broken>) {
        let mut state = self.state();
        state.ended.get_or_insert(Some(result));
        let waker = state.wants_piece.take();
        drop(state);
        wake(waker);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.state().is_abandoned
    }

    pub(super) fn poll_abandoned(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_abandoned {
            return Poll::Ready(());
        }
        register(&mut state.wants_abandoned, context);
        Poll::Pending
    }

    /// The next piece, or how it ended.
    pub(super) fn poll_take(&self, context: &Context<'_>) -> Poll<Option<Result<Output, Broken>>> {
        let mut state = self.state();
        if let Some(piece) = state.pieces.pop_front() {
            state.bytes -= piece.len();
            state.taken += piece.len() as u64;
            if state.pieces.is_empty() {
                // A watch that says nothing keeps nothing.
                state.pieces = VecDeque::new();
            }
            let waker = state.wants_room.take();
            drop(state);
            wake(waker);
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(ended) = &mut state.ended {
            return Poll::Ready(ended.take().and_then(Result::err).map(Err));
        }
        register(&mut state.wants_piece, context);
        Poll::Pending
    }

    /// Nobody will take anything any more.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.is_abandoned = true;
        let pieces = std::mem::take(&mut state.pieces);
        let wakers = [state.wants_room.take(), state.wants_abandoned.take()];
        drop(state);
        drop(pieces);
        wakers.into_iter().for_each(wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn piece(bytes: usize) -> Output {
        Bytes::from(vec![b'x'; bytes]).into()
    }

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn take(buffer: &Buffer) -> Poll<Option<Result<usize, String>>> {
        let taken = buffer.poll_take(&context());
        taken.map(|taken| taken.map(|piece| piece.map(|p| p.len()).map_err(|b| b.0)))
    }

    #[test]
    fn a_piece_larger_than_the_buffer_fits_when_it_is_empty() {
        let buffer = Buffer::new(10);
        assert!(buffer.has_room(11));
        buffer.push(piece(4));
        assert!(buffer.has_room(6) && !buffer.has_room(7));
        assert!(buffer.poll_room(7, &context()).is_pending());
        assert_eq!(take(&buffer), Poll::Ready(Some(Ok(4))));
        assert_eq!(buffer.taken(), 4);
        assert!(buffer.poll_room(11, &context()).is_ready());
        assert!(take(&buffer).is_pending());
    }

    #[test]
    fn the_first_end_comes_after_the_last_piece() {
        let buffer = Buffer::new(10);
        buffer.push(piece(1));
        buffer.end(Err(Broken("first".into())));
        buffer.end(Ok(()));
        assert_eq!(take(&buffer), Poll::Ready(Some(Ok(1))));
        assert_eq!(take(&buffer), Poll::Ready(Some(Err("first".into()))));
        assert_eq!(take(&buffer), Poll::Ready(None));
    }

    #[test]
    fn what_is_abandoned_keeps_nothing_and_holds_nobody_up() {
        let buffer = Buffer::new(10);
        buffer.push(piece(10));
        assert!(buffer.poll_abandoned(&context()).is_pending());
        assert!(buffer.poll_room(1, &context()).is_pending());
        buffer.abandon();
        assert!(buffer.poll_abandoned(&context()).is_ready() && buffer.is_abandoned());
        assert!(buffer.poll_room(1, &context()).is_ready());
        buffer.push(piece(1));
        assert!(take(&buffer).is_pending());
    }
}
