//! Adding, removing and replacing members. One handler hides metadata in an annotation, the other restores it. Each
//! case is fed in one chunk, split at every byte, and byte by byte.

use json_rewrite::*;
use json_rewrite_testing::streams;

const OWNERS: Tag = 1;
const HIDDEN: Tag = 2;
const ANNOTATIONS: Tag = 3;
const METADATA: Tag = 4;
const FINALIZER: Tag = 5;

/// Moves owners to the annotation `hidden` and removes finalizers with the name `orphan`.
#[derive(Default)]
struct Hide {
    owners: Option<String>,
    has_annotations: bool,
    is_decided: bool,
}

impl Handler for Hide {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        match value {
            b"orphan" => Edit::Remove,
            _ => Edit::Keep,
        }
    }

    fn raw_value(&mut self, _tag: Tag, raw: &[u8]) -> Edit<'_> {
        if raw == b"null" {
            return Edit::Replace("[]".into());
        }
        self.owners = Some(String::from_utf8(raw.to_vec()).unwrap());
        Edit::Remove
    }

    fn object_end(&mut self, tag: Tag) -> Addition<'_> {
        // The owners follow the annotations.
        if tag == ANNOTATIONS && !self.is_decided {
            self.has_annotations = true;
            return Addition::Defer;
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

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        self.is_decided = true;
        ItemDecision::Keep
    }

    fn begin_item(&mut self, _item: Tag) {
        *self = Self::default();
    }
}

/// Restores the owners from the annotation.
#[derive(Default)]
struct Show(Option<String>);

impl Handler for Show {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        self.0 = Some(format!(
            r#""owners":{}"#,
            String::from_utf8(value.to_vec()).unwrap()
        ));
        Edit::Remove
    }

    fn object_end(&mut self, _tag: Tag) -> Addition<'_> {
        self.0
            .take()
            .map_or(Addition::Nothing, |owners| Addition::Members(owners.into()))
    }
}

fn hide() -> Rules {
    Rules::builder()
        .item("$.items[*].metadata", "$.items[*].metadata", 0)
        .raw_value("$.items[*].metadata.owners", OWNERS)
        .string("$.items[*].metadata.finalizers[*]", FINALIZER)
        .object_end("$.items[*].metadata.annotations", ANNOTATIONS)
        .object_end("$.items[*].metadata", METADATA)
        .build()
        .unwrap()
}

fn show() -> Rules {
    Rules::builder()
        .string("$.items[*].metadata.annotations.hidden", HIDDEN)
        .object_end("$.items[*].metadata", METADATA)
        .build()
        .unwrap()
}

/// Feeds the input in several ways, checks that the output is the same, and returns it.
fn rewrite_with_all_splits<H: Handler>(
    rules: &Rules,
    handler: impl Fn() -> H,
    input: &str,
) -> String {
    let rewriter = || {
        Rewriter::new(
            rules.clone(),
            Framing::SingleValue,
            Limits::default(),
            handler(),
        )
    };
    let whole = streams::run_with_all_splits(rewriter, input.as_bytes()).unwrap();
    String::from_utf8(whole).unwrap()
}

fn item(metadata: &str) -> String {
    format!(r#"{{ "items": [{{"a":1,"metadata":{metadata},"z":[]}}]}}"#)
}

#[test]
fn hidden_members_move_to_an_annotation() {
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
        assert_eq!(
            rewrite_with_all_splits(&hide(), Hide::default, &item(from)),
            item(to)
        );
    }
}

#[test]
fn hidden_members_are_restored() {
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
        assert_eq!(
            rewrite_with_all_splits(&show(), Show::default, &item(from)),
            item(to)
        );
    }
}

#[test]
fn removing_elements_removes_one_comma() {
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
        assert_eq!(
            rewrite_with_all_splits(&hide(), Hide::default, &item(&from)),
            item(&to)
        );
    }
}

#[test]
fn raw_value_beyond_the_buffer_limit_is_an_error() {
    let rules = Rules::builder().raw_value("$.v", OWNERS).build().unwrap();
    let run = |length: usize, cut: usize| {
        let limits = Limits {
            buffered_bytes_max: 16,
            ..Limits::default()
        };
        let text = format!(r#"{{"v":[{}]}}"#, "1".repeat(length));
        let rewriter = Rewriter::new(rules.clone(), Framing::SingleValue, limits, Hide::default());
        streams::run(rewriter, text.as_bytes().chunks(cut))
    };
    for cut in [1, 7, 100] {
        assert_eq!(run(8, cut).unwrap(), b"{}");
        assert!(matches!(
            run(20, cut),
            Err(RewriteError::BufferLimit { .. })
        ));
    }
}

/// White space and keys count too.
#[test]
fn buffered_member_beyond_the_limit_is_an_error() {
    let space = " ".repeat(300);
    let key = "k".repeat(5000);
    let builder = Rules::builder;
    for (rules, buffered_bytes_max, text, hits_buffer_limit) in [
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
            builder().raw_value("$.a[*]", OWNERS),
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
            buffered_bytes_max,
            ..Limits::default()
        };
        for cut in [1, 7, 64, text.len()] {
            let rewriter =
                Rewriter::new(rules.clone(), Framing::SingleValue, limits, Hide::default());
            let error = streams::run(rewriter, text.as_bytes().chunks(cut)).unwrap_err();
            let as_meant = match error {
                RewriteError::BufferLimit { .. } => hits_buffer_limit,
                RewriteError::KeyTooLong { .. } => !hits_buffer_limit,
                _ => false,
            };
            assert!(as_meant, "{error:?} in {cut}s of {}", text.trim());
        }
    }
}

/// A handler that defers every addition, every time.
struct AlwaysDefer;

impl Handler for AlwaysDefer {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Keep
    }

    fn object_end(&mut self, _tag: Tag) -> Addition<'_> {
        Addition::Defer
    }
}

#[test]
fn deferring_an_addition_without_an_undecided_item_is_an_error() {
    for rules in [
        Rules::builder().object_end("$", 0),
        Rules::builder().object_end("$.a", 0).item("$", "$.a", 0),
    ] {
        let rules = rules.build().unwrap();
        let rewriter = Rewriter::new(rules, Framing::SingleValue, Limits::default(), AlwaysDefer);
        let result = streams::run(rewriter, [r#"{"a":{}}"#.as_bytes()]);
        assert!(matches!(result, Err(RewriteError::Rejected(_))));
    }
}
