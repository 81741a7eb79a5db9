//! Tests of whole JSON patches.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use bytes::Bytes;
use json_rewrite::RewriteError;

use super::*;
use crate::test_scopes::one;

const LAST_APPLIED_POINTER: &str =
    "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

fn patched(patch: &str) -> Result<String, RewriteError> {
    let rules = RequestRules::compile(&ReferencePaths::default()).unwrap();
    let mut rewriter = rules.json_patch(one(), WriteEffect::Patch(None), Limits::default());
    let mapped = rewriter.rewrite_all(Bytes::copy_from_slice(patch.as_bytes()))?;
    Ok(String::from_utf8(mapped.to_vec()).unwrap())
}

#[test]
fn copying_or_moving_mapped_metadata_is_rejected() {
    for mapped in [
        "",
        "/metad\\u0061ta",
        "x/metadata/namespace",
        "/metadata/namespace/x",
        "/metadata/annotations",
        LAST_APPLIED_POINTER,
        "/metadata/annotations/claimgate.dev~1hidden",
        "/metadata/finalizers",
        "/metadata/finalizers/0",
        "/metadata/ownerReferences/0/uid",
    ] {
        for op in ["copy", "move"] {
            for (from, path) in [(mapped, "/spec/x"), ("/spec/x", mapped), (mapped, mapped)] {
                for patch in [
                    format!(r#"[{{"op":"{op}","from":"{from}","path":"{path}"}}]"#),
                    format!(r#"[{{"path":"{path}","op":"{op}","from":"{from}"}}]"#),
                    format!(r#"[{{"from":"{from}","op":"test","path":"{path}","op":"{op}"}}]"#),
                ] {
                    let rejected = Err(RewriteError::Rejected(COPIES_MAPPED_METADATA));
                    assert_eq!(patched(&patch), rejected, "{patch}");
                }
            }
        }
    }
}

#[test]
fn copying_and_moving_anything_else_is_allowed() {
    for (from, path) in [
        ("/metadata/name", "/spec/x"),
        ("/metadata/labels", "/spec/x"),
        ("/metadata/labels/a", "/metadata/annotations/a"),
        ("/metadata/annotations/a", "/metadata/annotations/b"),
        ("/spec", "/spec/x"),
    ] {
        for op in ["copy", "move"] {
            let patch = format!(r#"[{{"op":"{op}","from":"{from}","path":"{path}"}}]"#);
            assert_eq!(patched(&patch).unwrap(), patch);
        }
    }
}

#[test]
fn from_is_ignored_in_other_operations() {
    for op in ["add", "remove", "replace", "test"] {
        let patch = format!(r#"[{{"op":"{op}","from":"/metadata","path":"/spec/x"}}]"#);
        assert_eq!(patched(&patch).unwrap(), patch);
    }
}

#[test]
fn values_are_mapped_by_path_in_either_member_order() {
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
            LAST_APPLIED_POINTER,
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
    assert_eq!(
        patched(foreign),
        Err(RewriteError::Rejected(NAMESPACE_MISMATCH))
    );
}
