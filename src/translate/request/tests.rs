//! What becomes of requests' bodies.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use bytes::Bytes;

use super::*;
use crate::rewrite::{Error, Framing, Limits, Rewriter};

pub(super) fn patched(patch: &str) -> Result<String, Error> {
    let rules = RequestRules::compile().unwrap();
    let (local, remote) = ("default".to_owned(), "app-ns-1".to_owned());
    let handler = rules.handler(Scope::One { local, remote }, Effect::Patch(None));
    let limits = Limits::default();
    let mut rewriter = Rewriter::new(rules.json_patch, Framing::One, limits, handler);
    let mapped = rewriter.whole(Bytes::copy_from_slice(patch.as_bytes()))?;
    let handler = rewriter.handler();
    let mapped = handler.with_local_copies(mapped).map_err(Error::Refused)?;
    Ok(String::from_utf8(mapped.to_vec()).unwrap())
}

#[test]
fn what_holds_the_remote_name_is_not_copied() {
    for from in [
        "/metad\\u0061ta",
        "",
        "/metadata/annotations",
        POINTER_ANNOTATION,
    ] {
        for op in ["copy", "move"] {
            for patch in [
                format!(r#"[{{"op":"{op}","from":"{from}","path":"/spec/x"}}]"#),
                format!(r#"[{{"from":"{from}","op":"test","path":"/spec/x","op":"{op}"}}]"#),
            ] {
                assert_eq!(
                    patched(&patch),
                    Err(Error::Refused(COPIES_NAMESPACE)),
                    "{patch}"
                );
            }
        }
        let harmless = format!(r#"[{{"op":"remove","from":"{from}","path":"/spec/x"}}]"#);
        assert_eq!(patched(&harmless).unwrap(), harmless);
    }
    let other = r#"[{"op":"copy","from":"/metadata/name","path":"/spec/x"}]"#;
    assert_eq!(patched(other).unwrap(), other);
}

#[test]
fn a_copy_of_the_namespace_holds_its_local_name() {
    let set =
        |name: &str| format!(r#"{{"op":"replace","path":"/metadata/namespace","value":"{name}"}}"#);
    let (local, remote) = (set("default"), set("app-ns-1"));
    let test = r#"{"op":"test","path":"/metadata/namespace","value":"default"}"#;
    let tested = test.replace("default", "app-ns-1");
    for copy in [
        r#"{"op":"copy","from":"/metadata/namespace","path":"/spec/x"}"#,
        r#"{"path":"/spec/x" , "from":"x/metad\u0061ta/namespace","op":"copy"}"#,
    ] {
        let patch = format!("[{test},{copy},{test},{copy}]");
        let completed =
            format!("[{tested},{local},{copy},{remote},{tested},{local},{copy},{remote}]");
        assert_eq!(patched(&patch).unwrap(), completed);
    }
    let moves = r#"{"op":"move","from":"/metadata/namespace","path":"/spec/x"}"#;
    let completed = format!("[{local},{moves},{tested}]");
    assert_eq!(patched(&format!("[{moves},{test}]")).unwrap(), completed);
    let onto_itself =
        r#"[{"op":"move","from":"/metadata/namespace","path":"/metadata/namespace"}]"#;
    assert_eq!(patched(onto_itself).unwrap(), onto_itself);
}

#[test]
fn a_namespace_that_was_changed_is_not_copied() {
    for before in [
        r#"{"op":"add","path":"/metadata/namespace","value":"default"}"#,
        r#"{"op":"replace","path":"x/metadata/namespace","value":"default"}"#,
        r#"{"op":"remove","path":"/metadata/namespace"}"#,
        r#"{"op":"move","from":"/metadata/namespace","path":"/spec/y"}"#,
        r#"{"op":"add","path":"/metadata","value":{}}"#,
        r#"{"op":"replace","path":"","value":{}}"#,
    ] {
        for (op, between) in [
            ("copy", ""),
            ("move", r#"{"op":"remove","path":"/spec/y"},"#),
        ] {
            let copy = format!(r#"{{"op":"{op}","from":"/metadata/namespace","path":"/spec/x"}}"#);
            let patch = format!("[{before},{between}{copy}]");
            let refused = Err(Error::Refused(COPIES_NAMESPACE));
            assert_eq!(patched(&patch), refused, "{patch}");
            let first = format!("[{copy},{between}{before}]");
            assert!(
                before.contains("move") || patched(&first).is_ok(),
                "{first}"
            );
        }
    }
}

/// What kube-apiserver would number, or count.
#[test]
fn no_operations_are_put_into_an_odd_patch() {
    let copy = r#"{"op":"copy","from":"/metadata/namespace","path":"/spec/x"}"#;
    let many = r#"{"op":"remove","path":"/x"},"#.repeat(9_998);
    assert!(patched(&format!("[{many}{copy}]")).is_err());
    let fewer = many.replacen(r#"{"op":"remove","path":"/x"},"#, "", 1);
    assert!(patched(&format!("[{fewer}{copy}]")).is_ok());
    for odd in [
        r#"{"op":"add","path":"/spec/x","value":{"a":[{"b":1,"\u0062":2}]}}"#,
        r#"{"op":"add","path":"/spec/x","value":1,"values":2}"#,
        r#"{"op":"remove","op":"remove","path":"/spec/x"}"#,
        r#"{"op":"copy","from":"/metadata/namespace","path":"/spec/x","from":"/metadata/namespace"}"#,
    ] {
        for patch in [format!("[{copy},{odd}]"), format!("[{odd},{copy}]")] {
            assert_eq!(
                patched(&patch),
                Err(Error::Refused(COPIES_ODDLY)),
                "{patch}"
            );
        }
    }
    let fine =
        r#"{"op":"add","path":"/spec/x","value":{"a":[1,-1,1.5,"c",true,null],"b":{"a":{}}}}"#;
    assert!(patched(&format!("[{fine},{copy}]")).is_ok());
}

#[test]
fn of_what_is_copied_to_metadata_only_labels_may_be() {
    for op in ["copy", "move"] {
        for (from, path) in [
            ("/spec/x", "/metadata/annotations"),
            ("/metadata/labels/a", "/metadata/annotations"),
            ("/metadata/labels", "/metadata"),
            ("/metadata/labels", ""),
            ("/spec/x", "/metadata/namespace"),
        ] {
            for patch in [
                format!(r#"[{{"op":"{op}","from":"{from}","path":"{path}"}}]"#),
                format!(r#"[{{"path":"{path}","op":"{op}","from":"{from}"}}]"#),
            ] {
                let refused = Err(Error::Refused(COPIES_METADATA));
                assert_eq!(patched(&patch), refused, "{patch}");
            }
        }
        for path in ["/metadata/annotations", "/spec/x"] {
            let patch = format!(r#"[{{"op":"{op}","from":"/metadata/labels","path":"{path}"}}]"#);
            assert_eq!(patched(&patch).unwrap(), patch);
        }
    }
}

#[test]
fn values_are_mapped_where_the_path_says_so_whichever_comes_first() {
    for (path, value, mapped) in [
        ("/metadata/namespace", r#""default""#, r#""app-ns-1""#),
        ("x/metadata/namespace", r#""default""#, r#""app-ns-1""#),
        (
            "/metadata",
            r#"{"namespace":"default"}"#,
            r#"{"namespace":"app-ns-1"}"#,
        ),
        (
            "",
            r#"{"metadata":{"namespace":"default"}}"#,
            r#"{"metadata":{"namespace":"app-ns-1"}}"#,
        ),
        (
            "/spec",
            r#"{"metadata":{"namespace":"default"}}"#,
            r#"{"metadata":{"namespace":"default"}}"#,
        ),
        (
            POINTER_ANNOTATION,
            r#""{\"metadata\":{\"namespace\":\"default\"}}""#,
            r#""{\"metadata\":{\"namespace\":\"app-ns-1\"}}""#,
        ),
    ] {
        for (before, after) in [
            (format!(r#""path":"{path}","#), String::new()),
            (String::new(), format!(r#","path":"{path}""#)),
        ] {
            let patch = |value: &str| format!(r#"[{{"op":"add",{before}"value":{value}{after}}}]"#);
            assert_eq!(patched(&patch(value)).unwrap(), patch(mapped));
        }
    }
    let foreign = r#"[{"op":"test","path":"/metadata/namespace","value":"app-ns-1"}]"#;
    assert_eq!(patched(foreign), Err(Error::Refused(MISMATCH)));
}
