//! The starts and ends of documents, containers and values.

use std::ops::Range;

use super::{Frame, LineEnd, State, Walker, syntax};
use crate::brackets::BracketError;
use crate::chunk::Chunk;
use crate::editor::Outcome;
use crate::error::RewriteError;
use crate::handler::Handler;
use crate::item::{ObjectEnd, Start};
use crate::rules::{Node, NodeRules, ROOT};
use crate::scalar::Scalar;
use crate::{Framing, Tag};

impl<H: Handler> Walker<H> {
    pub(super) fn begin_document(&mut self, first: u8, offset: u64) -> Result<(), RewriteError> {
        self.line_end = LineEnd::Keep;
        if self.framing == Framing::SingleValue && self.documents > 0 {
            return Err(RewriteError::SecondValue { offset });
        }
        self.member = Some(Start {
            offset,
            has_comma: false,
        });
        self.begin_value(first, Some(ROOT), offset)
    }

    /// Starts a value in a container. Its first byte is `byte`, just before the position `at`. Returns the next
    /// position.
    pub(super) fn begin_nested(
        &mut self,
        chunk: &Chunk<'_>,
        at: usize,
        node: Option<Node>,
        byte: u8,
    ) -> Result<usize, RewriteError> {
        if let Some(scalar) = Scalar::begin(byte)
            && self.frames.last().is_some_and(|frame| !frame.is_object)
            && !self.applies_to_any_type(node)
        {
            self.check_member(chunk.offset(at) - 1)?;
            self.member = None;
            return self.scalars(chunk, at, node, scalar);
        }
        self.begin_value(byte, node, chunk.offset(at) - 1)?;
        Ok(at)
    }

    fn applies_to_any_type(&self, node: Option<Node>) -> bool {
        let rules = node.and_then(|node| self.rules.node(node));
        rules.is_some_and(NodeRules::applies_to_any_type)
    }

    /// Skips consecutive numbers and literals of an array.
    fn scalars(
        &mut self,
        chunk: &Chunk<'_>,
        mut at: usize,
        node: Option<Node>,
        mut scalar: Scalar,
    ) -> Result<usize, RewriteError> {
        loop {
            let Some(end) = self.scalar_end(chunk, at, node, scalar)? else {
                return Ok(chunk.bytes.len());
            };
            scalar = match chunk.from(end) {
                [b',', next, ..] if let Some(next) = Scalar::begin(*next) => next,
                _ => {
                    self.state = State::AfterValue;
                    return Ok(end);
                }
            };
            at = end + 2;
        }
    }

    pub(super) fn begin_value(
        &mut self,
        byte: u8,
        node: Option<Node>,
        offset: u64,
    ) -> Result<(), RewriteError> {
        self.check_member(offset)?;
        let rules = node.and_then(|node| self.rules.node(node));
        if let Some(tag) = rules.and_then(|rules| rules.item) {
            let start = self.member.take().unwrap_or(Start {
                offset,
                has_comma: true,
            });
            self.editor.begin_item(tag, start);
        } else if self.frames.is_empty() {
            self.member = None;
        }
        let rules = rules.filter(|_| !self.editor.item.is_dropped());
        let is_raw = rules.is_some_and(|rules| rules.raw_value.is_some());
        self.raw_value_from = is_raw.then_some(offset);
        self.state = match byte {
            b'"' => match (node, rules) {
                (
                    Some(node),
                    Some(NodeRules {
                        string: Some(tag), ..
                    }),
                ) => State::InRuleString {
                    node,
                    tag: *tag,
                    from: offset + 1,
                },
                (
                    Some(node),
                    Some(NodeRules {
                        embedded_json: Some(embedded),
                        ..
                    }),
                ) => {
                    self.editor.begin_embedded(embedded);
                    State::InEmbedded { node }
                }
                _ => State::InString { node },
            },
            b'{' | b'[' => return self.begin_container(byte, node, offset),
            byte => match Scalar::begin(byte) {
                Some(scalar) => State::InScalar { node, scalar },
                None => return Err(syntax(offset, "expected a value")),
            },
        };
        // The member stays buffered only if the value can still cause its removal.
        let may_be_removed = is_raw || rules.is_some_and(|rules| rules.remove);
        if !matches!(self.state, State::InRuleString { .. }) && !may_be_removed {
            self.member = None;
        }
        Ok(())
    }

    fn begin_container(
        &mut self,
        byte: u8,
        node: Option<Node>,
        offset: u64,
    ) -> Result<(), RewriteError> {
        let is_object = byte == b'{';
        let walked = node.filter(|node| {
            let has_rules = if is_object {
                self.rules.walks_object(*node)
            } else {
                self.rules.elements(*node).is_some()
            };
            has_rules && !self.editor.item.is_dropped()
        });
        let rules = node.and_then(|node| self.rules.node(node));
        let may_be_removed = rules.is_some_and(|rules| rules.remove || rules.raw_value.is_some())
            && !self.editor.item.is_dropped();
        let start = self.member.take();
        let member = start.filter(|_| may_be_removed);
        if self.frames.len() >= self.limits.depth_max {
            return Err(self.bracket_error(BracketError::TooDeep, offset));
        }
        let Some(node) = walked else {
            self.member = member;
            self.state = State::InSkipped { node };
            return self.begin_skip(byte, offset);
        };
        self.frames.push(Frame {
            node,
            is_object,
            removes_comma: false,
            member,
        });
        if is_object && self.rules.removes_emptied(node) {
            self.begin_emptied(start);
        }
        let start = Start {
            offset: offset + 1,
            has_comma: false,
        };
        self.expect_next(node, is_object, start, true);
        Ok(())
    }

    pub(super) fn comma(&mut self, offset: u64) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        let (node, is_object) = (frame.node, frame.is_object);
        let start = self.start_after_comma(offset);
        self.expect_next(node, is_object, start, false);
    }

    /// Returns the start of the member or element after a comma. Removes the comma if the first member was removed.
    pub(super) fn start_after_comma(&mut self, offset: u64) -> Start {
        let frame = self.frames.last_mut();
        if frame.is_some_and(|frame| std::mem::take(&mut frame.removes_comma)) {
            self.editor.window.remove(offset, offset + 1);
            Start {
                offset: offset + 1,
                has_comma: false,
            }
        } else {
            Start {
                offset,
                has_comma: true,
            }
        }
    }

    /// Expects the next member or element of a container, which begins at `start`.
    fn expect_next(&mut self, node: Node, is_object: bool, start: Start, may_close: bool) {
        if is_object {
            let is_removable = self.rules.has_removable_members(node);
            self.member = is_removable.then_some(start);
            self.state = State::Key { may_close };
        } else {
            let elements = self.rules.elements(node);
            let rules = elements.and_then(|elements| self.rules.node(elements));
            let is_removable = rules.is_some_and(NodeRules::may_be_removed);
            self.member = is_removable.then_some(start);
            self.state = State::Value {
                node: elements,
                may_close,
            };
        }
    }

    /// Ends the innermost walked container.
    // The compiler does not inline it otherwise, which costs 25 instructions for each container.
    #[inline(always)]
    pub(super) fn close(&mut self, bracket: u8, offset: u64) -> Result<(), RewriteError> {
        self.check_member(offset)?;
        let frame = self.frames.pop();
        match frame {
            Some(frame) if frame.is_object == (bracket == b'}') => {
                let rules = self.rules.node(frame.node).filter(|_| frame.is_object);
                let (removes_emptied, tag) = rules.map_or((false, None), |rules| {
                    (rules.remove_emptied, rules.object_end)
                });
                // True exactly if the object had members and all were removed.
                let is_emptied = frame.removes_comma;
                let is_removed = removes_emptied && self.end_emptied(is_emptied, offset + 1)?;
                if let Some(tag) = tag
                    && !is_removed
                    && !self.editor.item.is_dropped()
                {
                    self.editor.object_end(ObjectEnd {
                        tag,
                        offset,
                        is_empty: is_emptied || !matches!(self.state, State::AfterValue),
                    })?;
                }
                self.member = frame.member;
                self.end_value(Some(frame.node), offset + 1)
            }
            _ => Err(self.bracket_error(BracketError::Mismatch, offset)),
        }
    }

    /// Remembers the start of an object that is removed once rules have removed all of its members.
    #[cold]
    fn begin_emptied(&mut self, start: Option<Start>) {
        self.removed_if_emptied.push(start);
    }

    /// Ends an object for which [`Self::begin_emptied`] was called. Removes it if rules have removed all of its
    /// members. Returns whether it was removed.
    #[cold]
    fn end_emptied(&mut self, is_emptied: bool, end: u64) -> Result<bool, RewriteError> {
        let start = self.removed_if_emptied.pop().flatten();
        if !is_emptied || self.editor.item.is_dropped() {
            return Ok(false);
        }
        let Some(start) = start.filter(|_| self.editor.item.is_buffered()) else {
            // Whether the start was output depends on the chunks, so this is an error even if it was not.
            return Err(RewriteError::Rejected(
                "all members of an object were removed after its item had been kept, so the object cannot be removed",
            ));
        };
        self.remove(start, end);
        Ok(true)
    }

    /// Passes a complete string to the handler. Its content is at `span`, and also in `plain` if it is in the
    /// current chunk and has no escapes.
    pub(super) fn rule_string(
        &mut self,
        node: Node,
        tag: Tag,
        span: Range<u64>,
        plain: Option<&[u8]>,
    ) -> Result<(), RewriteError> {
        let Range { start, end } = span;
        self.check_length(start, end)?;
        self.check_value(start, end)?;
        match self.editor.string(tag, span, plain)? {
            Outcome::Done => Ok(()),
            // The rule removes the member in `end_value`.
            Outcome::RemoveMember if self.rules.node(node).is_some_and(|rules| rules.remove) => {
                Ok(())
            }
            // The closing quote follows the content.
            Outcome::RemoveMember => self.remove_member(end + 1),
        }
    }

    /// Handles the end of a value, which is before the offset `end`.
    pub(super) fn end_value(&mut self, node: Option<Node>, end: u64) -> Result<(), RewriteError> {
        self.state = if self.frames.is_empty() {
            State::BetweenDocuments
        } else {
            State::AfterValue
        };
        let rules = node.and_then(|node| self.rules.node(node));
        let (removed, raw_value, decides_item, is_item) =
            rules.map_or_else(Default::default, |rules| {
                (
                    rules.remove,
                    rules.raw_value,
                    rules.decides_item,
                    rules.item.is_some(),
                )
            });
        if removed && !self.editor.item.is_dropped() {
            self.remove_member(end)?;
        }
        if let Some(tag) = raw_value
            && let Some(from) = self.raw_value_from.take()
        {
            self.check_value(from, end)?;
            if self.editor.raw_value(tag, from, end)? == Outcome::RemoveMember {
                self.remove_member(end)?;
            }
        }
        self.member = None;
        if decides_item {
            self.editor.decide_item(end)?;
        }
        if is_item && let Some(dropped) = self.editor.end_item(end)? {
            self.remove(dropped, end);
        }
        if self.frames.is_empty() {
            self.documents += 1;
        }
        Ok(())
    }

    fn remove_member(&mut self, end: u64) -> Result<(), RewriteError> {
        let Some(start) = self.member.take() else {
            return Err(RewriteError::Rejected("this value cannot be removed"));
        };
        self.remove(start, end);
        Ok(())
    }

    /// Removes a member, an element or a document. If no comma precedes it, the comma after it is removed too.
    fn remove(&mut self, start: Start, end: u64) {
        self.editor.window.remove(start.offset, end);
        match self.frames.last_mut() {
            Some(frame) if !start.has_comma => frame.removes_comma = true,
            Some(_) => {}
            None => self.line_end = LineEnd::Remove,
        }
    }
}
