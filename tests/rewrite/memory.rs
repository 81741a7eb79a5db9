//! What a stream keeps in memory, whatever comes.

use allocation_counter::measure;
use bytes::{Buf, Bytes};
use claimgate::rewrite::{Framing, Handler, Limits, Output, Rewriter, Rules, Tag, Verdict};

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
fn chunks_in_which_nothing_changes_allocate_nothing() {
    let chunks = chunks(list(3000), CHUNK_BYTES);
    let (mut rewriter, mut out) = (rewriter(), Output::default());
    let (first, rest) = chunks.split_at(chunks.len() / 2);
    pass(&mut rewriter, &mut out, first);
    let made = measure(|| pass(&mut rewriter, &mut out, rest));
    assert_eq!((made.count_total, rest.len() > 100), (0, true));
}

#[test]
fn the_worst_inputs_keep_memory_flat() {
    let long = |part: &str| part.repeat(LONG_BYTES / part.len());
    let nested = format!("{}{},", "[{\"a\":".repeat(400), "1}]".repeat(400));
    for (what, input) in [
        ("quotes", format!(r#"{{"x":[{}""]}}"#, long("\"\","))),
        ("escaped quotes", format!(r#"{{"x":"{}"}}"#, long("\\\""))),
        ("backslashes", format!(r#"{{"x":"{}"}}"#, long("\\\\"))),
        ("brackets", format!(r#"{{"x":[{}0]}}"#, long(&nested))),
        ("a string", format!(r#"{{"x":"{}"}}"#, long("x"))),
        ("white space", format!(r#"{{"x":1{}}}"#, long(" \n"))),
        ("a skipped key", format!(r#"{{"x":{{"{}":1}}}}"#, long("k"))),
        (
            "walked elements",
            format!(r#"{{"items":[{}0]}}"#, long("1,")),
        ),
        (
            "walked members",
            format!(r#"{{{}"a":0}}"#, long(r#""b":1,"#)),
        ),
        (
            "an item's inside",
            format!(r#"{{"items":[{{"m":{{}},"x":"{}"}}]}}"#, long("x")),
        ),
        (
            "a string that holds JSON",
            format!(
                r#"{{"last":"{}"}}"#,
                long(r#"{\"m\":{\"ns\":\"x\"},\"k\":["#)
            ),
        ),
    ] {
        for size in [CHUNK_BYTES, 1] {
            // A byte a call takes long where nothing is optimised.
            let bytes = if size == 1 {
                input.len() / 32
            } else {
                input.len()
            };
            let chunks = chunks(input.as_bytes()[..bytes].to_vec(), size);
            let (mut rewriter, mut out) = (rewriter(), Output::default());
            let used = measure(|| pass(&mut rewriter, &mut out, &chunks));
            assert!(
                used.bytes_max <= 64 << 10,
                "{what}: {} bytes",
                used.bytes_max
            );
        }
    }
}

#[test]
fn what_is_held_costs_little_more_than_its_bytes() {
    let input = format!(r#"{{"items":[{{"x":"{}"#, "x".repeat(64 << 10));
    for size in [CHUNK_BYTES, 300, 200, 1] {
        let chunks = chunks(input.clone(), size);
        let (mut rewriter, mut out) = (rewriter(), Output::default());
        let used = measure(|| pass(&mut rewriter, &mut out, &chunks));
        assert!(
            used.bytes_max <= 192 << 10,
            "{size}: {} bytes",
            used.bytes_max
        );
    }
}
