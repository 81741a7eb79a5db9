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

    /// A value that a rule asks for as a whole, as it is written.
    fn value(&mut self, _tag: Tag, _raw: &[u8]) -> Verdict<'_> {
        Verdict::Keep
    }

    /// An object ends that may get more members. Asked again once the item has been judged, if it
    /// said [`Addition::Later`].
    fn end(&mut self, _tag: Tag) -> Addition<'_> {
        Addition::Nothing
    }

    /// An item begins.
    fn open(&mut self, _item: Tag) {}

    /// What the item is judged by has been read, or the item ended without it. A key that stands twice
    /// asks twice; an item that was kept has left by then, and to drop it ends the stream with
    /// [`Error::Refused`](super::Error::Refused).
    fn judge(&mut self, _item: Tag) -> Fate {
        Fate::Keep
    }

    /// A string that was put off with [`Verdict::Later`]; its item has been kept.
    fn resolve(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Keep
    }
}

/// What becomes of a string or a value.
pub enum Verdict<'a> {
    /// It stays as it is, byte for byte.
    Keep,
    /// By this text, which is escaped as it needs to be; from [`Handler::value`] by this JSON, as it
    /// is.
    Replace(Cow<'a, str>),
    /// It goes, with its key and comma. Not for strings inside of strings nor for what is an item
    /// itself, and not from [`Handler::resolve`].
    Remove,
    /// Ask [`Handler::resolve`] once the item has been judged; at once if it has been. Not from
    /// [`Handler::value`].
    Later,
    /// Only from [`Handler::resolve`]: the string holds JSON, to which these rules apply.
    Inside(Rules),
    /// The stream ends with [`Error::Refused`](super::Error::Refused).
    Fail(&'static str),
}

/// What an object gets more at its end.
pub enum Addition<'a> {
    /// The object stays as it is.
    Nothing,
    /// These members, as they are: `"a":1,"b":2`. The comma before them is put where it belongs.
    Members(Cow<'a, str>),
    /// Ask [`Handler::end`] again once the item has been judged, which it must not have been yet.
    Later,
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It leaves, with what is to be changed in it.
    Keep,
    /// It goes, with its comma; a document of a sequence with the end of its line.
    Drop,
}
