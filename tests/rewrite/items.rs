//! Items in unusual places, and many of them.

use claimgate::rewrite::*;

use super::behaviour::{every_way, run};
use super::oracle;

const KEY: Tag = 1;

/// Replaces each string by one of so many bytes, once the item has been judged; items with a `d` are
/// dropped.
#[derive(Default)]
struct Judge {
    drops: bool,
    bytes: usize,
}

impl Handler for Judge {
    fn open(&mut self, _item: Tag) {
        self.drops = false;
    }

    fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        self.drops |= value == b"d";
        Verdict::Later
    }

    fn judge(&mut self, _item: Tag) -> Fate {
        if self.drops { Fate::Drop } else { Fate::Keep }
    }

    fn resolve(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Replace("x".repeat(self.bytes).into())
    }
}

fn judged(
    rules: &Rules,
    limits: Limits,
    bytes: usize,
    input: &[u8],
    size: usize,
) -> Result<Vec<u8>, Error> {
    let judge = Judge {
        drops: false,
        bytes,
    };
    let rewriter = Rewriter::new(rules.clone(), Framing::One, limits, judge);
    oracle::run(rewriter, input.chunks(size))
}

#[test]
fn an_item_that_is_a_member_goes_with_its_key() {
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
        let left = every_way(&rules, Framing::One, input.as_bytes());
        assert_eq!(left.unwrap(), output, "{input}");
    }
}

/// Of a line end that came in two chunks nothing is left either.
#[test]
fn a_dropped_document_takes_its_line_end_with_it() {
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
        let output = every_way(&rules, Framing::Many, input.as_bytes());
        assert_eq!(output.unwrap(), sequence(left), "{behind:?}");
    }
}

#[test]
fn documents_do_not_become_one_when_what_stands_between_them_goes() {
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
                Framing::Many,
                Limits::default(),
                Judge::default(),
            );
            let left = oracle::run(rewriter, input.as_bytes().chunks(size));
            assert_eq!(left.is_ok(), is_good, "{input}: {left:?}");
            if let Ok(left) = left {
                let kept = input.replace("{\"k\":\"d\"}", "");
                assert_eq!(left, kept.as_bytes());
            }
        }
    }
}

#[test]
fn what_a_rule_removes_goes_whatever_items_are_in_it() {
    let rules = Rules::builder()
        .remove("$.a")
        .item("$.a[*]", "$.a[*].k", 0)
        .string("$.a[*].k", KEY)
        .end("$.a[*]", 2)
        .build()
        .unwrap();
    let input = r#"{"x":1,"a":[{"k":"remote"},{"k":"foreign","z":1},{"k":"remote"}],"b":2}"#;
    let left = every_way(&rules, Framing::One, input.as_bytes());
    assert_eq!(left.unwrap(), r#"{"x":1,"b":2}"#);
}

#[test]
fn what_a_rule_removes_is_not_held() {
    let rules = Rules::builder()
        .remove("$.a")
        .remove("$.b[*]")
        .build()
        .unwrap();
    let limits = Limits {
        held_bytes_max: 1000,
        ..Limits::default()
    };
    let long = format!(
        r#"{{"a":["{}"],"b":[[{}0],"{}"],"c":1}}"#,
        "x".repeat(5000),
        "1,".repeat(5000),
        "y".repeat(5000)
    );
    let chunks: Vec<&[u8]> = long.as_bytes().chunks(100).collect();
    let left = run(&rules, Framing::One, limits, &chunks).unwrap();
    assert_eq!(left, br#"{"b":[],"c":1}"#);
}

/// All of them at once, and in chunks that are too large to be put together: this takes a moment, or
/// for ever if each looks at all before it.
#[test]
fn many_items_may_go_and_many_strings_may_wait() {
    let rules = Rules::builder()
        .item("$[*]", "$[*]", 0)
        .string("$[*]", KEY)
        .build()
        .unwrap();
    let input = format!("[{}]", vec![r#""d""#; 300_000].join(","));
    for size in [input.len(), 300] {
        let left = judged(&rules, Limits::default(), 0, input.as_bytes(), size).unwrap();
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
        held_bytes_max: 64 << 20,
        ..Limits::default()
    };
    let input = format!(
        "{{{}\"z\":1}}",
        r#""k":"\n","gone":{"k":""},"#.repeat(30_000)
    );
    for size in [input.len(), 300] {
        let left = judged(&rules, limits, 1, input.as_bytes(), size).unwrap();
        let expected = format!("{{{}\"z\":1}}", r#""k":"x","#.repeat(30_000));
        assert!(left == expected.as_bytes(), "{size}");
    }
}

/// What is held is bounded with what is to be changed in it, however it comes.
#[test]
fn changes_count_as_held() {
    let rules = Rules::builder()
        .item("$", "$", 0)
        .string("$[*]", KEY)
        .build()
        .unwrap();
    let limits = Limits {
        held_bytes_max: 10_000,
        ..Limits::default()
    };
    let input = format!("[{}]", vec![r#""""#; 200].join(","));
    for size in [input.len(), 300, 1] {
        let few = judged(&rules, limits, 5, input.as_bytes(), size);
        assert_eq!(few.unwrap().len(), input.len() + 200 * 5);
    }
    let input = format!("[{}]", vec![r#""""#; 2000].join(","));
    for size in [input.len(), 300, 1] {
        let many = judged(&rules, limits, 5, input.as_bytes(), size);
        assert!(matches!(many, Err(Error::HeldTooLarge { .. })), "{size}");
    }
}

/// What is to be seen as a whole, or goes by itself, is no more than the rest of it.
#[test]
fn of_a_dropped_item_nothing_is_held() {
    for rules in [
        Rules::builder().value("$.a.v", 0),
        Rules::builder().remove("$.a.v"),
    ] {
        let rules = rules.item("$.a", "$.a.k", 0).string("$.a.k", KEY);
        let rules = rules.build().unwrap();
        let limits = Limits {
            held_bytes_max: 100,
            ..Limits::default()
        };
        let long = "x".repeat(200);
        for value in [format!(r#"["{long}"]"#), format!(r#""{long}""#)] {
            let input = format!(r#"{{"a":{{"k":"d","v":{value}}},"b":1}}"#);
            for size in [input.len(), 70, 1] {
                let left = judged(&rules, limits, 0, input.as_bytes(), size);
                assert_eq!(left, Ok(br#"{"b":1}"#.to_vec()), "{size}");
            }
        }
    }
}

/// In one piece as in many.
#[test]
fn an_item_beyond_the_bound_is_an_error_however_it_comes() {
    let rules = Rules::builder().item("$.a", "$.a", 0).build().unwrap();
    let limits = Limits {
        held_bytes_max: 1000,
        ..Limits::default()
    };
    for (bytes, fits) in [(900, true), (1100, false)] {
        let input = format!(r#"{{"a":["{}"]}}"#, "x".repeat(bytes));
        for size in [input.len(), 70, 1] {
            let held = judged(&rules, limits, 0, input.as_bytes(), size);
            assert_eq!(held.is_ok(), fits, "{bytes} by {size}: {held:?}");
        }
    }
}
