//! JSON embedded in strings.

use bytes::{Buf as _, Bytes};
use json_rewrite::*;
use json_rewrite_testing::streams;

use super::examples::{NAME, filtering, one, plain};

#[test]
fn strings_with_embedded_json_keep_their_escapes() {
    for (input, output) in [
        (
            r#"{\"m\":{\"ns\":\"remote\"},\"é\":\"\\\"\u0041\"}\n"#,
            true,
        ),
        (
            r#"{\u0022m\u0022:{\"x\":[{},1.5,null],\"ns\":\"remote\"}}"#,
            true,
        ),
        (r#"{\"m\":{\"n\\u0073\":\"r\\u0065mote\"}}"#, true),
        (r#"{\"s\":{\"m\":{\"ns\":\"remote\"}}}"#, false),
        (r#"not json {\"m\":{\"ns\":\"remote\"}}"#, false),
        (r#"{\"m\":{\"ns\":\"remote2\"}"#, false),
        ("", false),
    ] {
        let wrap = |content: &str| format!(r#"{{"m":{{"last":"{content}","x":1}}}}"#);
        let local = if output {
            input
                .replace("remote", "local")
                .replace(r"r\\u0065mote", "local")
        } else {
            input.to_owned()
        };
        assert_eq!(one(&plain(), &wrap(input)).unwrap(), wrap(&local));
        let list = |content: &str, ns: &str| {
            format!(r#"{{"items":[{{"m":{{"last":"{content}","gone":1,"ns":"{ns}"}}}}]}}"#)
        };
        let expected = list(&local, "local").replace(r#""gone":1,"#, "");
        assert_eq!(one(&filtering(), &list(input, "remote")).unwrap(), expected);
        assert_eq!(
            one(&filtering(), &list(input, "foreign")).unwrap(),
            r#"{"items":[]}"#
        );
    }
}

#[test]
fn embedded_json_beyond_the_depth_limit_stays_unchanged() {
    let inner = Rules::builder().string("$.x", NAME).build().unwrap();
    let rules = Rules::builder()
        .embedded_json("$.a", inner)
        .build()
        .unwrap();
    for (levels, is_seen) in [(998, true), (999, true), (1000, false)] {
        let (open, close) = (r#"{\"a\":"#.repeat(levels), "}".repeat(levels - 1));
        let wrap = |name: &str| format!(r#"{{"a":"{open}{{}}{close},\"x\":\"{name}\"}}"}}"#);
        let expected = wrap(if is_seen { "local" } else { "remote" });
        for size in [usize::MAX, 64, 7, 1] {
            let rewriter = Rewriter::new(
                rules.clone(),
                Framing::SingleValue,
                Limits::default(),
                Local,
            );
            let text = streams::run(rewriter, wrap("remote").as_bytes().chunks(size)).unwrap();
            assert!(text == expected.as_bytes(), "{levels} levels in {size}s");
        }
    }
}

/// The limit counts bytes as written, because they are buffered as written.
#[test]
fn embedded_strings_beyond_their_limit_stay_unchanged() {
    let inner = Rules::builder().string("$.x", NAME).build().unwrap();
    let rules = Rules::builder()
        .embedded_json("$.a", inner)
        .build()
        .unwrap();
    for (part, times, is_seen) in [
        ("x", 64 << 10, true),
        ("x", (64 << 10) + 1, false),
        (r"\u0061", (64 << 10) / 6, true),
        (r"\u0061", (64 << 10) / 6 + 1, false),
        (r"\u0061", 60_000, false),
    ] {
        let wrap = |text: &str| format!(r#"{{"a":"{{\"x\":\"{text}\"}}"}}"#);
        let text = wrap(&part.repeat(times));
        let expected = if is_seen { wrap("local") } else { text.clone() };
        for size in [usize::MAX, 1000, 7] {
            let mut rewriter = Rewriter::new(
                rules.clone(),
                Framing::SingleValue,
                Limits::default(),
                Local,
            );
            let (mut out, mut written, mut fed) = (Output::default(), Vec::new(), 0);
            for chunk in text.as_bytes().chunks(size) {
                rewriter
                    .feed(Bytes::copy_from_slice(chunk), &mut out)
                    .unwrap();
                fed += chunk.len();
                let length = out.len();
                written.extend_from_slice(&out.copy_to_bytes(length));
                let buffered = fed.saturating_sub(written.len());
                assert!(
                    is_seen || size == usize::MAX || buffered <= (64 << 10) + size,
                    "{buffered}"
                );
            }
            rewriter.finish(&mut out).unwrap();
            let length = out.len();
            written.extend_from_slice(&out.copy_to_bytes(length));
            assert!(
                written == expected.as_bytes(),
                "{times} {part} in {size}s: {} of {}",
                written.len(),
                expected.len()
            );
        }
    }
}

/// Tests escapes at both levels, and lone surrogates next to each other.
#[test]
fn surrogates_in_embedded_json_are_unescaped() {
    let inner = Rules::builder()
        .string("$.\u{1f600}", NAME)
        .build()
        .unwrap();
    let rules = Rules::builder()
        .embedded_json("$.a", inner)
        .build()
        .unwrap();
    for (key, known) in [
        ("\u{1f600}", true),
        (r"\ud83d\ude00", true),
        (r"\\ud83d\\ude00", true),
        (r"\\ud83d\ude00", false),
        (r"\ud83d", false),
        (r"\ud83dx\ude00", false),
        (r"\ud83d\n\ude00", false),
        (r"\ud83d\ud83d\ude00", false),
        (r"\ude00\ud83d", false),
    ] {
        let value = |value: &str| format!(r#"{{"a":"{{\"{key}\":\"{value}\"}}"}}"#);
        let expected = value(if known { "local" } else { "remote" });
        assert_eq!(one(&rules, &value("remote")).unwrap(), expected);
    }
}

/// Rewrites the JSON in all strings by rules that are not allowed there.
struct RewriteEmbedded(Rules);

impl Handler for RewriteEmbedded {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Defer
    }

    fn resolve_deferred(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::RewriteEmbedded(self.0.clone())
    }
}

#[test]
fn only_string_rules_are_accepted_for_embedded_json() {
    for inner in [
        Rules::builder().remove("$.secret"),
        Rules::builder().raw_value("$.secret", NAME),
        Rules::builder().item("$.secret", "$.secret", NAME),
    ] {
        let rules = Rules::builder().string("$.a", NAME).build().unwrap();
        let inside = RewriteEmbedded(inner.build().unwrap());
        let mut rewriter = Rewriter::new(rules, Framing::SingleValue, Limits::default(), inside);
        let input = Bytes::from_static(br#"{"a":"{\"secret\":1}"}"#);
        let fed = rewriter.feed(input, &mut Output::default());
        assert!(matches!(fed, Err(RewriteError::Rejected(_))), "{fed:?}");
    }
}

/// Replaces every string by `local`.
pub(crate) struct Local;

impl Handler for Local {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Replace("local".into())
    }
}
