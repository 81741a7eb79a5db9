//! The state of the current item: buffered until the handler decides, then kept or dropped.

use super::error::RewriteError;
use super::rules::Rules;
use super::window::Window;
use super::{Edit, Tag};

/// The position in the stream at which a member, an element or an item starts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Start {
    pub(super) offset: u64,
    /// Whether the offset is that of the comma before it.
    pub(super) has_comma: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) enum ItemState {
    /// The walk is outside of any item.
    #[default]
    Outside,
    /// The item is buffered and undecided.
    Buffered,
    Kept,
    Dropped,
}

#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) state: ItemState,
    pub(super) tag: Tag,
    pub(super) start: Start,
    /// The strings, raw values and additions that wait for the decision.
    pub(super) deferred: Vec<Deferred>,
    /// [`Window::edit_cost`] when the item began.
    pub(super) cost_before: u64,
}

impl Item {
    #[inline]
    pub(super) fn is_buffered(&self) -> bool {
        matches!(self.state, ItemState::Buffered)
    }

    #[inline]
    pub(super) fn is_dropped(&self) -> bool {
        matches!(self.state, ItemState::Dropped)
    }

    /// Returns the memory that edits and deferred decisions of this item use, in bytes. `edit_cost` is the
    /// current [`Window::edit_cost`].
    #[inline]
    pub(super) fn cost(&self, edit_cost: u64) -> u64 {
        edit_cost - self.cost_before + (self.deferred.len() * size_of::<Deferred>()) as u64
    }
}

/// A decision that waits until the item has been kept.
///
/// The fields of strings and raw values are in the variants, because an entry with two structs would have 32 bytes
/// instead of 24.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deferred {
    String {
        tag: Tag,
        from: u64,
        to: u64,
        is_embedded: bool,
    },
    RawValue {
        tag: Tag,
        from: u64,
        to: u64,
    },
    ObjectEnd(ObjectEnd),
}

impl From<StringSpan> for Deferred {
    fn from(string: StringSpan) -> Self {
        let StringSpan {
            tag,
            from,
            to,
            is_embedded,
        } = string;
        Self::String {
            tag,
            from,
            to,
            is_embedded,
        }
    }
}

/// The end of an object to which the handler may add members.
#[derive(Clone, Copy, Debug)]
pub(super) struct ObjectEnd {
    pub(super) tag: Tag,
    /// The offset of its closing bracket.
    pub(super) offset: u64,
    /// Whether it has no members, after removals.
    pub(super) is_empty: bool,
}

/// The work that remains for an edit of a string after [`StringSpan::apply`].
pub(super) enum StringEdit {
    Done,
    /// The edit was deferred, but the string is not in an undecided item.
    Resolve,
    /// The member or element that contains the string is removed.
    Remove,
    /// These rules rewrite the JSON in the string.
    RewriteEmbedded(Rules),
}

/// The content of a string, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct StringSpan {
    pub(super) tag: Tag,
    pub(super) from: u64,
    pub(super) to: u64,
    /// Whether it is part of JSON in a string, so that its quotes are escaped too.
    pub(super) is_embedded: bool,
}

impl StringSpan {
    /// Applies an edit to the string, or defers it if its item is undecided. Returns what else the edit requires.
    ///
    /// # Errors
    /// The handler rejects the string, or the edit is not one for strings.
    #[inline]
    pub(super) fn apply(
        self,
        edit: Edit<'_>,
        window: &mut Window,
        item: &mut Item,
    ) -> Result<StringEdit, RewriteError> {
        match edit {
            Edit::Keep => {}
            Edit::Replace(text) => {
                window.replace_string(self.from, self.to, &text, self.is_embedded);
            }
            Edit::Defer if item.is_buffered() => item.deferred.push(self.into()),
            Edit::Defer => return Ok(StringEdit::Resolve),
            Edit::Remove => return Ok(StringEdit::Remove),
            Edit::RewriteEmbedded(rules) => return Ok(StringEdit::RewriteEmbedded(rules)),
            Edit::RemoveParts(_) => {
                return Err(RewriteError::Rejected(
                    "parts of a string cannot be removed",
                ));
            }
            Edit::Reject(why) => return Err(RewriteError::Rejected(why)),
        }
        Ok(StringEdit::Done)
    }
}
