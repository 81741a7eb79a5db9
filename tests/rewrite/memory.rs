//! What a stream keeps in memory, whatever comes.

use allocation_counter::measure;
use bytes::{Buf, Bytes};
use claimgate::rewrite::{Fate, Framing, Handler, Limits, Output, Rewriter, Rules, Tag, Verdict};

use crate::worst;

const CHUNK_BYTES: usize = 16 << 10;

/// Bytes of a stream's state, those in its own fields included.
const STATE_BYTES_MAX: u64 = 4 << 10;

/// Bytes of an input that would show if anything grew with it.
const LONG_BYTES: usize = 1 << 20;

struct Keep;

impl Handler for Keep {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Keep
    }
}

fn rewriter() -> Rewriter<Keep> {
    let inner = Rules::builder().string("$.m.ns", 1).build().unwrap();
    let rules = Rules::builder()
        .item("$.items[*]", "$.items[*].m", 0)
        .string("$.items[*].m.ns", 1)
        .inside("$.items[*].m.last", inner.clone())
        .inside("$.last", inner)
        .build()
        .unwrap();
    Rewriter::new(rules, Framing::One, Limits::default(), Keep)
}

/// Replaces everything, but late.
struct Later;

impl Handler for Later {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Later
    }

    fn resolve(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Replace("local".into())
    }
}

fn later() -> Rewriter<Later> {
    let inner = Rules::builder().string("$.m.ns", 1).build().unwrap();
    let rules = Rules::builder()
        .item("$", "$", 0)
        .string("$.ns", 1)
        .inside("$.last", inner.clone())
        .string("$.all[*].ns", 1)
        .inside("$.all[*].last", inner)
        .build()
        .unwrap();
    Rewriter::new(rules, Framing::Many, Limits::default(), Later)
}

fn list(items: usize) -> String {
    let item = |at: usize| {
        let text = format!(r#"{{\"a\":\"{at}\",\"m\":{{\"ns\":\"x\"}}}}"#);
        let filler = "x".repeat(at % 3000);
        format!(r#"{{"k":{at},"m":{{"last":"{text}","ns":"app"}},"z":{{"f":[{{}},"{filler}"]}}}}"#)
    };
    let items: Vec<String> = (0..items).map(item).collect();
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}

fn chunks(text: impl Into<Bytes>, size: usize) -> Vec<Bytes> {
    let text = text.into();
    let starts = (0..text.len()).step_by(size);
    // Apart and shared, as they come from HTTP/2; a part of one long text would never be freed.
    starts
        .map(|at| {
            let chunk = Bytes::copy_from_slice(&text[at..text.len().min(at + size)]);
            drop(chunk.clone());
            chunk
        })
        .collect()
}

/// Feeds, and takes all that comes out.
fn pass(rewriter: &mut Rewriter<Keep>, out: &mut Output, chunks: &[Bytes]) {
    for chunk in chunks {
        rewriter.feed(chunk.clone(), out).unwrap();
        out.advance(out.remaining());
    }
}

#[test]
fn a_stream_is_small_wherever_it_stands() {
    let chunks = chunks(list(300), 1000);
    let own = size_of::<Rewriter<Keep>>() as u64;
    for end in 1..chunks.len() {
        let mut state = None;
        let kept = measure(|| {
            let (mut rewriter, mut out) = (rewriter(), Output::default());
            pass(&mut rewriter, &mut out, &chunks[..end]);
            state = Some(rewriter);
        });
        let bytes = own + u64::try_from(kept.bytes_current).unwrap();
        assert!(bytes <= STATE_BYTES_MAX, "{bytes} bytes after {end} chunks");
    }
}

#[test]
fn what_was_long_is_not_kept() {
    let long = "x".repeat(60 << 10);
    let held = r#"{"ns":"x","last":"{\"m\":{\"ns\":\"x\"}}"},"#.repeat(2000);
    let long_key = "k".repeat(4000);
    let deep = |of: &str| of.repeat(9900);
    let mut cases = vec![
        ("a string", format!(r#"{{"ns":"{long}"}}"#)),
        ("an escaped string", format!(r#"{{"ns":"\n{long}"}}"#)),
        (
            "a string in a string",
            format!(r#"{{"last":"{{\"m\":{{\"ns\":\"{long}\"}}}}"}}"#),
        ),
        ("a key", format!(r#"{{"\n{long_key}":1}}"#)),
        ("what is put off", format!(r#"{{"all":[{held}0]}}"#)),
        (
            "what is deep",
            format!(r#"{{"x":{}{}}}"#, deep("["), deep("]")),
        ),
    ];
    let all: Vec<&str> = cases.iter().map(|(_, first)| first.as_str()).collect();
    cases.push(("all of it", all.join("\n")));
    for (what, first) in cases {
        let own = size_of::<Rewriter<Later>>() as u64;
        for size in [CHUNK_BYTES, 700] {
            let chunks = chunks(format!("{first} {{}}"), size);
            let mut state = None;
            let kept = measure(|| {
                let mut out = Output::default();
                let mut rewriter = later();
                for chunk in &chunks {
                    rewriter.feed(chunk.clone(), &mut out).unwrap();
                    out.advance(out.remaining());
                }
                drop(out);
                state = Some(rewriter);
            });
            let bytes = own + u64::try_from(kept.bytes_current).unwrap();
            assert!(bytes <= STATE_BYTES_MAX, "{bytes} bytes after {what}");
        }
    }
}

#[test]
fn chunks_in_which_nothing_changes_allocate_nothing() {
    let chunks = chunks(list(3000), CHUNK_BYTES);
    let (mut rewriter, mut out) = (rewriter(), Output::default());
    let (first, rest) = chunks.split_at(chunks.len() / 2);
    pass(&mut rewriter, &mut out, first);
    let made = measure(|| pass(&mut rewriter, &mut out, rest));
    assert_eq!((made.count_total, rest.len() > 100), (0, true));
}

/// The most bytes that a stream has at once, its chunks apart from what it holds included.
fn peak(chunks: impl Iterator<Item = Bytes>) -> u64 {
    let used = measure(|| {
        let (mut rewriter, mut out) = (rewriter(), Output::default());
        for chunk in chunks {
            let chunk = Bytes::copy_from_slice(&chunk);
            rewriter.feed(chunk, &mut out).unwrap();
            out.advance(out.remaining());
        }
    });
    used.bytes_max
}

#[test]
fn the_worst_inputs_keep_memory_flat() {
    for worst in worst::inputs() {
        // A byte a call takes long where nothing is optimised.
        for (size, bytes) in [(CHUNK_BYTES, LONG_BYTES), (1, LONG_BYTES / 16)] {
            let [once, twice] = [1, 2].map(|times| peak(worst.chunks(times * bytes, size)));
            assert!(once <= 64 << 10, "{}: {once} bytes", worst.what);
            assert_eq!(once, twice, "{}: grows with what came", worst.what);
        }
    }
}

#[test]
fn what_is_held_costs_little_more_than_its_bytes() {
    let input = Bytes::from(format!(r#"{{"items":[{{"x":"{}"#, "x".repeat(64 << 10)));
    for size in [CHUNK_BYTES, 300, 200, 1] {
        let starts = (0..input.len()).step_by(size);
        let peak = peak(starts.map(|at| input.slice(at..input.len().min(at + size))));
        assert!(peak <= 192 << 10, "{size}: {peak} bytes");
    }
}

/// Rules and a handler for what waits, see [`worst::held`].
fn waits() -> Rewriter<Foreign> {
    let rules = Rules::builder()
        .item("$.items[*]", "$.items[*]", 0)
        .string("$.items[*].k", 1)
        .remove("$.items[*].gone");
    let (rules, limits) = (rules.build().unwrap(), Limits::default());
    Rewriter::new(rules, Framing::One, limits, Foreign(false))
}

/// Replaces everything, but late, and drops what is `foreign`.
struct Foreign(bool);

impl Handler for Foreign {
    fn open(&mut self, _item: Tag) {
        self.0 = false;
    }

    fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        self.0 |= value == b"foreign";
        Verdict::Later
    }

    fn judge(&mut self, _item: Tag) -> Fate {
        if self.0 { Fate::Drop } else { Fate::Keep }
    }

    fn resolve(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Replace("local".into())
    }
}

/// Bytes that are allocated while a stream passes, those that were freed again included: whatever is
/// copied anew for each chunk or each change counts.
fn allocated<H: Handler>(mut rewriter: Rewriter<H>, chunks: impl Iterator<Item = Bytes>) -> u64 {
    let used = measure(|| {
        let mut out = Output::default();
        for chunk in chunks {
            rewriter.feed(chunk, &mut out).unwrap();
            out.advance(out.remaining());
        }
        rewriter.finish(&mut out).unwrap();
    });
    used.bytes_total
}

/// This sees no work but copies into new memory.
#[test]
fn twice_the_bytes_are_copied_no_more_than_twice() {
    let check = |what, size, allocated: &dyn Fn(usize) -> u64| {
        let (once, twice) = (allocated(LONG_BYTES / 16), allocated(LONG_BYTES / 8));
        let most = once * 5 / 2 + 1024;
        assert!(twice <= most, "{what} by {size}: {once}, {twice}");
    };
    for size in [CHUNK_BYTES, 300, 7] {
        for worst in worst::held() {
            let allocated = |bytes| allocated(waits(), worst.chunks(bytes, size));
            check(worst.what, size, &allocated);
        }
        for worst in worst::inputs() {
            let allocated = |bytes| allocated(rewriter(), worst.chunks(bytes, size));
            check(worst.what, size, &allocated);
        }
    }
}
