//! A streaming JSON rewriter: bytes in, bytes out, and only what rules point at is touched.
//!
//! Give it [`Rules`] (paths, compiled once and shared) and a [`Handler`] (what happens there), feed
//! it chunks as they come, and take [`Output`] as it goes. Every byte outside of what is replaced,
//! removed or dropped leaves as it came, in order; long pieces as slices of the chunks that they came
//! in. Nothing is buffered but what a decision waits for: a tagged string with the beginning of its
//! member, and an item until it is judged. Strings that are put in are escaped as Go's `encoding/json`
//! does it, `<`, `>`, `&` and the line separators too, so that a document of Go's making stays one.
//!
//! ```
//! use bytes::{Buf, Bytes};
//! use claimgate::rewrite::{Framing, Handler, Limits, Output, Rewriter, Rules, Tag, Verdict};
//!
//! struct Shout;
//! impl Handler for Shout {
//!     fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
//!         Verdict::Replace(String::from_utf8_lossy(value).to_uppercase().into())
//!     }
//! }
//!
//! let rules = Rules::builder().string("$.users[*].name", 1).build()?;
//! let mut rewriter = Rewriter::new(rules, Framing::One, Limits::default(), Shout);
//! let mut out = Output::default();
//! rewriter.feed(Bytes::from_static(br#"{"users":[{"name":"a"},{"na"#), &mut out)?;
//! rewriter.feed(Bytes::from_static(br#"me":"b","age":1e2}]}"#), &mut out)?;
//! rewriter.finish(&mut out)?;
//! assert_eq!(out.copy_to_bytes(out.len()), r#"{"users":[{"name":"A"},{"name":"B","age":1e2}]}"#);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Paths
//! `$` is the document, `.key` and `["any key"]` a member, `[*]` every element. What is in brackets is a
//! string as JSON writes it, so that a quote is `\"` and a backslash `\\`. All of a rule set's paths are
//! looked for at once, so one set can know several shapes of document; what is not there costs nothing.
//! What a path leads to may have rules of several kinds:
//!
//! | rule | what happens |
//! |---|---|
//! | [`string`](RulesBuilder::string) | the handler sees the string and gives its [`Verdict`]: keep, replace, remove its member, decide later, fail |
//! | [`inside`](RulesBuilder::inside) | the string holds JSON, to which other rules apply; every escape outside of what is replaced stays |
//! | [`value`](RulesBuilder::value) | the handler sees the value as it is written, whatever its kind, and keeps, replaces or removes it |
//! | [`remove`](RulesBuilder::remove) | the member or element goes, with the right comma |
//! | [`end`](RulesBuilder::end) | an object ends there, to which the handler may add members |
//! | [`item`](RulesBuilder::item) | the value is held until it has been judged, then leaves or is dropped |
//!
//! # Items
//! An item is an array element, a member with its value, or a whole document of a sequence. It is held
//! from its comma on, as slices of what came in, until the value that it is judged after has ended,
//! whatever order its keys have. Strings in it may wait for the judgement with [`Verdict::Later`],
//! additions with [`Addition::Later`]; so an object can be told what stood behind it.
//!
//! A document that is dropped takes the end of its line with it, `\n`, `\r\n` or `\r`, if that follows at
//! once. Where documents may be dropped, white space has to follow one that is a number or a literal, so
//! that two never become one.
//!
//! ```
//! use bytes::{Buf, Bytes};
//! use claimgate::rewrite::{Fate, Framing, Handler, Limits, Output, Rewriter, Rules, Tag, Verdict};
//!
//! /// Drops what is not ours.
//! #[derive(Default)]
//! struct Ours(bool);
//! impl Handler for Ours {
//!     fn open(&mut self, _item: Tag) {
//!         self.0 = false;
//!     }
//!     fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
//!         self.0 = value == b"us";
//!         Verdict::Keep
//!     }
//!     fn judge(&mut self, _item: Tag) -> Fate {
//!         if self.0 { Fate::Keep } else { Fate::Drop }
//!     }
//! }
//!
//! let rules = Rules::builder().item("$", "$", 1).string("$.owner", 1).build()?;
//! let mut rewriter = Rewriter::new(rules, Framing::Many, Limits::default(), Ours::default());
//! let mut out = Output::default();
//! let events = "{\"n\":1,\"owner\":\"us\"}\n{\"n\":2,\"owner\":\"them\"}\n{\"n\":3";
//! rewriter.feed(Bytes::from(events), &mut out)?;
//! // What is whole has left; what may yet be dropped has not.
//! assert_eq!(out.copy_to_bytes(out.len()), "{\"n\":1,\"owner\":\"us\"}\n");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Members that come and go
//! What is removed takes its key and comma with it, what is added comes at its object's end with a
//! comma where one is needed, and everything else stays as it was, white space too. This hides a member
//! in a string, where it survives:
//!
//! ```
//! use bytes::{Buf, Bytes};
//! use claimgate::rewrite::{
//!     Addition, Framing, Handler, Limits, Output, Rewriter, Rules, Tag, Verdict,
//! };
//!
//! #[derive(Default)]
//! struct Hide(Option<String>);
//! impl Handler for Hide {
//!     fn string(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
//!         Verdict::Keep
//!     }
//!     fn value(&mut self, _tag: Tag, raw: &[u8]) -> Verdict<'_> {
//!         self.0 = Some(String::from_utf8_lossy(raw).into_owned());
//!         Verdict::Remove
//!     }
//!     fn end(&mut self, _tag: Tag) -> Addition<'_> {
//!         let hidden = self.0.take().map(|raw| format!("\"hidden\":{raw:?}"));
//!         hidden.map_or(Addition::Nothing, |member| Addition::Members(member.into()))
//!     }
//! }
//!
//! let rules = Rules::builder().value("$.owners", 1).end("$", 2).build()?;
//! let mut rewriter = Rewriter::new(rules, Framing::One, Limits::default(), Hide::default());
//! let mut out = Output::default();
//! rewriter.feed(Bytes::from(r#"{"owners": [{"id":1}], "n": 1.0}"#), &mut out)?;
//! rewriter.finish(&mut out)?;
//! assert_eq!(out.copy_to_bytes(out.len()), r#"{ "n": 1.0,"hidden":"[{\"id\":1}]"}"#);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is checked
//! In objects and arrays on the way to a rule everything is: keys, colons, commas, numbers and
//! literals. All else is skipped, and there only strings, the kinds of brackets, their depth and
//! truncation are checked. Keys and values compare after unescaping, and a key that stands twice is
//! treated twice. Broken UTF-8 and lone surrogates pass where they are skipped, and are equal to
//! nothing where they are compared. After an error the stream is poisoned, and what was let out is a
//! prefix of what would have been.
//!
//! Strings that hold JSON are what people wrote, so there nothing is an error: what is seen not to be
//! JSON, and what is beyond [`Limits::inner_depth_max`] or [`Limits::inner_string_bytes_max`], ends the walk
//! through that string, and all behind that stays as it is.
//!
//! # Bounds
//! [`Limits`] bounds what waits, with what is to be changed in it, what is shown to the handler, how deep
//! brackets are nested and the keys of objects that are walked. Beyond a bound the stream ends with an
//! error. Nothing else grows: a stream keeps up to 2.8 KiB, of which most are the rules that streams
//! share, and a chunk in which nothing changes allocates nothing. Pieces below [`COPY_BELOW_BYTES`]
//! are copied, so that no small rest keeps a large chunk in memory.
//!
//! # Speed
//! Bytes are looked at 64 at a time, by AVX-512 or AVX2 where the machine has it; most of them only to
//! see where strings and containers end. `benches/README.md` has the figures.
//!
//! This module knows nothing of HTTP, of Kubernetes or of how it is configured.

#![warn(missing_docs)]

mod batch;
mod brackets;
mod chunk;
mod ended;
mod error;
mod handler;
mod inner;
mod item;
mod masks;
mod members;
mod memory;
mod output;
mod rewriter;
mod rules;
mod scalar;
mod scan;
#[cfg(target_arch = "x86_64")]
mod simd;
mod strings;
mod text;
mod walk;
mod window;

pub use self::error::Error;
pub use self::handler::{Addition, Fate, Handler, Tag, Verdict};
pub use self::masks::Code;
pub use self::output::{COPY_BELOW_BYTES, Output};
pub use self::rewriter::Rewriter;
pub use self::rules::{RuleError, Rules, RulesBuilder};

/// How many documents a stream has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// Exactly one; white space may surround it.
    One,
    /// Any number, one behind the other.
    Many,
}

/// Bounds of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that wait for a decision, and in an item with them what is to be changed there: a few tens
    /// of bytes for each string that waits, is replaced or goes, and the text that comes in its place.
    /// Whether the bound is kept does not depend on the chunks. Strings within a string that holds JSON have
    /// a bound of their own.
    pub held_bytes_max: usize,
    /// Bytes of a string that is shown to the handler, as it is written. Of this bound and the one above
    /// the error is of that which the string meets first, with what is held before it.
    pub string_bytes_max: usize,
    /// Containers that may be open at once.
    pub depth_max: usize,
    /// Bytes of a key in an object that is walked, as it is written.
    pub key_bytes_max: usize,
    /// Bytes of a key or a string that is compared or shown within a string that holds JSON, as it is written
    /// there. They are held whole, whatever else may be. What is longer is no error: it ends the walk through
    /// that string.
    pub inner_string_bytes_max: usize,
    /// Containers that may be open at once within a string that holds JSON, those that are skipped included.
    /// More end the walk through that string.
    pub inner_depth_max: usize,
}

impl Limits {
    /// For a body of at most so many bytes, all of which may be held, or be one string or one key.
    pub fn whole(max: usize) -> Self {
        Self {
            held_bytes_max: max,
            string_bytes_max: max,
            key_bytes_max: max,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            held_bytes_max: 4 << 20,
            string_bytes_max: 64 << 10,
            depth_max: 10_000,
            key_bytes_max: 4096,
            inner_string_bytes_max: 64 << 10,
            inner_depth_max: 1000,
        }
    }
}
