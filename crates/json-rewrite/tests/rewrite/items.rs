//! Items in unusual places, and large numbers of items.

use json_rewrite::*;
use json_rewrite_testing::streams;

use super::examples::{rewrite_with_all_splits, run};

const KEY: Tag = 1;

/// Replaces each string by one of the given length once its item has been kept. Drops items that contain `d`.
#[derive(Default)]
struct ItemHandler {
    drops: bool,
    bytes: usize,
}

impl Handler for ItemHandler {
    fn begin_item(&mut self, _item: Tag) {
        self.drops = false;
    }

    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        self.drops |= value == b"d";
        Edit::Defer
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        if self.drops {
            ItemDecision::Drop
        } else {
            ItemDecision::Keep
        }
    }

    fn resolve_deferred(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Replace("x".repeat(self.bytes).into())
    }
}

fn run_items(
    rules: &Rules,
    limits: Limits,
    bytes: usize,
    input: &[u8],
    size: usize,
) -> Result<Vec<u8>, RewriteError> {
    let handler = ItemHandler {
        drops: false,
        bytes,
    };
    let rewriter = Rewriter::new(rules.clone(), Framing::SingleValue, limits, handler);
    streams::run(rewriter, input.chunks(size))
}

#[test]
fn dropping_a_member_item_removes_its_key() {
    let rules = Rules::builder()
        .item("$.a", "$.a", 0)
        .string("$.a.k", KEY)
        .build()
        .unwrap();
    let foreign = r#""a":{"k":"foreign","z":1}"#;
    for (input, output) in [
        (format!(r#"{{"x":1,{foreign},"b":2}}"#), r#"{"x":1,"b":2}"#),
        (format!(r#"{{{foreign},"b":2}}"#), r#"{"b":2}"#),
        (format!(r#"{{"b":2 , {foreign}}}"#), r#"{"b":2 }"#),
        (format!("{{{foreign}}}"), "{}"),
        (
            r#"{"x":1,"a":{"k":"remote"}}"#.into(),
            r#"{"x":1,"a":{"k":"local"}}"#,
        ),
    ] {
        let left = rewrite_with_all_splits(&rules, Framing::SingleValue, input.as_bytes());
        assert_eq!(left.unwrap(), output, "{input}");
    }
}

/// The line end may be split between two chunks.
#[test]
fn dropping_a_document_removes_its_line_end() {
    let rules = Rules::builder().item("$", "$", 0).string("$.k", KEY);
    let rules = rules.build().unwrap();
    for (behind, left) in [
        ("\n", ""),
        ("\r\n", ""),
        ("\r", ""),
        ("\n\n", "\n"),
        ("\n\r\n", "\r\n"),
        ("\r\r\n", "\r\n"),
        ("\r \n", " \n"),
        (" \r\n", " \r\n"),
        ("", ""),
    ] {
        let sequence = |between: &str| format!("{{\"k\":\"x\"}}\r\n{between}{{\"k\":\"\"}}\r\n");
        let input = sequence(&format!("{{\"k\":\"foreign\"}}{behind}"));
        let output = rewrite_with_all_splits(&rules, Framing::Sequence, input.as_bytes());
        assert_eq!(output.unwrap(), sequence(left), "{behind:?}");
    }
}

#[test]
fn dropping_a_document_does_not_join_its_neighbors() {
    let rules = Rules::builder().item("$", "$", 0).string("$.k", KEY);
    let rules = rules.build().unwrap();
    for (input, is_good) in [
        ("1{\"k\":\"d\"}2", false),
        ("true{\"k\":\"d\"}\nfalse", false),
        ("1 {\"k\":\"d\"}2", true),
        ("[1]{\"k\":\"d\"}2", true),
    ] {
        for size in [input.len(), 1] {
            let rewriter = Rewriter::new(
                rules.clone(),
                Framing::Sequence,
                Limits::default(),
                ItemHandler::default(),
            );
            let left = streams::run(rewriter, input.as_bytes().chunks(size));
            assert_eq!(left.is_ok(), is_good, "{input}: {left:?}");
            if let Ok(left) = left {
                let kept = input.replace("{\"k\":\"d\"}", "");
                assert_eq!(left, kept.as_bytes());
            }
        }
    }
}

#[test]
fn removed_member_may_contain_items() {
    let rules = Rules::builder()
        .remove("$.a")
        .item("$.a[*]", "$.a[*].k", 0)
        .string("$.a[*].k", KEY)
        .object_end("$.a[*]", 2)
        .build()
        .unwrap();
    let input = r#"{"x":1,"a":[{"k":"remote"},{"k":"foreign","z":1},{"k":"remote"}],"b":2}"#;
    let left = rewrite_with_all_splits(&rules, Framing::SingleValue, input.as_bytes());
    assert_eq!(left.unwrap(), r#"{"x":1,"b":2}"#);
}

#[test]
fn removed_member_is_not_buffered() {
    let rules = Rules::builder()
        .remove("$.a")
        .remove("$.b[*]")
        .build()
        .unwrap();
    let limits = Limits {
        buffered_bytes_max: 1000,
        ..Limits::default()
    };
    let long = format!(
        r#"{{"a":["{}"],"b":[[{}0],"{}"],"c":1}}"#,
        "x".repeat(5000),
        "1,".repeat(5000),
        "y".repeat(5000)
    );
    let chunks: Vec<&[u8]> = long.as_bytes().chunks(100).collect();
    let left = run(&rules, Framing::SingleValue, limits, &chunks).unwrap();
    assert_eq!(left, br#"{"b":[],"c":1}"#);
}

/// Feeds one chunk, and chunks that are too large to be joined. The test is quick unless the work per item or
/// string grows with the number of earlier ones.
#[test]
fn many_dropped_items_and_deferred_strings_take_linear_time() {
    let rules = Rules::builder()
        .item("$[*]", "$[*]", 0)
        .string("$[*]", KEY)
        .build()
        .unwrap();
    let input = format!("[{}]", vec![r#""d""#; 300_000].join(","));
    for size in [input.len(), 300] {
        let left = run_items(&rules, Limits::default(), 0, input.as_bytes(), size).unwrap();
        assert_eq!(left, b"[]");
    }
    let rules = Rules::builder()
        .item("$", "$", 0)
        .string("$.k", KEY)
        .remove("$.gone")
        .string("$.gone.k", KEY)
        .build()
        .unwrap();
    let limits = Limits {
        buffered_bytes_max: 64 << 20,
        ..Limits::default()
    };
    let input = format!(
        "{{{}\"z\":1}}",
        r#""k":"\n","gone":{"k":""},"#.repeat(30_000)
    );
    for size in [input.len(), 300] {
        let left = run_items(&rules, limits, 1, input.as_bytes(), size).unwrap();
        let expected = format!("{{{}\"z\":1}}", r#""k":"x","#.repeat(30_000));
        assert!(left == expected.as_bytes(), "{size}");
    }
}

#[test]
fn edits_in_an_item_count_towards_the_buffer_limit() {
    let rules = Rules::builder()
        .item("$", "$", 0)
        .string("$[*]", KEY)
        .build()
        .unwrap();
    let limits = Limits {
        buffered_bytes_max: 10_000,
        ..Limits::default()
    };
    let input = format!("[{}]", vec![r#""""#; 200].join(","));
    for size in [input.len(), 300, 1] {
        let few = run_items(&rules, limits, 5, input.as_bytes(), size);
        assert_eq!(few.unwrap().len(), input.len() + 200 * 5);
    }
    let input = format!("[{}]", vec![r#""""#; 2000].join(","));
    for size in [input.len(), 300, 1] {
        let many = run_items(&rules, limits, 5, input.as_bytes(), size);
        assert!(
            matches!(many, Err(RewriteError::BufferLimit { .. })),
            "{size}"
        );
    }
}

/// Values with a raw-value rule or a remove rule are not buffered either.
#[test]
fn dropped_item_is_not_buffered() {
    for rules in [
        Rules::builder().raw_value("$.a.v", 0),
        Rules::builder().remove("$.a.v"),
    ] {
        let rules = rules.item("$.a", "$.a.k", 0).string("$.a.k", KEY);
        let rules = rules.build().unwrap();
        let limits = Limits {
            buffered_bytes_max: 100,
            ..Limits::default()
        };
        let long = "x".repeat(200);
        for value in [format!(r#"["{long}"]"#), format!(r#""{long}""#)] {
            let input = format!(r#"{{"a":{{"k":"d","v":{value}}},"b":1}}"#);
            for size in [input.len(), 70, 1] {
                let left = run_items(&rules, limits, 0, input.as_bytes(), size);
                assert_eq!(left, Ok(br#"{"b":1}"#.to_vec()), "{size}");
            }
        }
    }
}

/// The item comes in one chunk, and in many.
#[test]
fn item_beyond_the_buffer_limit_is_an_error() {
    let rules = Rules::builder().item("$.a", "$.a", 0).build().unwrap();
    let limits = Limits {
        buffered_bytes_max: 1000,
        ..Limits::default()
    };
    for (bytes, fits) in [(900, true), (1100, false)] {
        let input = format!(r#"{{"a":["{}"]}}"#, "x".repeat(bytes));
        for size in [input.len(), 70, 1] {
            let result = run_items(&rules, limits, 0, input.as_bytes(), size);
            assert_eq!(result.is_ok(), fits, "{bytes} by {size}: {result:?}");
        }
    }
}
