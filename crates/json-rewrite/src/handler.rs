//! The interface that the caller implements: it edits strings and values, adds members, and keeps or drops
//! items.

use std::borrow::Cow;
use std::ops::Range;

use super::rules::Rules;

/// Identifies a rule. The caller chooses it; several rules may share one.
pub type Tag = u16;

/// Decides how the values that the rules select are changed.
///
/// Each stream has its own handler, so a handler can keep state between calls. Calls are made in the order of
/// the stream.
pub trait Handler {
    /// Called for a string that a [`string`](super::RulesBuilder::string) rule selects. `value` is unescaped. A
    /// lone surrogate is three bytes, its code point encoded like UTF-8, so it never equals valid text.
    fn string(&mut self, tag: Tag, value: &[u8]) -> Edit<'_>;

    /// Called for a value that a [`raw_value`](super::RulesBuilder::raw_value) rule selects. `raw` is its JSON as
    /// written. If it returns [`Edit::Defer`], [`Handler::resolve_deferred_raw`] decides.
    fn raw_value(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
        Edit::Keep
    }

    /// Called at the end of an object that an [`object_end`](super::RulesBuilder::object_end) rule selects. If it
    /// returns [`Addition::Defer`], it is called again once the item has been kept. It is not called for an object
    /// that [`remove_emptied`](super::RulesBuilder::remove_emptied) removes.
    fn object_end(&mut self, _tag: Tag) -> Addition<'_> {
        Addition::Nothing
    }

    /// Called when an item begins.
    fn begin_item(&mut self, _item: Tag) {}

    /// Called when the item's deciding value has ended, or when the item has ended without it.
    ///
    /// It is called again if the deciding key is repeated. A kept item may have been output by then. Dropping
    /// it then ends the stream with [`RewriteError::Rejected`](super::RewriteError::Rejected).
    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        ItemDecision::Keep
    }

    /// Called for each string that was deferred with [`Edit::Defer`], once its item has been kept.
    fn resolve_deferred(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Keep
    }

    /// Called for each raw value that was deferred with [`Edit::Defer`], once its item has been kept. It is called
    /// in the order of the stream, together with the other deferred decisions. It may return [`Edit::Keep`],
    /// [`Edit::Replace`] and [`Edit::Reject`].
    fn resolve_deferred_raw(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
        Edit::Keep
    }
}

/// How a string or a value is changed.
pub enum Edit<'a> {
    /// The value stays, byte for byte.
    Keep,
    /// The value is replaced. For a string this is the new text, which the rewriter escapes; for
    /// [`Handler::raw_value`] and [`Handler::resolve_deferred_raw`] it is the new JSON, which is written unchanged.
    Replace(Cow<'a, str>),
    /// The value is removed, with its key and its comma. Not allowed for strings in embedded JSON, for items,
    /// in [`Handler::resolve_deferred`], and in [`Handler::resolve_deferred_raw`].
    Remove,
    /// These parts of the value are removed. They are ranges of the JSON that [`Handler::raw_value`] gets, in order and
    /// without overlaps. What remains must be JSON. Allowed only in [`Handler::raw_value`].
    RemoveParts(&'a [Range<usize>]),
    /// [`Handler::resolve_deferred`] is called once the item has been kept, or immediately if it was kept
    /// before. For [`Handler::raw_value`] this is [`Handler::resolve_deferred_raw`].
    Defer,
    /// The string contains JSON, which these rules rewrite. Allowed only in [`Handler::resolve_deferred`] and, without an
    /// effect on other values than strings, in [`Handler::resolve_deferred_raw`].
    RewriteEmbedded(Rules),
    /// The stream ends with [`RewriteError::Rejected`](super::RewriteError::Rejected).
    Reject(&'static str),
}

/// Which members are added at the end of an object.
pub enum Addition<'a> {
    /// No members are added.
    Nothing,
    /// These members, written unchanged: `"a":1,"b":2`. The rewriter adds a comma before them where one is needed.
    Members(Cow<'a, str>),
    /// [`Handler::object_end`] is called again once the item has been kept. Allowed only while the item is
    /// undecided.
    Defer,
}

/// Whether an item stays in the stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ItemDecision {
    /// The item stays, with its edits.
    Keep,
    /// The item is removed, with its comma; a document of a sequence is removed with the end of its line.
    Drop,
}
