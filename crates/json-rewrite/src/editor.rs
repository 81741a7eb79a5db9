//! Edits of the stream: calls the handler and records its decisions in the window.
//!
//! The editor has access to the window of buffered bytes and to the current item. It does not track the path in
//! the document. When the editor returns [`Outcome::RemoveMember`], the walker removes the member or element.

use std::borrow::Cow;
use std::ops::Range;

use super::embedded::{EmbeddedString, EmbeddedStrings, EmbeddedWalker};
use super::error::RewriteError;
use super::handler::{Addition, Edit, Handler, ItemDecision};
use super::item::{Deferred, Item, ItemState, ObjectEnd, Start, StringEdit, StringSpan};
use super::memory::shrink_if_empty;
use super::rules::Rules;
use super::window::Window;
use super::{Limits, Tag, escape};

#[derive(Debug)]
pub(super) struct Editor<H> {
    pub(super) handler: H,
    pub(super) window: Window,
    pub(super) item: Item,
    limits: Limits,
    /// Scratch space for a string or a value as written.
    raw: Vec<u8>,
    /// Scratch space for an unescaped string.
    text: Vec<u8>,
    /// The walk through the current string with embedded JSON. After the string, it is kept to reuse its
    /// memory.
    embedded: Option<Box<EmbeddedWalker>>,
    /// Scratch space for the strings that the walk found.
    embedded_strings: EmbeddedStrings,
}

/// What the walker must do after an edit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Done,
    /// Remove the member or element that contains the value.
    RemoveMember,
}

impl<H: Handler> Editor<H> {
    pub(super) fn new(limits: Limits, handler: H) -> Self {
        Self {
            handler,
            window: Window::default(),
            item: Item::default(),
            limits,
            raw: Vec::new(),
            text: Vec::new(),
            embedded: None,
            embedded_strings: EmbeddedStrings::default(),
        }
    }

    /// Edits a string that has ended. Its content is at `span`, and also in `plain` if it is in the current chunk
    /// and has no escapes.
    pub(super) fn string(
        &mut self,
        tag: Tag,
        span: Range<u64>,
        plain: Option<&[u8]>,
    ) -> Result<Outcome, RewriteError> {
        let Range { start, end } = span;
        if plain.is_none() {
            self.read(start, end)?;
        }
        let string = StringSpan {
            tag,
            from: start,
            to: end,
            is_embedded: false,
        };
        let edit = self.handler.string(tag, plain.unwrap_or(&self.text));
        match string.apply(edit, &mut self.window, &mut self.item)? {
            StringEdit::Remove => Ok(Outcome::RemoveMember),
            other => self.complete(other, string).map(|()| Outcome::Done),
        }
    }

    /// Reads and unescapes the content of a buffered string into `text`.
    fn read(&mut self, from: u64, to: u64) -> Result<(), RewriteError> {
        self.text.clear();
        let raw = self.window.read(from, to, &mut self.raw);
        let what = "a string has an invalid escape or a control character";
        escape::unescape(raw, &mut self.text).ok_or(RewriteError::Syntax { offset: from, what })
    }

    /// Completes an edit that [`StringSpan::apply`] has applied.
    #[inline]
    fn complete(&mut self, edit: StringEdit, string: StringSpan) -> Result<(), RewriteError> {
        match edit {
            StringEdit::Done => Ok(()),
            StringEdit::Resolve => self.resolve_deferred(string),
            StringEdit::Remove => Err(RewriteError::Rejected(
                "the member of this string cannot be removed",
            )),
            StringEdit::RewriteEmbedded(_) => Err(RewriteError::Rejected(
                "JSON in a string can be rewritten only when a deferred string is resolved",
            )),
        }
    }

    fn resolve_deferred(&mut self, string: StringSpan) -> Result<(), RewriteError> {
        let raw = self.window.read(string.from, string.to, &mut self.raw);
        // The string was unescaped before, so this cannot fail. Embedded strings have escapes of two levels.
        let mut text = escape::unescaped(raw).ok_or(RewriteError::Poisoned)?;
        if string.is_embedded {
            let twice = escape::unescaped(&text).ok_or(RewriteError::Poisoned)?;
            text = Cow::Owned(twice.into_owned());
        }
        let edit = self.handler.resolve_deferred(string.tag, &text);
        match string.apply(edit, &mut self.window, &mut self.item)? {
            StringEdit::RewriteEmbedded(rules) if !string.is_embedded => {
                self.rewrite_embedded(rules, string.from, string.to)
            }
            StringEdit::Resolve => Err(RewriteError::Rejected("a string was deferred twice")),
            other => self.complete(other, string),
        }
    }

    /// Rewrites the JSON in a complete string whose content is at the offsets `from..to`.
    fn rewrite_embedded(&mut self, rules: Rules, from: u64, to: u64) -> Result<(), RewriteError> {
        let earlier = self.embedded.as_ref();
        let is_checked = earlier.is_some_and(|walker| walker.has_rules(&rules));
        if !is_checked && !rules.are_string_rules() {
            return Err(RewriteError::Rejected(
                "JSON in a string can have string rules only",
            ));
        }
        self.begin_embedded(&rules);
        if let Some(walker) = &mut self.embedded {
            let raw = self.window.read(from, to, &mut self.raw);
            walker.feed(raw, from, &mut self.embedded_strings);
        }
        self.edit_embedded_strings()
    }

    /// Starts a string with embedded JSON.
    pub(super) fn begin_embedded(&mut self, rules: &Rules) {
        let earlier = self.embedded.take();
        self.embedded = Some(EmbeddedWalker::begin(rules, &self.limits, earlier));
    }

    /// Continues the string with embedded JSON. `raw` is the next part of its content, at the offset `at`.
    pub(super) fn embedded(&mut self, raw: &[u8], at: u64) -> Result<(), RewriteError> {
        if let Some(walker) = &mut self.embedded {
            walker.feed(raw, at, &mut self.embedded_strings);
        }
        self.edit_embedded_strings()
    }

    /// Edits the strings that the walk through embedded JSON found.
    fn edit_embedded_strings(&mut self) -> Result<(), RewriteError> {
        let mut strings = std::mem::take(&mut self.embedded_strings);
        for found in strings.all.drain(..) {
            let EmbeddedString {
                tag,
                from,
                to,
                value,
            } = found;
            let value = strings.values.get(value).unwrap_or_default();
            let string = StringSpan {
                tag,
                from,
                to,
                is_embedded: true,
            };
            let edit = self.handler.string(tag, value);
            let edit = string.apply(edit, &mut self.window, &mut self.item)?;
            self.complete(edit, string)?;
        }
        strings.values.clear();
        self.embedded_strings = strings;
        Ok(())
    }

    /// Returns the offset of the current string in embedded JSON, if it may still be replaced.
    pub(super) fn embedded_buffered_from(&self) -> Option<u64> {
        self.embedded.as_ref()?.buffered_from()
    }

    /// Edits a complete value of any type.
    pub(super) fn raw_value(
        &mut self,
        tag: Tag,
        from: u64,
        to: u64,
    ) -> Result<Outcome, RewriteError> {
        let raw = self.window.read(from, to, &mut self.raw);
        match self.handler.raw_value(tag, raw) {
            Edit::Keep => {}
            Edit::Replace(json) => self.window.replace_raw(from, to, &json),
            Edit::Remove => return Ok(Outcome::RemoveMember),
            Edit::RemoveParts(parts) => {
                for part in parts {
                    let [begin, end] = [part.start, part.end].map(|at| from + at as u64);
                    self.window.remove(begin, end.min(to));
                }
            }
            Edit::Defer if self.item.is_buffered() => {
                self.item
                    .deferred
                    .push(Deferred::RawValue { tag, from, to });
            }
            Edit::Defer => self.resolve_deferred_raw(tag, from, to)?,
            Edit::Reject(why) => return Err(RewriteError::Rejected(why)),
            Edit::RewriteEmbedded(_) => {
                return Err(RewriteError::Rejected(
                    "JSON in a raw value cannot be rewritten",
                ));
            }
        }
        Ok(Outcome::Done)
    }

    fn resolve_deferred_raw(&mut self, tag: Tag, from: u64, to: u64) -> Result<(), RewriteError> {
        let raw = self.window.read(from, to, &mut self.raw);
        let is_string = raw.first() == Some(&b'"');
        match self.handler.resolve_deferred_raw(tag, raw) {
            Edit::Keep => Ok(()),
            Edit::Replace(json) => {
                self.window.replace_raw(from, to, &json);
                Ok(())
            }
            Edit::Reject(why) => Err(RewriteError::Rejected(why)),
            Edit::RewriteEmbedded(rules) if is_string => {
                self.rewrite_embedded(rules, from + 1, to - 1)
            }
            Edit::RewriteEmbedded(_) => Ok(()),
            Edit::Remove | Edit::RemoveParts(_) | Edit::Defer => Err(RewriteError::Rejected(
                "a deferred raw value can only be kept, replaced, rewritten or rejected",
            )),
        }
    }

    /// Adds members at the end of an object.
    pub(super) fn object_end(&mut self, end: ObjectEnd) -> Result<(), RewriteError> {
        match self.handler.object_end(end.tag) {
            Addition::Nothing => {}
            Addition::Members(members) => {
                let comma = if end.is_empty { "" } else { "," };
                self.window.insert(end.offset, comma, &members);
            }
            Addition::Defer if self.item.is_buffered() => {
                self.item.deferred.push(Deferred::ObjectEnd(end));
            }
            Addition::Defer => {
                return Err(RewriteError::Rejected(
                    "an addition can be deferred only in an undecided item",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn begin_item(&mut self, tag: Tag, start: Start) {
        self.item.state = ItemState::Buffered;
        self.item.tag = tag;
        self.item.start = start;
        self.item.deferred.clear();
        self.item.cost_before = self.window.edit_cost();
        self.handler.begin_item(tag);
    }

    /// Calls the handler to keep or drop the current item, which has been read up to the offset `end`.
    pub(super) fn decide_item(&mut self, end: u64) -> Result<(), RewriteError> {
        match self.item.state {
            ItemState::Outside | ItemState::Dropped => Ok(()),
            ItemState::Buffered => {
                // Checked here as well, so that the limit does not depend on the chunks.
                self.check_buffered(end - self.item.start.offset, end)?;
                match self.handler.decide_item(self.item.tag) {
                    ItemDecision::Keep => self.keep_item(),
                    ItemDecision::Drop => {
                        self.item.state = ItemState::Dropped;
                        Ok(())
                    }
                }
            }
            ItemState::Kept => match self.handler.decide_item(self.item.tag) {
                ItemDecision::Keep => Ok(()),
                ItemDecision::Drop => Err(RewriteError::Rejected(
                    "the key that decides about an item is repeated, and its second value drops the item after its \
                     output",
                )),
            },
        }
    }

    fn keep_item(&mut self) -> Result<(), RewriteError> {
        self.item.state = ItemState::Kept;
        let deferred = std::mem::take(&mut self.item.deferred);
        for one in &deferred {
            match *one {
                Deferred::String {
                    tag,
                    from,
                    to,
                    is_embedded,
                } => self.resolve_deferred(StringSpan {
                    tag,
                    from,
                    to,
                    is_embedded,
                })?,
                Deferred::RawValue { tag, from, to } => self.resolve_deferred_raw(tag, from, to)?,
                Deferred::ObjectEnd(end) => self.object_end(end)?,
            }
        }
        self.item.deferred = deferred;
        Ok(())
    }

    /// Ends the current item. Returns its start if it is dropped.
    pub(super) fn end_item(&mut self, end: u64) -> Result<Option<Start>, RewriteError> {
        if self.item.is_buffered() {
            self.decide_item(end)?;
        }
        let dropped = self.item.is_dropped().then_some(self.item.start);
        if let Some(start) = dropped {
            self.window.forget_edits(start.offset);
        }
        self.item.state = ItemState::Outside;
        Ok(dropped)
    }

    /// Checks that `bytes` bytes that end at `offset` may be buffered.
    #[inline]
    pub(super) fn check_buffered(&self, bytes: u64, offset: u64) -> Result<(), RewriteError> {
        if bytes <= self.room() {
            return Ok(());
        }
        Err(self.buffer_limit(offset - bytes))
    }

    /// Returns the error for exceeding the buffer limit. The buffer starts at the offset `from`, or at the
    /// current item if that is earlier.
    #[cold]
    fn buffer_limit(&self, mut from: u64) -> RewriteError {
        if self.item.is_buffered() {
            from = from.min(self.item.start.offset);
        }
        RewriteError::BufferLimit {
            offset: from + self.room(),
            max: self.limits.buffered_bytes_max,
        }
    }

    /// Returns how many bytes may be buffered now. Edits in the current item reduce it.
    #[inline]
    pub(super) fn room(&self) -> u64 {
        let max = self.limits.buffered_bytes_max as u64;
        if self.item.is_buffered() {
            max.saturating_sub(self.item.cost(self.window.edit_cost()))
        } else {
            max
        }
    }

    /// Frees memory that is not needed between chunks. `in_embedded` is true if the walk is inside embedded
    /// JSON.
    pub(super) fn shrink(&mut self, in_embedded: bool) {
        self.raw.clear();
        self.text.clear();
        self.embedded_strings.values.clear();
        shrink_if_empty(&mut self.raw);
        shrink_if_empty(&mut self.text);
        shrink_if_empty(&mut self.embedded_strings.values);
        shrink_if_empty(&mut self.embedded_strings.all);
        shrink_if_empty(&mut self.item.deferred);
        self.window.shrink();
        if let Some(walker) = &mut self.embedded
            && !in_embedded
        {
            walker.shrink();
        }
    }
}
