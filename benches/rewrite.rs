//! Measures the rewriter on lists of claims in 16 KiB chunks, next to other libraries on the same bytes.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use claimgate_benches::{
    CHUNK_BYTES, Claims, NamespaceMapper, cases, chunks, consume, item_filter, pass, rewriter,
    watch_rules, worst_case_rules,
};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use json_rewrite::{Framing, Limits, Output, Rewriter};
use json_rewrite_testing::worst_case;
use rsonpath::engine::{Compiler, Engine, RsonpathEngine};
use rsonpath::input::BorrowedBytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use sonic_rs::JsonValueTrait;

/// The path of every namespace.
const QUERY: &str = "$.items[*].metadata.namespace";

fn group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    text: &[u8],
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group
}

fn list(criterion: &mut Criterion) {
    let text = Claims::default().list();
    // Four copies take turns, so that none is still in a cache when it is read again.
    let lists = [(); 4].map(|()| chunks(text.clone()));
    let mut lists = lists.iter().cycle();
    let mut next = || lists.next().into_iter().flatten().cloned();
    let mut group = group(criterion, "list of 10,000 claims", &text);

    let mut copies = [(); 4].map(|()| vec![0; text.len()]);
    let mut turn = 0;
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % copies.len();
            let copy = &mut copies[turn];
            for (to, from) in copy.chunks_mut(CHUNK_BYTES).zip(next()) {
                to.copy_from_slice(&from);
            }
            black_box(copy);
        });
    });
    for (name, rules) in cases() {
        // Rules that match nothing would be fast too, so check that something was replaced.
        assert_ne!(pass(rewriter(&rules), next()), text.len());
        group.bench_function(format!("rewrite, {name}"), |bencher| {
            bencher.iter(|| pass(rewriter(&rules), next()));
        });
    }
    let [(_, plain), ..] = cases();
    group.bench_function("rewrite, plain, portable", |bencher| {
        bencher.iter(|| pass(rewriter(&plain).portable(), next()));
    });
    let query = rsonpath_syntax::parse(QUERY).expect("a query");
    let engine = RsonpathEngine::compile_query(&query).expect("an engine");
    group.bench_function("rsonpath, located", |bencher| {
        bencher.iter(|| {
            engine
                .count(&BorrowedBytes::new(black_box(&text)))
                .expect("JSON")
        });
    });
    assert_eq!(splice_unchecked(&text), pass(rewriter(&plain), next()));
    group.bench_function("sonic-rs, located unchecked and spliced", |bencher| {
        bencher.iter(|| splice_unchecked(black_box(&text)));
    });
    group.bench_function("serde_json, skipped", |bencher| {
        bencher.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&text)).expect("JSON"));
    });
    group.bench_function("serde_json, changed and written again", |bencher| {
        bencher.iter(|| value_round_trip(black_box(&text)));
    });
    group.finish();
}

/// Measures other shapes of text: pretty-printed, and with long strings.
fn shapes(criterion: &mut Criterion) {
    let [(_, plain), ..] = cases();
    let long = Claims {
        count: 3000,
        notes_bytes: 4 << 10,
        ..Claims::default()
    };
    for (name, text) in [
        ("compact", Claims::default().list()),
        ("pretty", Claims::default().pretty_list()),
        ("strings of 4 KiB", long.list()),
    ] {
        let parts = chunks(text.clone());
        let mut group = group(criterion, "shapes", &text);
        group.bench_function(name, |bencher| {
            bencher.iter(|| pass(rewriter(&plain), parts.iter().cloned()))
        });
        group.finish();
    }
}

/// Measures one watch event, fed in one call.
fn event(criterion: &mut Criterion) {
    let claims = Claims {
        count: 1,
        ..Claims::default()
    };
    let event = Bytes::from(claims.events());
    let mut rewriter = Rewriter::new(
        watch_rules(),
        Framing::Sequence,
        Limits::default(),
        NamespaceMapper::default(),
    );
    let mut out = Output::default();
    criterion.bench_function("a watch event of 2 KiB", |bencher| {
        bencher.iter(|| {
            rewriter.feed(event.clone(), &mut out).expect("JSON");
            consume(&mut out);
        });
    });
}

/// Measures the inputs that cost most per byte: 1 GiB in chunks, and less of it one byte per call.
fn worst_cases(criterion: &mut Criterion) {
    const LONG_BYTES: usize = 1 << 30;
    const SHORT_BYTES: usize = 8 << 20;
    let rules = worst_case_rules();
    for input in worst_case::inputs() {
        let mut group = criterion.benchmark_group("worst-case inputs");
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.warm_up_time(Duration::from_millis(500));
        for (how, bytes, size) in [
            ("in chunks", LONG_BYTES, CHUNK_BYTES),
            ("one byte per call", SHORT_BYTES, 1),
        ] {
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(format!("{}, {how}", input.name), |bencher| {
                bencher.iter(|| pass(rewriter(&rules), input.chunks(bytes, size)))
            });
        }
        group.finish();
    }
}

/// Measures items that need much work: 4 MiB of them, all buffered.
fn items(criterion: &mut Criterion) {
    const BYTES: usize = 4 << 20;
    for input in worst_case::item_inputs() {
        let mut group = criterion.benchmark_group("worst-case items");
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.warm_up_time(Duration::from_millis(500));
        group.throughput(Throughput::Bytes(BYTES as u64));
        for size in [CHUNK_BYTES, 300] {
            group.bench_function(
                format!("{}, {size} bytes per call", input.name),
                |bencher| bencher.iter(|| pass(item_filter(), input.chunks(BYTES, size))),
            );
        }
        group.finish();
    }
}

/// Finds the namespaces with sonic-rs without validation, and copies everything else.
fn splice_unchecked(text: &[u8]) -> usize {
    // SAFETY: the unchecked functions require valid JSON, and the text is generated JSON.
    #![allow(unsafe_code)]
    let mut out: Vec<u8> = Vec::with_capacity(text.len() + 1024);
    let mut done = 0;
    let items = unsafe { sonic_rs::get_unchecked(text, ["items"]) }.expect("items");
    for item in unsafe { sonic_rs::to_array_iter_unchecked(items.as_raw_str()) } {
        let item = item.expect("an item");
        let namespace =
            unsafe { sonic_rs::get_unchecked(item.as_raw_str(), ["metadata", "namespace"]) };
        let namespace = namespace.expect("a namespace");
        if namespace.as_str() == Some("app-ns-1") {
            let raw = namespace.as_raw_str();
            let at = raw.as_ptr() as usize - text.as_ptr() as usize;
            out.extend_from_slice(&text[done..at]);
            out.extend_from_slice(b"\"default\"");
            done = at + raw.len();
        }
    }
    out.extend_from_slice(&text[done..]);
    black_box(&out).len()
}

fn value_round_trip(text: &[u8]) -> Vec<u8> {
    let mut list: Value = serde_json::from_slice(text).expect("JSON");
    let items = list["items"].as_array_mut().expect("a list");
    for item in items {
        item["metadata"]["namespace"] = Value::from("default");
    }
    serde_json::to_vec(&list).expect("JSON")
}

criterion_group!(benches, list, shapes, event, worst_cases, items);
criterion_main!(benches);
