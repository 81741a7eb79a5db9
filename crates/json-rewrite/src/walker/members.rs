//! Walked objects: their keys, and a fast path for members that are complete in the chunk.

use super::{State, Walker};
use crate::chunk::Chunk;
use crate::error::RewriteError;
use crate::escape;
use crate::handler::Handler;
use crate::item::Start;
use crate::rules::{Node, NodeRules};
use crate::scalar::Scalar;

/// Where the walk continues.
enum Next {
    /// With the key of another object, at this position after its opening quote.
    Key(usize),
    /// With the current state, at this position.
    State(usize),
}

impl<H: Handler> Walker<H> {
    /// Walks from key to key, and from object to object, as long as members are complete in the chunk. `at` is
    /// after the opening quote of a key. Returns the next position.
    pub(super) fn members(
        &mut self,
        chunk: &mut Chunk<'_>,
        mut at: usize,
    ) -> Result<usize, RewriteError> {
        loop {
            match self.members_of_object(chunk, at)? {
                Next::Key(next) => at = next,
                Next::State(next) => return Ok(next),
            }
        }
    }

    #[inline(always)]
    fn members_of_object(
        &mut self,
        chunk: &mut Chunk<'_>,
        mut at: usize,
    ) -> Result<Next, RewriteError> {
        let Some(frame) = self.frames.last() else {
            return Ok(Next::State(at));
        };
        let (node, mut removes_comma) = (frame.node, frame.removes_comma);
        let (is_removable, lengths) = self.rules.members(node, self.too_long_keys);
        // The start of the current member, if it may be removed.
        let mut member = self.member;
        let mut room = self.editor.room();
        loop {
            let Some(key) = chunk.scan.string(at) else {
                self.member = member;
                return self.key_part(chunk, at).map(Next::State);
            };
            let quote = key.end;
            if let Some(Start { offset: begin, .. }) = member
                && chunk.offset(quote) - begin > room
            {
                self.member = member;
                self.check_key(chunk, at, quote)?;
            }
            let child = if key.is_plain && lengths.exclude(quote - at) {
                None
            } else {
                self.child(node, chunk, at, quote, key.is_plain)?
            };
            let Some((begin, first)) = chunk.value_of_key(quote + 1) else {
                self.member = member;
                self.key_ended(child);
                return Ok(Next::State(quote + 1));
            };
            let end = match first {
                Some(b'"') if child.is_none() => match key.next_end() {
                    Some(end) => Some(end + 1),
                    None => self.skip_string(chunk, begin + 1),
                },
                Some(bracket @ (b'{' | b'[')) if child.is_none() => {
                    self.skip_container(chunk, begin, bracket)?
                }
                Some(b'1'..=b'9') if child.is_none() => {
                    self.scalar_end(chunk, begin + 1, None, Scalar::Integer)?
                }
                first => match self.pass_rule_string(chunk, child, begin, first, member)? {
                    Some(end) => {
                        room = self.editor.room();
                        removes_comma = self.frames.last().is_some_and(|top| top.removes_comma);
                        Some(end)
                    }
                    None => {
                        let at = self.begin_member(chunk, child, begin, first)?;
                        return Ok(match self.state {
                            State::Key { .. } if chunk.bytes.get(at) == Some(&b'"') => {
                                Next::Key(at + 1)
                            }
                            _ => Next::State(at),
                        });
                    }
                },
            };
            let Some(end) = end else {
                self.member = None;
                return Ok(Next::State(chunk.bytes.len()));
            };
            let Some((comma, next)) = chunk.next_key(end) else {
                return self.last_member(chunk, end);
            };
            member = self.next_member(chunk.offset(comma), is_removable, &mut removes_comma);
            at = next + 1;
        }
    }

    /// Returns the start of the member after a comma, if it may be removed. Removes the comma if `removes_comma` is set.
    #[inline(always)]
    fn next_member(
        &mut self,
        comma: u64,
        is_removable: bool,
        removes_comma: &mut bool,
    ) -> Option<Start> {
        if std::mem::take(removes_comma) {
            return Some(self.start_after_comma(comma));
        }
        is_removable.then_some(Start {
            offset: comma,
            has_comma: true,
        })
    }

    /// Continues after a member that no other member follows directly. If the object ends there and the
    /// surrounding object has another member, continues with that.
    fn last_member(&mut self, chunk: &Chunk<'_>, end: usize) -> Result<Next, RewriteError> {
        self.member = None;
        self.state = State::AfterValue;
        let [b'}', after @ ..] = chunk.from(end) else {
            return Ok(Next::State(end));
        };
        self.close(b'}', chunk.offset(end))?;
        let is_in_object = self.frames.last().is_some_and(|around| around.is_object);
        if is_in_object && after.starts_with(b",\"") {
            self.comma(chunk.offset(end + 1));
            return Ok(Next::Key(end + 3));
        }
        Ok(Next::State(end + 1))
    }

    /// Starts the value of a member. Its first byte is `first`, at the position `begin`, unless the chunk ends.
    fn begin_member(
        &mut self,
        chunk: &Chunk<'_>,
        child: Option<Node>,
        begin: usize,
        first: Option<u8>,
    ) -> Result<usize, RewriteError> {
        self.key_ended(child);
        self.state = State::Value {
            node: child,
            may_close: false,
        };
        let Some(first) = first else {
            return Ok(begin);
        };
        self.begin_value(first, child, chunk.offset(begin))?;
        Ok(begin + 1)
    }

    /// Passes a string to the handler if it has a string rule, no other rule, and is complete in the chunk. Returns
    /// the position after it.
    #[inline]
    fn pass_rule_string(
        &mut self,
        chunk: &mut Chunk<'_>,
        child: Option<Node>,
        begin: usize,
        first: Option<u8>,
        member: Option<Start>,
    ) -> Result<Option<usize>, RewriteError> {
        self.member = member;
        let Some(node) = child.filter(|_| first == Some(b'"') && !self.editor.item.is_dropped())
        else {
            return Ok(None);
        };
        let Some(tag) = self.rules.string_only(node) else {
            return Ok(None);
        };
        let from = begin + 1;
        let Some(string) = chunk.scan.string(from) else {
            return Ok(None);
        };
        self.key_ended(child);
        let plain = chunk
            .bytes
            .get(from..string.end)
            .filter(|_| string.is_plain);
        self.rule_string(
            node,
            tag,
            chunk.offset(from)..chunk.offset(string.end),
            plain,
        )?;
        self.member = None;
        Ok(Some(string.end + 1))
    }

    /// Returns the position after a string whose content begins at `at`. If the chunk ends first, the state becomes
    /// `InString`.
    fn skip_string(&mut self, chunk: &mut Chunk<'_>, at: usize) -> Option<usize> {
        let quote = chunk.scan.string_end(at);
        if quote.is_none() {
            self.state = State::InString { node: None };
        }
        quote.map(|quote| quote + 1)
    }

    /// Returns the position after a container. If the chunk ends first, the state becomes `InSkipped`.
    fn skip_container(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
        bracket: u8,
    ) -> Result<Option<usize>, RewriteError> {
        let (first, closes) = chunk.scan.bracket(at + 1, bracket);
        if closes && self.frames.len() < self.limits.depth_max {
            return Ok(Some(first + 1));
        }
        self.begin_skip(bracket, chunk.offset(at))?;
        let end = self.skipped_end(chunk, first)?;
        if end.is_none() {
            self.state = State::InSkipped { node: None };
        }
        Ok(end)
    }

    /// Stores the part of a key that continues in the next chunk.
    fn key_part(&mut self, chunk: &Chunk<'_>, at: usize) -> Result<usize, RewriteError> {
        let part = chunk.from(at);
        self.check_key(chunk, at, chunk.bytes.len())?;
        if self.key.len() + part.len() > self.limits.key_bytes_max {
            return Err(self.key_too_long(chunk.offset(at) - self.key.len() as u64));
        }
        self.key.extend_from_slice(part);
        self.state = State::InKey;
        Ok(chunk.bytes.len())
    }

    /// Continues a key that began in an earlier chunk.
    pub(super) fn step_key(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
    ) -> Result<usize, RewriteError> {
        let Some(string) = chunk.scan.string(at) else {
            return self.key_part(chunk, at);
        };
        let Some(node) = self.frames.last().map(|frame| frame.node) else {
            return Ok(at);
        };
        self.check_key(chunk, at, string.end)?;
        let child = self.child(node, chunk, at, string.end, string.is_plain)?;
        self.key_ended(child);
        Ok(string.end + 1)
    }

    /// Returns the node of a key. The part of the key in this chunk is at `at..end`.
    #[inline(always)]
    fn child(
        &mut self,
        node: Node,
        chunk: &Chunk<'_>,
        at: usize,
        end: usize,
        is_plain: bool,
    ) -> Result<Option<Node>, RewriteError> {
        let part = chunk.bytes.get(at..end).unwrap_or_default();
        if is_plain && self.key.is_empty() && part.len() <= self.limits.key_bytes_max {
            return Ok(self.rules.key(node, part));
        }
        self.child_of_parts(node, part, chunk.offset(at))
    }

    /// Returns the node of a key that has escapes, is too long, or began in an earlier chunk. `part` is the part of the
    /// key in this chunk, at `offset`.
    #[cold]
    fn child_of_parts(
        &mut self,
        node: Node,
        part: &[u8],
        offset: u64,
    ) -> Result<Option<Node>, RewriteError> {
        if self.key.len() + part.len() > self.limits.key_bytes_max {
            return Err(self.key_too_long(offset - self.key.len() as u64));
        }
        self.key.extend_from_slice(part);
        let mut key = Vec::with_capacity(self.key.len());
        let what = "a key has an invalid escape or a control character";
        escape::unescape(&self.key, &mut key).ok_or(RewriteError::Syntax { offset, what })?;
        self.key.clear();
        Ok(self.rules.key(node, &key))
    }

    fn key_ended(&mut self, child: Option<Node>) {
        // A member that cannot be removed need not be buffered.
        let rules = child.and_then(|child| self.rules.node(child));
        if !rules.is_some_and(NodeRules::may_be_removed) {
            self.member = None;
        }
        self.state = State::Colon(child);
    }

    /// Returns the error for a key that is too long. The key's content starts at the offset `from`.
    fn key_too_long(&self, from: u64) -> RewriteError {
        let max = self.limits.key_bytes_max;
        let offset = from + max as u64;
        RewriteError::KeyTooLong { offset, max }
    }
}
