//! The rewriter on a LIST of 10,000 claims in 16 KiB chunks, beside other ways through the same
//! bytes.

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use claimgate::rewrite::{Framing, Handler, Limits, Output, Rewriter, Rules, Tag, Verdict};
use claimgate_benches::Claims;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use serde::de::IgnoredAny;
use serde_json::Value;

/// As a DATA frame of HTTP/2 brings it.
const CHUNK_BYTES: usize = 16 << 10;

const NAMESPACE: Tag = 1;

/// Puts the local namespace in the remote one's place.
#[derive(Clone)]
struct Mapped {
    remote: Arc<str>,
    local: Arc<str>,
}

impl Mapped {
    fn new() -> Self {
        Self {
            remote: "app-ns-1".into(),
            local: "default".into(),
        }
    }
}

impl Handler for Mapped {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict {
        if value == self.remote.as_bytes() {
            Verdict::Replace(self.local.to_string())
        } else {
            Verdict::Keep
        }
    }
}

fn chunks(text: Vec<u8>) -> Vec<Bytes> {
    let text = Bytes::from(text);
    let starts = (0..text.len()).step_by(CHUNK_BYTES);
    starts
        .map(|at| text.slice(at..text.len().min(at + CHUNK_BYTES)))
        .collect()
}

fn rewriter(rules: &Rules) -> Rewriter<Mapped> {
    Rewriter::new(
        rules.clone(),
        Framing::One,
        Limits::default(),
        Mapped::new(),
    )
}

/// Rewrites, and takes every piece of the output; returns the bytes that came out.
fn rewrite(mut rewriter: Rewriter<Mapped>, chunks: &[Bytes]) -> usize {
    let mut out = Output::default();
    let mut bytes = 0;
    for chunk in chunks {
        rewriter.feed(chunk.clone(), &mut out).expect("JSON");
        bytes += out.remaining();
        while let Some(piece) = out.pop() {
            black_box(piece);
        }
    }
    rewriter.finish(&mut out).expect("a whole document");
    bytes + out.remaining()
}

fn plain() -> Rules {
    Rules::builder()
        .string("$.items[*].metadata.namespace", NAMESPACE)
        .build()
        .expect("rules")
}

fn held() -> Rules {
    Rules::builder()
        .string("$.items[*].metadata.namespace", NAMESPACE)
        .item("$.items[*]", "$.items[*].metadata", 0)
        .build()
        .expect("rules")
}

fn with_last_applied() -> Rules {
    let inner = Rules::builder().string("$.metadata.namespace", NAMESPACE);
    let inner = inner.build().expect("rules");
    let applied =
        r#"$.items[*].metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]"#;
    Rules::builder()
        .string("$.items[*].metadata.namespace", NAMESPACE)
        .inside(applied, inner)
        .build()
        .expect("rules")
}

fn list(criterion: &mut Criterion) {
    let text = Claims::default().list();
    let chunks = chunks(text.clone());
    let mut group = criterion.benchmark_group("list of 10,000 claims");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(20);

    let mut copy = vec![0; text.len()];
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            for (to, from) in copy.chunks_mut(CHUNK_BYTES).zip(&chunks) {
                to.copy_from_slice(from);
            }
            black_box(&mut copy);
        });
    });
    for (name, rules) in [
        ("rewrite", plain()),
        ("rewrite, items held", held()),
        ("rewrite, last-applied too", with_last_applied()),
    ] {
        // A handler that never fires would be fast too.
        assert_ne!(rewrite(rewriter(&rules), &chunks), text.len());
        group.bench_function(name, |bencher| {
            bencher.iter(|| rewrite(rewriter(&rules), &chunks));
        });
    }
    group.bench_function("rewrite, portable", |bencher| {
        bencher.iter(|| rewrite(rewriter(&plain()).portable(), &chunks));
    });
    group.bench_function("serde_json, skipped", |bencher| {
        bencher.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&text)).expect("JSON"));
    });
    group.bench_function("serde_json, changed and written again", |bencher| {
        bencher.iter(|| value_round_trip(black_box(&text)));
    });
    group.finish();
}

fn value_round_trip(text: &[u8]) -> Vec<u8> {
    let mut list: Value = serde_json::from_slice(text).expect("JSON");
    let items = list["items"].as_array_mut().expect("a list");
    for item in items {
        item["metadata"]["namespace"] = Value::from("default");
    }
    serde_json::to_vec(&list).expect("JSON")
}

criterion_group!(benches, list);
criterion_main!(benches);
