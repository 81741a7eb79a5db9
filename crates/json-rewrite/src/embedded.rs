//! Embedded JSON: a document in a string of the outer document.
//!
//! The walk runs over the unescaped text byte by byte, and tracks the offset of each byte in the stream. Users
//! may write anything into a string. So text that is not JSON, or that exceeds a limit, is not an error: it
//! ends the walk and stays unchanged.

mod outer_escape;
mod strings;

use self::outer_escape::OuterEscape;
pub(super) use self::strings::{EmbeddedString, EmbeddedStrings};
use super::memory::shrink_if_empty;
use super::rules::{Node, ROOT, Rules};
use super::{Limits, Tag, escape};

/// The walk through one string.
#[derive(Debug)]
pub(super) struct EmbeddedWalker {
    rules: Rules,
    limits: Limits,
    outer_escape: OuterEscape,
    state: State,
    /// The type and the node of each open container.
    open: Vec<(Container, Option<Node>)>,
    /// The content of the current inner string, with its own escapes.
    text: Vec<u8>,
    /// The offset of the current inner string.
    from: u64,
    /// The next byte of the inner string is escaped.
    is_escaped: bool,
    /// The current inner string is a key or a value that a rule may select.
    is_compared: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Container {
    Array,
    Object,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Value(Option<Node>),
    Key,
    InKey,
    Colon(Option<Node>),
    InString(Option<Tag>),
    AfterValue,
    /// The document is complete, or the text is not JSON. The rest is ignored.
    Done,
}

/// Reads an inner string at the start of the outer string's raw content. Returns its content and the rest, or `None`
/// if it has other escapes or ends in another chunk.
#[inline(always)]
fn plain_string(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let content = escape::before_backslash(raw.strip_prefix(b"\\\"")?);
    let after = raw.get(content.len() + 2..)?.strip_prefix(b"\\\"")?;
    Some((content, after))
}

/// Returns whether numbers and literals can contain the byte. Their syntax is not checked here.
fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

impl EmbeddedWalker {
    /// Returns a walker at the start of a string. Reuses the memory of an earlier walker of the same stream.
    pub(super) fn begin(rules: &Rules, limits: &Limits, earlier: Option<Box<Self>>) -> Box<Self> {
        let mut walker = earlier.unwrap_or_else(|| Box::new(Self::new(rules.clone(), *limits)));
        // Cloning for each string would change a reference count that other cores share.
        if !walker.has_rules(rules) {
            walker.rules = rules.clone();
        }
        walker.outer_escape = OuterEscape::None;
        walker.state = State::Value(Some(ROOT));
        walker.open.clear();
        walker.text.clear();
        walker
    }

    /// Returns whether the current string, or the last one, has these rules.
    pub(super) fn has_rules(&self, rules: &Rules) -> bool {
        self.rules.is_same(rules)
    }

    /// Frees memory that is not needed between chunks. Only for use between strings.
    pub(super) fn shrink(&mut self) {
        self.open.clear();
        self.text.clear();
        shrink_if_empty(&mut self.open);
        shrink_if_empty(&mut self.text);
    }

    fn new(rules: Rules, limits: Limits) -> Self {
        Self {
            rules,
            limits,
            outer_escape: OuterEscape::None,
            state: State::Done,
            open: Vec::new(),
            text: Vec::new(),
            from: 0,
            is_escaped: false,
            is_compared: false,
        }
    }

    /// Returns the offset of the current inner string if it may still be replaced.
    pub(super) fn buffered_from(&self) -> Option<u64> {
        matches!(self.state, State::InString(Some(_))).then_some(self.from)
    }

    /// Continues with raw content of the outer string, which begins at the offset `at`.
    pub(super) fn feed(&mut self, raw: &[u8], at: u64, found: &mut EmbeddedStrings) {
        let mut done = 0;
        while let Some(rest @ [first, ..]) = raw.get(done..) {
            let at = at + done as u64;
            let is_in_string = matches!(self.state, State::InKey | State::InString(_));
            done += match (&self.outer_escape, rest) {
                _ if matches!(self.state, State::Done) => return,
                (OuterEscape::None, [b'\\', b'"', ..]) if matches!(self.state, State::Key) => {
                    self.members(rest, at, found)
                }
                (OuterEscape::None, [b'\\', b'"', ..]) => {
                    self.byte(b'"', at, at + 2, found);
                    2
                }
                (OuterEscape::None, _) if is_in_string && !self.is_escaped && *first != b'\\' => {
                    self.skip_string_part(rest, at)
                }
                _ => {
                    self.raw_byte(*first, at, found);
                    1
                }
            };
        }
    }

    /// Walks from key to key while members are complete, compact and without further escapes, as kubectl
    /// usually writes them. `raw` starts at a key. Returns the number of bytes walked.
    fn members(&mut self, raw: &[u8], at: u64, found: &mut EmbeddedStrings) -> usize {
        let mut node = self.node();
        let mut rest = raw;
        loop {
            let key = plain_string(rest)
                .filter(|(key, _)| key.len() <= self.limits.embedded_string_bytes_max);
            let Some((key, [b':', after @ ..])) = key else {
                let done = raw.len() - rest.len() + 2;
                self.begin_string(at + done as u64, node.is_some());
                self.state = State::InKey;
                return done;
            };
            let child = node.and_then(|node| self.rules.key(node, key));
            rest = after;
            if let [b'{', after @ ..] = after
                && after.starts_with(b"\\\"")
                && self.open.len() < self.limits.embedded_depth_max
            {
                self.open.push((Container::Object, child));
                node = child;
                rest = after;
                continue;
            }
            let from = at + (raw.len() - after.len()) as u64 + 2;
            let Some(after) = self.skip_stateless_value(after, child, from, found) else {
                self.state = State::Value(child);
                return raw.len() - rest.len();
            };
            rest = after;
            let mut state = State::AfterValue;
            while let [b'}', after @ ..] = rest
                && matches!(state, State::AfterValue)
            {
                state = self.close(b'}');
                rest = after;
            }
            self.state = state;
            match (rest, self.open.last()) {
                ([b',', after @ ..], Some((Container::Object, around)))
                    if after.starts_with(b"\\\"") && matches!(state, State::AfterValue) =>
                {
                    rest = after;
                    node = *around;
                }
                _ => return raw.len() - rest.len(),
            }
        }
    }

    /// Skips a value that needs no state: an empty object, a number or literal, or a plain string. The string's
    /// content would start at the offset `from`. Returns the rest.
    fn skip_stateless_value<'a>(
        &self,
        raw: &'a [u8],
        child: Option<Node>,
        from: u64,
        found: &mut EmbeddedStrings,
    ) -> Option<&'a [u8]> {
        match raw {
            [b'{', b'}', after @ ..] if self.open.len() < self.limits.embedded_depth_max => {
                Some(after)
            }
            [b'-' | b'0'..=b'9' | b'a'..=b'z', ..] => {
                let end = raw.iter().position(|byte| !is_scalar(*byte))?;
                raw.get(end..)
            }
            _ => {
                let (content, after) = plain_string(raw)?;
                let rules = child.and_then(|child| self.rules.node(child));
                if let Some(tag) = rules.and_then(|rules| rules.string) {
                    if content.len() > self.limits.embedded_string_bytes_max {
                        return None;
                    }
                    found.add(tag, from, from + content.len() as u64, content);
                }
                Some(after)
            }
        }
    }

    /// Skips the bytes of an inner string before the next backslash. Returns their number.
    fn skip_string_part(&mut self, rest: &[u8], at: u64) -> usize {
        let part = escape::before_backslash(rest);
        if self.is_compared {
            if at + part.len() as u64 - self.from > self.limits.embedded_string_bytes_max as u64 {
                self.state = State::Done;
            } else {
                self.text.extend_from_slice(part);
            }
        }
        part.len()
    }

    /// Continues with one raw byte of the outer string, at the offset `at`.
    fn raw_byte(&mut self, byte: u8, at: u64, found: &mut EmbeddedStrings) {
        let mut escape = std::mem::take(&mut self.outer_escape);
        let is_valid = escape.push(byte, at, &mut |byte, from, to| {
            self.byte(byte, from, to, found);
        });
        self.outer_escape = escape;
        if !is_valid {
            self.state = State::Done;
        }
    }

    /// Continues with one byte of the unescaped text, at the offsets `from..to`.
    fn byte(&mut self, byte: u8, from: u64, to: u64, found: &mut EmbeddedStrings) {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.state = match self.state {
            State::InKey | State::InString(_) => self.string_byte(byte, from, to, found),
            state if space => state,
            State::Value(node) => self.begin_value(byte, node, to),
            State::Key if byte == b'"' => {
                self.begin_string(to, self.node().is_some());
                State::InKey
            }
            State::Colon(node) if byte == b':' => State::Value(node),
            State::AfterValue if byte == b',' => match self.open.last() {
                Some((Container::Object, _)) => State::Key,
                Some((Container::Array, node)) => {
                    State::Value(node.and_then(|node| self.rules.elements(node)))
                }
                None => State::Done,
            },
            State::Key | State::AfterValue if matches!(byte, b'}' | b']') => self.close(byte),
            // Numbers and literals need no state, because they contain no quotes, commas or brackets.
            State::AfterValue if is_scalar(byte) => State::AfterValue,
            _ => State::Done,
        };
    }

    fn begin_value(&mut self, byte: u8, node: Option<Node>, to: u64) -> State {
        let container = match byte {
            b'{' => Container::Object,
            b'[' => Container::Array,
            b'"' => {
                let rules = node.and_then(|node| self.rules.node(node));
                let tag = rules.and_then(|rules| rules.string);
                self.begin_string(to, tag.is_some());
                return State::InString(tag);
            }
            b']' => return self.close(byte),
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => return State::AfterValue,
            _ => return State::Done,
        };
        if self.open.len() >= self.limits.embedded_depth_max {
            return State::Done;
        }
        self.open.push((container, node));
        match container {
            Container::Object => State::Key,
            Container::Array => State::Value(node.and_then(|node| self.rules.elements(node))),
        }
    }

    fn close(&mut self, bracket: u8) -> State {
        let wanted = if bracket == b'}' {
            Container::Object
        } else {
            Container::Array
        };
        match self.open.pop() {
            Some((container, _)) if container == wanted && !self.open.is_empty() => {
                State::AfterValue
            }
            _ => State::Done,
        }
    }

    /// Returns the node of the innermost open container.
    fn node(&self) -> Option<Node> {
        self.open.last().and_then(|(_, node)| *node)
    }

    fn begin_string(&mut self, from: u64, is_compared: bool) {
        self.text.clear();
        self.from = from;
        self.is_escaped = false;
        self.is_compared = is_compared;
    }

    fn string_byte(&mut self, byte: u8, from: u64, to: u64, found: &mut EmbeddedStrings) -> State {
        if byte == b'"' && !self.is_escaped {
            return self.string_ended(from, found);
        }
        self.is_escaped = byte == b'\\' && !self.is_escaped;
        if self.is_compared {
            if to - self.from > self.limits.embedded_string_bytes_max as u64 {
                return State::Done;
            }
            self.text.push(byte);
        }
        self.state
    }

    fn string_ended(&self, to: u64, found: &mut EmbeddedStrings) -> State {
        let is_key = matches!(self.state, State::InKey);
        if !self.is_compared {
            return if is_key {
                State::Colon(None)
            } else {
                State::AfterValue
            };
        }
        let Some(value) = escape::unescaped(&self.text) else {
            return State::Done;
        };
        if let State::InString(tag) = self.state {
            if let Some(tag) = tag {
                found.add(tag, self.from, to, &value);
            }
            return State::AfterValue;
        }
        State::Colon(self.node().and_then(|node| self.rules.key(node, &value)))
    }
}
