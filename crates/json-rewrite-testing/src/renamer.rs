//! The handler whose decisions the oracle and the rewriter share.

use std::ops::Range;

use json_rewrite::{Addition, Edit, Handler, ItemDecision, Tag};

/// The tags of [`Renamer`].
pub const IMMEDIATE: Tag = 0;
pub const DEFERRED: Tag = 1;
/// Tag of values that are members or elements, so that they can be removed.
pub const MEMBER: Tag = 2;

/// The replacement of `remote`. It needs escapes.
pub const LOCAL: &str = "lo\"cal\\\né<\u{2028}\u{2030}\u{8}";

/// The replacement of arrays that are passed as raw values.
const WAS_ARRAY: &str = r#"{"was":"an array"}"#;

/// The members that are added to objects, immediately and after the item has been kept.
pub(crate) const ADDED: (&str, &str) = ("added", "1");
pub(crate) const ADDED_DEFERRED: (&str, &str) = ("late", "[{}]");

/// Replaces `remote`, removes `gone`, rejects `bad`, and drops items that contain `foreign`. For raw values, it
/// replaces arrays, removes `true`, rejects `false`, and removes the content of strings in two parts.
#[derive(Clone, Debug, Default)]
pub struct Renamer {
    foreign: bool,
    /// The current item is undecided.
    is_undecided: bool,
    /// The parts that are removed from the current raw value.
    parts: Vec<Range<usize>>,
}

impl Handler for Renamer {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        match value {
            b"foreign" => self.foreign = true,
            b"bad" => return Edit::Reject("bad"),
            b"gone" if tag == MEMBER => return Edit::Remove,
            _ if tag == DEFERRED => return Edit::Defer,
            _ => {}
        }
        self.resolve_deferred(tag, value)
    }

    fn raw_value(&mut self, tag: Tag, raw: &[u8]) -> Edit<'_> {
        match raw {
            b"true" if tag == MEMBER => return Edit::Remove,
            b"false" => return Edit::Reject("bad"),
            b"\"foreign\"" => self.foreign = true,
            _ => {}
        }
        if tag == DEFERRED {
            return Edit::Defer;
        }
        if let [b'"', _, .., b'"'] = raw {
            self.parts = vec![1..2, 2..raw.len() - 1];
            return Edit::RemoveParts(&self.parts);
        }
        self.resolve_deferred_raw(tag, raw)
    }

    fn object_end(&mut self, tag: Tag) -> Addition<'_> {
        let member = |(key, value)| Addition::Members(format!("\"{key}\":{value}").into());
        match tag {
            DEFERRED if self.is_undecided => Addition::Defer,
            DEFERRED => member(ADDED_DEFERRED),
            _ => member(ADDED),
        }
    }

    fn begin_item(&mut self, _item: Tag) {
        self.foreign = false;
        self.is_undecided = true;
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        self.is_undecided = false;
        if self.foreign {
            ItemDecision::Drop
        } else {
            ItemDecision::Keep
        }
    }

    fn resolve_deferred(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        if value == b"remote" {
            Edit::Replace(LOCAL.into())
        } else {
            Edit::Keep
        }
    }

    fn resolve_deferred_raw(&mut self, _tag: Tag, raw: &[u8]) -> Edit<'_> {
        match raw {
            [b'[', ..] => Edit::Replace(WAS_ARRAY.into()),
            _ => Edit::Keep,
        }
    }
}
