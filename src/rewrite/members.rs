//! Objects that are walked: their keys, and the members that can be passed at once.

use super::chunk::Chunk;
use super::error::Error;
use super::handler::Handler;
use super::item::Start;
use super::rewriter::{Rewriter, State};
use super::rules::{Node, NodeRules};
use super::scalar::Scalar;
use super::text;

/// Where the walk goes on.
enum Next {
    /// Behind the quote of a key in another object.
    Key(usize),
    /// With whatever the state says.
    State(usize),
}

impl<H: Handler> Rewriter<H> {
    /// Goes from key to key, and from object to object, as long as members are whole in the chunk.
    /// `at` is behind the quote that a key begins with.
    pub(super) fn members(&mut self, chunk: &mut Chunk<'_>, mut at: usize) -> Result<usize, Error> {
        loop {
            match self.members_of_one(chunk, at)? {
                Next::Key(next) => at = next,
                Next::State(next) => return Ok(next),
            }
        }
    }

    #[inline(always)]
    fn members_of_one(&mut self, chunk: &mut Chunk<'_>, mut at: usize) -> Result<Next, Error> {
        let Some(frame) = self.frames.last() else {
            return Ok(Next::State(at));
        };
        let (node, mut swallow_comma) = (frame.node, frame.swallow_comma);
        let (may_go, lengths) = self.rules.members(node, self.too_long);
        // Where the member in hand begins, if it may go.
        let mut member = self.member;
        let mut room = self.room();
        loop {
            let Some(key) = chunk.scan.string(at) else {
                self.member = member;
                return self.key_part(chunk, at).map(Next::State);
            };
            let quote = key.end;
            if let Some(Start { at: begin, .. }) = member
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
                self.found_key(child);
                return Ok(Next::State(quote + 1));
            };
            let end = match first {
                Some(b'"') if child.is_none() => match key.next_end() {
                    Some(end) => Some(end + 1),
                    None => self.passed_string(chunk, begin + 1),
                },
                Some(bracket @ (b'{' | b'[')) if child.is_none() => {
                    self.passed_container(chunk, begin, bracket)?
                }
                Some(b'1'..=b'9') if child.is_none() => {
                    self.scalar_end(chunk, begin + 1, None, Scalar::Integer)?
                }
                first => match self.shown_string(chunk, child, begin, first, member)? {
                    Some(end) => {
                        room = self.room();
                        swallow_comma = self.frames.last().is_some_and(|top| top.swallow_comma);
                        Some(end)
                    }
                    None => {
                        let at = self.found_member(chunk, child, begin, first)?;
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
            let Some((comma, next)) = chunk.next_key(end).filter(|_| !swallow_comma) else {
                return self.last_member(chunk, end);
            };
            member = may_go.then(|| Start {
                at: chunk.offset(comma),
                has_comma: true,
            });
            at = next + 1;
        }
    }

    /// Behind a member that no other follows at once: the object may end there, and the one around
    /// it go on.
    fn last_member(&mut self, chunk: &Chunk<'_>, end: usize) -> Result<Next, Error> {
        self.member = None;
        self.state = State::After;
        let [b'}', after @ ..] = chunk.from(end) else {
            return Ok(Next::State(end));
        };
        self.close(b'}', chunk.offset(end))?;
        let in_object = self.frames.last().is_some_and(|around| around.is_object);
        if in_object && after.starts_with(b",\"") {
            self.comma(chunk.offset(end + 1));
            return Ok(Next::Key(end + 3));
        }
        Ok(Next::State(end + 1))
    }

    /// A member begins that is not passed; its value's first byte, if the chunk has it, stands at
    /// `begin`.
    fn found_member(
        &mut self,
        chunk: &Chunk<'_>,
        child: Option<Node>,
        begin: usize,
        first: Option<u8>,
    ) -> Result<usize, Error> {
        self.found_key(child);
        self.state = State::Value {
            node: child,
            may_close: false,
        };
        let Some(first) = first else {
            return Ok(begin);
        };
        self.value(first, child, chunk.offset(begin))?;
        Ok(begin + 1)
    }

    /// The position behind a string that the handler sees and that means no more; `None` if it is
    /// none, or not all of it is in the chunk.
    #[inline]
    fn shown_string(
        &mut self,
        chunk: &mut Chunk<'_>,
        child: Option<Node>,
        begin: usize,
        first: Option<u8>,
        member: Option<Start>,
    ) -> Result<Option<usize>, Error> {
        self.member = member;
        let Some(node) = child.filter(|_| first == Some(b'"') && !self.item.is_dropped()) else {
            return Ok(None);
        };
        let Some(tag) = self.rules.only_string(node) else {
            return Ok(None);
        };
        let from = begin + 1;
        let Some(string) = chunk.scan.string(from) else {
            return Ok(None);
        };
        self.found_key(child);
        let plain = chunk
            .bytes
            .get(from..string.end)
            .filter(|_| string.is_plain);
        self.tagged(
            node,
            tag,
            chunk.offset(from)..chunk.offset(string.end),
            plain,
        )?;
        self.member = None;
        Ok(Some(string.end + 1))
    }

    /// The position behind the string whose content begins there; if that is not in the chunk, it
    /// is what is being read.
    fn passed_string(&mut self, chunk: &mut Chunk<'_>, at: usize) -> Option<usize> {
        let quote = chunk.scan.string_end(at);
        if quote.is_none() {
            self.state = State::Text { node: None };
        }
        quote.map(|quote| quote + 1)
    }

    /// The same for a container.
    fn passed_container(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
        bracket: u8,
    ) -> Result<Option<usize>, Error> {
        let (first, closes) = chunk.scan.bracket(at + 1, bracket);
        if closes && self.frames.len() < self.limits.depth_max {
            return Ok(Some(first + 1));
        }
        self.begin_skip(bracket, chunk.offset(at))?;
        let end = self.skipped_to(chunk, first)?;
        if end.is_none() {
            self.state = State::Skip { node: None };
        }
        Ok(end)
    }

    /// What the chunk has of a key that ends in another one.
    fn key_part(&mut self, chunk: &Chunk<'_>, at: usize) -> Result<usize, Error> {
        let part = chunk.from(at);
        self.check_key(chunk, at, chunk.bytes.len())?;
        if self.key.len() + part.len() > self.limits.key_bytes_max {
            return Err(self.key_too_long(chunk.offset(at) - self.key.len() as u64));
        }
        self.key.extend_from_slice(part);
        self.state = State::InKey;
        Ok(chunk.bytes.len())
    }

    /// Goes on with a key that began in another chunk.
    pub(super) fn step_key(&mut self, chunk: &mut Chunk<'_>, at: usize) -> Result<usize, Error> {
        let Some(string) = chunk.scan.string(at) else {
            return self.key_part(chunk, at);
        };
        let Some(node) = self.frames.last().map(|frame| frame.node) else {
            return Ok(at);
        };
        self.check_key(chunk, at, string.end)?;
        let child = self.child(node, chunk, at, string.end, string.is_plain)?;
        self.found_key(child);
        Ok(string.end + 1)
    }

    /// The node that the key leads to whose last part stands there.
    fn child(
        &mut self,
        node: Node,
        chunk: &Chunk<'_>,
        at: usize,
        end: usize,
        is_plain: bool,
    ) -> Result<Option<Node>, Error> {
        let part = chunk.bytes.get(at..end).unwrap_or_default();
        if self.key.len() + part.len() > self.limits.key_bytes_max {
            return Err(self.key_too_long(chunk.offset(at) - self.key.len() as u64));
        }
        if is_plain && self.key.is_empty() {
            return Ok(self.rules.key(node, part));
        }
        self.key.extend_from_slice(part);
        let mut key = Vec::with_capacity(self.key.len());
        let what = "a key has a broken escape or a control character";
        let offset = chunk.offset(at);
        text::unescape(&self.key, &mut key).ok_or(Error::Syntax { offset, what })?;
        self.key.clear();
        Ok(self.rules.key(node, &key))
    }

    /// The same up to the end of a key, or to where it is too long, since that comes first then. The
    /// part of the key in hand begins at `at`.
    fn check_key(&self, chunk: &Chunk<'_>, at: usize, end: usize) -> Result<(), Error> {
        let max = self.limits.key_bytes_max;
        let too_long = at.saturating_add(max.saturating_add(1) - self.key.len());
        self.check_member(chunk.offset(end.min(too_long)))
    }

    /// What came of a member that may go is within its bound.
    #[inline(always)]
    pub(super) fn check_member(&self, offset: u64) -> Result<(), Error> {
        match self.member {
            Some(member) => self.check_held(offset - member.at, offset),
            None => Ok(()),
        }
    }

    fn found_key(&mut self, child: Option<Node>) {
        // A member that can't go need not be held.
        let rules = child.and_then(|child| self.rules.node(child));
        if !rules.is_some_and(NodeRules::may_go) {
            self.member = None;
        }
        self.state = State::Colon(child);
    }
}
