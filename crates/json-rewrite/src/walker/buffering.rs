//! Decides which bytes stay buffered and which can be output, and checks the limits of the buffer.

use super::{State, Walker};
use crate::chunk::Chunk;
use crate::error::RewriteError;
use crate::handler::Handler;
use crate::item::Start;
use crate::memory::shrink_if_empty;
use crate::output::Output;

impl<H: Handler> Walker<H> {
    /// Appends all decided output to `out`.
    pub(super) fn release(&mut self, out: &mut Output) -> Result<(), RewriteError> {
        let end = self.editor.window.end();
        if let State::InRuleString { from, .. } = self.state {
            self.check_length(from, end)?;
        }
        let buffered_from = self.buffered_from().unwrap_or(end);
        let embedded = match self.state {
            State::InEmbedded { .. } => self.editor.embedded_buffered_from(),
            _ => None,
        };
        // A string in embedded JSON has a separate limit, so it does not count below.
        let limit = buffered_from.min(embedded.unwrap_or(end));
        if let Some(start) = self.removed_start()
            && start.offset < limit
        {
            let from = std::mem::replace(&mut start.offset, limit);
            self.editor.window.forget_edits(from);
            self.editor.window.remove_part(from, limit);
        }
        self.editor.window.flush(limit, out);
        self.editor.check_buffered(end - buffered_from, end)
    }

    /// Returns the offset of the first byte that must stay buffered.
    fn buffered_from(&self) -> Option<u64> {
        let item = &self.editor.item;
        let item = item.is_buffered().then_some(item.start.offset);
        let member = self.member.filter(|_| !self.is_member_removed());
        let member = member.map(|member| member.offset);
        let value = match self.state {
            State::InRuleString { from, .. } => Some(from),
            _ => self.raw_value_from,
        };
        [item, member, value].into_iter().flatten().min()
    }

    /// Returns the start of the outermost dropped item or removed member that is still open.
    fn removed_start(&mut self) -> Option<&mut Start> {
        let is_member_removed = self.is_member_removed();
        let member = self.member.as_mut().filter(|_| is_member_removed);
        let mut frames = self.frames.iter_mut();
        let frame = frames.find_map(|frame| frame.member.as_mut());
        let is_dropped = self.editor.item.is_dropped();
        let item = Some(&mut self.editor.item.start).filter(|_| is_dropped);
        [item, frame, member]
            .into_iter()
            .flatten()
            .min_by_key(|start| start.offset)
    }

    /// Returns whether a rule removes the current member whatever its value is.
    fn is_member_removed(&self) -> bool {
        let node = match self.state {
            State::InSkipped { node } | State::InString { node } | State::InScalar { node, .. } => {
                node
            }
            State::InEmbedded { node } => Some(node),
            _ => None,
        };
        let rules = node.and_then(|node| self.rules.node(node));
        rules.is_some_and(|rules| rules.remove)
    }

    /// Checks the length of a string for the handler.
    #[inline]
    pub(super) fn check_length(&self, from: u64, to: u64) -> Result<(), RewriteError> {
        if to - from <= self.limits.string_bytes_max as u64 {
            return Ok(());
        }
        Err(self.string_too_long(from))
    }

    /// Returns the error of the limit that is exceeded first if the string is read byte by byte.
    #[cold]
    fn string_too_long(&self, from: u64) -> RewriteError {
        let max = self.limits.string_bytes_max;
        let offset = from + max as u64;
        let buffered_from = self.buffered_from().unwrap_or(from).min(from);
        let buffered = self.editor.check_buffered(offset - buffered_from, offset);
        buffered
            .err()
            .unwrap_or(RewriteError::StringTooLong { offset, max })
    }

    /// Checks that a value for the handler may be buffered, together with the start of its member.
    pub(super) fn check_value(&self, from: u64, to: u64) -> Result<(), RewriteError> {
        let buffered_from = self.member.map_or(from, |member| member.offset);
        self.editor.check_buffered(to - buffered_from, to)
    }

    /// Checks that the current member may be buffered up to `offset`, if it may be removed.
    #[inline(always)]
    pub(super) fn check_member(&self, offset: u64) -> Result<(), RewriteError> {
        match self.member {
            Some(member) => self.editor.check_buffered(offset - member.offset, offset),
            None => Ok(()),
        }
    }

    /// Checks that the current member may be buffered up to the end of a key. The part of the key in this chunk
    /// is at `at..end`.
    ///
    /// If the key is too long, checks only up to the first byte beyond the key's limit, because that error
    /// comes first then.
    pub(super) fn check_key(
        &self,
        chunk: &Chunk<'_>,
        at: usize,
        end: usize,
    ) -> Result<(), RewriteError> {
        let max = self.limits.key_bytes_max;
        let too_long = at.saturating_add(max.saturating_add(1) - self.key.len());
        self.check_member(chunk.offset(end.min(too_long)))
    }

    /// Frees memory that is not needed between chunks.
    pub(super) fn shrink(&mut self) {
        shrink_if_empty(&mut self.key);
        shrink_if_empty(&mut self.frames);
        shrink_if_empty(&mut self.removed_if_emptied);
        self.skipped.shrink();
        let in_embedded = matches!(self.state, State::InEmbedded { .. });
        self.editor.shrink(in_embedded);
    }
}
