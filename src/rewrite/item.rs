//! The item in hand: held until it is judged, then let go or dropped.

use super::window::Window;
use super::{Tag, Verdict};

/// A place in the stream at which a member or an item begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) at: u64,
    /// The comma before it belongs to it.
    pub(super) has_comma: bool,
}

/// Where the item stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fated {
    /// There is none.
    Outside,
    Held,
    Kept,
    Dropped,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) fated: Fated,
    pub(super) tag: Tag,
    pub(super) start: Start,
    /// What waits for the judgement.
    pub(super) later: Vec<Later>,
    /// What edits had cost when it began.
    pub(super) cost_before: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Later {
    String(Content),
    End(End),
}

/// An object's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) tag: Tag,
    /// Its closing bracket.
    pub(super) at: u64,
    /// Nothing is left in it.
    pub(super) is_empty: bool,
}

/// A string's content, quotes apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    pub(super) tag: Tag,
    pub(super) from: u64,
    pub(super) to: u64,
    /// It stands in a string itself.
    pub(super) within: bool,
}

impl Content {
    /// Puts in what the verdict has in the string's place; what is left to do after that.
    pub(super) fn replaced(self, verdict: Verdict<'_>, window: &mut Window) -> Verdict<'static> {
        match verdict {
            Verdict::Replace(text) => {
                window.replace(self.from, self.to, &text, self.within);
                Verdict::Keep
            }
            Verdict::Keep => Verdict::Keep,
            Verdict::Remove => Verdict::Remove,
            Verdict::Later => Verdict::Later,
            Verdict::Inside(rules) => Verdict::Inside(rules),
            Verdict::Fail(why) => Verdict::Fail(why),
        }
    }
}

impl Default for Item {
    fn default() -> Self {
        let start = Start {
            at: 0,
            has_comma: false,
        };
        Self {
            fated: Fated::Outside,
            tag: 0,
            start,
            later: Vec::new(),
            cost_before: 0,
        }
    }
}

impl Item {
    pub(super) fn is_held(&self) -> bool {
        matches!(self.fated, Fated::Held)
    }

    /// Bytes beside its own that it takes, of all that edits `cost` so far.
    pub(super) fn cost(&self, cost: u64) -> u64 {
        cost - self.cost_before + (self.later.len() * size_of::<Later>()) as u64
    }

    pub(super) fn is_dropped(&self) -> bool {
        matches!(self.fated, Fated::Dropped)
    }
}
