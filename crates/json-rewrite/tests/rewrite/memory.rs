//! The memory of a stream.

use allocation_counter::measure;
use bytes::{Buf, Bytes};
use json_rewrite::{Edit, Framing, Handler, ItemDecision, Limits, Output, Rewriter, Rules, Tag};

use json_rewrite_testing::worst_case;

const CHUNK_BYTES: usize = 16 << 10;

/// The limit for the state of a stream in bytes, including the size of the rewriter itself.
const STATE_BYTES_MAX: u64 = 4 << 10;

/// Length of inputs that would reveal memory growth, in bytes.
const LONG_BYTES: usize = 1 << 20;

struct Keep;

impl Handler for Keep {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Keep
    }
}

fn rewriter() -> Rewriter<Keep> {
    let inner = Rules::builder().string("$.m.ns", 1).build().unwrap();
    let rules = Rules::builder()
        .item("$.items[*]", "$.items[*].m", 0)
        .string("$.items[*].m.ns", 1)
        .embedded_json("$.items[*].m.last", inner.clone())
        .embedded_json("$.last", inner)
        .build()
        .unwrap();
    Rewriter::new(rules, Framing::SingleValue, Limits::default(), Keep)
}

/// Defers and then replaces everything.
struct ReplaceDeferred;

impl Handler for ReplaceDeferred {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Defer
    }

    fn resolve_deferred(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Replace("local".into())
    }
}

fn deferring_rewriter() -> Rewriter<ReplaceDeferred> {
    let inner = Rules::builder().string("$.m.ns", 1).build().unwrap();
    let rules = Rules::builder()
        .item("$", "$", 0)
        .string("$.ns", 1)
        .embedded_json("$.last", inner.clone())
        .string("$.all[*].ns", 1)
        .embedded_json("$.all[*].last", inner)
        .build()
        .unwrap();
    Rewriter::new(rules, Framing::Sequence, Limits::default(), ReplaceDeferred)
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
    // Separate allocations that have been shared, as HTTP/2 delivers them. Slices of one text would never be freed.
    starts
        .map(|at| {
            let chunk = Bytes::copy_from_slice(&text[at..text.len().min(at + size)]);
            drop(chunk.clone());
            chunk
        })
        .collect()
}

/// Feeds the chunks and discards the output.
fn pass(rewriter: &mut Rewriter<Keep>, out: &mut Output, chunks: &[Bytes]) {
    for chunk in chunks {
        rewriter.feed(chunk.clone(), out).unwrap();
        out.advance(out.remaining());
    }
}

#[test]
fn stream_is_small_after_every_chunk() {
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
fn memory_for_long_values_is_freed() {
    let long = "x".repeat(60 << 10);
    let items = r#"{"ns":"x","last":"{\"m\":{\"ns\":\"x\"}}"},"#.repeat(2000);
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
        ("deferred strings", format!(r#"{{"all":[{items}0]}}"#)),
        (
            "deep nesting",
            format!(r#"{{"x":{}{}}}"#, deep("["), deep("]")),
        ),
    ];
    let all: Vec<&str> = cases.iter().map(|(_, first)| first.as_str()).collect();
    cases.push(("all of these", all.join("\n")));
    for (what, first) in cases {
        let own = size_of::<Rewriter<ReplaceDeferred>>() as u64;
        for size in [CHUNK_BYTES, 700] {
            let chunks = chunks(format!("{first} {{}}"), size);
            let mut state = None;
            let kept = measure(|| {
                let mut out = Output::default();
                let mut rewriter = deferring_rewriter();
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
fn unchanged_chunks_allocate_nothing() {
    let chunks = chunks(list(3000), CHUNK_BYTES);
    let (mut rewriter, mut out) = (rewriter(), Output::default());
    let (first, rest) = chunks.split_at(chunks.len() / 2);
    pass(&mut rewriter, &mut out, first);
    let made = measure(|| pass(&mut rewriter, &mut out, rest));
    assert_eq!((made.count_total, rest.len() > 100), (0, true));
}

/// Returns the peak memory of a stream in bytes, including its chunks.
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
fn memory_stays_flat_for_worst_case_inputs() {
    for input in worst_case::inputs() {
        // Feeding single bytes takes long without optimisation.
        for (size, bytes) in [(CHUNK_BYTES, LONG_BYTES), (1, LONG_BYTES / 16)] {
            let [once, twice] = [1, 2].map(|times| peak(input.chunks(times * bytes, size)));
            assert!(once <= 64 << 10, "{}: {once} bytes", input.name);
            assert_eq!(once, twice, "{}: memory grows with the input", input.name);
        }
    }
}

#[test]
fn buffered_bytes_have_little_overhead() {
    let input = Bytes::from(format!(r#"{{"items":[{{"x":"{}"#, "x".repeat(64 << 10)));
    for size in [CHUNK_BYTES, 300, 200, 1] {
        let starts = (0..input.len()).step_by(size);
        let peak = peak(starts.map(|at| input.slice(at..input.len().min(at + size))));
        assert!(peak <= 192 << 10, "{size}: {peak} bytes");
    }
}

/// Returns a rewriter for [`worst_case::item_inputs`].
fn item_rewriter() -> Rewriter<Foreign> {
    let rules = Rules::builder()
        .item("$.items[*]", "$.items[*]", 0)
        .string("$.items[*].k", 1)
        .remove("$.items[*].gone")
        .remove_emptied("$.items[*].m")
        .remove("$.items[*].m.gone");
    let (rules, limits) = (rules.build().unwrap(), Limits::default());
    Rewriter::new(rules, Framing::SingleValue, limits, Foreign(false))
}

/// Defers and then replaces everything, and drops items that contain `foreign`.
struct Foreign(bool);

impl Handler for Foreign {
    fn begin_item(&mut self, _item: Tag) {
        self.0 = false;
    }

    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        self.0 |= value == b"foreign";
        Edit::Defer
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        if self.0 {
            ItemDecision::Drop
        } else {
            ItemDecision::Keep
        }
    }

    fn resolve_deferred(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Replace("local".into())
    }
}

/// Returns the bytes that are allocated in total, including freed memory, so that repeated copying shows.
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

/// This measures copies into new memory only.
#[test]
fn allocations_are_linear_in_the_input() {
    let check = |what, size, allocated: &dyn Fn(usize) -> u64| {
        let (once, twice) = (allocated(LONG_BYTES / 16), allocated(LONG_BYTES / 8));
        let most = once * 5 / 2 + 1024;
        assert!(twice <= most, "{what} by {size}: {once}, {twice}");
    };
    for size in [CHUNK_BYTES, 300, 7] {
        for input in worst_case::item_inputs() {
            let allocated = |bytes| allocated(item_rewriter(), input.chunks(bytes, size));
            check(input.name, size, &allocated);
        }
        for input in worst_case::inputs() {
            let allocated = |bytes| allocated(rewriter(), input.chunks(bytes, size));
            check(input.name, size, &allocated);
        }
    }
}
