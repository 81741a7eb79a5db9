//! Keys of objects that are walked, and the members that no rule points at.

use super::error::Error;
use super::handler::Handler;
use super::item::Start;
use super::rewriter::{Rewriter, State};
use super::rules::{Node, NodeRules};
use super::walk::Chunk;
use super::{KEY_BYTES_MAX, text};

impl<H: Handler> Rewriter<H> {
    /// Goes from key to key, as long as members are whole in the chunk and no rule points at them.
    /// `at` is behind the quote that a key begins with.
    pub(super) fn members(&mut self, chunk: &mut Chunk<'_>, mut at: usize) -> Result<usize, Error> {
        let Some(frame) = self.frames.last() else {
            return Ok(at);
        };
        let (node, swallow_comma) = (frame.node, frame.swallow_comma);
        let (may_go, lengths) = self.rules.members(node);
        loop {
            let Some((quote, is_plain)) = chunk.scan.string(at) else {
                return self.key_part(chunk, at);
            };
            let child = if is_plain && lengths.exclude(quote - at) {
                None
            } else {
                self.child(node, chunk, at, quote, is_plain)?
            };
            let (begin, first) = match chunk.from(quote + 1) {
                // As it is in compact JSON.
                [b':', first, ..] if *first > b' ' => (quote + 2, Some(*first)),
                _ => match chunk.after_space(quote + 1) {
                    (colon, Some(b':')) => chunk.after_space(colon + 1),
                    _ => {
                        self.found_key(child);
                        return Ok(quote + 1);
                    }
                },
            };
            let end = match first {
                Some(b'"') if child.is_none() => self.passed_string(chunk, begin + 1),
                Some(bracket @ (b'{' | b'[')) if child.is_none() => {
                    self.passed_container(chunk, begin, bracket)?
                }
                first => return self.found_member(chunk, child, begin, first),
            };
            let Some(end) = end else {
                self.member = None;
                return Ok(chunk.bytes.len());
            };
            let (comma, next) = match chunk.from(end) {
                [b',', b'"', ..] => (end, Some(end + 1)),
                _ => chunk.next_key(end),
            };
            let Some(next) = next.filter(|_| !swallow_comma) else {
                self.member = None;
                self.state = State::After;
                return Ok(end);
            };
            if may_go {
                self.member = Some(Start {
                    at: chunk.offset(comma),
                    has_comma: true,
                });
            }
            at = next + 1;
        }
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
        if self.key.len() + part.len() > KEY_BYTES_MAX {
            return Err(self.key_too_long(chunk.offset(at)));
        }
        self.key.extend_from_slice(part);
        self.state = State::InKey;
        Ok(chunk.bytes.len())
    }

    /// Goes on with a key that began in another chunk.
    pub(super) fn step_key(&mut self, chunk: &mut Chunk<'_>, at: usize) -> Result<usize, Error> {
        let Some((quote, is_plain)) = chunk.scan.string(at) else {
            return self.key_part(chunk, at);
        };
        let Some(node) = self.frames.last().map(|frame| frame.node) else {
            return Ok(at);
        };
        let child = self.child(node, chunk, at, quote, is_plain)?;
        self.found_key(child);
        Ok(quote + 1)
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
        if self.key.len() + part.len() > KEY_BYTES_MAX {
            return Err(self.key_too_long(chunk.offset(at)));
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

    fn found_key(&mut self, child: Option<Node>) {
        // A member that can't go need not be held.
        let rules = child.and_then(|child| self.rules.node(child));
        if !rules.is_some_and(NodeRules::may_go) {
            self.member = None;
        }
        self.state = State::Colon(child);
    }
}
