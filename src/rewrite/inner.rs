//! JSON inside of a string: walked on the unescaped text, byte by byte, with each byte's place in
//! the stream at hand.
//!
//! People may write anything into a string, so what is not JSON ends the walk and is no error.

use super::Tag;
use super::rules::{Node, Rules};
use super::text;

/// Bytes of an inner string that are compared; longer ones are left alone.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Containers that may be open at once, those that are skipped included.
const DEPTH_MAX: usize = 1000;

/// A tagged string inside.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) tag: Tag,
    /// Its content's place in the stream.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) value: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Inner {
    rules: Rules,
    escape: Escape,
    state: State,
    /// Open containers: what they are, and the node whose rules apply.
    open: Vec<(Container, Option<Node>)>,
    /// Content of the inner string in hand, its own escapes still in it.
    text: Vec<u8>,
    from: u64,
    escaped: bool,
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
    Backslash { from: u64 },
    Unicode { from: u64, digits: u8, point: u32 },
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

impl Inner {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            escape: Escape::None,
            state: State::Value(Some(0)),
            open: Vec::new(),
            text: Vec::new(),
            from: 0,
            escaped: false,
        }
    }

    /// The place from which on bytes may still be replaced.
    pub(super) fn hold(&self) -> Option<u64> {
        matches!(self.state, State::Text(Some(_))).then_some(self.from)
    }

    /// Goes on with raw bytes of the outer string, the first of them at `at` in the stream.
    pub(super) fn feed(&mut self, raw: &[u8], mut at: u64, found: &mut Vec<Found>) {
        for &byte in raw {
            if matches!(self.state, State::Done) {
                return;
            }
            self.raw(byte, at, found);
            at += 1;
        }
    }

    fn raw(&mut self, byte: u8, at: u64, found: &mut Vec<Found>) {
        match self.escape {
            Escape::None if byte == b'\\' => self.escape = Escape::Backslash { from: at },
            Escape::None => self.byte(byte, at, at + 1, found),
            Escape::Backslash { from } if byte == b'u' => {
                self.escape = Escape::Unicode {
                    from,
                    digits: 0,
                    point: 0,
                };
            }
            Escape::Backslash { from } => {
                self.escape = Escape::None;
                match text::simple(byte) {
                    Some(byte) => self.byte(byte, from, at + 1, found),
                    None => self.state = State::Done,
                }
            }
            Escape::Unicode {
                from,
                digits,
                point,
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
                };
                if digits == 3 {
                    self.escape = Escape::None;
                    let mut bytes = Vec::with_capacity(3);
                    text::push(point, &mut bytes);
                    for byte in bytes {
                        self.byte(byte, from, at + 1, found);
                    }
                }
            }
        }
    }

    /// One byte of the unescaped text, which stands at `from` to `to`.
    fn byte(&mut self, byte: u8, from: u64, to: u64, found: &mut Vec<Found>) {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.state = match self.state {
            State::InKey | State::Text(_) => self.in_text(byte, from, found),
            state if space => state,
            State::Value(node) => self.value(byte, node, to),
            State::Key if byte == b'"' => {
                self.begin(to);
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
            State::After if byte.is_ascii_alphanumeric() || b"+-.".contains(&byte) => State::After,
            _ => State::Done,
        };
    }

    fn value(&mut self, byte: u8, node: Option<Node>, to: u64) -> State {
        let container = match byte {
            b'{' => Container::Object,
            b'[' => Container::Array,
            b'"' => {
                self.begin(to);
                let rules = node.and_then(|node| self.rules.node(node));
                return State::Text(rules.and_then(|rules| rules.string));
            }
            b']' => return self.close(byte),
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => return State::After,
            _ => return State::Done,
        };
        if self.open.len() >= DEPTH_MAX {
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

    fn begin(&mut self, from: u64) {
        self.text.clear();
        self.from = from;
        self.escaped = false;
    }

    fn in_text(&mut self, byte: u8, at: u64, found: &mut Vec<Found>) -> State {
        if byte == b'"' && !self.escaped {
            return self.text_end(at, found);
        }
        self.escaped = byte == b'\\' && !self.escaped;
        if !matches!(self.state, State::Text(None)) {
            if self.text.len() == TEXT_BYTES_MAX {
                return State::Done;
            }
            self.text.push(byte);
        }
        self.state
    }

    fn text_end(&self, to: u64, found: &mut Vec<Found>) -> State {
        let mut value = Vec::with_capacity(self.text.len());
        if text::unescape(&self.text, &mut value).is_none() {
            return State::Done;
        }
        if let State::Text(tag) = self.state {
            found.extend(tag.map(|tag| Found {
                tag,
                from: self.from,
                to,
                value,
            }));
            return State::After;
        }
        let node = self.open.last().and_then(|(_, node)| *node);
        State::Colon(node.and_then(|node| self.rules.key(node, &value)))
    }
}
