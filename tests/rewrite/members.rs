//! Members that come, go and change: what an object's owner hides travels in an annotation, and comes
//! back from there. Every case goes through whole, split at every byte and byte by byte.

use claimgate::rewrite::*;

use super::oracle;

const OWNERS: Tag = 1;
const HIDDEN: Tag = 2;
const ANNOTATIONS: Tag = 3;
const METADATA: Tag = 4;
const FINALIZER: Tag = 5;

/// Hides owners in the annotation `hidden`, which is made if need be, and finalizers that are called
/// `orphan` without a trace.
#[derive(Default)]
struct Hide {
    owners: Option<String>,
    has_annotations: bool,
    judged: bool,
}

impl Handler for Hide {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        match value {
            b"orphan" => Verdict::Remove,
            _ => Verdict::Keep,
        }
    }

    fn value(&mut self, _tag: Tag, raw: &[u8]) -> Verdict<'_> {
        if raw == b"null" {
            return Verdict::Replace("[]".into());
        }
        self.owners = Some(String::from_utf8(raw.to_vec()).unwrap());
        Verdict::Remove
    }

    fn end(&mut self, tag: Tag) -> Addition<'_> {
        // The owners stand behind the annotations.
        if tag == ANNOTATIONS && !self.judged {
            self.has_annotations = true;
            return Addition::Later;
        }
        let Some(owners) = &self.owners else {
            return Addition::Nothing;
        };
        let hidden = format!(r#""hidden":{}"#, serde_json::Value::from(owners.as_str()));
        match tag {
            ANNOTATIONS => Addition::Members(hidden.into()),
            _ if self.has_annotations => Addition::Nothing,
            _ => Addition::Members(format!(r#""annotations":{{{hidden}}}"#).into()),
        }
    }

    fn judge(&mut self, _item: Tag) -> Fate {
        self.judged = true;
        Fate::Keep
    }

    fn open(&mut self, _item: Tag) {
        *self = Self::default();
    }
}

/// The way back.
#[derive(Default)]
struct Show(Option<String>);

impl Handler for Show {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        self.0 = Some(format!(
            r#""owners":{}"#,
            String::from_utf8(value.to_vec()).unwrap()
        ));
        Verdict::Remove
    }

    fn end(&mut self, _tag: Tag) -> Addition<'_> {
        self.0
            .take()
            .map_or(Addition::Nothing, |owners| Addition::Members(owners.into()))
    }
}

fn hide() -> Rules {
    Rules::builder()
        .item("$.items[*].metadata", "$.items[*].metadata", 0)
        .value("$.items[*].metadata.owners", OWNERS)
        .string("$.items[*].metadata.finalizers[*]", FINALIZER)
        .end("$.items[*].metadata.annotations", ANNOTATIONS)
        .end("$.items[*].metadata", METADATA)
        .build()
        .unwrap()
}

fn show() -> Rules {
    Rules::builder()
        .string("$.items[*].metadata.annotations.hidden", HIDDEN)
        .end("$.items[*].metadata", METADATA)
        .build()
        .unwrap()
}

/// What comes out, whichever way the input is cut.
fn every_way<H: Handler>(rules: &Rules, handler: impl Fn() -> H, input: &str) -> String {
    let made = || Rewriter::new(rules.clone(), Framing::One, Limits::default(), handler());
    let whole = oracle::run(made(), [input.as_bytes()]).unwrap();
    for at in 0..=input.len() {
        let (first, second) = input.as_bytes().split_at(at);
        let split = oracle::run(made(), [first, second]).unwrap();
        assert_eq!(split, whole, "split at {at}");
    }
    let slowly = oracle::run(made(), input.as_bytes().chunks(1)).unwrap();
    assert_eq!(slowly, whole, "byte by byte");
    String::from_utf8(whole).unwrap()
}

fn item(metadata: &str) -> String {
    format!(r#"{{ "items": [{{"a":1,"metadata":{metadata},"z":[]}}]}}"#)
}

#[test]
fn what_is_hidden_stands_in_an_annotation() {
    for (from, to) in [
        (
            r#"{"annotations":{"a":"b"},"owners":[{"uid":"x\ny"}],"uid":"u"}"#,
            r#"{"annotations":{"a":"b","hidden":"[{\"uid\":\"x\\ny\"}]"},"uid":"u"}"#,
        ),
        (
            r#"{"annotations":{ },"owners":[1]}"#,
            r#"{"annotations":{ "hidden":"[1]"}}"#,
        ),
        (
            r#"{"owners":[1],"annotations":{}}"#,
            r#"{"annotations":{"hidden":"[1]"}}"#,
        ),
        (
            r#"{"name":"n","owners":{"a" : 1} , "uid":"u" }"#,
            r#"{"name":"n" , "uid":"u" ,"annotations":{"hidden":"{\"a\" : 1}"}}"#,
        ),
        (
            r#"{"owners":-1.5e3}"#,
            r#"{"annotations":{"hidden":"-1.5e3"}}"#,
        ),
        (
            r#"{"name":"n","owners":null}"#,
            r#"{"name":"n","owners":[]}"#,
        ),
        (r#"{"name":"n"}"#, r#"{"name":"n"}"#),
        ("{}", "{}"),
        ("null", "null"),
    ] {
        assert_eq!(every_way(&hide(), Hide::default, &item(from)), item(to));
    }
}

#[test]
fn what_was_hidden_comes_back() {
    for (from, to) in [
        (
            r#"{"annotations":{"a":"b","hidden":"[{\"uid\":\"x\\ny\"}]"},"uid":"u"}"#,
            r#"{"annotations":{"a":"b"},"uid":"u","owners":[{"uid":"x\ny"}]}"#,
        ),
        (
            r#"{"annotations":{"hidden":"[1]"}}"#,
            r#"{"annotations":{},"owners":[1]}"#,
        ),
    ] {
        assert_eq!(every_way(&show(), Show::default, &item(from)), item(to));
    }
}

#[test]
fn elements_go_with_the_right_comma() {
    for (from, to) in [
        (r#"["orphan"]"#, "[]"),
        (r#"["orphan", "a"]"#, r#"[ "a"]"#),
        (r#"["a", "orphan" ]"#, r#"["a" ]"#),
        (r#"["orphan","a","orphan","orphan","b"]"#, r#"["a","b"]"#),
        (r#"["orphan","orphan"]"#, "[]"),
        (r#"["orphan",1,"orphan",{},null]"#, "[1,{},null]"),
    ] {
        let (from, to) = (
            format!(r#"{{"finalizers":{from}}}"#),
            format!(r#"{{"finalizers":{to}}}"#),
        );
        assert_eq!(every_way(&hide(), Hide::default, &item(&from)), item(&to));
    }
}

#[test]
fn a_value_that_is_shown_is_bounded() {
    let rules = Rules::builder().value("$.v", OWNERS).build().unwrap();
    let run = |length: usize, cut: usize| {
        let limits = Limits {
            held_bytes_max: 16,
            ..Limits::default()
        };
        let text = format!(r#"{{"v":[{}]}}"#, "1".repeat(length));
        let rewriter = Rewriter::new(rules.clone(), Framing::One, limits, Hide::default());
        oracle::run(rewriter, text.as_bytes().chunks(cut))
    };
    for cut in [1, 7, 100] {
        assert_eq!(run(8, cut).unwrap(), b"{}");
        assert!(matches!(run(20, cut), Err(Error::HeldTooLarge { .. })));
    }
}

/// White space and keys that wait for what comes behind them are held too, however they come.
#[test]
fn what_waits_for_a_member_is_bounded_however_it_comes() {
    let space = " ".repeat(300);
    let key = "k".repeat(5000);
    let builder = Rules::builder;
    for (rules, held_bytes_max, text, is_held) in [
        (
            builder().string("$[*]", OWNERS),
            100,
            format!("[{space}]"),
            true,
        ),
        (
            builder().string("$[*]", OWNERS),
            100,
            format!("[{space}1]"),
            true,
        ),
        (
            builder().string("$[*]", OWNERS),
            100,
            format!("[1,{space}1]"),
            true,
        ),
        (
            builder().string("$.a", OWNERS),
            100,
            format!("{{{space}}}"),
            true,
        ),
        (
            builder().value("$.a[*]", OWNERS),
            100,
            format!(r#"{{"a":[{space}]}}"#),
            true,
        ),
        (
            builder().remove("$.a[*]"),
            100,
            format!(r#"{{"a":[{space}]}}"#),
            true,
        ),
        (
            builder().string("$.a", OWNERS),
            4000,
            format!(r#"{{"x":1,"{key}":1}}"#),
            true,
        ),
        (
            builder().string("$.a", OWNERS),
            4500,
            format!(r#"{{"x":1,"{key}":1}}"#),
            false,
        ),
    ] {
        let rules = rules.build().unwrap();
        let limits = Limits {
            held_bytes_max,
            ..Limits::default()
        };
        for cut in [1, 7, 64, text.len()] {
            let rewriter = Rewriter::new(rules.clone(), Framing::One, limits, Hide::default());
            let error = oracle::run(rewriter, text.as_bytes().chunks(cut)).unwrap_err();
            let as_meant = match error {
                Error::HeldTooLarge { .. } => is_held,
                Error::KeyTooLong { .. } => !is_held,
                _ => false,
            };
            assert!(as_meant, "{error:?} in {cut}s of {}", text.trim());
        }
    }
}

/// Puts all off, whenever it is asked.
struct Never;

impl Handler for Never {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Keep
    }

    fn value(&mut self, _tag: Tag, _raw: &[u8]) -> Verdict<'_> {
        Verdict::Later
    }

    fn end(&mut self, _tag: Tag) -> Addition<'_> {
        Addition::Later
    }
}

#[test]
fn what_is_put_off_with_nothing_to_wait_for_ends_the_stream() {
    for rules in [
        Rules::builder().end("$", 0),
        Rules::builder().end("$.a", 0).item("$", "$.a", 0),
        Rules::builder().value("$.a", 0),
    ] {
        let rules = rules.build().unwrap();
        let rewriter = Rewriter::new(rules, Framing::One, Limits::default(), Never);
        let result = oracle::run(rewriter, [r#"{"a":{}}"#.as_bytes()]);
        assert!(matches!(result, Err(Error::Refused(_))));
    }
}
