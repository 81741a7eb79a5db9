//! The walk through a stream: what is pointed at by rules is looked at, the rest is skipped.

use bytes::{Buf, Bytes};

use super::brackets::Brackets;
use super::error::Error;
use super::handler::Handler;
use super::inner::{Finds, Inner};
use super::item::{Item, Start};
use super::masks::{Carry, Code, Source};
use super::memory::give_back;
use super::output::Output;
use super::rules::{Lengths, Node, Rules};
use super::scalar::Scalar;
use super::window::Window;
use super::{Framing, Limits, Tag};

/// Rewrites one stream.
#[derive(Debug)]
pub struct Rewriter<H> {
    pub(super) rules: Rules,
    pub(super) framing: Framing,
    pub(super) limits: Limits,
    /// Of keys that are too long.
    pub(super) too_long: Lengths,
    pub(super) handler: H,
    pub(super) window: Window,
    pub(super) state: State,
    /// Containers that are being walked.
    pub(super) frames: Vec<Frame>,
    /// The container that is being skipped.
    pub(super) skipped: Brackets,
    pub(super) source: Source,
    pub(super) carry: Carry,
    /// Where the member or element in hand begins, if it may go.
    pub(super) member: Option<Start>,
    /// Where the value begins that the handler will see as a whole.
    pub(super) value_from: Option<u64>,
    pub(super) item: Item,
    /// Raw bytes of a key that came in parts.
    pub(super) key: Vec<u8>,
    /// What is to go with the dropped document before it.
    pub(super) swallow: Swallow,
    pub(super) raw: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) finds: Finds,
    /// Of the string that holds JSON; of the last one, for its memory, where there is none in hand.
    pub(super) inner: Option<Box<Inner>>,
    pub(super) documents: u64,
    poisoned: bool,
}

/// A container that is being walked.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) node: Node,
    pub(super) is_object: bool,
    /// What came first in it went, and the next comma has to follow.
    pub(super) swallow_comma: bool,
    /// Where the member that it is the value of begins, if that goes.
    pub(super) member: Option<Start>,
}

/// What goes with a dropped document, if it is the next byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Swallow {
    #[default]
    Nothing,
    /// The end of its line.
    LineEnd,
    /// The rest of that: a carriage return went, which may have come in another chunk.
    Newline,
}

impl Swallow {
    /// Whether the byte goes, and what goes behind it.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let (goes, next) = match (*self, byte) {
            (Self::LineEnd, b'\r') => (true, Self::Newline),
            (Self::LineEnd | Self::Newline, b'\n') => (true, Self::Nothing),
            _ => (false, Self::Nothing),
        };
        *self = next;
        goes
    }
}

/// What is expected next, or what is being read.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum State {
    Between,
    Value { node: Option<Node>, may_close: bool },
    Key { may_close: bool },
    Colon(Option<Node>),
    After,
    InKey,
    Tagged { node: Node, tag: Tag, from: u64 },
    Inside { node: Node },
    Text { node: Option<Node> },
    Scalar { node: Option<Node>, scalar: Scalar },
    Skip { node: Option<Node> },
}

impl State {
    /// Whether punctuation, white space or the first byte of a value comes next.
    pub(super) fn is_structure(self) -> bool {
        matches!(
            self,
            Self::Between | Self::Value { .. } | Self::Key { .. } | Self::Colon(_) | Self::After
        )
    }
}

impl<H: Handler> Rewriter<H> {
    /// A rewriter for one stream, at its beginning.
    pub fn new(rules: Rules, framing: Framing, limits: Limits, handler: H) -> Self {
        Self {
            rules,
            framing,
            limits,
            too_long: Lengths::beyond(limits.key_bytes_max),
            handler,
            window: Window::default(),
            state: State::Between,
            frames: Vec::new(),
            skipped: Brackets::default(),
            source: Source::best(),
            carry: Carry::default(),
            member: None,
            value_from: None,
            item: Item::default(),
            key: Vec::new(),
            swallow: Swallow::default(),
            raw: Vec::new(),
            value: Vec::new(),
            finds: Finds::default(),
            inner: None,
            documents: 0,
            poisoned: false,
        }
    }

    /// Uses nothing that only some machines have. The output is the same, see [`Code`].
    #[must_use]
    pub fn portable(mut self) -> Self {
        self.source = Source::portable();
        self
    }

    /// Uses this code, if the machine has it.
    #[must_use]
    pub fn by(mut self, code: Code) -> Option<Self> {
        self.source = Source::of(code)?;
        Some(self)
    }

    /// Takes the next bytes of the stream and lets out all that is decided.
    ///
    /// # Errors
    /// The stream can't go on; what was let out before is a prefix of it. Nor can it after the handler
    /// panicked, should that be caught.
    pub fn feed(&mut self, chunk: Bytes, out: &mut Output) -> Result<(), Error> {
        // A handler that panics leaves the walk in the middle of a step: then it stays as it is here.
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(Error::Poisoned);
        }
        let (base, bytes) = (self.window.end(), chunk.clone());
        self.window.push(chunk);
        let fed = self.walk(&bytes, base).and_then(|()| self.release(out));
        self.poisoned = fed.is_err();
        self.give_back();
        fed
    }

    /// Tells that the stream has ended.
    ///
    /// # Errors
    /// It ended within a value, or without one where one was expected.
    pub fn finish(&mut self, out: &mut Output) -> Result<(), Error> {
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(Error::Poisoned);
        }
        // Only white space can end a number that is a whole document.
        if self.frames.is_empty()
            && let State::Scalar { node, scalar } = self.state
            && scalar.is_whole()
        {
            self.ended(node, self.window.end())?;
        }
        let whole = matches!(self.state, State::Between)
            && (self.framing == Framing::Many || self.documents > 0);
        if !whole {
            return Err(Error::Truncated);
        }
        self.window.flush(self.window.end(), out);
        Ok(())
    }

    /// All of a stream that is there whole, changed.
    ///
    /// # Errors
    /// As [`feed`](Self::feed) and [`finish`](Self::finish).
    pub fn whole(&mut self, stream: Bytes) -> Result<Bytes, Error> {
        let mut out = Output::default();
        self.feed(stream, &mut out)?;
        self.finish(&mut out)?;
        Ok(out.copy_to_bytes(out.remaining()))
    }

    /// Whether the stream is between two documents, all of the former let out.
    pub fn at_boundary(&self) -> bool {
        matches!(self.state, State::Between) && self.window.held() == 0
    }

    /// What decided so far.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The same, to be changed.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    /// Times that text was put in so far: replacements and additions, those in dropped items included.
    pub fn replacements(&self) -> u64 {
        self.window.replacements()
    }

    /// Documents that have ended so far.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Lets out what nothing holds any more.
    fn release(&mut self, out: &mut Output) -> Result<(), Error> {
        let end = self.window.end();
        if let State::Tagged { from, .. } = self.state {
            self.check_length(from, end)?;
        }
        let held_from = self.held_from().unwrap_or(end);
        let inner = match self.state {
            State::Inside { .. } => self.inner.as_ref().and_then(|inner| inner.hold()),
            _ => None,
        };
        // A string within a string has a bound of its own.
        let limit = held_from.min(inner.unwrap_or(end));
        if let Some(start) = self.going()
            && start.at < limit
        {
            let from = std::mem::replace(&mut start.at, limit);
            self.window.forget_edits(from);
            self.window.let_go(from, limit);
        }
        self.window.flush(limit, out);
        self.check_held(end - held_from, end)
    }

    /// Where what may not leave yet begins.
    pub(super) fn held_from(&self) -> Option<u64> {
        let item = self.item.is_held().then_some(self.item.start.at);
        let member = self.member.filter(|_| !self.removes_member());
        let member = member.map(|member| member.at);
        let shown = match self.state {
            State::Tagged { from, .. } => Some(from),
            _ => self.value_from,
        };
        [item, member, shown].into_iter().flatten().min()
    }

    /// Where the outermost of what goes whatever comes begins: an item that was dropped, or a member
    /// or element that a rule removes.
    fn going(&mut self) -> Option<&mut Start> {
        let removed = self.removes_member();
        let member = self.member.as_mut().filter(|_| removed);
        let mut frames = self.frames.iter_mut();
        let frame = frames.find_map(|frame| frame.member.as_mut());
        let dropped = self.item.is_dropped();
        let item = Some(&mut self.item.start).filter(|_| dropped);
        [item, frame, member]
            .into_iter()
            .flatten()
            .min_by_key(|start| start.at)
    }

    /// Whether the value in hand goes with its member.
    fn removes_member(&self) -> bool {
        let node = match self.state {
            State::Skip { node } | State::Text { node } | State::Scalar { node, .. } => node,
            State::Inside { node } => Some(node),
            _ => None,
        };
        let rules = node.and_then(|node| self.rules.node(node));
        rules.is_some_and(|rules| rules.remove)
    }

    /// What the handler is about to see is within the bound, with the beginning of its member.
    pub(super) fn check_shown(&self, from: u64, to: u64) -> Result<(), Error> {
        let held_from = self.member.map_or(from, |member| member.at);
        self.check_held(to - held_from, to)
    }

    /// What is held is bounded, and with it what is to be changed there.
    #[inline]
    pub(super) fn check_held(&self, bytes: u64, offset: u64) -> Result<(), Error> {
        if bytes <= self.room() {
            return Ok(());
        }
        Err(self.held_too_large(offset - bytes))
    }

    /// What is held begins there, or with the item in hand.
    #[cold]
    fn held_too_large(&self, mut from: u64) -> Error {
        if self.item.is_held() {
            from = from.min(self.item.start.at);
        }
        Error::HeldTooLarge {
            offset: from + self.room(),
            max: self.limits.held_bytes_max,
        }
    }

    /// Bytes that may be held now, since changes within the item in hand take some of the bound.
    #[inline]
    pub(super) fn room(&self) -> u64 {
        let max = self.limits.held_bytes_max as u64;
        if self.item.is_held() {
            max.saturating_sub(self.item.cost(self.window.cost()))
        } else {
            max
        }
    }

    /// Keeps no more memory for what comes than little things need.
    fn give_back(&mut self) {
        self.raw.clear();
        self.value.clear();
        self.finds.values.clear();
        give_back(&mut self.raw);
        give_back(&mut self.value);
        give_back(&mut self.key);
        give_back(&mut self.finds.values);
        give_back(&mut self.finds.all);
        give_back(&mut self.item.later);
        give_back(&mut self.frames);
        self.skipped.give_back();
        self.window.give_back();
        if let Some(inner) = &mut self.inner
            && !matches!(self.state, State::Inside { .. })
        {
            inner.give_back();
        }
    }

    /// The key's content begins there.
    pub(super) fn key_too_long(&self, from: u64) -> Error {
        let max = self.limits.key_bytes_max;
        let offset = from + max as u64;
        Error::KeyTooLong { offset, max }
    }
}
