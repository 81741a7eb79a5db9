//! The buffered bytes of the stream, and the edits in them.
//!
//! Positions are offsets from the start of the stream. Invariants: the chunks contain exactly the bytes from
//! `start` to `end`, and no edit starts before `start`.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Buf, Bytes};

use super::escape;
use super::memory::{shrink_if_empty, shrink_if_empty_above};
use super::output::{COPY_BELOW_BYTES, Output};

#[derive(Debug, Default)]
pub(super) struct Window {
    /// Each chunk with the offset of its end.
    chunks: VecDeque<(u64, Bytes)>,
    start: u64,
    end: u64,
    edits: Vec<Edit>,
    /// Some edit is not in its place.
    is_unsorted: bool,
    /// No edit starts before this offset.
    earliest: u64,
    /// Memory that all edits so far have used, in bytes.
    edit_cost: u64,
    /// The new text of all edits.
    texts: Vec<u8>,
    /// Number of bytes in `texts` that edits still refer to.
    texts_used: usize,
    replacements: u64,
}

/// A range of bytes that is replaced or removed.
#[derive(Debug)]
struct Edit {
    from: u64,
    to: u64,
    /// The range of the new text in `texts`; empty for a removal.
    text: Range<usize>,
}

impl Edit {
    /// Returns the key by which edits are sorted. An insertion at the start of a removed range is removed with it, so
    /// removals come first.
    fn order(&self) -> (u64, bool) {
        (self.from, !self.text.is_empty())
    }
}

/// An edit that waited for the decision about its item is recorded late. It is inserted in its place if fewer edits than
/// these follow, which takes less time than sorting all edits.
const LATE_EDITS: usize = 16;

/// The capacity in bytes of `texts` once there is an edit. It is enough for most chunks.
const TEXTS_BYTES: usize = 512;

/// Minimum number of unused bytes in `texts` before the used ones are moved.
const UNUSED_TEXTS_BYTES: usize = 4096;

/// The capacity in bytes that an empty list of edits keeps. It is enough for a 16 KiB chunk of claims with
/// mapped last-applied annotations.
const KEPT_EDITS_BYTES: usize = 512;

/// The capacity, in chunks, that an empty list of chunks keeps.
const KEPT_CHUNKS: usize = 4;

impl Window {
    /// Adds a chunk. Small chunks are joined, because the bookkeeping of each would use more memory than its
    /// bytes.
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.end += chunk.len() as u64;
        match self.chunks.back_mut() {
            Some((end, last)) if last.len() + chunk.len() < COPY_BELOW_BYTES => {
                *end = self.end;
                *last = [&**last, &*chunk].concat().into();
            }
            _ => self.chunks.push_back((self.end, chunk)),
        }
    }

    /// Returns the offset after the last byte.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// Returns the memory in bytes that all edits so far have used, including edits already applied. Its growth
    /// while an item is buffered is the cost of the item's edits.
    #[inline]
    pub(super) fn edit_cost(&self) -> u64 {
        self.edit_cost
    }

    /// Returns the number of replacements and insertions so far.
    pub(super) fn replacements(&self) -> u64 {
        self.replacements
    }

    /// Replaces the content of a string by `text`, escaped. `is_embedded` is true if the string is part of JSON
    /// in a string.
    pub(super) fn replace_string(&mut self, from: u64, to: u64, text: &str, is_embedded: bool) {
        let begin = self.begin_text();
        escape::escape(text, &mut self.texts, is_embedded);
        self.record_replacement(from, to, begin);
    }

    /// Replaces a value by JSON.
    pub(super) fn replace_raw(&mut self, from: u64, to: u64, json: &str) {
        self.replace_by_parts(from, to, &[json]);
    }

    /// Inserts a comma, which may be empty, and members before the closing bracket of an object.
    pub(super) fn insert(&mut self, at: u64, comma: &str, members: &str) {
        self.replace_by_parts(at, at, &[comma, members]);
    }

    fn replace_by_parts(&mut self, from: u64, to: u64, parts: &[&str]) {
        let begin = self.begin_text();
        for part in parts {
            self.texts.extend_from_slice(part.as_bytes());
        }
        self.record_replacement(from, to, begin);
    }

    /// Returns where the next text begins.
    fn begin_text(&mut self) -> usize {
        if self.texts.capacity() == 0 {
            self.texts.reserve(TEXTS_BYTES);
        }
        self.texts.len()
    }

    /// Records a replacement by the end of `texts`, starting at `begin`.
    fn record_replacement(&mut self, from: u64, to: u64, begin: usize) {
        self.texts_used += self.texts.len() - begin;
        self.replacements += 1;
        self.edit_cost += (size_of::<Edit>() + self.texts.len() - begin) as u64;
        self.record(from, to, begin..self.texts.len());
    }

    /// Removes a range.
    pub(super) fn remove(&mut self, from: u64, to: u64) {
        self.edit_cost += size_of::<Edit>() as u64;
        self.remove_part(from, to);
    }

    /// Removes a part of something that is removed in several parts. It adds no cost, because the number of
    /// parts depends on the chunks.
    pub(super) fn remove_part(&mut self, from: u64, to: u64) {
        match self.edits.last_mut() {
            Some(last) if last.text.is_empty() && last.to == from => last.to = to,
            _ => self.record(from, to, 0..0),
        }
    }

    fn record(&mut self, from: u64, to: u64, text: Range<usize>) {
        self.earliest = if self.edits.is_empty() {
            from
        } else {
            self.earliest.min(from)
        };
        let edit = Edit { from, to, text };
        match self.edits.last() {
            Some(last) if edit.order() < last.order() => self.record_late(edit),
            _ => self.edits.push(edit),
        }
    }

    /// Records an edit that belongs before the last one.
    #[inline(never)]
    fn record_late(&mut self, edit: Edit) {
        let order = edit.order();
        let last = self.edits.iter().rev().take(LATE_EDITS);
        let later = last.take_while(|last| order < last.order()).count();
        if later < LATE_EDITS {
            self.edits.insert(self.edits.len() - later, edit);
        } else {
            self.is_unsorted = true;
            self.edits.push(edit);
        }
    }

    /// Discards all edits from an offset on. They are the last ones that were recorded.
    pub(super) fn forget_edits(&mut self, from: u64) {
        while let Some(last) = self.edits.pop_if(|last| last.from >= from) {
            self.texts_used -= last.text.len();
        }
    }

    /// Returns a range. Copies it to `copy` unless the last chunk contains all of it.
    pub(super) fn read<'a>(&'a self, from: u64, to: u64, copy: &'a mut Vec<u8>) -> &'a [u8] {
        let in_last = self.chunks.back().and_then(|(end, chunk)| {
            let begin = end - chunk.len() as u64;
            let at = |offset: u64| usize::try_from(offset.checked_sub(begin)?).ok();
            chunk.get(at(from)?..at(to)?)
        });
        in_last.unwrap_or_else(|| {
            copy.clear();
            self.copy_range(from, to, copy);
            copy
        })
    }

    /// Appends a copy of a range to `into`.
    #[cold]
    fn copy_range(&self, from: u64, to: u64, into: &mut Vec<u8>) {
        // A binary search, because a large item can have many strings in many chunks.
        let first = self.chunks.partition_point(|(end, _)| *end <= from);
        for (end, chunk) in self.chunks.range(first..) {
            let at = end - chunk.len() as u64;
            if at >= to {
                break;
            }
            let begin = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
            let end = usize::try_from(to.min(*end) - at).unwrap_or(usize::MAX);
            if let Some(part) = chunk.get(begin..end) {
                into.extend_from_slice(part);
            }
        }
    }

    /// Appends everything before `limit` to `out`, with its edits.
    pub(super) fn flush(&mut self, limit: u64, out: &mut Output) {
        if !self.edits.is_empty() && self.earliest < limit {
            self.flush_edits(limit, out);
        }
        self.release(limit, limit, out);
    }

    fn flush_edits(&mut self, limit: u64, out: &mut Output) {
        let mut edits = std::mem::take(&mut self.edits);
        if std::mem::take(&mut self.is_unsorted) {
            edits.sort_by_key(Edit::order);
        }
        let ready = edits.partition_point(|edit| edit.from < limit);
        for Edit { from, to, text } in edits.drain(..ready) {
            self.texts_used -= text.len();
            // An edit inside a range that has already been removed writes nothing.
            let is_removed = from < self.start;
            self.release(from, to, out);
            if !is_removed && !text.is_empty() {
                out.copy(self.texts.get(text).unwrap_or_default());
            }
        }
        self.earliest = edits.first().map_or(limit, |edit| edit.from);
        self.edits = edits;
        self.compact_texts();
    }

    /// Frees the texts of edits that have been applied.
    fn compact_texts(&mut self) {
        if self.texts_used == 0 {
            self.texts.clear();
        } else if self.texts.len() > 2 * self.texts_used + UNUSED_TEXTS_BYTES {
            let mut texts = Vec::with_capacity(self.texts_used);
            for edit in &mut self.edits {
                let begin = texts.len();
                texts.extend_from_slice(self.texts.get(edit.text.clone()).unwrap_or_default());
                edit.text = begin..texts.len();
            }
            self.texts = texts;
        }
    }

    /// Frees memory that is not needed between chunks.
    pub(super) fn shrink(&mut self) {
        shrink_if_empty_above(KEPT_EDITS_BYTES, &mut self.edits);
        shrink_if_empty(&mut self.texts);
        if self.chunks.is_empty() && self.chunks.capacity() > KEPT_CHUNKS {
            self.chunks.shrink_to(KEPT_CHUNKS);
        }
    }

    /// Appends the bytes before `from` to `out` unchanged, and discards the bytes between `from` and `to`.
    #[inline]
    fn release(&mut self, from: u64, to: u64, out: &mut Output) {
        while self.start < to
            && let Some((_, first)) = self.chunks.front_mut()
        {
            let before = |limit: u64| {
                let length = usize::try_from(limit.saturating_sub(self.start));
                length.unwrap_or(usize::MAX).min(first.len())
            };
            let (kept, taken) = (before(from), before(to));
            let is_rest = taken == first.len();
            // A slice that is copied anyway must not touch the chunk's reference count, which is atomic.
            if out.copies(kept) {
                out.copy(first.get(..kept).unwrap_or_default());
                first.advance(taken);
            } else {
                out.push(first.split_to(kept));
                first.advance(taken - kept);
            }
            if is_rest {
                self.chunks.pop_front();
            }
            self.start += taken as u64;
        }
    }
}
