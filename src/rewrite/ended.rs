//! What the end of a value brings: its member may go, its item be judged.

use super::Tag;
use super::error::Error;
use super::handler::{Fate, Handler};
use super::item::{Fated, Start};
use super::rewriter::{Rewriter, State};
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
        let (removed, judges, item) = rules.map_or((false, false, false), |rules| {
            (rules.remove, rules.judges, rules.item.is_some())
        });
        if removed && !self.item.is_dropped() {
            self.remove_member(end)?;
        }
        self.member = None;
        if judges {
            self.judge()?;
        }
        if item {
            self.item_ended(end)?;
        }
        if self.frames.is_empty() {
            self.documents += 1;
        }
        Ok(())
    }

    pub(super) fn remove_member(&mut self, end: u64) -> Result<(), Error> {
        let Some(start) = self.member.take() else {
            return Err(Error::Refused("only a member of an object can be removed"));
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
            None => self.swallow_newline = true,
        }
    }

    pub(super) fn open_item(&mut self, tag: Tag, start: Start) {
        self.item.fated = Fated::Held;
        self.item.tag = tag;
        self.item.start = start;
        self.item.later.clear();
        self.handler.open(tag);
    }

    fn judge(&mut self) -> Result<(), Error> {
        match self.item.fated {
            Fated::Outside | Fated::Dropped => Ok(()),
            Fated::Held => match self.handler.judge(self.item.tag) {
                Fate::Keep => {
                    self.item.fated = Fated::Kept;
                    let later = std::mem::take(&mut self.item.later);
                    for one in &later {
                        self.resolve(*one)?;
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
            self.judge()?;
        }
        if self.item.is_dropped() {
            self.window.forget_edits(self.item.start.at);
            self.gone(self.item.start, end);
        }
        self.item.fated = Fated::Outside;
        Ok(())
    }
}
