//! Requests and responses if a table maps the namespaces.
//!
//! The local namespaces `default` and `team` map to `app-ns-1` and `app-ns-2`. Requests in one namespace use
//! `default`.

use bytes::Bytes;
use claim_mapping::hidden_metadata::{CurrentMetadata, Restore, WriteEffect, complete_json_patch};
use claim_mapping::mapping::{Mapping, NameLimit};
use claim_mapping::request::RequestRules;
use claim_mapping::response::{ResponseRules, Shape};
use claim_mapping::{ReferencePaths, RequestScope, Selectors};
use json_rewrite::Limits;

use crate::harness::{check, rewritten};

/// The mapping of local namespaces to remote ones.
fn mapping() -> Mapping {
    let rows = [("default", "app-ns-1"), ("team", "app-ns-2")];
    let rows = rows.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
    Mapping::table(rows.into()).unwrap()
}

/// The scope of a request in the namespace `default`.
fn one() -> RequestScope {
    RequestScope::namespace(&mapping(), "default", None, NameLimit::default()).unwrap()
}

/// The scope of a read across both namespaces.
fn all() -> RequestScope {
    RequestScope::all_namespaces(&mapping(), &Selectors::default(), NameLimit::default())
}

fn response(shape: Shape, scope: fn() -> RequestScope, input: &[u8]) -> Result<Vec<u8>, String> {
    let rules = ResponseRules::compile(&ReferencePaths::default()).unwrap();
    rewritten(|| rules.rewriter(shape, scope(), Limits::default()), input)
}

/// Rewrites Tables of a client that did not request the rows' objects.
fn without_row_objects(shape: Shape, input: &[u8]) -> Result<Vec<u8>, String> {
    let rules = ResponseRules::compile(&ReferencePaths::default()).unwrap();
    let rewriter = || rules.without_row_objects(shape, all(), Limits::default());
    rewritten(rewriter, input)
}

/// Current metadata of the objects that the tests write.
fn current() -> CurrentMetadata {
    let hidden = r#"{"ownerReferences":[{"uid":"1\\\""}],"finalizers":["foregroundDeletion"]}"#;
    let annotations = serde_json::json!({ "claimgate.dev/hidden": hidden });
    let metadata = serde_json::json!({
        "resourceVersion": "7", "finalizers": ["x", "y"], "annotations": annotations,
    });
    let object = serde_json::json!({ "metadata": metadata }).to_string();
    CurrentMetadata::read(object.as_bytes()).unwrap()
}

fn request(effect: WriteEffect, input: &[u8]) -> Result<Vec<u8>, String> {
    let rules = RequestRules::compile(&ReferencePaths::default()).unwrap();
    let rewriter = || rules.object(one(), effect.clone(), Limits::default());
    rewritten(rewriter, input)
}

/// Rewrites a JSON patch, and returns whether it sets the resourceVersion that it requires.
fn json_patch(input: &[u8]) -> Result<(Vec<u8>, bool), String> {
    let rules = RequestRules::compile(&ReferencePaths::default()).unwrap();
    let rewriter = || rules.json_patch(one(), WriteEffect::Patch(None), Limits::default());
    let mapped = rewritten(rewriter, input)?;
    let mut rewriter = rewriter();
    rewriter.rewrite_all(Bytes::copy_from_slice(input)).unwrap();
    Ok((mapped, rewriter.handler().sets_resource_version()))
}

#[test]
fn objects_match_golden_files() {
    check("object", |input| response(Shape::Object, one, input));
}

#[test]
fn lists_match_golden_files() {
    check("list", |input| response(Shape::List, all, input));
}

#[test]
fn watches_match_golden_files() {
    check("watch", |input| response(Shape::Watch, all, input));
}

#[test]
fn lists_without_row_objects_match_golden_files() {
    check("list-without-row-objects", |input| {
        without_row_objects(Shape::List, input)
    });
}

#[test]
fn watches_without_row_objects_match_golden_files() {
    check("watch-without-row-objects", |input| {
        without_row_objects(Shape::Watch, input)
    });
}

#[test]
fn statuses_in_one_namespace_match_golden_files() {
    check("status", |input| response(Shape::Status, one, input));
}

#[test]
fn statuses_across_namespaces_match_golden_files() {
    check("status-across-namespaces", |input| {
        response(Shape::Status, all, input)
    });
}

#[test]
fn requests_match_golden_files() {
    check("request", |input| request(WriteEffect::Harmless, input));
}

#[test]
fn updates_match_golden_files() {
    check("update", |input| {
        request(WriteEffect::Update(current()), input)
    });
}

#[test]
fn merge_patches_match_golden_files() {
    check("merge-patch", |input| {
        request(WriteEffect::Patch(Some(current())), input)
    });
}

#[test]
fn json_patches_match_golden_files() {
    check("patch", |input| json_patch(input).map(|(patch, _)| patch));
}

#[test]
fn completed_json_patches_match_golden_files() {
    check("completed-patch", |input| {
        let (patch, sets_resource_version) = json_patch(input)?;
        let restored = Restore::Metadata {
            sets_resource_version,
        };
        let completed = complete_json_patch(&patch, &current(), restored, &one());
        completed.map_err(|error| error.to_string())
    });
}
