//! JSON inside of a string: walked on the unescaped text, byte by byte, with each byte's place in
//! the stream at hand.
//!
//! People may write anything into a string, so what is seen not to be JSON ends the walk and is no
//! error; nor is what is beyond the bounds for it.

use std::ops::Range;

use super::memory::give_back;
use super::rules::{Node, Rules};
use super::{Limits, Tag, text};

/// Tagged strings inside, in their order.
#[derive(Debug, Default)]
pub(super) struct Finds {
    pub(super) all: Vec<Found>,
    /// Their values, one behind the other.
    pub(super) values: Vec<u8>,
}

impl Finds {
    fn add(&mut self, tag: Tag, from: u64, to: u64, value: &[u8]) {
        let begin = self.values.len();
        self.values.extend_from_slice(value);
        self.all.push(Found {
            tag,
            from,
            to,
            value: begin..self.values.len(),
        });
    }
}

#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) tag: Tag,
    /// Its content's place in the stream.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Its place among the values.
    pub(super) value: Range<usize>,
}

#[derive(Debug)]
pub(super) struct Inner {
    rules: Rules,
    /// Those of the stream.
    limits: Limits,
    escape: Escape,
    state: State,
    /// Open containers: what they are, and the node whose rules apply.
    open: Vec<(Container, Option<Node>)>,
    /// Content of the inner string in hand, its own escapes still in it.
    text: Vec<u8>,
    from: u64,
    escaped: bool,
    /// A rule may want the inner string in hand.
    is_compared: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Container {
    Array,
    Object,
}

/// Where in the outer string's escapes the walk stands.
#[derive(Debug)]
enum Escape {
    None,
    Backslash {
        from: u64,
    },
    Unicode {
        from: u64,
        digits: u8,
        point: u32,
        high: Option<High>,
    },
    /// Behind the first half of a surrogate pair, perhaps.
    High(High),
    HighBackslash {
        high: High,
        from: u64,
    },
}

/// The first half of a surrogate pair.
#[derive(Clone, Copy, Debug)]
struct High {
    from: u64,
    /// Behind it.
    to: u64,
    unit: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Value(Option<Node>),
    Key,
    InKey,
    Colon(Option<Node>),
    Text(Option<Tag>),
    After,
    /// Not JSON, or a whole document: the rest does not matter.
    Done,
}

/// The inner string that the outer string's raw content begins with, and what follows; `None` if
/// there is another escape in it, or an end in another chunk.
#[inline(always)]
fn plain_string(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let content = text::up_to_backslash(raw.strip_prefix(b"\\\"")?);
    let after = raw.get(content.len() + 2..)?.strip_prefix(b"\\\"")?;
    Some((content, after))
}

/// Whether a number or a literal may have the byte; what order they come in is of no matter here.
fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

impl Inner {
    /// Starts at the beginning of a string, with the memory of an earlier one of the same stream if there is
    /// one.
    pub(super) fn begin(rules: &Rules, limits: &Limits, earlier: Option<Box<Self>>) -> Box<Self> {
        let mut inner = earlier.unwrap_or_else(|| Box::new(Self::new(rules.clone(), *limits)));
        // A count that other cores share is not touched for each string.
        if !inner.rules.is(rules) {
            inner.rules = rules.clone();
        }
        inner.escape = Escape::None;
        inner.state = State::Value(Some(0));
        inner.open.clear();
        inner.text.clear();
        inner
    }

    /// Frees what a long string made large; only between strings.
    pub(super) fn give_back(&mut self) {
        self.open.clear();
        self.text.clear();
        give_back(&mut self.open);
        give_back(&mut self.text);
    }

    fn new(rules: Rules, limits: Limits) -> Self {
        Self {
            rules,
            limits,
            escape: Escape::None,
            state: State::Done,
            open: Vec::new(),
            text: Vec::new(),
            from: 0,
            escaped: false,
            is_compared: false,
        }
    }

    /// The place from which on bytes may still be replaced.
    pub(super) fn hold(&self) -> Option<u64> {
        matches!(self.state, State::Text(Some(_))).then_some(self.from)
    }

    /// Goes on with raw bytes of the outer string, the first of them at `at` in the stream.
    pub(super) fn feed(&mut self, raw: &[u8], at: u64, found: &mut Finds) {
        let mut done = 0;
        while let Some(rest @ [first, ..]) = raw.get(done..) {
            let at = at + done as u64;
            let in_text = matches!(self.state, State::InKey | State::Text(_));
            done += match (&self.escape, rest) {
                _ if matches!(self.state, State::Done) => return,
                (Escape::None, [b'\\', b'"', ..]) if matches!(self.state, State::Key) => {
                    self.members(rest, at, found)
                }
                (Escape::None, [b'\\', b'"', ..]) => {
                    self.byte(b'"', at, at + 2, found);
                    2
                }
                (Escape::None, _) if in_text && !self.escaped && *first != b'\\' => {
                    self.run(rest, at)
                }
                _ => {
                    self.raw(*first, at, found);
                    1
                }
            };
        }
    }

    /// Goes from key to key as long as members are whole, compact and plain, as kubectl writes most;
    /// how many bytes that were. A key begins at the first of them.
    fn members(&mut self, raw: &[u8], at: u64, found: &mut Finds) -> usize {
        let mut node = self.node();
        let mut rest = raw;
        loop {
            let key = plain_string(rest)
                .filter(|(key, _)| key.len() <= self.limits.inner_string_bytes_max);
            let Some((key, [b':', after @ ..])) = key else {
                let done = raw.len() - rest.len() + 2;
                self.begin_text(at + done as u64, node.is_some());
                self.state = State::InKey;
                return done;
            };
            let child = node.and_then(|node| self.rules.key(node, key));
            rest = after;
            if let [b'{', after @ ..] = after
                && after.starts_with(b"\\\"")
                && self.open.len() < self.limits.inner_depth_max
            {
                self.open.push((Container::Object, child));
                node = child;
                rest = after;
                continue;
            }
            let from = at + (raw.len() - after.len()) as u64 + 2;
            let Some(after) = self.passed_value(after, child, from, found) else {
                self.state = State::Value(child);
                return raw.len() - rest.len();
            };
            rest = after;
            let mut state = State::After;
            while let [b'}', after @ ..] = rest
                && matches!(state, State::After)
            {
                state = self.close(b'}');
                rest = after;
            }
            self.state = state;
            match (rest, self.open.last()) {
                ([b',', after @ ..], Some((Container::Object, around)))
                    if after.starts_with(b"\\\"") && matches!(state, State::After) =>
                {
                    rest = after;
                    node = *around;
                }
                _ => return raw.len() - rest.len(),
            }
        }
    }

    /// What follows a value that needs no state: an empty object, a number or literal, or a plain
    /// string, whose content would begin at `from`.
    fn passed_value<'a>(
        &self,
        raw: &'a [u8],
        child: Option<Node>,
        from: u64,
        found: &mut Finds,
    ) -> Option<&'a [u8]> {
        match raw {
            [b'{', b'}', after @ ..] if self.open.len() < self.limits.inner_depth_max => {
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
                    if content.len() > self.limits.inner_string_bytes_max {
                        return None;
                    }
                    found.add(tag, from, from + content.len() as u64, content);
                }
                Some(after)
            }
        }
    }

    /// Takes the bytes of an inner string up to the next backslash; how many they are.
    fn run(&mut self, rest: &[u8], at: u64) -> usize {
        let run = text::up_to_backslash(rest);
        if self.is_compared {
            if at + run.len() as u64 - self.from > self.limits.inner_string_bytes_max as u64 {
                self.state = State::Done;
            } else {
                self.text.extend_from_slice(run);
            }
        }
        run.len()
    }

    fn raw(&mut self, byte: u8, at: u64, found: &mut Finds) {
        match self.escape {
            Escape::None if byte == b'\\' => self.escape = Escape::Backslash { from: at },
            Escape::None => self.byte(byte, at, at + 1, found),
            Escape::Backslash { from } => self.escaped_byte(byte, from, at, None, found),
            Escape::High(high) if byte == b'\\' => {
                self.escape = Escape::HighBackslash { high, from: at };
            }
            Escape::High(high) => {
                self.point(high.unit, high.from, high.to, found);
                self.byte(byte, at, at + 1, found);
            }
            Escape::HighBackslash { high, from } => {
                self.escaped_byte(byte, from, at, Some(high), found);
            }
            Escape::Unicode {
                from,
                digits,
                point,
                high,
            } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    self.state = State::Done;
                    return;
                };
                let point = point * 16 + digit;
                self.escape = Escape::Unicode {
                    from,
                    digits: digits + 1,
                    point,
                    high,
                };
                if digits == 3 {
                    self.unit(point, from, at + 1, high, found);
                }
            }
        }
    }

    /// What follows a backslash, which stands at `from`.
    fn escaped_byte(
        &mut self,
        byte: u8,
        from: u64,
        at: u64,
        high: Option<High>,
        found: &mut Finds,
    ) {
        if byte == b'u' {
            self.escape = Escape::Unicode {
                from,
                digits: 0,
                point: 0,
                high,
            };
            return;
        }
        if let Some(High { from, to, unit }) = high {
            self.point(unit, from, to, found);
        }
        self.escape = Escape::None;
        match text::simple(byte) {
            Some(byte) => self.byte(byte, from, at + 1, found),
            None => self.state = State::Done,
        }
    }

    /// A unit of UTF-16, of which two may be one character.
    fn unit(&mut self, unit: u32, from: u64, to: u64, high: Option<High>, found: &mut Finds) {
        if let Some(high) = high {
            if let Some(point) = text::pair(high.unit, unit) {
                self.point(point, high.from, to, found);
                return;
            }
            self.point(high.unit, high.from, high.to, found);
        }
        if text::is_high(unit) {
            self.escape = Escape::High(High { from, to, unit });
        } else {
            self.point(unit, from, to, found);
        }
    }

    fn point(&mut self, point: u32, from: u64, to: u64, found: &mut Finds) {
        self.escape = Escape::None;
        let mut bytes = Vec::with_capacity(4);
        text::push(point, &mut bytes);
        for byte in bytes {
            self.byte(byte, from, to, found);
        }
    }

    /// One byte of the unescaped text, which stands at `from` to `to`.
    fn byte(&mut self, byte: u8, from: u64, to: u64, found: &mut Finds) {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.state = match self.state {
            State::InKey | State::Text(_) => self.in_text(byte, from, to, found),
            state if space => state,
            State::Value(node) => self.value(byte, node, to),
            State::Key if byte == b'"' => {
                self.begin_text(to, self.node().is_some());
                State::InKey
            }
            State::Colon(node) if byte == b':' => State::Value(node),
            State::After if byte == b',' => match self.open.last() {
                Some((Container::Object, _)) => State::Key,
                Some((Container::Array, node)) => {
                    State::Value(node.and_then(|node| self.rules.each(node)))
                }
                None => State::Done,
            },
            State::Key | State::After if matches!(byte, b'}' | b']') => self.close(byte),
            // Numbers and literals need no state: they have no quotes, commas or brackets.
            State::After if is_scalar(byte) => State::After,
            _ => State::Done,
        };
    }

    fn value(&mut self, byte: u8, node: Option<Node>, to: u64) -> State {
        let container = match byte {
            b'{' => Container::Object,
            b'[' => Container::Array,
            b'"' => {
                let rules = node.and_then(|node| self.rules.node(node));
                let tag = rules.and_then(|rules| rules.string);
                self.begin_text(to, tag.is_some());
                return State::Text(tag);
            }
            b']' => return self.close(byte),
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => return State::After,
            _ => return State::Done,
        };
        if self.open.len() >= self.limits.inner_depth_max {
            return State::Done;
        }
        self.open.push((container, node));
        match container {
            Container::Object => State::Key,
            Container::Array => State::Value(node.and_then(|node| self.rules.each(node))),
        }
    }

    fn close(&mut self, bracket: u8) -> State {
        let wanted = if bracket == b'}' {
            Container::Object
        } else {
            Container::Array
        };
        match self.open.pop() {
            Some((container, _)) if container == wanted && !self.open.is_empty() => State::After,
            _ => State::Done,
        }
    }

    /// The node of the innermost container.
    fn node(&self) -> Option<Node> {
        self.open.last().and_then(|(_, node)| *node)
    }

    fn begin_text(&mut self, from: u64, is_compared: bool) {
        self.text.clear();
        self.from = from;
        self.escaped = false;
        self.is_compared = is_compared;
    }

    fn in_text(&mut self, byte: u8, from: u64, to: u64, found: &mut Finds) -> State {
        if byte == b'"' && !self.escaped {
            return self.text_end(from, found);
        }
        self.escaped = byte == b'\\' && !self.escaped;
        if self.is_compared {
            if to - self.from > self.limits.inner_string_bytes_max as u64 {
                return State::Done;
            }
            self.text.push(byte);
        }
        self.state
    }

    fn text_end(&self, to: u64, found: &mut Finds) -> State {
        let is_key = matches!(self.state, State::InKey);
        if !self.is_compared {
            return if is_key {
                State::Colon(None)
            } else {
                State::After
            };
        }
        let Some(value) = text::unescaped(&self.text) else {
            return State::Done;
        };
        if let State::Text(tag) = self.state {
            if let Some(tag) = tag {
                found.add(tag, self.from, to, &value);
            }
            return State::After;
        }
        State::Colon(self.node().and_then(|node| self.rules.key(node, &value)))
    }
}
