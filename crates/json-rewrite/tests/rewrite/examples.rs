//! Examples. Each document is fed in one chunk, split at every byte, and byte by byte, and the output must be the
//! same.

use bytes::{Buf, Bytes};
use json_rewrite::*;
use json_rewrite_testing::streams;

pub(crate) const NAME: Tag = 1;
const NEXT: Tag = 2;
const DEEP: Tag = 3;

/// Replaces `remote` by `local`, drops items with the name `foreign`, and removes an empty `next`.
#[derive(Default)]
struct Map {
    foreign: bool,
    named: bool,
}

impl Handler for Map {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        match tag {
            NEXT if value.is_empty() => Edit::Remove,
            NEXT => Edit::Replace("n\"\\".into()),
            DEEP => Edit::Defer,
            _ if value == b"bad" => Edit::Reject("bad"),
            _ => {
                self.foreign |= value == b"foreign";
                self.named = true;
                if value == b"remote" {
                    Edit::Replace("local".into())
                } else {
                    Edit::Keep
                }
            }
        }
    }

    fn begin_item(&mut self, _item: Tag) {
        *self = Self::default();
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        if self.foreign || !self.named {
            ItemDecision::Drop
        } else {
            ItemDecision::Keep
        }
    }

    fn resolve_deferred(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        if value == b"remote" {
            Edit::Replace("local".into())
        } else {
            Edit::Keep
        }
    }
}

pub(crate) fn plain() -> Rules {
    let inner = Rules::builder().string("$.m.ns", DEEP).build().unwrap();
    let rules = Rules::builder()
        .string("$.m.ns", NAME)
        .string("$.next", NEXT);
    rules
        .string("$.items[*].m.ns", NAME)
        .remove("$.gone")
        .embedded_json("$.m.last", inner)
        .build()
        .unwrap()
}

pub(crate) fn filtering() -> Rules {
    let inner = Rules::builder().string("$.m.ns", DEEP).build().unwrap();
    Rules::builder()
        .item("$.items[*]", "$.items[*].m", 0)
        .string("$.items[*].m.ns", NAME)
        .string("$.next", NEXT)
        .remove("$.items[*].m.gone")
        .embedded_json("$.items[*].m.last", inner)
        .build()
        .unwrap()
}

fn events() -> Rules {
    Rules::builder()
        .item("$", "$", 0)
        .string("$.object.m.ns", NAME)
        .build()
        .unwrap()
}

pub(crate) fn run(
    rules: &Rules,
    framing: Framing,
    limits: Limits,
    chunks: &[&[u8]],
) -> Result<Vec<u8>, RewriteError> {
    let rewriter = Rewriter::new(rules.clone(), framing, limits, Map::default());
    streams::run(rewriter, chunks.iter().copied())
}

/// Feeds the input in several ways, checks that the output is the same, and returns it.
pub(crate) fn rewrite_with_all_splits(
    rules: &Rules,
    framing: Framing,
    input: &[u8],
) -> Result<String, RewriteError> {
    let rewriter = || Rewriter::new(rules.clone(), framing, Limits::default(), Map::default());
    let whole = streams::run_with_all_splits(rewriter, input);
    whole.map(|bytes| String::from_utf8(bytes).unwrap())
}

pub(crate) fn one(rules: &Rules, input: &str) -> Result<String, RewriteError> {
    rewrite_with_all_splits(rules, Framing::SingleValue, input.as_bytes())
}

/// serde_json has the same rule for sequences.
#[test]
fn numbers_and_literals_of_a_sequence_must_be_separated() {
    for (input, is_good) in [
        ("0 1\n-0", true),
        ("1{}2[]null\"\"true", true),
        ("01", false),
        ("-0-0", false),
        ("1-2", false),
        ("truefalse", false),
        ("1true", false),
        ("1,2", false),
    ] {
        let sequence = rewrite_with_all_splits(&plain(), Framing::Sequence, input.as_bytes());
        assert_eq!(sequence.is_ok(), is_good, "{input}");
        let serde = serde_json::Deserializer::from_str(input).into_iter::<serde_json::Value>();
        assert_eq!(
            serde.into_iter().all(|value| value.is_ok()),
            is_good,
            "{input}"
        );
    }
}

#[test]
fn values_without_rules_stay_unchanged() {
    for (input, output) in [
        (r#"{"m":{"ns":"remote"}}"#, r#"{"m":{"ns":"local"}}"#),
        (
            r#" { "m" : { "x":1, "ns" : "remote" } } "#,
            r#" { "m" : { "x":1, "ns" : "local" } } "#,
        ),
        (
            r#"{"m":{"n\u0073":"rem\u006fte"}}"#,
            r#"{"m":{"n\u0073":"local"}}"#,
        ),
        (
            r#"{"m":{"ns":"remote","ns":"remote"}}"#,
            r#"{"m":{"ns":"local","ns":"local"}}"#,
        ),
        (
            r#"{"s":{"m":{"ns":"remote"}},"m":{}}"#,
            r#"{"s":{"m":{"ns":"remote"}},"m":{}}"#,
        ),
        (
            r#"{"m":{"ns":null},"m":[{"ns":"remote"}]}"#,
            r#"{"m":{"ns":null},"m":[{"ns":"remote"}]}"#,
        ),
        (
            r#"{"m":{"ns":{"ns":"remote"}}}"#,
            r#"{"m":{"ns":{"ns":"remote"}}}"#,
        ),
        (
            r#"{"n":-0.10e+7,"b":true,"m":{"ns":"x"}}"#,
            r#"{"n":-0.10e+7,"b":true,"m":{"ns":"x"}}"#,
        ),
        (r#"[{"m":{"ns":"remote"}}]"#, r#"[{"m":{"ns":"remote"}}]"#),
        (r#""remote""#, r#""remote""#),
        ("12", "12"),
    ] {
        assert_eq!(one(&plain(), input).unwrap(), output);
    }
}

#[test]
fn containers_after_long_stretches_without_quotes_are_found() {
    let filler = |part: &str| part.repeat(5000 / part.len());
    for space in [filler(" "), filler(" \n\t")] {
        for (input, output) in [
            (
                "{S\"x\"S:S{S}S,S\"m\"S:S{S\"ns\"S:S\"remote\"S}S}S",
                "local",
            ),
            ("[1S,S{S\"x\"S:S[S]S}S]", ""),
            (
                "S{S\"items\"S:S[S{S\"m\"S:S{S\"ns\"S:S\"remote\"}}]S}",
                "local",
            ),
        ] {
            let input = input.replace('S', &space);
            let whole = run(
                &plain(),
                Framing::SingleValue,
                Limits::default(),
                &[input.as_bytes()],
            );
            let expected = input.replace("remote", output);
            assert_eq!(String::from_utf8(whole.unwrap()).unwrap(), expected);
        }
    }
    let numbers = format!(
        r#"{{"items":[{}{{"m":{{"ns":"remote"}}}},{{"x":{{]}}]}}"#,
        filler("12,")
    );
    let wrong = run(
        &plain(),
        Framing::SingleValue,
        Limits::default(),
        &[numbers.as_bytes()],
    );
    assert!(
        matches!(wrong, Err(RewriteError::Syntax { .. })),
        "{wrong:?}"
    );
}

#[test]
fn removing_members_removes_one_comma() {
    for (input, output) in [
        (r#"{"gone":[1,{}],"a":1}"#, r#"{"a":1}"#),
        (r#"{"a":1,"gone":"x"}"#, r#"{"a":1}"#),
        (r#"{"a":1,"gone":2,"b":3}"#, r#"{"a":1,"b":3}"#),
        (r#"{"gone":2}"#, r#"{}"#),
        (r#"{"gone":2,"gone":{"x":"}"},"next":""}"#, r#"{}"#),
        (r#"{"gone":2,"next":"","b":3,"gone":null}"#, r#"{"b":3}"#),
        (r#"{"next":"x","a":1}"#, r#"{"next":"n\"\\","a":1}"#),
        (r#"{"a":1,"next":""}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(one(&plain(), input).unwrap(), output);
    }
}

#[test]
fn dropping_items_removes_one_comma() {
    let item = |ns: &str| format!(r#"{{"a":1,"m":{{"ns":"{ns}"}},"z":[]}}"#);
    let (mine, foreign) = (item("remote"), item("foreign"));
    let local = item("local");
    for (items, kept) in [
        (vec![&foreign, &mine, &mine], vec![&local, &local]),
        (vec![&mine, &foreign, &mine], vec![&local, &local]),
        (vec![&mine, &mine, &foreign], vec![&local, &local]),
        (vec![&foreign, &foreign], vec![]),
        (vec![&foreign, &foreign, &mine, &foreign], vec![&local]),
        (vec![], vec![]),
    ] {
        let list = |items: Vec<&String>| {
            let items: Vec<&str> = items.into_iter().map(String::as_str).collect();
            format!(r#"{{"items":[{}],"next":"x"}}"#, items.join(","))
        };
        let expected = list(kept).replace(r#""x""#, r#""n\"\\""#);
        assert_eq!(one(&filtering(), &list(items)).unwrap(), expected);
    }
}

#[test]
fn item_without_its_deciding_value_is_decided_at_its_end() {
    let input = r#"{"items":[{"a":1},7,{"m":5},{"m":{"ns":"remote"}}]}"#;
    assert_eq!(
        one(&filtering(), input).unwrap(),
        r#"{"items":[{"m":{"ns":"local"}}]}"#
    );
}

#[test]
fn dropping_an_item_after_its_output_is_an_error() {
    let input = r#"{"items":[{"m":{"ns":"remote"},"m":{"ns":"foreign"}}]}"#;
    assert!(matches!(
        one(&filtering(), input),
        Err(RewriteError::Rejected(_))
    ));
}

#[test]
fn documents_are_output_with_their_last_byte() {
    let mut rewriter = Rewriter::new(
        events(),
        Framing::Sequence,
        Limits::default(),
        Map::default(),
    );
    let mut out = Output::default();
    for (event, left) in [
        (
            r#"{"object":{"m":{"ns":"remote"}}}"#,
            r#"{"object":{"m":{"ns":"local"}}}"#,
        ),
        ("\n", "\n"),
        ("{\"object\":{\"m\":{\"ns\":\"foreign\"}}}\n", ""),
        (
            "{\"object\":{\"m\":{\"ns\":\"x\"}}}\n",
            "{\"object\":{\"m\":{\"ns\":\"x\"}}}\n",
        ),
    ] {
        rewriter
            .feed(Bytes::copy_from_slice(event.as_bytes()), &mut out)
            .unwrap();
        assert!(rewriter.at_boundary());
        assert_eq!(out.copy_to_bytes(out.len()), left);
    }
    rewriter.feed(Bytes::from_static(b"{"), &mut out).unwrap();
    assert!(!rewriter.at_boundary() && out.is_empty());
    assert_eq!(rewriter.finish(&mut out), Err(RewriteError::Truncated));
}

#[test]
fn invalid_json_is_an_error_at_every_split() {
    for input in [
        r#"{"m":{"ns":"remote"}"#,
        r#"{"m":{"ns":"remote"]}"#,
        r#"{"x":{]}"#,
        r#"{"x":{[}]}"#,
        r#"{"x":1 "y":2}"#,
        r#"{"x":1,}"#,
        r#"{,"x":1}"#,
        r#"{"x" 1}"#,
        r#"{"x":01}"#,
        r#"{"x":1.}"#,
        r#"{"x":tru}"#,
        r#"{"x":truex}"#,
        r#"{"m":{"ns":"\x"}}"#,
        "{\"m\":{\"n\ns\":\"x\"}}",
        r#"{"x":"#,
        "{} {}",
        "}",
        "",
        "  ",
        "\"abc",
    ] {
        assert!(
            rewrite_with_all_splits(&plain(), Framing::SingleValue, input.as_bytes()).is_err(),
            "{input}"
        );
    }
}

#[test]
fn stream_is_poisoned_after_an_error() {
    let mut rewriter = Rewriter::new(
        plain(),
        Framing::SingleValue,
        Limits::default(),
        Map::default(),
    );
    let mut out = Output::default();
    let error = rewriter.feed(Bytes::from_static(br#"{"m":{"ns":"bad"}}"#), &mut out);
    assert_eq!(error, Err(RewriteError::Rejected("bad")));
    assert_eq!(
        rewriter.feed(Bytes::from_static(b"{}"), &mut out),
        Err(RewriteError::Poisoned)
    );
    assert_eq!(rewriter.finish(&mut out), Err(RewriteError::Poisoned));
    assert!(!String::from_utf8_lossy(&out.copy_to_bytes(out.len())).contains("bad"));
}

#[test]
fn stream_is_poisoned_after_a_handler_panic() {
    struct Panic;
    impl Handler for Panic {
        fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
            std::panic::resume_unwind(Box::new(()))
        }
    }
    for cut in [0, 9, 13] {
        let mut rewriter = Rewriter::new(plain(), Framing::SingleValue, Limits::default(), Panic);
        let mut out = Output::default();
        let (first, second) = r#"{"m":{"ns":"x"}}"#.split_at(cut);
        rewriter.feed(first.into(), &mut out).unwrap();
        let before = out.len();
        let mut feed = |chunk: &'static str| rewriter.feed(chunk.into(), &mut out);
        let fed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| feed(second)));
        assert!(fed.is_err());
        assert_eq!(feed("{}"), Err(RewriteError::Poisoned));
        assert_eq!(rewriter.finish(&mut out), Err(RewriteError::Poisoned));
        assert_eq!(out.len(), before);
    }
}

#[test]
fn stream_is_poisoned_after_a_failed_finish() {
    struct Refuse;
    impl Handler for Refuse {
        fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
            Edit::Keep
        }
        fn raw_value(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
            Edit::Reject("no")
        }
    }
    let rules = Rules::builder().raw_value("$", NAME).build().unwrap();
    let mut rewriter = Rewriter::new(rules, Framing::Sequence, Limits::default(), Refuse);
    let mut out = Output::default();
    rewriter.feed(Bytes::from_static(b"12"), &mut out).unwrap();
    assert_eq!(rewriter.finish(&mut out), Err(RewriteError::Rejected("no")));
    let more = rewriter.feed(Bytes::from_static(b" "), &mut out);
    assert_eq!(more, Err(RewriteError::Poisoned));
    assert_eq!(rewriter.finish(&mut out), Err(RewriteError::Poisoned));
    assert!(out.is_empty());
}

/// Replaces a string by a long text that contains it.
struct Lengthen;

impl Handler for Lengthen {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        let name = String::from_utf8_lossy(value);
        Edit::Replace(name.repeat(3000).into())
    }
}

#[test]
fn texts_of_pending_edits_survive_compaction() {
    let rules = Rules::builder().item("$", "$", 0).string("$.n", 1);
    let rules = rules.build().unwrap();
    let mut rewriter = Rewriter::new(rules, Framing::Sequence, Limits::default(), Lengthen);
    let (mut out, mut wanted) = (Output::default(), String::new());
    rewriter.feed(r#"{"n":"a""#.into(), &mut out).unwrap();
    for pair in ["ab", "bc", "cd", "de", "ef", "fg", "gh"] {
        // One edit is always pending, so the list of texts is never empty.
        let (ends, begins) = pair.split_at(1);
        let next = format!(r#","x":1}}{{"n":"{begins}""#);
        rewriter.feed(next.into(), &mut out).unwrap();
        wanted += &format!(r#"{{"n":"{}","x":1}}"#, ends.repeat(3000));
        assert_eq!(out.remaining(), wanted.len());
    }
    rewriter.feed("}".into(), &mut out).unwrap();
    rewriter.finish(&mut out).unwrap();
    wanted += &format!(r#"{{"n":"{}"}}"#, "h".repeat(3000));
    assert_eq!(out.copy_to_bytes(out.remaining()), wanted);
}

#[test]
fn unchanged_bytes_share_memory_with_the_input() {
    let filler = "x".repeat(1000);
    let input = Bytes::from(format!(
        r#"{{"x":"{filler}","m":{{"ns":"remote"}},"y":"{filler}"}}"#
    ));
    let range = input.as_ptr() as usize..input.as_ptr() as usize + input.len();
    let mut rewriter = Rewriter::new(
        plain(),
        Framing::SingleValue,
        Limits::default(),
        Map::default(),
    );
    let mut out = Output::default();
    rewriter.feed(input, &mut out).unwrap();
    let mut shared = 0;
    while out.has_remaining() {
        let length = out.chunk().len();
        let piece = out.copy_to_bytes(length);
        if range.contains(&(piece.as_ptr() as usize)) {
            shared += length;
        }
    }
    assert!(shared > 2000);
}
