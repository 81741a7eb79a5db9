//! What the end of a value brings: its member may go, its item be judged.

use super::Tag;
use super::error::Error;
use super::handler::{Addition, Fate, Handler, Verdict};
use super::item::{End, Fated, Later, Start};
use super::rewriter::{Rewriter, State, Swallow};
use super::rules::Node;

impl<H: Handler> Rewriter<H> {
    /// A value at a node has ended, its last byte before `end`.
    pub(super) fn ended(&mut self, node: Option<Node>, end: u64) -> Result<(), Error> {
        self.state = if self.frames.is_empty() {
            State::Between
        } else {
            State::After
        };
        let rules = node.and_then(|node| self.rules.node(node));
        let (removed, value, judges, item) = rules.map_or_else(Default::default, |rules| {
            (
                rules.remove,
                rules.value,
                rules.judges,
                rules.item.is_some(),
            )
        });
        if removed && !self.item.is_dropped() {
            self.remove_member(end)?;
        }
        if let Some(tag) = value
            && let Some(from) = self.value_from.take()
        {
            self.value_ended(tag, from, end)?;
        }
        self.member = None;
        if judges {
            self.judge(end)?;
        }
        if item {
            self.item_ended(end)?;
        }
        if self.frames.is_empty() {
            self.documents += 1;
        }
        Ok(())
    }

    /// A value that is wanted as a whole stands there.
    fn value_ended(&mut self, tag: Tag, from: u64, to: u64) -> Result<(), Error> {
        self.check_shown(from, to)?;
        self.raw.clear();
        self.window.gather(from, to, &mut self.raw);
        match self.handler.value(tag, &self.raw) {
            Verdict::Keep => Ok(()),
            Verdict::Replace(json) => {
                self.window.put(from, to, &json);
                Ok(())
            }
            Verdict::Remove => self.remove_member(to),
            Verdict::Fail(why) => Err(Error::Refused(why)),
            Verdict::Later | Verdict::Inside(_) => {
                Err(Error::Refused("a whole value can't be put off"))
            }
        }
    }

    /// An object ends that may get more members.
    pub(super) fn object_ended(&mut self, end: End) -> Result<(), Error> {
        match self.handler.end(end.tag) {
            Addition::Nothing => {}
            Addition::Members(members) => {
                let comma = if end.is_empty { "" } else { "," };
                self.window.insert(end.at, comma, &members);
            }
            Addition::Later if self.item.is_held() => self.item.later.push(Later::End(end)),
            Addition::Later => {
                return Err(Error::Refused(
                    "an addition was put off with nothing to wait for",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn remove_member(&mut self, end: u64) -> Result<(), Error> {
        let Some(start) = self.member.take() else {
            return Err(Error::Refused("this value can't be removed"));
        };
        self.gone(start, end);
        Ok(())
    }

    /// What begins there goes; without a comma of its own it takes the next one.
    fn gone(&mut self, start: Start, end: u64) {
        self.window.remove(start.at, end);
        match self.frames.last_mut() {
            Some(frame) if !start.has_comma => frame.swallow_comma = true,
            Some(_) => {}
            None => self.swallow = Swallow::LineEnd,
        }
    }

    pub(super) fn open_item(&mut self, tag: Tag, start: Start) {
        self.item.fated = Fated::Held;
        self.item.tag = tag;
        self.item.start = start;
        self.item.later.clear();
        self.item.cost_before = self.window.cost();
        self.handler.open(tag);
    }

    /// The item has been read up to `end`, and how much that is does not depend on how it came.
    fn judge(&mut self, end: u64) -> Result<(), Error> {
        if self.item.is_held() {
            self.check_held(end - self.item.start.at, end)?;
        }
        match self.item.fated {
            Fated::Outside | Fated::Dropped => Ok(()),
            Fated::Held => match self.handler.judge(self.item.tag) {
                Fate::Keep => {
                    self.item.fated = Fated::Kept;
                    let later = std::mem::take(&mut self.item.later);
                    for one in &later {
                        match one {
                            Later::String(content) => self.resolve(*content)?,
                            Later::End(end) => self.object_ended(*end)?,
                        }
                    }
                    self.item.later = later;
                    Ok(())
                }
                Fate::Drop => {
                    self.item.fated = Fated::Dropped;
                    Ok(())
                }
            },
            Fated::Kept => match self.handler.judge(self.item.tag) {
                Fate::Keep => Ok(()),
                Fate::Drop => Err(Error::Refused(
                    "an item that was let go has a second value which says that it must not",
                )),
            },
        }
    }

    fn item_ended(&mut self, end: u64) -> Result<(), Error> {
        if self.item.is_held() {
            self.judge(end)?;
        }
        if self.item.is_dropped() {
            self.window.forget_edits(self.item.start.at);
            self.gone(self.item.start, end);
        }
        self.item.fated = Fated::Outside;
        Ok(())
    }
}
