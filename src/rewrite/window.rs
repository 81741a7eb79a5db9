//! The part of the stream that has not left yet, and what is to be changed in it.
//!
//! Positions are offsets from the stream's first byte. Invariant: the chunks hold exactly the bytes
//! from `start` to `end`, and no edit begins before `start`.

use std::collections::VecDeque;

use bytes::Bytes;

use super::output::{COPY_BELOW_BYTES, Output};

#[derive(Debug, Default)]
pub(super) struct Window {
    chunks: VecDeque<Bytes>,
    start: u64,
    end: u64,
    edits: Vec<Edit>,
}

/// Bytes that don't leave as they are.
#[derive(Debug)]
struct Edit {
    from: u64,
    to: u64,
    with: Option<String>,
}

impl Window {
    /// Small chunks that are held are put together, or each would cost more than its bytes.
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.end += chunk.len() as u64;
        match self.chunks.back_mut() {
            Some(last) if last.len() + chunk.len() < COPY_BELOW_BYTES => {
                *last = [&**last, &*chunk].concat().into();
            }
            _ => self.chunks.push_back(chunk),
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn held(&self) -> u64 {
        self.end - self.start
    }

    pub(super) fn replace(&mut self, from: u64, to: u64, with: String) {
        self.edits.push(Edit {
            from,
            to,
            with: Some(with),
        });
    }

    pub(super) fn remove(&mut self, from: u64, to: u64) {
        self.edits.push(Edit {
            from,
            to,
            with: None,
        });
    }

    /// Takes back what was to be changed from here on.
    pub(super) fn forget_edits(&mut self, from: u64) {
        self.edits.retain(|edit| edit.from < from);
    }

    /// Appends the bytes of a range that has not left yet.
    pub(super) fn gather(&self, from: u64, to: u64, into: &mut Vec<u8>) {
        let mut at = self.start;
        for chunk in &self.chunks {
            let after = at + chunk.len() as u64;
            let begin = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
            let end = usize::try_from(to.min(after).saturating_sub(at)).unwrap_or(usize::MAX);
            if let Some(part) = chunk.get(begin..end) {
                into.extend_from_slice(part);
            }
            at = after;
        }
    }

    /// Lets all before `limit` leave, as it is to be changed.
    pub(super) fn flush(&mut self, limit: u64, out: &mut Output) {
        if !self.edits.is_empty() {
            let mut edits = std::mem::take(&mut self.edits);
            if !edits.is_sorted_by_key(|edit| edit.from) {
                edits.sort_by_key(|edit| edit.from);
            }
            let ready = edits.partition_point(|edit| edit.from < limit);
            for edit in edits.drain(..ready) {
                // Within what was removed as a whole nothing is left to change.
                if edit.from < self.start {
                    self.take(edit.to, None);
                    continue;
                }
                self.take(edit.from, Some(out));
                self.take(edit.to, None);
                if let Some(with) = edit.with {
                    out.push_replaced(with);
                }
            }
            self.edits = edits;
        }
        self.take(limit, Some(out));
    }

    /// Takes the bytes before `limit` away, to the output if there is one.
    fn take(&mut self, limit: u64, mut out: Option<&mut Output>) {
        while self.start < limit {
            let Some(first) = self.chunks.front_mut() else {
                return;
            };
            let wanted = usize::try_from(limit - self.start).unwrap_or(usize::MAX);
            let part = if wanted < first.len() {
                first.split_to(wanted)
            } else {
                self.chunks.pop_front().unwrap_or_default()
            };
            self.start += part.len() as u64;
            if let Some(out) = out.as_deref_mut() {
                out.push_original(part);
            }
        }
    }
}
