//! A streaming JSON rewriter.
//!
//! A [`Rewriter`] reads JSON in chunks and changes only the values that [`Rules`] select by path. Every other byte
//! stays unchanged and in order: white space, number formats, escapes and duplicate keys are preserved. It never
//! builds a tree, so memory stays flat for input of any size.
//!
//! The caller supplies the rules, which are compiled once and shared between streams, and a [`Handler`] for each
//! stream, which decides what happens to each selected value.
//!
//! ```
//! use bytes::{Buf, Bytes};
//! use json_rewrite::{Edit, Framing, Handler, Limits, Output, Rewriter, Rules, Tag};
//!
//! struct Uppercase;
//!
//! impl Handler for Uppercase {
//!     fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
//!         Edit::Replace(String::from_utf8_lossy(value).to_uppercase().into())
//!     }
//! }
//!
//! let rules = Rules::builder().string("$.users[*].name", 1).build()?;
//! let mut rewriter = Rewriter::new(rules, Framing::SingleValue, Limits::default(), Uppercase);
//! let mut out = Output::default();
//! rewriter.feed(Bytes::from_static(br#"{"users":[{"name":"a"},{"na"#), &mut out)?;
//! rewriter.feed(Bytes::from_static(br#"me":"b","age":1e2}]}"#), &mut out)?;
//! rewriter.finish(&mut out)?;
//! assert_eq!(out.copy_to_bytes(out.len()), r#"{"users":[{"name":"A"},{"name":"B","age":1e2}]}"#);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Paths and rules
//!
//! A path starts with `$`, the document. `.key` and `["any key"]` select a member, `[*]` selects every element. The
//! key in brackets is a JSON string, so a quote is `\"` and a backslash is `\\`. One set of rules can describe
//! several shapes of documents; paths that do not occur have no cost.
//!
//! | rule | effect |
//! |---|---|
//! | [`string`](RulesBuilder::string) | The handler sees the string and returns an [`Edit`]: keep it, replace it, remove its member, decide later, or reject the document. |
//! | [`embedded_json`](RulesBuilder::embedded_json) | The string contains JSON, which is rewritten by other rules. Escapes outside replaced values stay as they are. |
//! | [`raw_value`](RulesBuilder::raw_value) | The handler sees the JSON of the value, whatever its type, and keeps, replaces or removes it or parts of it, decides later, or rejects the document. |
//! | [`remove`](RulesBuilder::remove) | The member or element is removed, with its comma. |
//! | [`remove_emptied`](RulesBuilder::remove_emptied) | The object is removed, with its key and comma, if rules have removed all of its members. It must be inside an item. |
//! | [`object_end`](RulesBuilder::object_end) | The handler can add members at the end of the object. |
//! | [`item`](RulesBuilder::item) | The value is buffered until the handler decides, then kept or dropped. |
//!
//! # Items
//!
//! An item is an array element, a member with its value, or a whole document of a sequence. The rewriter buffers it,
//! its comma included, until the deciding value has ended, in any order of keys. Edits of strings and raw values can be
//! deferred until then with [`Edit::Defer`], and additions with [`Addition::Defer`]. So the replacement of a string or of
//! a raw value can depend on later parts of its item.
//!
//! If a document of a sequence is dropped, the line end directly after it (`\n`, `\r\n` or `\r`) is removed too. If
//! documents can be dropped, numbers and literals that are documents must be followed by white space. Otherwise two of
//! them could be joined.
//!
//! ```
//! use bytes::{Buf, Bytes};
//! use json_rewrite::{Edit, Framing, Handler, ItemDecision, Limits, Output, Rewriter, Rules, Tag};
//!
//! /// Drops documents of other owners.
//! #[derive(Default)]
//! struct OwnedByUs(bool);
//!
//! impl Handler for OwnedByUs {
//!     fn begin_item(&mut self, _item: Tag) {
//!         self.0 = false;
//!     }
//!
//!     fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
//!         self.0 = value == b"us";
//!         Edit::Keep
//!     }
//!
//!     fn decide_item(&mut self, _item: Tag) -> ItemDecision {
//!         if self.0 { ItemDecision::Keep } else { ItemDecision::Drop }
//!     }
//! }
//!
//! let rules = Rules::builder().item("$", "$", 1).string("$.owner", 1).build()?;
//! let mut rewriter =
//!     Rewriter::new(rules, Framing::Sequence, Limits::default(), OwnedByUs::default());
//! let mut out = Output::default();
//! let events = "{\"n\":1,\"owner\":\"us\"}\n{\"n\":2,\"owner\":\"them\"}\n{\"n\":3";
//! rewriter.feed(Bytes::from(events), &mut out)?;
//! // The complete document was output. The incomplete one may still be dropped.
//! assert_eq!(out.copy_to_bytes(out.len()), "{\"n\":1,\"owner\":\"us\"}\n");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Removing and adding members
//!
//! Removing a member also removes its key and one comma. Members are added at the end of an object, with a comma if
//! one is needed. White space around both stays.
//!
//! An object whose members were all removed stays as `{}`. If it has a
//! [`remove_emptied`](RulesBuilder::remove_emptied) rule, it is removed too, with its key and comma, and no members are
//! added to it. An object that is written without members stays. Such a rule is allowed only inside an item: an object's
//! key comes before its members, so it must be buffered until the object closes. If the item was kept before that, an
//! emptied object ends the stream with [`RewriteError::Rejected`].
//!
//! This example moves a member into a string:
//!
//! ```
//! use bytes::{Buf, Bytes};
//! use json_rewrite::{Addition, Edit, Framing, Handler, Limits, Output, Rewriter, Rules, Tag};
//!
//! #[derive(Default)]
//! struct HideOwners(Option<String>);
//!
//! impl Handler for HideOwners {
//!     fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
//!         Edit::Keep
//!     }
//!
//!     fn raw_value(&mut self, _tag: Tag, raw: &[u8]) -> Edit<'_> {
//!         self.0 = Some(String::from_utf8_lossy(raw).into_owned());
//!         Edit::Remove
//!     }
//!
//!     fn object_end(&mut self, _tag: Tag) -> Addition<'_> {
//!         let hidden = self.0.take().map(|raw| format!("\"hidden\":{raw:?}"));
//!         hidden.map_or(Addition::Nothing, |member| Addition::Members(member.into()))
//!     }
//! }
//!
//! let rules = Rules::builder().raw_value("$.owners", 1).object_end("$", 2).build()?;
//! let mut rewriter =
//!     Rewriter::new(rules, Framing::SingleValue, Limits::default(), HideOwners::default());
//! let mut out = Output::default();
//! rewriter.feed(Bytes::from(r#"{"owners": [{"id":1}], "n": 1.0}"#), &mut out)?;
//! rewriter.finish(&mut out)?;
//! assert_eq!(out.copy_to_bytes(out.len()), r#"{ "n": 1.0,"hidden":"[{\"id\":1}]"}"#);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! - The output does not depend on how the input is cut into chunks, nor on the instruction set.
//! - Keys and values are compared after unescaping. If a key is repeated in an object, each value is rewritten.
//! - A string that replaces another is escaped like in Go's `encoding/json`, including `<`, `>`, `&` and the line
//!   separators U+2028 and U+2029.
//! - After an error the stream is poisoned, and all output so far is a prefix of correct output.
//!
//! # What is checked
//!
//! In objects and arrays on the path of a rule, everything is checked: keys, colons, commas, numbers and literals.
//! Everything else is skipped. There only strings, the types and the depth of brackets, and truncation are checked.
//! Invalid UTF-8 and lone surrogates are copied where they are skipped. Where they are compared, they equal nothing.
//!
//! Strings that contain JSON are user input, so errors in them are not errors of the stream. If such a string is not
//! JSON, or exceeds [`Limits::embedded_depth_max`] or [`Limits::embedded_string_bytes_max`], the rest of it stays
//! unchanged.
//!
//! # Memory
//!
//! [`Limits`] has a limit for everything that is buffered: undecided items and their edits, strings for the handler,
//! keys, and the depth of brackets. The stream ends with a [`RewriteError`] if a limit is exceeded. Apart from that, a
//! stream keeps less than 4 KiB, and chunks without changes need no allocation. Slices of the input below
//! [`COPY_BELOW_BYTES`] are copied, so that a short rest does not keep its whole chunk in memory.
//!
//! # Performance
//!
//! Bytes are scanned 64 at a time, with AVX-512 or AVX2 if the machine has it. Most bytes are scanned only to find the
//! end of a string or container. Strings and containers on the path of a rule cost more, because their keys are read.
//! Unchanged bytes are not copied: the output refers to the chunks. On one core of a 2023 server this is several GB/s
//! for lists of Kubernetes objects; `benches/README.md` in the repository has measurements.

#![warn(missing_docs)]

mod batch;
mod brackets;
mod chunk;
mod editor;
mod embedded;
mod error;
mod escape;
mod handler;
mod item;
mod masks;
mod memory;
mod output;
mod path;
mod rewriter;
mod rules;
mod scalar;
mod scan;
#[cfg(target_arch = "x86_64")]
mod simd;
mod walker;
mod window;

pub use self::error::RewriteError;
pub use self::handler::{Addition, Edit, Handler, ItemDecision, Tag};
pub use self::masks::InstructionSet;
pub use self::output::{COPY_BELOW_BYTES, Output};
pub use self::rewriter::Rewriter;
pub use self::rules::{RuleError, Rules, RulesBuilder};

/// The number of documents in a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// Exactly one document. White space may surround it.
    SingleValue,
    /// Any number of documents in sequence.
    Sequence,
}

/// The limits of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of bytes that wait for a decision.
    ///
    /// Edits in a buffered item count too: their text, and a few tens of bytes for each deferred, replaced or
    /// removed value. Whether this limit is exceeded does not depend on the chunks. Strings in embedded JSON
    /// have a separate limit.
    pub buffered_bytes_max: usize,
    /// Maximum length in bytes of a string for the handler, as written.
    ///
    /// If a string exceeds both this limit and `buffered_bytes_max`, the error is that of the limit that is
    /// exceeded first.
    pub string_bytes_max: usize,
    /// Maximum number of containers that are open at once.
    pub depth_max: usize,
    /// Maximum length in bytes of a key in a walked object, as written.
    pub key_bytes_max: usize,
    /// Maximum length in bytes of a key or a string in embedded JSON, as written there. It is buffered in
    /// addition to `buffered_bytes_max`. A longer one is not an error: the rest of the embedded JSON stays
    /// unchanged.
    pub embedded_string_bytes_max: usize,
    /// Maximum number of containers that are open at once in embedded JSON. A deeper one is not an error: the
    /// rest of the embedded JSON stays unchanged.
    pub embedded_depth_max: usize,
}

impl Limits {
    /// Returns limits for a body of at most `bytes_max` bytes. All of them may be buffered, and may be one
    /// string or one key.
    pub fn for_body(bytes_max: usize) -> Self {
        Self {
            buffered_bytes_max: bytes_max,
            string_bytes_max: bytes_max,
            key_bytes_max: bytes_max,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            buffered_bytes_max: 4 << 20,
            string_bytes_max: 64 << 10,
            depth_max: 10_000,
            key_bytes_max: 4096,
            embedded_string_bytes_max: 64 << 10,
            embedded_depth_max: 1000,
        }
    }
}
