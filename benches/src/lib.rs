//! What the measurements have in common: the input, the rules, and the pass that is measured.

// Links to the daemon's files: a crate that depended on all of the daemon would take minutes to
// build, for one module that depends on nothing.
#[allow(dead_code)]
pub mod rewrite;

mod claims;
pub mod worst;

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Buf, Bytes};

pub use self::claims::Claims;
use self::rewrite::{Fate, Framing, Handler, Limits, Output, Rewriter, Rules, Tag, Verdict};

// The example of the module's documentation names it so.
extern crate self as claimgate;

/// As a DATA frame of HTTP/2 brings it.
pub const CHUNK_BYTES: usize = 16 << 10;

const NAMESPACE: Tag = 1;

/// Puts the local namespace in the remote one's place.
pub struct Mapped {
    remote: Arc<str>,
    local: Arc<str>,
}

impl Default for Mapped {
    fn default() -> Self {
        Self {
            remote: "app-ns-1".into(),
            local: "default".into(),
        }
    }
}

impl Handler for Mapped {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        if value == self.remote.as_bytes() {
            Verdict::Replace((&*self.local).into())
        } else {
            Verdict::Keep
        }
    }
}

/// Cut as they come from the network.
pub fn chunks(text: impl Into<Bytes>) -> Vec<Bytes> {
    let text = text.into();
    let starts = (0..text.len()).step_by(CHUNK_BYTES);
    starts
        .map(|at| text.slice(at..text.len().min(at + CHUNK_BYTES)))
        .collect()
}

pub fn rewriter(rules: &Rules) -> Rewriter<Mapped> {
    Rewriter::new(
        rules.clone(),
        Framing::One,
        Limits::default(),
        Mapped::default(),
    )
}

/// Rewrites, and takes every piece of the output; returns the bytes that came out.
///
/// # Panics
/// If the chunks are no JSON.
#[inline(never)]
pub fn pass(
    mut rewriter: Rewriter<impl Handler>,
    chunks: impl IntoIterator<Item = Bytes>,
) -> usize {
    let mut out = Output::default();
    let mut bytes = 0;
    for chunk in chunks {
        rewriter.feed(chunk, &mut out).expect("JSON");
        bytes += out.remaining();
        consume(&mut out);
    }
    rewriter.finish(&mut out).expect("a whole document");
    bytes + out.remaining()
}

/// Takes every piece, as a writer does.
pub fn consume(out: &mut Output) {
    while out.has_remaining() {
        let length = black_box(out.chunk()).len();
        out.advance(length);
    }
}

/// What is done to a list, by name.
///
/// # Panics
/// Never: the paths are paths.
pub fn cases() -> [(&'static str, Rules); 3] {
    let inner = Rules::builder().string("$.metadata.namespace", NAMESPACE);
    let inner = inner.build().expect("rules");
    let applied =
        r#"$.items[*].metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]"#;
    let plain = || Rules::builder().string("$.items[*].metadata.namespace", NAMESPACE);
    let held = plain().item("$.items[*]", "$.items[*].metadata", 0);
    [
        ("plain", plain().build().expect("rules")),
        ("held", held.build().expect("rules")),
        (
            "applied",
            plain().inside(applied, inner).build().expect("rules"),
        ),
    ]
}

/// Drops items with a `foreign`, and replaces each `remote` once the item has been judged.
#[derive(Default)]
pub struct Judged {
    is_foreign: bool,
}

impl Handler for Judged {
    fn open(&mut self, _item: Tag) {
        self.is_foreign = false;
    }

    fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        self.is_foreign |= value == b"foreign";
        Verdict::Later
    }

    fn judge(&mut self, _item: Tag) -> Fate {
        if self.is_foreign {
            Fate::Drop
        } else {
            Fate::Keep
        }
    }

    fn resolve(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        if value == b"remote" {
            Verdict::Replace("local".into())
        } else {
            Verdict::Keep
        }
    }
}

/// A rewriter for [`worst::held`], by which much may be held.
///
/// # Panics
/// Never: the paths are paths.
pub fn judging() -> Rewriter<Judged> {
    let rules = Rules::builder()
        .item("$.items[*]", "$.items[*]", 0)
        .string("$.items[*].k", NAMESPACE)
        .remove("$.items[*].gone");
    let limits = Limits {
        held_bytes_max: 64 << 20,
        ..Limits::default()
    };
    let rules = rules.build().expect("rules");
    Rewriter::new(rules, Framing::One, limits, Judged::default())
}

/// The rules for [`worst::inputs`].
///
/// # Panics
/// Never: the paths are paths.
pub fn looking() -> Rules {
    let inner = Rules::builder().string("$.m.ns", NAMESPACE);
    Rules::builder()
        .item("$.items[*]", "$.items[*].m", 0)
        .string("$.items[*].m.ns", NAMESPACE)
        .inside("$.last", inner.build().expect("rules"))
        .build()
        .expect("rules")
}

/// The rules for watch events.
///
/// # Panics
/// Never: the paths are paths.
pub fn events() -> Rules {
    Rules::builder()
        .item("$", "$", 0)
        .string("$.object.metadata.namespace", NAMESPACE)
        .build()
        .expect("rules")
}
