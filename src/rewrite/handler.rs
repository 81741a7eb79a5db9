use std::borrow::Cow;

use super::rules::Rules;

/// The caller's name for a rule.
pub type Tag = u16;

/// Decides what becomes of the strings and items that the rules point at.
///
/// One handler belongs to one stream, so it may remember what it saw.
pub trait Handler {
    /// A string at a tagged path is complete. `value` is unescaped; a lone surrogate comes as the
    /// three bytes that UTF-8 would have for it, so it never equals any text.
    fn string(&mut self, tag: Tag, value: &[u8]) -> Verdict<'_>;

    /// An item begins.
    fn open(&mut self, _item: Tag) {}

    /// What the item is judged by has been read, or the item ended without it.
    fn judge(&mut self, _item: Tag) -> Fate {
        Fate::Keep
    }

    /// A string that was put off with [`Verdict::Later`]; its item has been kept.
    fn resolve(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Keep
    }
}

/// What becomes of a string.
pub enum Verdict<'a> {
    Keep,
    /// By this text, which is escaped as it needs to be.
    Replace(Cow<'a, str>),
    /// The member that the string is the value of goes, with its comma. Not for strings inside of
    /// strings, and not from [`Handler::resolve`].
    Remove,
    /// Ask [`Handler::resolve`] once the item has been judged; at once if it has been.
    Later,
    /// Only from [`Handler::resolve`]: the string holds JSON, to which these rules apply.
    Inside(Rules),
    /// The stream ends with [`Error::Refused`](super::Error::Refused).
    Fail(&'static str),
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    Keep,
    /// It goes, with its comma.
    Drop,
}
