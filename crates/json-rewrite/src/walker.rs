//! The walk through a stream: a state machine over the syntax of JSON.
//!
//! Objects and arrays on the path of a rule are *walked*: every key, value and comma in them is read. All other
//! containers and strings are *skipped*: only their end is searched for.
//!
//! This file has one step for each state. `members` walks objects whose members are complete in the chunk.
//! `values` handles the starts and ends of values. `buffering` decides which bytes can be output.

mod buffering;
mod members;
mod values;

use bytes::Bytes;

use super::brackets::{BracketError, Brackets};
use super::chunk::{Chunk, is_space};
use super::editor::Editor;
use super::error::RewriteError;
use super::handler::Handler;
use super::item::Start;
use super::masks::{Backend, Carry};
use super::output::Output;
use super::rules::{KeyLengths, Node, ROOT, Rules};
use super::scalar::Scalar;
use super::scan::Scan;
use super::{Framing, Limits, Tag};

/// Walks the stream and finds the places that rules select.
///
/// Its methods are in this file and, by what they read, in `walker/`: values, members, and what is buffered
/// between chunks. They share the whole state: splitting it would cost instructions for each byte.
#[derive(Debug)]
pub(super) struct Walker<H> {
    rules: Rules,
    framing: Framing,
    limits: Limits,
    /// The key lengths above [`Limits::key_bytes_max`].
    too_long_keys: KeyLengths,
    pub(super) backend: Backend,
    pub(super) editor: Editor<H>,
    state: State,
    /// The walked containers that are open, outermost first.
    frames: Vec<Frame>,
    /// For each open object with a rule that removes it once it is emptied, the start of the member or element that
    /// contains it. Outermost first. It is not in [`Frame`], because few objects have one.
    removed_if_emptied: Vec<Option<Start>>,
    /// The open brackets of the container that is being skipped.
    skipped: Brackets,
    carry: Carry,
    /// The start of the current member, element or document, if it may be removed.
    member: Option<Start>,
    /// The start of the current value, if a raw-value rule selects it.
    raw_value_from: Option<u64>,
    /// The raw bytes of a key that began in an earlier chunk.
    key: Vec<u8>,
    line_end: LineEnd,
    pub(super) documents: u64,
}

/// A container that is being walked.
#[derive(Debug)]
struct Frame {
    node: Node,
    is_object: bool,
    /// The first member or element was removed, so the next comma has to be removed too.
    removes_comma: bool,
    /// The start of the member or element that contains this container, if it may be removed.
    member: Option<Start>,
}

/// The token that is expected next, or the one that is being read.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum State {
    BetweenDocuments,
    Value {
        node: Option<Node>,
        may_close: bool,
    },
    Key {
        may_close: bool,
    },
    Colon(Option<Node>),
    AfterValue,
    InKey,
    /// Inside a string for the handler, whose content begins at the offset `from`.
    InRuleString {
        node: Node,
        tag: Tag,
        from: u64,
    },
    /// Inside a string with embedded JSON that has rules.
    InEmbedded {
        node: Node,
    },
    InString {
        node: Option<Node>,
    },
    InScalar {
        node: Option<Node>,
        scalar: Scalar,
    },
    InSkipped {
        node: Option<Node>,
    },
}

impl State {
    /// Returns whether punctuation, white space or the first byte of a value comes next.
    fn is_structure(self) -> bool {
        matches!(
            self,
            Self::BetweenDocuments
                | Self::Value { .. }
                | Self::Key { .. }
                | Self::Colon(_)
                | Self::AfterValue
        )
    }
}

/// Whether the next byte is removed because it ends the line of a dropped document.
#[derive(Clone, Copy, Debug, Default)]
enum LineEnd {
    #[default]
    Keep,
    Remove,
    /// A carriage return was removed. The newline may come in the next chunk.
    RemoveNewline,
}

impl LineEnd {
    /// Returns whether `byte` is removed.
    fn removes(&mut self, byte: u8) -> bool {
        let (removes, next) = match (*self, byte) {
            (Self::Remove, b'\r') => (true, Self::RemoveNewline),
            (Self::Remove | Self::RemoveNewline, b'\n') => (true, Self::Keep),
            _ => (false, Self::Keep),
        };
        *self = next;
        removes
    }
}

impl<H: Handler> Walker<H> {
    pub(super) fn new(rules: Rules, framing: Framing, limits: Limits, handler: H) -> Self {
        Self {
            rules,
            framing,
            limits,
            too_long_keys: KeyLengths::above(limits.key_bytes_max),
            backend: Backend::best(),
            editor: Editor::new(limits, handler),
            state: State::BetweenDocuments,
            frames: Vec::new(),
            removed_if_emptied: Vec::new(),
            skipped: Brackets::default(),
            carry: Carry::default(),
            member: None,
            raw_value_from: None,
            key: Vec::new(),
            line_end: LineEnd::default(),
            documents: 0,
        }
    }

    /// Walks through a chunk, and releases all decided output.
    pub(super) fn feed(&mut self, chunk: Bytes, out: &mut Output) -> Result<(), RewriteError> {
        let (base, bytes) = (self.editor.window.end(), chunk.clone());
        self.editor.window.push(chunk);
        let walked = self.walk(&bytes, base).and_then(|()| self.release(out));
        self.shrink();
        walked
    }

    pub(super) fn finish(&mut self, out: &mut Output) -> Result<(), RewriteError> {
        // A number or literal that is a whole document ends with the stream.
        if self.frames.is_empty()
            && let State::InScalar { node, scalar } = self.state
            && scalar.is_complete()
        {
            self.end_value(node, self.editor.window.end())?;
        }
        let is_complete = matches!(self.state, State::BetweenDocuments)
            && (self.framing == Framing::Sequence || self.documents > 0);
        if !is_complete {
            return Err(RewriteError::Truncated);
        }
        let end = self.editor.window.end();
        self.editor.window.flush(end, out);
        Ok(())
    }

    pub(super) fn at_boundary(&self) -> bool {
        matches!(self.state, State::BetweenDocuments) && self.editor.window.is_empty()
    }

    fn walk(&mut self, bytes: &[u8], base: u64) -> Result<(), RewriteError> {
        let scan = Scan::new(bytes, self.backend, self.carry);
        let mut chunk = Chunk::new(bytes, base, scan);
        let mut at = 0;
        while at < bytes.len() {
            at = self.step(&mut chunk, at)?;
        }
        self.carry = chunk.scan.finish();
        Ok(())
    }

    /// Runs one step at the position `at`, and returns the next position.
    fn step(&mut self, chunk: &mut Chunk<'_>, at: usize) -> Result<usize, RewriteError> {
        match self.state {
            State::InSkipped { node } => match self.skipped_end(chunk, at)? {
                Some(end) => {
                    self.end_value(node, chunk.offset(end))?;
                    Ok(end)
                }
                None => Ok(chunk.bytes.len()),
            },
            State::InString { node } => match chunk.scan.string_end(at) {
                Some(quote) => {
                    self.end_value(node, chunk.offset(quote + 1))?;
                    Ok(quote + 1)
                }
                None => Ok(chunk.bytes.len()),
            },
            State::InRuleString { node, tag, from } => {
                self.step_rule_string(chunk, at, node, tag, from)
            }
            State::InEmbedded { node } => self.step_embedded(chunk, at, node),
            State::InKey => self.step_key(chunk, at),
            State::InScalar { node, scalar } => self.step_scalar(chunk, at, node, scalar),
            _ => self.step_structure(chunk, at),
        }
    }

    /// Reads punctuation, white space and the first bytes of values, until the state changes.
    fn step_structure(
        &mut self,
        chunk: &mut Chunk<'_>,
        mut at: usize,
    ) -> Result<usize, RewriteError> {
        while let Some(byte) = chunk.bytes.get(at).copied()
            && self.state.is_structure()
        {
            let offset = chunk.offset(at);
            if is_space(byte) {
                if self.line_end.removes(byte) {
                    self.editor.window.remove(offset, offset + 1);
                    at += 1;
                } else {
                    at = chunk.skip_space(at).0;
                }
                continue;
            }
            at += 1;
            match self.state {
                State::Key { .. } if byte == b'"' => at = self.members(chunk, at)?,
                State::AfterValue if byte == b',' => self.comma(offset),
                State::AfterValue if matches!(byte, b'}' | b']') => self.close(byte, offset)?,
                State::Value {
                    may_close: true, ..
                } if byte == b']' => self.close(byte, offset)?,
                State::Key { may_close: true } if byte == b'}' => self.close(byte, offset)?,
                State::Value { node, .. } => at = self.begin_nested(chunk, at, node, byte)?,
                State::Colon(node) if byte == b':' => {
                    self.state = State::Value {
                        node,
                        may_close: false,
                    };
                }
                State::BetweenDocuments => self.begin_document(byte, offset)?,
                State::Key { .. } => return Err(syntax(offset, "expected a key")),
                State::Colon(_) => return Err(syntax(offset, "expected a colon")),
                _ => return Err(syntax(offset, "expected a comma")),
            }
        }
        Ok(at)
    }

    fn step_rule_string(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
        node: Node,
        tag: Tag,
        from: u64,
    ) -> Result<usize, RewriteError> {
        let Some(string) = chunk.scan.string(at) else {
            return Ok(chunk.bytes.len());
        };
        let is_plain = string.is_plain && chunk.offset(at) == from;
        let quote = string.end;
        let plain = chunk.bytes.get(at..quote).filter(|_| is_plain);
        self.rule_string(node, tag, from..chunk.offset(quote), plain)?;
        self.end_value(Some(node), chunk.offset(quote + 1))?;
        Ok(quote + 1)
    }

    fn step_embedded(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
        node: Node,
    ) -> Result<usize, RewriteError> {
        let quote = chunk.scan.string_end(at);
        let end = quote.unwrap_or(chunk.bytes.len());
        let content = chunk.bytes.get(at..end).unwrap_or_default();
        self.editor.embedded(content, chunk.offset(at))?;
        if quote.is_none() {
            return Ok(end);
        }
        self.end_value(Some(node), chunk.offset(end + 1))?;
        Ok(end + 1)
    }

    fn step_scalar(
        &mut self,
        chunk: &Chunk<'_>,
        at: usize,
        node: Option<Node>,
        scalar: Scalar,
    ) -> Result<usize, RewriteError> {
        let Some(end) = self.scalar_end(chunk, at, node, scalar)? else {
            return Ok(chunk.bytes.len());
        };
        if self.frames.is_empty()
            && self.framing == Framing::Sequence
            && !self.may_follow_scalar(chunk.bytes.get(end).copied())
        {
            return Err(syntax(chunk.offset(end), "invalid number or literal"));
        }
        self.end_value(node, chunk.offset(end))?;
        Ok(end)
    }

    /// Returns whether this byte may follow a number or literal that is a document. If documents can be
    /// dropped, white space is required. Otherwise, dropping the document between two numbers would join them.
    fn may_follow_scalar(&self, byte: Option<u8>) -> bool {
        let root = self.rules.node(ROOT);
        let can_be_dropped = root.is_some_and(|root| root.item.is_some());
        byte.is_some_and(|byte| {
            is_space(byte) || (!can_be_dropped && matches!(byte, b'{' | b'[' | b'"'))
        })
    }

    /// Returns the position after a number or literal. If the chunk ends first, the state becomes `InScalar`.
    fn scalar_end(
        &mut self,
        chunk: &Chunk<'_>,
        mut at: usize,
        node: Option<Node>,
        mut scalar: Scalar,
    ) -> Result<Option<usize>, RewriteError> {
        while let Some(byte) = chunk.bytes.get(at) {
            match scalar.next(*byte) {
                Some(next) => scalar = next,
                None if scalar.is_complete() => return Ok(Some(at)),
                None => return Err(syntax(chunk.offset(at), "invalid number or literal")),
            }
            at += 1;
        }
        self.state = State::InScalar { node, scalar };
        Ok(None)
    }

    /// Starts to skip a container.
    fn begin_skip(&mut self, bracket: u8, offset: u64) -> Result<(), RewriteError> {
        let levels = self.limits.depth_max - self.frames.len();
        let begun = self.skipped.begin(bracket, levels);
        begun.map_err(|error| self.bracket_error(error, offset))
    }

    /// Returns the position after the container that is being skipped, if the chunk has its end.
    fn skipped_end(
        &mut self,
        chunk: &mut Chunk<'_>,
        at: usize,
    ) -> Result<Option<usize>, RewriteError> {
        let end = chunk.scan.container_end(&mut self.skipped, at);
        end.map_err(|(at, error)| self.bracket_error(error, chunk.offset(at)))
    }

    fn bracket_error(&self, error: BracketError, offset: u64) -> RewriteError {
        match error {
            BracketError::Mismatch => syntax(offset, "mismatched closing bracket"),
            BracketError::TooDeep => RewriteError::TooDeep {
                offset,
                max: self.limits.depth_max,
            },
        }
    }
}

fn syntax(offset: u64, what: &'static str) -> RewriteError {
    RewriteError::Syntax { offset, what }
}
