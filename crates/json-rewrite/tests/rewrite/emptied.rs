//! Objects that are removed because rules have removed all of their members. Each case is fed in one chunk, split at
//! every byte, and byte by byte.

use bytes::Buf;
use json_rewrite::*;
use json_rewrite_testing::streams;

const OURS: Tag = 1;
const END: Tag = 2;

/// Removes strings that are `ours`, drops items with a string `foreign`, and adds a member to objects.
#[derive(Default)]
struct RemoveOurs {
    is_foreign: bool,
    /// The number of calls for the end of an object.
    ends: usize,
}

impl Handler for RemoveOurs {
    fn begin_item(&mut self, _item: Tag) {
        self.is_foreign = false;
    }

    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        self.is_foreign |= value == b"foreign";
        match value {
            b"ours" => Edit::Remove,
            b"remote" => Edit::Replace("local".into()),
            _ => Edit::Keep,
        }
    }

    fn raw_value(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
        Edit::Remove
    }

    fn object_end(&mut self, _tag: Tag) -> Addition<'_> {
        self.ends += 1;
        Addition::Members("\"end\":1".into())
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        if self.is_foreign {
            ItemDecision::Drop
        } else {
            ItemDecision::Keep
        }
    }
}

fn rewriter(rules: &Rules, limits: Limits) -> Rewriter<RemoveOurs> {
    let handler = RemoveOurs::default();
    Rewriter::new(rules.clone(), Framing::SingleValue, limits, handler)
}

fn rewrite(rules: &Rules, input: &str) -> Result<String, RewriteError> {
    let new_rewriter = || rewriter(rules, Limits::default());
    let output = streams::run_with_all_splits(new_rewriter, input.as_bytes())?;
    Ok(String::from_utf8(output).unwrap())
}

/// The members `a`, `b` and `c` of the object `$.m` are removed, `a` only if it is `ours`.
fn one_object() -> RulesBuilder {
    Rules::builder()
        .item("$", "$", 0)
        .remove_emptied("$.m")
        .string("$.m.a", OURS)
        .remove("$.m.b")
        .raw_value("$.m.c", OURS)
}

#[test]
fn object_without_remaining_members_is_removed() {
    let rules = one_object().build().unwrap();
    for (from, to) in [
        (r#"{"m":{"a":"ours"}}"#, "{}"),
        (r#"{"m":{"b":1}}"#, "{}"),
        (r#"{"m":{"c":[1,{}]}}"#, "{}"),
        (r#"{"m":{"a":"ours","b":{},"c":1,"a":"ours"}}"#, "{}"),
        (r#"{"m" : { "a" : "ours" , "b" : {} } }"#, "{ }"),
        (r#"{"m":{"a":"ours"},"x":1}"#, r#"{"x":1}"#),
        (r#"{"x":1,"m":{"a":"ours"}}"#, r#"{"x":1}"#),
        (r#"{"x":1, "m":{"a":"ours"} , "y":2}"#, r#"{"x":1 , "y":2}"#),
        (
            r#"{"m":{"b":1},"m":{"b":2},"x":1,"m":{"b":3}}"#,
            r#"{"x":1}"#,
        ),
        (r#"{"m":{"b":1},"\u006d":{"b":2}}"#, "{}"),
    ] {
        assert_eq!(rewrite(&rules, from).as_deref(), Ok(to), "{from}");
    }
}

#[test]
fn object_with_remaining_members_stays() {
    let rules = one_object().build().unwrap();
    for (from, to) in [
        (r#"{"m":{"a":"theirs"}}"#, r#"{"m":{"a":"theirs"}}"#),
        (r#"{"m":{"a":"ours","x":1}}"#, r#"{"m":{"x":1}}"#),
        (r#"{"m":{"x":1,"a":"ours"}}"#, r#"{"m":{"x":1}}"#),
        (r#"{"m":{"b":1,"x":{},"a":"ours"}}"#, r#"{"m":{"x":{}}}"#),
        (
            r#"{"m":{"a":"remote"},"x":1}"#,
            r#"{"m":{"a":"local"},"x":1}"#,
        ),
    ] {
        assert_eq!(rewrite(&rules, from).as_deref(), Ok(to), "{from}");
    }
}

#[test]
fn empty_object_and_values_of_other_types_stay() {
    let rules = one_object().remove("$.a.m[*]").remove_emptied("$.a.m");
    let rules = rules.build().unwrap();
    let array = rewrite(&rules, r#"{"a":{"m":[1,{}]}}"#);
    assert_eq!(array.as_deref(), Ok(r#"{"a":{"m":[]}}"#));
    for input in [
        r#"{"m":{}}"#,
        r#"{"m": { } ,"x":1}"#,
        r#"{"m":[]}"#,
        r#"{"m":["ours"]}"#,
        r#"{"m":"ours"}"#,
        r#"{"m":null}"#,
        r#"{"m":-1}"#,
    ] {
        assert_eq!(rewrite(&rules, input).as_deref(), Ok(input));
    }
}

#[test]
fn emptied_element_is_removed() {
    let rules = Rules::builder()
        .item("$", "$", 0)
        .remove_emptied("$.l[*]")
        .remove("$.l[*].b")
        .build()
        .unwrap();
    for (from, to) in [
        (r#"{"l":[{"b":1}]}"#, r#"{"l":[]}"#),
        (r#"{"l":[{"b":1},{"b":2}]}"#, r#"{"l":[]}"#),
        (r#"{"l":[{"b":1}, 2,{"b":2}]}"#, r#"{"l":[ 2]}"#),
        (
            r#"{"l":[{},{"b":1},[],{"b":2,"x":3}]}"#,
            r#"{"l":[{},[],{"x":3}]}"#,
        ),
    ] {
        assert_eq!(rewrite(&rules, from).as_deref(), Ok(to), "{from}");
    }
}

#[test]
fn object_that_becomes_empty_by_the_removal_of_an_emptied_object_is_removed() {
    let rules = Rules::builder()
        .item("$.i", "$.i", 0)
        .remove_emptied("$.i.m")
        .remove_emptied("$.i.m.n")
        .remove_emptied("$.i.m.n.o")
        .remove("$.i.m.n.b")
        .string("$.i.m.n.o.a", OURS)
        .build()
        .unwrap();
    for (from, to) in [
        (r#"{"n":{"b":1}}"#, None),
        (r#"{"n":{"b":1,"o":{"a":"ours"}}}"#, None),
        (
            r#"{"n":{"o":{"a":"ours"},"b":1},"n":{"o":{"a":"ours"}}}"#,
            None,
        ),
        (r#"{"n":{"o":{"a":"ours"}},"x":1}"#, Some(r#"{"x":1}"#)),
        (r#"{"n":{"o":{"a":"ours"}},"n":{}}"#, Some(r#"{"n":{}}"#)),
        (r#"{"n":{"o":{},"b":1}}"#, Some(r#"{"n":{"o":{}}}"#)),
        (
            r#"{"n":{"o":{"a":"remote"},"b":1}}"#,
            Some(r#"{"n":{"o":{"a":"local"}}}"#),
        ),
    ] {
        let input = format!(r#"{{"i":{{"x":1,"m":{from}}},"j":2}}"#);
        let member = to.map_or_else(String::new, |to| format!(r#","m":{to}"#));
        let output = format!(r#"{{"i":{{"x":1{member}}},"j":2}}"#);
        assert_eq!(rewrite(&rules, &input), Ok(output), "{input}");
    }
}

/// The rule applies to the array's path, but not to arrays.
#[test]
fn emptied_object_may_contain_an_array_with_such_a_rule() {
    let rules = one_object()
        .remove_emptied("$.m.b.l")
        .remove("$.m.b.l[*]")
        .remove("$.m.b.l.x")
        .build()
        .unwrap();
    for (from, to) in [
        (r#"{"x":1,"m":{"b":{"l":[1,2]}}}"#, r#"{"x":1}"#),
        (r#"{"x":1,"m":{"b":{"l":{"x":1}}}}"#, r#"{"x":1}"#),
        (
            r#"{"x":1,"m":{"b":{"l":[]},"k":2}}"#,
            r#"{"x":1,"m":{"k":2}}"#,
        ),
    ] {
        assert_eq!(rewrite(&rules, from).as_deref(), Ok(to), "{from}");
    }
}

/// Edits in a removed member are discarded with it.
#[test]
fn edits_in_an_emptied_object_are_discarded() {
    let rules = one_object()
        .string("$.m.b.s", OURS)
        .object_end("$.m.b", END)
        .string("$.s", OURS)
        .build()
        .unwrap();
    let input = r#"{"s":"remote","m":{"b":{"s":"remote"},"b":{"s":"ours"}},"s":"remote"}"#;
    let output = r#"{"s":"local","s":"local"}"#;
    assert_eq!(rewrite(&rules, input).as_deref(), Ok(output));
}

#[test]
fn removed_object_gets_no_members() {
    let rules = one_object().object_end("$.m", END).build().unwrap();
    for (from, to, ends) in [
        (r#"{"m":{"a":"ours"},"x":1}"#, r#"{"x":1}"#, 0),
        (r#"{"m":{}}"#, r#"{"m":{"end":1}}"#, 1),
        (r#"{"m":{"b":1,"x":1}}"#, r#"{"m":{"x":1,"end":1}}"#, 1),
        (
            r#"{"m":{"b":1},"m":{"x":1}}"#,
            r#"{"m":{"x":1,"end":1}}"#,
            1,
        ),
    ] {
        assert_eq!(rewrite(&rules, from).as_deref(), Ok(to), "{from}");
        let mut rewriter = rewriter(&rules, Limits::default());
        rewriter.rewrite_all(from.into()).unwrap();
        assert_eq!(rewriter.handler().ends, ends, "{from}");
    }
}

#[test]
fn emptied_object_in_a_dropped_item_is_removed_with_it() {
    let rules = Rules::builder()
        .item("$[*]", "$[*].m.k", 0)
        .string("$[*].m.k", OURS)
        .remove_emptied("$[*].m")
        .remove("$[*].m.b")
        .object_end("$[*].m", END)
        .build()
        .unwrap();
    let input = r#"[{"m":{"k":"foreign","b":1}},{"m":{"b":1,"k":"foreign"}},{"m":{"b":1}},{"m":{"k":"x"}}]"#;
    let output = r#"[{},{"m":{"k":"x","end":1}}]"#;
    assert_eq!(rewrite(&rules, input).as_deref(), Ok(output));
}

/// The last member is removed, and decides to drop the item. Nothing of the item is output, so this is not an error.
#[test]
fn emptied_object_whose_last_member_drops_the_item_is_not_an_error() {
    let rules = Rules::builder()
        .item("$[*]", "$[*].m.b", 0)
        .string("$[*].k", OURS)
        .remove_emptied("$[*].m")
        .remove("$[*].m.b")
        .build()
        .unwrap();
    let input = r#"[{"k":"foreign","m":{"b":1}},{"k":"","m":{}}]"#;
    assert_eq!(
        rewrite(&rules, input).as_deref(),
        Ok(r#"[{"k":"","m":{}}]"#)
    );
    assert!(rewrite(&rules, r#"[{"k":"","m":{"b":1}}]"#).is_err());
}

/// The start of the object may have been output by then.
#[test]
fn emptied_object_after_the_decision_is_an_error() {
    let rules = Rules::builder()
        .item("$[*]", "$[*].k", 0)
        .string("$[*].k", OURS)
        .remove_emptied("$[*].m")
        .remove("$[*].m.b")
        .build()
        .unwrap();
    let before = r#"[{"m":{"b":1},"k":"x"}]"#;
    assert_eq!(rewrite(&rules, before).as_deref(), Ok(r#"[{"k":"x"}]"#));
    let kept = r#"[{"k":"x","m":{"b":1,"c":1}},{"k":"x","m":{}}]"#;
    let output = r#"[{"k":"x","m":{"c":1}},{"k":"x","m":{}}]"#;
    assert_eq!(rewrite(&rules, kept).as_deref(), Ok(output));
    for input in [
        r#"[{"k":"x","m":{"b":1}}]"#,
        r#"[{"m":{"b":1},"k":"x","m":{"b":1}}]"#,
    ] {
        let error = rewrite(&rules, input).unwrap_err();
        let reason = "an object were removed after its item had been kept";
        assert!(error.to_string().contains(reason), "{error}");
        for size in [1, 5, input.len()] {
            let mut out = Output::default();
            let mut rewriter = rewriter(&rules, Limits::default());
            let mut chunks = input.as_bytes().chunks(size);
            let failed =
                chunks.any(|chunk| rewriter.feed(chunk.to_vec().into(), &mut out).is_err());
            let output = out.copy_to_bytes(out.len());
            assert!(
                failed && r#"[{"k":"x","m":{"#.starts_with(std::str::from_utf8(&output).unwrap())
            );
        }
    }
}

/// Whether the limit is exceeded does not depend on the chunks.
#[test]
fn removals_of_emptied_objects_count_towards_the_buffer_limit() {
    let input: &[u8] = br#"{"m":{"b":1,"b":2}}"#;
    let smallest_limit = |rules: RulesBuilder, expected: &[u8]| {
        let rules = rules.item("$", "$", 0).remove("$.m.b").build().unwrap();
        let limited = |buffered_bytes_max| {
            let limits = Limits {
                buffered_bytes_max,
                ..Limits::default()
            };
            rewriter(&rules, limits)
        };
        let fits = |max: &usize| streams::run(limited(*max), [input]).is_ok();
        let smallest = (0..1024).find(fits).unwrap();
        let output = streams::run_with_all_splits(|| limited(smallest), input);
        assert_eq!(output.unwrap(), expected);
        let error = streams::run_with_all_splits(|| limited(smallest - 1), input);
        assert!(matches!(error, Err(RewriteError::BufferLimit { .. })));
        smallest
    };
    let members = smallest_limit(Rules::builder(), br#"{"m":{}}"#);
    let members_and_object = smallest_limit(Rules::builder().remove_emptied("$.m"), b"{}");
    // An edit takes a few tens of bytes.
    assert!((16..64).contains(&(members_and_object - members)));
}
