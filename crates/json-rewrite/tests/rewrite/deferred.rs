//! Raw values whose edits are deferred. Each case is fed in one chunk, split at every byte, and byte by byte.

use json_rewrite::*;
use json_rewrite_testing::streams;

const VALUE: Tag = 1;
const OWNER: Tag = 2;
const END: Tag = 3;

/// Defers everything. Then replaces raw values by the owner of the item and the number of earlier decisions about the
/// item. Drops items without an owner.
#[derive(Default)]
struct NameOwner {
    owner: Option<String>,
    is_decided: bool,
    decisions: usize,
}

impl NameOwner {
    fn next(&mut self) -> String {
        self.decisions += 1;
        let owner = self.owner.as_deref().unwrap_or("nobody");
        format!("{owner}{}", self.decisions)
    }
}

impl Handler for NameOwner {
    fn begin_item(&mut self, _item: Tag) {
        *self = Self::default();
    }

    fn string(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        if tag == OWNER {
            self.owner = Some(String::from_utf8(value.to_vec()).unwrap());
            return Edit::Keep;
        }
        Edit::Defer
    }

    fn raw_value(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
        Edit::Defer
    }

    fn object_end(&mut self, _tag: Tag) -> Addition<'_> {
        if self.is_decided {
            Addition::Members(format!("\"end\":\"{}\"", self.next()).into())
        } else {
            Addition::Defer
        }
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        self.is_decided = true;
        if self.owner.is_some() {
            ItemDecision::Keep
        } else {
            ItemDecision::Drop
        }
    }

    fn resolve_deferred(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Replace(self.next().into())
    }

    fn resolve_deferred_raw(&mut self, _tag: Tag, raw: &[u8]) -> Edit<'_> {
        match raw {
            b"null" => Edit::Keep,
            b"false" => Edit::Reject("a false value"),
            raw => {
                let raw = String::from_utf8(raw.to_vec()).unwrap();
                Edit::Replace(format!(r#"["{}",{raw}]"#, self.next()).into())
            }
        }
    }
}

fn rewrite(rules: &Rules, input: &str) -> Result<String, RewriteError> {
    let rewriter = || {
        let handler = NameOwner::default();
        Rewriter::new(
            rules.clone(),
            Framing::SingleValue,
            Limits::default(),
            handler,
        )
    };
    let output = streams::run_with_all_splits(rewriter, input.as_bytes())?;
    Ok(String::from_utf8(output).unwrap())
}

fn items() -> Rules {
    Rules::builder()
        .item("$[*]", "$[*].owner", 0)
        .string("$[*].owner", OWNER)
        .raw_value("$[*].cells[*]", VALUE)
        .raw_value("$[*].v", VALUE)
        .string("$[*].s", VALUE)
        .object_end("$[*].o", END)
        .build()
        .unwrap()
}

#[test]
fn raw_values_before_the_decision_can_depend_on_it() {
    let rules = items();
    for (from, to) in [
        (
            r#"{"cells":["a", 1 ,{"x" : [] }],"owner":"o"}"#,
            r#"{"cells":[["o1","a"], ["o2",1] ,["o3",{"x" : [] }]],"owner":"o"}"#,
        ),
        (
            r#"{"v":null,"v":true,"owner":"o"}"#,
            r#"{"v":null,"v":["o1",true],"owner":"o"}"#,
        ),
        (
            r#"{"owner":"o","v":1.50}"#,
            r#"{"owner":"o","v":["o1",1.50]}"#,
        ),
        (
            r#"{"owner":"o","cells":[null,{}]}"#,
            r#"{"owner":"o","cells":[null,["o1",{}]]}"#,
        ),
    ] {
        let (from, to) = (format!("[{from},0]"), format!("[{to}]"));
        assert_eq!(rewrite(&rules, &from), Ok(to));
    }
}

#[test]
fn deferred_decisions_are_made_in_the_order_of_the_stream() {
    let input = r#"[{"s":"x","v":1,"o":{},"s":"","v":"\n","owner":"o","s":"y","v":2,"s":"z"}]"#;
    let output = r#"[{"s":"o1","v":["o2",1],"o":{"end":"o3"},"s":"o4","v":["o5","\n"],"owner":"o","s":"o6","v":["o7",2],"s":"o8"}]"#;
    assert_eq!(rewrite(&items(), input).as_deref(), Ok(output));
}

#[test]
fn deferred_raw_values_of_dropped_items_are_not_resolved() {
    let input = r#"[{"v":false},{"v":1,"owner":"o"},{"cells":[false,1]}]"#;
    let output = r#"[{"v":["o1",1],"owner":"o"}]"#;
    assert_eq!(rewrite(&items(), input).as_deref(), Ok(output));
}

#[test]
fn deferred_raw_value_can_be_the_item_or_in_a_removed_member() {
    let item = Rules::builder()
        .item("$.i", "$.i", 0)
        .string("$.owner", OWNER)
        .raw_value("$.i", VALUE);
    // The owner is that of the last item, so there is none.
    let input = r#"{"owner":"o","x":1,"i":[1]}"#;
    let output = r#"{"owner":"o","x":1}"#;
    assert_eq!(
        rewrite(&item.build().unwrap(), input).as_deref(),
        Ok(output)
    );

    let removed = Rules::builder()
        .item("$", "$", 0)
        .string("$.owner", OWNER)
        .remove("$.m.a")
        .remove_emptied("$.m")
        .raw_value("$.m.a.v", VALUE)
        .raw_value("$.v", VALUE);
    let input = r#"{"owner":"o","m":{"a":{"v":1}},"v":2}"#;
    let output = r#"{"owner":"o","v":["o2",2]}"#;
    assert_eq!(
        rewrite(&removed.build().unwrap(), input).as_deref(),
        Ok(output)
    );
}

#[test]
fn raw_value_that_is_deferred_outside_an_undecided_item_is_resolved_immediately() {
    let rules = Rules::builder().raw_value("$.v", VALUE).build().unwrap();
    let output = r#"{"v":["nobody1",{ }]}"#;
    assert_eq!(rewrite(&rules, r#"{"v":{ }}"#).as_deref(), Ok(output));
}

#[test]
fn deferred_raw_value_can_be_rejected() {
    for input in [
        r#"[{"v":false,"owner":"o"}]"#,
        r#"[{"owner":"o","v":false}]"#,
    ] {
        let error = rewrite(&items(), input).unwrap_err();
        assert_eq!(error, RewriteError::Rejected("a false value"));
    }
}

/// Returns a forbidden edit when a deferred raw value is resolved.
struct Forbidden(fn() -> Edit<'static>);

impl Handler for Forbidden {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Keep
    }

    fn raw_value(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
        Edit::Defer
    }

    fn resolve_deferred_raw(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
        (self.0)()
    }
}

#[test]
fn deferred_raw_value_cannot_be_removed_or_deferred_again() {
    let edits: [fn() -> Edit<'static>; 2] = [|| Edit::Remove, || Edit::Defer];
    for edit in edits {
        for decided_after in ["$.v", "$.k"] {
            let rules = Rules::builder()
                .item("$", decided_after, 0)
                .raw_value("$.v", VALUE)
                .build()
                .unwrap();
            let rewriter = || {
                let limits = Limits::default();
                Rewriter::new(rules.clone(), Framing::SingleValue, limits, Forbidden(edit))
            };
            for input in [r#"{"v":[1],"k":1}"#, r#"{"k":1,"v":[1]}"#] {
                let result = streams::run_with_all_splits(rewriter, input.as_bytes());
                let reason =
                    "a deferred raw value can only be kept, replaced, rewritten or rejected";
                assert_eq!(result, Err(RewriteError::Rejected(reason)));
            }
        }
    }
}

/// Rewrites the JSON in a deferred string, once it is known.
struct RewriteLater(Rules);

impl Handler for RewriteLater {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Replace("new".into())
    }

    fn raw_value(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
        Edit::Defer
    }

    fn resolve_deferred_raw(&mut self, _tag: Tag, _raw: &[u8]) -> Edit<'_> {
        Edit::RewriteEmbedded(self.0.clone())
    }
}

#[test]
fn json_in_deferred_raw_value_is_rewritten_if_it_is_a_string() {
    let inner = Rules::builder().string("$.a", 0).build().unwrap();
    for decided_after in ["$.v", "$.k"] {
        let rules = Rules::builder().item("$", decided_after, 0);
        let rules = rules.raw_value("$.v", VALUE).build().unwrap();
        let rewriter = || {
            let handler = RewriteLater(inner.clone());
            let limits = Limits::default();
            Rewriter::new(rules.clone(), Framing::SingleValue, limits, handler)
        };
        for (value, expected) in [
            (r#""{\"a\": \"old\"}""#, r#""{\"a\": \"new\"}""#),
            (r#""no JSON""#, r#""no JSON""#),
            (r#"{"a":"old"}"#, r#"{"a":"old"}"#),
            ("5", "5"),
        ] {
            for order in [r#"{"v":V,"k":1}"#, r#"{"k":1,"v":V}"#] {
                let input = order.replace('V', value);
                let result = streams::run_with_all_splits(rewriter, input.as_bytes());
                assert_eq!(result.unwrap(), order.replace('V', expected).as_bytes());
            }
        }
    }
}

/// A deferred raw value costs as much as a deferred string. Both elements are written with two bytes.
#[test]
fn deferred_raw_values_count_towards_the_buffer_limit() {
    let smallest = |rules: RulesBuilder, element: &str| {
        let rules = rules.item("$", "$", 0).build().unwrap();
        let input = format!("[{}]", [element; 20].join(","));
        let input = input.as_bytes();
        let limited = |buffered_bytes_max| {
            let limits = Limits {
                buffered_bytes_max,
                ..Limits::default()
            };
            Rewriter::new(
                rules.clone(),
                Framing::SingleValue,
                limits,
                NameOwner::default(),
            )
        };
        let fits = |max: &usize| streams::run(limited(*max), [input]).is_ok();
        let smallest = (0..8192).find(fits).unwrap();
        assert!(smallest > input.len() + 20 * 16, "{smallest}");
        let result = streams::run_with_all_splits(|| limited(smallest), input);
        assert!(result.is_ok());
        let error = streams::run_with_all_splits(|| limited(smallest - 1), input);
        assert!(matches!(error, Err(RewriteError::BufferLimit { .. })));
        smallest
    };
    let strings = smallest(Rules::builder().string("$[*]", VALUE), r#""""#);
    let raw_values = smallest(Rules::builder().raw_value("$[*]", VALUE), "12");
    assert_eq!(raw_values, strings);
}
