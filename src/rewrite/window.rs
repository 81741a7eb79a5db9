//! The part of the stream that has not left yet, and what is to be changed in it.
//!
//! Positions are offsets from the stream's first byte. Invariant: the chunks hold exactly the bytes
//! from `start` to `end`, and no edit begins before `start`.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Buf, Bytes};

use super::memory::{give_back, give_back_beyond};
use super::output::{COPY_BELOW_BYTES, Output};
use super::text;

#[derive(Debug, Default)]
pub(super) struct Window {
    /// Each with the position behind it.
    chunks: VecDeque<(u64, Bytes)>,
    start: u64,
    end: u64,
    edits: Vec<Edit>,
    /// An edit stands before one that came earlier, or where it stands.
    unsorted: bool,
    /// No edit begins before it.
    earliest: u64,
    /// Bytes that edits have taken so far, those that left included.
    cost: u64,
    /// What edits put in, each somewhere in it.
    texts: Vec<u8>,
    /// Bytes in `texts` that edits still point at.
    texts_used: usize,
    replacements: u64,
}

/// Bytes that don't leave as they are.
#[derive(Debug)]
struct Edit {
    from: u64,
    to: u64,
    /// What comes in their place; nothing if it is empty.
    text: Range<usize>,
}

/// Bytes of texts that were put in and have left, for which it is not worth to move the others.
const UNUSED_TEXTS_BYTES: usize = 4096;

/// Bytes of edits for which memory is kept where there are none: as many as there are in a chunk of claims
/// with an annotation that is mapped too.
const KEPT_EDITS_BYTES: usize = 512;

/// Chunks for which memory is kept where none is held.
const KEPT_CHUNKS: usize = 4;

impl Window {
    /// Small chunks that are held are put together, or each would cost more than its bytes.
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

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn held(&self) -> u64 {
        self.end - self.start
    }

    /// Memory that edits have taken so far, whether or not they have left: what grows while something
    /// is held is what they add to it.
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// Edits that put something in so far.
    pub(super) fn replacements(&self) -> u64 {
        self.replacements
    }

    /// Puts a string's content in place of one; `within` says that both stand in a string.
    pub(super) fn replace(&mut self, from: u64, to: u64, text: &str, within: bool) {
        let begin = self.texts.len();
        text::escape(text, &mut self.texts, within);
        self.edit_with(from, to, begin);
    }

    /// Puts JSON in place of a value.
    pub(super) fn put(&mut self, from: u64, to: u64, json: &str) {
        self.put_raw(from, to, &[json]);
    }

    /// Puts members, and a comma if there is one, before the bracket that closes an object.
    pub(super) fn insert(&mut self, at: u64, comma: &str, members: &str) {
        self.put_raw(at, at, &[comma, members]);
    }

    fn put_raw(&mut self, from: u64, to: u64, parts: &[&str]) {
        let begin = self.texts.len();
        for part in parts {
            self.texts.extend_from_slice(part.as_bytes());
        }
        self.edit_with(from, to, begin);
    }

    /// Text from `begin` on is what an edit puts in.
    fn edit_with(&mut self, from: u64, to: u64, begin: usize) {
        self.texts_used += self.texts.len() - begin;
        self.replacements += 1;
        self.cost += (size_of::<Edit>() + self.texts.len() - begin) as u64;
        self.edit(from, to, begin..self.texts.len());
    }

    pub(super) fn remove(&mut self, from: u64, to: u64) {
        self.cost += size_of::<Edit>() as u64;
        self.let_go(from, to);
    }

    /// Removes what goes piece by piece; the pieces cost nothing, or it would matter how many they are.
    pub(super) fn let_go(&mut self, from: u64, to: u64) {
        match self.edits.last_mut() {
            Some(last) if last.text.is_empty() && last.to == from => last.to = to,
            _ => self.edit(from, to, 0..0),
        }
    }

    fn edit(&mut self, from: u64, to: u64, text: Range<usize>) {
        self.unsorted |= self.edits.last().is_some_and(|last| from <= last.from);
        self.earliest = if self.edits.is_empty() {
            from
        } else {
            self.earliest.min(from)
        };
        self.edits.push(Edit { from, to, text });
    }

    /// Takes back what was to be changed from here on; all edits since something began there are.
    pub(super) fn forget_edits(&mut self, from: u64) {
        while let Some(last) = self.edits.pop_if(|last| last.from >= from) {
            self.texts_used -= last.text.len();
        }
    }

    /// Appends the bytes of a range that has not left yet.
    pub(super) fn gather(&self, from: u64, to: u64, into: &mut Vec<u8>) {
        // Many strings are read from many chunks that are held.
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

    /// Lets all before `limit` leave, as it is to be changed.
    pub(super) fn flush(&mut self, limit: u64, out: &mut Output) {
        if !self.edits.is_empty() && self.earliest < limit {
            self.flush_edits(limit, out);
        }
        self.release(limit, out);
    }

    fn flush_edits(&mut self, limit: u64, out: &mut Output) {
        let mut edits = std::mem::take(&mut self.edits);
        if std::mem::take(&mut self.unsorted) {
            // What is put in at the beginning of something that goes, goes with it.
            edits.sort_by_key(|edit| (edit.from, !edit.text.is_empty()));
        }
        let ready = edits.partition_point(|edit| edit.from < limit);
        for Edit { from, to, text } in edits.drain(..ready) {
            self.texts_used -= text.len();
            // Within what was removed as a whole nothing is left to change.
            if from < self.start {
                self.discard(to);
                continue;
            }
            self.release(from, out);
            self.discard(to);
            out.copy(self.texts.get(text).unwrap_or_default());
        }
        self.earliest = edits.first().map_or(limit, |edit| edit.from);
        self.edits = edits;
        self.tidy_texts();
    }

    /// Forgets texts that have left.
    fn tidy_texts(&mut self) {
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

    /// Frees what a long wait made large.
    pub(super) fn give_back(&mut self) {
        give_back_beyond(KEPT_EDITS_BYTES, &mut self.edits);
        give_back(&mut self.texts);
        if self.chunks.is_empty() && self.chunks.capacity() > KEPT_CHUNKS {
            self.chunks.shrink_to(KEPT_CHUNKS);
        }
    }

    /// Lets the bytes before `limit` leave as they are.
    fn release(&mut self, limit: u64, out: &mut Output) {
        while let Some((first, wanted)) = self.before(limit) {
            let part = if wanted < first.len() {
                first.split_to(wanted)
            } else {
                self.chunks.pop_front().unwrap_or_default().1
            };
            self.start += part.len() as u64;
            out.push(part);
        }
    }

    /// Takes the bytes before `limit` away.
    fn discard(&mut self, limit: u64) {
        while let Some((first, wanted)) = self.before(limit) {
            let gone = wanted.min(first.len());
            if gone < first.len() {
                first.advance(gone);
            } else {
                self.chunks.pop_front();
            }
            self.start += gone as u64;
        }
    }

    /// The first chunk if `limit` is behind its beginning, and how many bytes behind.
    fn before(&mut self, limit: u64) -> Option<(&mut Bytes, usize)> {
        let wanted = limit.checked_sub(self.start).filter(|wanted| *wanted > 0)?;
        let (_, first) = self.chunks.front_mut()?;
        Some((first, usize::try_from(wanted).unwrap_or(usize::MAX)))
    }
}
