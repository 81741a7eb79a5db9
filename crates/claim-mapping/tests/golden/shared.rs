//! Requests and responses if all namespaces are mapped to one.
//!
//! The app cluster `team-a` has its objects in the remote namespace `team-a-claims`. Most requests are about the object
//! `my-db` in the namespace `default`. In the files, `@NAMESPACE/NAME@` stands for a remote name, and
//! `@CLUSTER:NAMESPACE/NAME@` for one of another app cluster. [`references`] has the declared references to Secrets.

mod names;

use bytes::Bytes;
use claim_mapping::hidden_metadata::{
    CurrentMetadata, Restore, WriteEffect, complete_json_patch, require_uid,
};
use claim_mapping::mapping::NameLimit;
use claim_mapping::request::RequestRules;
use claim_mapping::response::{ResponseRules, Shape};
use claim_mapping::{ReferencePaths, RequestScope, Selectors};
use json_rewrite::{Handler, Limits, Rewriter};

use self::names::{expanded, mapping, written};
use crate::harness::{check, is_updating, rewritten};

/// The fields of the API that name Secrets of the app cluster.
fn references() -> ReferencePaths {
    let paths = ["spec.parameters.passwordSecretRef", "spec.tlsSecretName"];
    let paths = paths.map(|path| path.parse().unwrap());
    Vec::from(paths).try_into().unwrap()
}

fn object() -> RequestScope {
    RequestScope::namespace(
        &mapping("team-a"),
        "default",
        Some("my-db"),
        NameLimit::default(),
    )
    .unwrap()
}

fn namespace() -> RequestScope {
    RequestScope::namespace(&mapping("team-a"), "default", None, NameLimit::default()).unwrap()
}

fn all() -> RequestScope {
    RequestScope::all_namespaces(
        &mapping("team-a"),
        &Selectors::default(),
        NameLimit::default(),
    )
}

/// Checks that nothing in a response shows that the control plane has other names.
///
/// Crossplane derives names of composites from that of the claim. They are not mapped.
fn assert_is_local(response: &str) {
    if is_updating() {
        return;
    }
    for hidden in [
        "claimgate.dev/cluster",
        "claimgate.dev/namespace",
        "claimgate.dev/name",
        "team-a-claims",
    ] {
        assert!(!response.contains(hidden), "{response}");
    }
    let names = response.split('@').skip(1).step_by(2);
    let after = response.split('@').skip(2).step_by(2);
    for (name, after) in names.zip(after) {
        assert!(after.starts_with('-'), "{name} in {response}");
    }
}

/// Rewrites an input with names in place of placeholders, and writes placeholders in the output.
fn readable<H: Handler>(
    rewriter: impl Fn() -> Rewriter<H>,
    input: &[u8],
) -> Result<String, String> {
    let output = rewritten(rewriter, &expanded(input))?;
    Ok(written(&output))
}

fn response(shape: Shape, scope: fn() -> RequestScope, input: &[u8]) -> Result<Vec<u8>, String> {
    let rules = ResponseRules::compile(&references()).unwrap();
    let rewriter = || rules.rewriter(shape, scope(), Limits::default());
    let output = readable(rewriter, input)?;
    assert_is_local(&output);
    Ok(output.into_bytes())
}

/// Rewrites Tables of a client that did not request the rows' objects.
fn without_row_objects(shape: Shape, input: &[u8]) -> Result<Vec<u8>, String> {
    let rules = ResponseRules::compile(&references()).unwrap();
    let rewriter = || rules.without_row_objects(shape, all(), Limits::default());
    let output = readable(rewriter, input)?;
    assert_is_local(&output);
    Ok(output.into_bytes())
}

/// The object that the tests write, as the app cluster sees it.
fn current() -> CurrentMetadata {
    current_with(serde_json::json!({
        "annotations": {"note": "n"}, "finalizers": ["x"], "labels": {"app": "shop"},
    }))
}

/// An object that has neither labels nor annotations in the app cluster.
fn current_without_labels() -> CurrentMetadata {
    current_with(serde_json::json!({}))
}

fn current_with(mut metadata: serde_json::Value) -> CurrentMetadata {
    metadata["resourceVersion"] = "7".into();
    let object = serde_json::json!({ "metadata": metadata }).to_string();
    CurrentMetadata::read(object.as_bytes()).unwrap()
}

fn request(effect: WriteEffect, input: &[u8]) -> Result<Vec<u8>, String> {
    request_in(object, effect, input)
}

fn request_in(
    scope: fn() -> RequestScope,
    effect: WriteEffect,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let rules = RequestRules::compile(&references()).unwrap();
    let rewriter = || rules.object(scope(), effect.clone(), Limits::default());
    readable(rewriter, input).map(String::into_bytes)
}

/// Rewrites a merge patch, and once more with the current object if it needs that.
fn merge_patch(current: &CurrentMetadata, input: &[u8]) -> Result<Vec<u8>, String> {
    let first = request(WriteEffect::Patch(None), input)?;
    let rules = RequestRules::compile(&references()).unwrap();
    let mut rewriter = rules.object(object(), WriteEffect::Patch(None), Limits::default());
    rewriter.rewrite_all(expanded(input).into()).unwrap();
    match rewriter.handler().needs_current() {
        true => request(WriteEffect::Patch(Some(current.clone())), input),
        false => Ok(first),
    }
}

/// Rewrites a JSON patch, and completes it if it needs the current object.
fn json_patch(current: Option<&CurrentMetadata>, input: &[u8]) -> Result<Vec<u8>, String> {
    let rules = RequestRules::compile(&references()).unwrap();
    let rewriter = || rules.json_patch(object(), WriteEffect::Patch(None), Limits::default());
    let mapped = rewritten(rewriter, &expanded(input))?;
    let mut rewriter = rewriter();
    rewriter.rewrite_all(Bytes::from(expanded(input))).unwrap();
    let handler = rewriter.handler();
    let patch = match current.filter(|_| handler.needs_current()) {
        Some(current) => {
            let restored = Restore::Metadata {
                sets_resource_version: handler.sets_resource_version(),
            };
            complete_json_patch(&mapped, current, restored, &object())
                .map_err(|error| error.to_string())?
        }
        None => mapped,
    };
    // One operation a line.
    Ok(written(&patch)
        .replace("},{\"op\"", "},\n{\"op\"")
        .into_bytes())
}

#[test]
fn objects_match_golden_files() {
    check("shared-object", |input| {
        response(Shape::Object, object, input)
    });
}

#[test]
fn lists_across_namespaces_match_golden_files() {
    check("shared-list", |input| response(Shape::List, all, input));
}

#[test]
fn lists_in_one_namespace_match_golden_files() {
    check("shared-list-of-namespace", |input| {
        response(Shape::List, namespace, input)
    });
}

#[test]
fn lists_without_row_objects_match_golden_files() {
    check("shared-list-without-row-objects", |input| {
        without_row_objects(Shape::List, input)
    });
}

#[test]
fn watches_match_golden_files() {
    check("shared-watch", |input| response(Shape::Watch, all, input));
}

#[test]
fn watches_without_row_objects_match_golden_files() {
    check("shared-watch-without-row-objects", |input| {
        without_row_objects(Shape::Watch, input)
    });
}

#[test]
fn statuses_about_an_object_match_golden_files() {
    check("shared-status", |input| {
        response(Shape::Status, object, input)
    });
}

#[test]
fn statuses_about_a_namespace_match_golden_files() {
    check("shared-status-of-namespace", |input| {
        response(Shape::Status, namespace, input)
    });
}

#[test]
fn statuses_across_namespaces_match_golden_files() {
    check("shared-status-across-namespaces", |input| {
        response(Shape::Status, all, input)
    });
}

/// Bodies that create an object or are applied.
#[test]
fn requests_match_golden_files() {
    check("shared-request", |input| {
        request(WriteEffect::Harmless, input)
    });
}

/// The body creates an object, but the name in it could not be read.
#[test]
fn created_objects_of_unknown_name_match_golden_files() {
    check("shared-create-of-unknown-name", |input| {
        request_in(namespace, WriteEffect::Harmless, input)
    });
}

#[test]
fn created_objects_with_generated_names_match_golden_files() {
    check("shared-generate-name", |input| {
        request(WriteEffect::GenerateName, input)
    });
}

#[test]
fn updates_match_golden_files() {
    check("shared-update", |input| {
        request(WriteEffect::Update(current()), input)
    });
}

#[test]
fn merge_patches_match_golden_files() {
    check("shared-merge-patch", |input| merge_patch(&current(), input));
}

#[test]
fn json_patches_match_golden_files() {
    check("shared-patch", |input| json_patch(None, input));
}

#[test]
fn completed_json_patches_match_golden_files() {
    check("shared-completed-patch", |input| {
        json_patch(Some(&current()), input)
    });
}

#[test]
fn completed_json_patches_of_objects_without_labels_match_golden_files() {
    check("shared-completed-patch-without-labels", |input| {
        json_patch(Some(&current_without_labels()), input)
    });
}

#[test]
fn damaged_objects_are_counted() {
    let count = |shape, scope: RequestScope, body: &str| {
        let rules = ResponseRules::compile(&references()).unwrap();
        let mut rewriter = rules.rewriter(shape, scope, Limits::default());
        let body = Bytes::from(expanded(body.as_bytes()));
        rewriter.rewrite_all(body).unwrap();
        rewriter.handler_mut().take_damaged_objects()
    };
    let object_with = |labels: &str, annotations: &str| {
        format!(
            r#"{{"kind":"KubernetesCluster","metadata":{{"annotations":{{{annotations}}},"labels":{{{labels}}},"name":"@default/my-db@","namespace":"team-a-claims"}}}}"#
        )
    };
    let origin = r#""claimgate.dev/cluster":"team-a","claimgate.dev/name":"my-db","claimgate.dev/namespace":"default""#;
    let partial = r#""claimgate.dev/name":"my-db""#;
    for (labels, annotations, damaged) in [
        (origin, origin, 0),
        ("", origin, 1),
        (partial, origin, 1),
        (origin, "", 1),
        ("", "", 1),
    ] {
        let body = object_with(labels, annotations);
        assert_eq!(count(Shape::Object, object(), &body), damaged, "{body}");
    }
    let [intact, damaged] = [origin, partial].map(|labels| object_with(labels, origin));
    let list = format!(r#"{{"kind":"L","items":[{intact},{damaged},{damaged}]}}"#);
    assert_eq!(count(Shape::List, all(), &list), 2);
    let foreign = object_with(r#""claimgate.dev/name":"other""#, "");
    assert_eq!(count(Shape::Object, object(), &foreign), 0);
    let scale =
        r#"{"kind":"Scale","metadata":{"name":"@default/my-db@","namespace":"team-a-claims"}}"#;
    assert_eq!(count(Shape::Object, object(), scale), 0);
}

/// The scope of the object with the uid `u-1`.
fn object_with_uid() -> RequestScope {
    object().with_uid("u-1")
}

#[test]
fn uid_of_the_scope_is_required_unless_the_client_requires_one() {
    let origin = || WriteEffect::Harmless;
    let patch = || WriteEffect::Patch(Some(current()));
    for (effect, input, expected) in [
        (patch(), "{}", r#"{"metadata":{"uid":"u-1"}}"#),
        (
            patch(),
            r#"{"metadata":{"labels":{}},"spec":{}}"#,
            r#""uid":"u-1"},"spec":{}}"#,
        ),
        (
            patch(),
            r#"{"metadata":{"uid":"c"}}"#,
            r#"{"metadata":{"uid":"c"}}"#,
        ),
        (
            patch(),
            r#"{"metadata":{"uid":null}}"#,
            r#"{"metadata":{"uid":null}}"#,
        ),
        (
            origin(),
            "{}",
            r#"{"metadata":{"uid":"u-1","annotations":{"#,
        ),
        (WriteEffect::Subresource, "{}", "{}"),
    ] {
        let rewritten = request_in(object_with_uid, effect, input.as_bytes()).unwrap();
        let rewritten = String::from_utf8(rewritten).unwrap();
        assert!(rewritten.contains(expected), "{input}: {rewritten}");
    }
    let patch = require_uid(br#"[{"op":"remove","path":"/a"}]"#, "u-1").unwrap();
    let expected =
        r#"[{"op":"remove","path":"/a"},{"op":"test","path":"/metadata/uid","value":"u-1"}]"#;
    assert_eq!(String::from_utf8(patch).unwrap(), expected);
    for changes_uid in [
        r#"[{"op":"remove","path":"/metadata/uid"}]"#,
        r#"[{"op":"replace","path":"/metadata","value":{}}]"#,
    ] {
        let patch = require_uid(changes_uid.as_bytes(), "u-1").unwrap();
        assert_eq!(String::from_utf8(patch).unwrap(), changes_uid);
    }
}
