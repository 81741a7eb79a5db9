//! One step of the walk for each state.

use super::brackets::Bad;
use super::chunk::{Chunk, is_space};
use super::error::Error;
use super::handler::Handler;
use super::inner::Inner;
use super::item::{End, Start};
use super::rewriter::{Frame, Rewriter, State, Swallow};
use super::rules::{Node, NodeRules};
use super::scalar::Scalar;
use super::scan::Scan;
use super::{Framing, Tag};

/// Whether a byte may stand behind a number or literal that is a document of a sequence. What goes between
/// two of them must not make them one.
fn may_follow(byte: u8, next_may_go: bool) -> bool {
    is_space(byte) || (!next_may_go && matches!(byte, b'{' | b'[' | b'"'))
}

impl<H: Handler> Rewriter<H> {
    pub(super) fn walk(&mut self, bytes: &[u8], base: u64) -> Result<(), Error> {
        let scan = Scan::new(bytes, self.source, self.carry);
        let mut chunk = Chunk::new(bytes, base, scan);
        let mut at = 0;
        while at < bytes.len() {
            at = self.step(&mut chunk, at)?;
        }
        self.carry = chunk.scan.finish();
        Ok(())
    }

    /// Goes on from `at`; the position to go on from after that.
    fn step(&mut self, chunk: &mut Chunk<'_>, at: usize) -> Result<usize, Error> {
        match self.state {
            State::Skip { node } => match self.skipped_to(chunk, at)? {
                Some(end) => {
                    self.ended(node, chunk.offset(end))?;
                    Ok(end)
                }
                None => Ok(chunk.bytes.len()),
            },
            State::Text { node } => match chunk.scan.string_end(at) {
                Some(quote) => {
                    self.ended(node, chunk.offset(quote + 1))?;
                    Ok(quote + 1)
                }
                None => Ok(chunk.bytes.len()),
            },
            State::Tagged { node, tag, from } => self.step_tagged(chunk, at, node, tag, from),
            State::Inside { node } => self.step_inside(chunk, at, node),
            State::InKey => self.step_key(chunk, at),
            State::Scalar { node, scalar } => self.step_scalar(chunk, at, node, scalar),
            _ => self.structure(chunk, at),
        }
    }

    /// Goes on with a string that the handler sees, which begins at `from`.
    fn step_tagged(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
        node: Node,
        tag: Tag,
        from: u64,
    ) -> Result<usize, Error> {
        let Some(string) = chunk.scan.string(at) else {
            return Ok(chunk.bytes.len());
        };
        let is_plain = string.is_plain && chunk.offset(at) == from;
        let quote = string.end;
        let plain = chunk.bytes.get(at..quote).filter(|_| is_plain);
        self.tagged(node, tag, from..chunk.offset(quote), plain)?;
        self.ended(Some(node), chunk.offset(quote + 1))?;
        Ok(quote + 1)
    }

    fn bad(&self, bad: Bad, offset: u64) -> Error {
        match bad {
            Bad::Bracket => Error::Syntax {
                offset,
                what: "a closing bracket is of the wrong kind",
            },
            Bad::Depth => Error::Depth {
                offset,
                max: self.limits.depth_max,
            },
        }
    }

    fn step_inside(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
        node: Node,
    ) -> Result<usize, Error> {
        let quote = chunk.scan.string_end(at);
        let end = quote.unwrap_or(chunk.bytes.len());
        let content = chunk.bytes.get(at..end).unwrap_or_default();
        if let Some(mut inner) = self.inner.take() {
            self.inside(&mut inner, content, chunk.offset(at))?;
            self.inner = Some(inner);
        }
        if quote.is_none() {
            return Ok(end);
        }
        self.ended(Some(node), chunk.offset(end + 1))?;
        Ok(end + 1)
    }

    /// Starts to skip a container.
    pub(super) fn begin_skip(&mut self, bracket: u8, offset: u64) -> Result<(), Error> {
        let levels = self.limits.depth_max - self.frames.len();
        let begun = self.skipped.begin(bracket, levels);
        begun.map_err(|bad| self.bad(bad, offset))
    }

    /// The position behind the container that is being skipped.
    pub(super) fn skipped_to(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
    ) -> Result<Option<usize>, Error> {
        let end = chunk.scan.container_end(&mut self.skipped, at);
        end.map_err(|(at, bad)| self.bad(bad, chunk.offset(at)))
    }

    fn step_scalar(
        &mut self,
        chunk: &Chunk<'_>,
        at: usize,
        node: Option<Node>,
        scalar: Scalar,
    ) -> Result<usize, Error> {
        let end = self.scalar_end(chunk, at, node, scalar)?;
        if let Some(end) = end {
            let next = chunk.bytes.get(end).copied();
            let may_go = self.rules.node(0).is_some_and(|root| root.item.is_some());
            if self.frames.is_empty()
                && self.framing == Framing::Many
                && !next.is_some_and(|byte| may_follow(byte, may_go))
            {
                return Err(syntax(chunk.offset(end), "a number or literal is broken"));
            }
            self.ended(node, chunk.offset(end))?;
        }
        Ok(end.unwrap_or(chunk.bytes.len()))
    }

    /// The position behind the number or literal; if that is not in the chunk, it is what is being
    /// read.
    pub(super) fn scalar_end(
        &mut self,
        chunk: &Chunk<'_>,
        mut at: usize,
        node: Option<Node>,
        mut scalar: Scalar,
    ) -> Result<Option<usize>, Error> {
        while let Some(byte) = chunk.bytes.get(at) {
            match scalar.next(*byte) {
                Some(next) => scalar = next,
                None if scalar.is_whole() => return Ok(Some(at)),
                None => return Err(syntax(chunk.offset(at), "a number or literal is broken")),
            }
            at += 1;
        }
        self.state = State::Scalar { node, scalar };
        Ok(None)
    }

    /// Whether the beginning or the end of a value there means something.
    fn is_more_than_a_value(&self, node: Option<Node>) -> bool {
        let rules = node.and_then(|node| self.rules.node(node));
        rules.is_some_and(NodeRules::is_more_than_a_value)
    }

    /// Goes from one number or literal to the next in an array of them.
    fn scalars(
        &mut self,
        chunk: &Chunk<'_>,
        mut at: usize,
        node: Option<Node>,
        mut scalar: Scalar,
    ) -> Result<usize, Error> {
        loop {
            let Some(end) = self.scalar_end(chunk, at, node, scalar)? else {
                return Ok(chunk.bytes.len());
            };
            scalar = match chunk.from(end) {
                [b',', next, ..] if let Some(next) = Scalar::begin(*next) => next,
                _ => {
                    self.state = State::After;
                    return Ok(end);
                }
            };
            at = end + 2;
        }
    }

    /// Punctuation, white space and the first bytes of values, until one has to be read.
    fn structure(&mut self, chunk: &mut Chunk<'_>, mut at: usize) -> Result<usize, Error> {
        while let Some(byte) = chunk.bytes.get(at).copied()
            && self.state.is_structure()
        {
            let offset = chunk.offset(at);
            if is_space(byte) {
                if self.swallow.take(byte) {
                    self.window.remove(offset, offset + 1);
                    at += 1;
                } else {
                    at = chunk.past_space(at).0;
                }
                continue;
            }
            at += 1;
            match self.state {
                State::Key { .. } if byte == b'"' => at = self.members(chunk, at)?,
                State::After if byte == b',' => self.comma(offset),
                State::After if matches!(byte, b'}' | b']') => self.close(byte, offset)?,
                State::Value {
                    may_close: true, ..
                } if byte == b']' => self.close(byte, offset)?,
                State::Key { may_close: true } if byte == b'}' => self.close(byte, offset)?,
                State::Value { node, .. } => at = self.first(chunk, at, node, byte)?,
                State::Colon(node) if byte == b':' => {
                    self.state = State::Value {
                        node,
                        may_close: false,
                    };
                }
                State::Between => self.document(byte, offset)?,
                State::Key { .. } => return Err(syntax(offset, "a key is missing")),
                State::Colon(_) => return Err(syntax(offset, "a colon is missing")),
                _ => return Err(syntax(offset, "a comma is missing")),
            }
        }
        Ok(at)
    }

    /// A document begins.
    fn document(&mut self, first: u8, offset: u64) -> Result<(), Error> {
        self.swallow = Swallow::Nothing;
        if self.framing == Framing::One && self.documents() > 0 {
            return Err(Error::SecondValue { offset });
        }
        self.member = Some(Start {
            at: offset,
            has_comma: false,
        });
        self.value(first, Some(0), offset)
    }

    /// The first byte of a value in a container, which stands before `at`; the position to go on
    /// from.
    fn first(
        &mut self,
        chunk: &Chunk<'_>,
        at: usize,
        node: Option<Node>,
        byte: u8,
    ) -> Result<usize, Error> {
        if let Some(scalar) = Scalar::begin(byte)
            && self.frames.last().is_some_and(|frame| !frame.is_object)
            && !self.is_more_than_a_value(node)
        {
            self.check_member(chunk.offset(at) - 1)?;
            self.member = None;
            return self.scalars(chunk, at, node, scalar);
        }
        self.value(byte, node, chunk.offset(at) - 1)?;
        Ok(at)
    }

    pub(super) fn comma(&mut self, offset: u64) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let start = if std::mem::take(&mut frame.swallow_comma) {
            self.window.remove(offset, offset + 1);
            Start {
                at: offset + 1,
                has_comma: false,
            }
        } else {
            Start {
                at: offset,
                has_comma: true,
            }
        };
        let (node, is_object) = (frame.node, frame.is_object);
        self.next_in(node, is_object, start, false);
    }

    /// What is expected at a container's beginning and after each comma.
    fn next_in(&mut self, node: Node, is_object: bool, start: Start, may_close: bool) {
        if is_object {
            let may_go = self.rules.members_may_go(node);
            self.member = may_go.then_some(start);
            self.state = State::Key { may_close };
        } else {
            let each = self.rules.each(node);
            let rules = each.and_then(|each| self.rules.node(each));
            self.member = rules.is_some_and(NodeRules::may_go).then_some(start);
            self.state = State::Value {
                node: each,
                may_close,
            };
        }
    }

    pub(super) fn close(&mut self, bracket: u8, offset: u64) -> Result<(), Error> {
        self.check_member(offset)?;
        let frame = self.frames.pop();
        match frame {
            Some(frame) if frame.is_object == (bracket == b'}') => {
                let end = self.rules.node(frame.node).and_then(|rules| rules.end);
                if let Some(tag) = end
                    && frame.is_object
                    && !self.item.is_dropped()
                {
                    self.object_ended(End {
                        tag,
                        at: offset,
                        is_empty: frame.swallow_comma || !matches!(self.state, State::After),
                    })?;
                }
                self.member = frame.member;
                self.ended(Some(frame.node), offset + 1)
            }
            _ => Err(self.bad(Bad::Bracket, offset)),
        }
    }

    /// The first byte of a value.
    pub(super) fn value(&mut self, byte: u8, node: Option<Node>, offset: u64) -> Result<(), Error> {
        self.check_member(offset)?;
        let rules = node.and_then(|node| self.rules.node(node));
        if let Some(tag) = rules.and_then(|rules| rules.item) {
            let start = self.member.take();
            self.open_item(
                tag,
                start.unwrap_or(Start {
                    at: offset,
                    has_comma: true,
                }),
            );
        } else if self.frames.is_empty() {
            self.member = None;
        }
        let rules = node
            .and_then(|node| self.rules.node(node))
            .filter(|_| !self.item.is_dropped());
        let is_wanted = rules.is_some_and(|rules| rules.value.is_some());
        self.value_from = is_wanted.then_some(offset);
        self.state = match byte {
            b'"' => match (node, rules) {
                (
                    Some(node),
                    Some(NodeRules {
                        string: Some(tag), ..
                    }),
                ) => State::Tagged {
                    node,
                    tag: *tag,
                    from: offset + 1,
                },
                (
                    Some(node),
                    Some(NodeRules {
                        inside: Some(inner),
                        ..
                    }),
                ) => {
                    self.inner = Some(Inner::begin(inner, &self.limits, self.inner.take()));
                    State::Inside { node }
                }
                _ => State::Text { node },
            },
            b'{' | b'[' => return self.container(byte, node, offset),
            byte => match Scalar::begin(byte) {
                Some(scalar) => State::Scalar { node, scalar },
                None => return Err(syntax(offset, "a value is missing")),
            },
        };
        // A string's member stays held until its verdict; of any other only a removal needs it.
        let may_go = is_wanted || rules.is_some_and(|rules| rules.remove);
        if !matches!(self.state, State::Tagged { .. }) && !may_go {
            self.member = None;
        }
        Ok(())
    }

    fn container(&mut self, byte: u8, node: Option<Node>, offset: u64) -> Result<(), Error> {
        let is_object = byte == b'{';
        let walked = node.filter(|node| {
            let each = || self.rules.each(*node).is_some();
            let below = if is_object {
                self.rules.walks_object(*node)
            } else {
                each()
            };
            below && !self.item.is_dropped()
        });
        let may_go = node
            .and_then(|node| self.rules.node(node))
            .is_some_and(|rules| rules.remove || rules.value.is_some())
            && !self.item.is_dropped();
        let member = self.member.take().filter(|_| may_go);
        let depth = self.frames.len();
        if depth >= self.limits.depth_max {
            return Err(self.bad(Bad::Depth, offset));
        }
        let Some(node) = walked else {
            self.member = member;
            self.state = State::Skip { node };
            return self.begin_skip(byte, offset);
        };
        self.frames.push(Frame {
            node,
            is_object,
            swallow_comma: false,
            member,
        });
        self.next_in(
            node,
            is_object,
            Start {
                at: offset + 1,
                has_comma: false,
            },
            true,
        );
        Ok(())
    }
}

pub(super) fn syntax(offset: u64, what: &'static str) -> Error {
    Error::Syntax { offset, what }
}
