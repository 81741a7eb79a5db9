//! Checks that a write and the next read give the app cluster its own object again.
//!
//! The fuzz targets use the same checks.

use std::sync::LazyLock;

use bytes::Bytes;
use claim_mapping::hidden_metadata::{
    ANNOTATION, CurrentMetadata, Restore, WriteEffect, complete_json_patch,
};
use claim_mapping::mapping::{Mapping, NameLimit, ObjectKey, is_dns_subdomain};
use claim_mapping::request::{COPIES_MAPPED_METADATA, RequestRules};
use claim_mapping::response::{ResponseRules, Shape};
use claim_mapping::{LAST_APPLIED, ReferencePaths, RequestScope, Selectors};
use json_rewrite::{Limits, RewriteError};
use serde_json::{Value, json};

use super::json_patch;

const CLUSTER: &str = "team-a";
const LOCAL: &str = "default";
const REMOTE: &str = "team-a-claims";
const ORIGIN: [&str; 3] = [
    "claimgate.dev/cluster",
    "claimgate.dev/namespace",
    "claimgate.dev/name",
];

/// The fields that name Secrets: two of all APIs, and the declared ones.
const SECRET_NAMES: [&str; 4] = [
    "/spec/parameters/passwordSecretRef/name",
    "/spec/publishConnectionDetailsTo/name",
    "/spec/tlsSecretName",
    "/spec/writeConnectionSecretToRef/name",
];

/// The declared references to Secrets.
static REFERENCES: LazyLock<ReferencePaths> = LazyLock::new(|| {
    let paths = ["spec.parameters.passwordSecretRef", "spec.tlsSecretName"];
    let paths = paths.map(|path| path.parse().unwrap());
    Vec::from(paths).try_into().unwrap()
});
static REQUESTS: LazyLock<RequestRules> =
    LazyLock::new(|| RequestRules::compile(&REFERENCES).unwrap());
static RESPONSES: LazyLock<ResponseRules> =
    LazyLock::new(|| ResponseRules::compile(&REFERENCES).unwrap());
static MAPPING: LazyLock<Mapping> = LazyLock::new(|| Mapping::shared(CLUSTER, REMOTE).unwrap());

fn scope(name: &str) -> RequestScope {
    RequestScope::namespace(&MAPPING, LOCAL, Some(name), NameLimit::default()).unwrap()
}

fn remote_name(name: &str) -> String {
    let key = ObjectKey::new(LOCAL, name);
    MAPPING.to_remote(&key).unwrap().name
}

/// Returns an object as kube-apiserver stores it, without what the checks do not compare. Returns `None` if it would
/// reject the object.
fn stored(object: &Value, name: &str, namespace: &str) -> Option<Value> {
    let mut object = object.clone();
    let members = object.as_object_mut()?;
    members.insert("kind".to_owned(), "KubernetesCluster".into());
    let metadata = members.get_mut("metadata")?.as_object_mut()?;
    if metadata.get("name")? != name {
        return None;
    }
    let known = metadata.insert("namespace".to_owned(), namespace.into());
    if known.is_some_and(|known| known != namespace && known != "") {
        return None;
    }
    for key in ["resourceVersion", "uid"] {
        metadata.remove(key);
    }
    for key in ["ownerReferences", "managedFields"] {
        let value = metadata.remove(key).unwrap_or_default();
        if value != Value::Null && value != json!([]) {
            return None;
        }
    }
    for key in ["labels", "annotations"] {
        let Some(map) = metadata.remove(key).filter(|map| !map.is_null()) else {
            continue;
        };
        if !map.as_object()?.values().all(Value::is_string) {
            return None;
        }
        if map != json!({}) {
            metadata.insert(key.to_owned(), map);
        }
    }
    if let Some(list) = metadata.remove("finalizers").filter(|list| !list.is_null()) {
        let list = list
            .as_array()?
            .iter()
            .map(Value::as_str)
            .collect::<Option<Vec<_>>>()?;
        let has = |name: &str| list.contains(&name);
        if has("orphan") && has("foregroundDeletion") {
            return None;
        }
        if !list.is_empty() {
            metadata.insert("finalizers".to_owned(), list.into());
        }
    }
    Some(object)
}

/// Returns a stored object of the app cluster in the form in which the checks compare it: without the keys that it cannot
/// have, and with the last-applied annotation as JSON.
fn comparable(object: &Value, name: &str) -> Option<Value> {
    // A client's own values of these keys are dropped, whatever they are.
    let mut object = object.clone();
    remove_origin(&mut object);
    let mut object = stored(&object, name, LOCAL)?;
    let metadata = object.get_mut("metadata").unwrap().as_object_mut().unwrap();
    if let Some(Value::Array(list)) = metadata.get_mut("finalizers") {
        list.iter_mut().for_each(local_finalizer);
    }
    let finalizers = metadata.get("finalizers").and_then(Value::as_array);
    let has = |name| finalizers.is_some_and(|list| list.iter().any(|known| known == name));
    if has("orphan") && has("foregroundDeletion") {
        return None;
    }
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove(ANNOTATION);
        if let Some(applied) = annotations.get_mut(LAST_APPLIED) {
            let mut json = serde_json::from_str(applied.as_str().unwrap()).ok();
            json.as_mut().map(remove_origin);
            *applied = json.unwrap_or_else(|| applied.clone());
        }
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    Some(object)
}

/// Removes the labels and annotations of the origin, and the maps that have no others.
fn remove_origin(object: &mut Value) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return;
    };
    for key in ["labels", "annotations"] {
        let Some(Value::Object(map)) = metadata.get_mut(key) else {
            continue;
        };
        let before = map.len();
        map.retain(|key, _| !ORIGIN.contains(&key.as_str()));
        if map.is_empty() && before > 0 {
            metadata.remove(key);
        }
    }
}

/// Asserts that a remote object has the origin that claimgate writes, and no other.
fn assert_origin(remote: &Value, name: &str) {
    let metadata = &remote["metadata"];
    let values = [CLUSTER, LOCAL, name];
    for (key, value) in ORIGIN.into_iter().zip(values) {
        assert_eq!(metadata["annotations"][key], value, "{remote}");
        let label = is_label_value(value).then(|| Value::from(value));
        assert_eq!(metadata["labels"].get(key), label.as_ref(), "{remote}");
    }
}

/// Returns whether kube-apiserver accepts a label's value (`IsValidLabelValue`).
fn is_label_value(text: &str) -> bool {
    let has_valid_ends = |text: &str| {
        let is_separator = |c| ['-', '_', '.'].contains(&c);
        !text.starts_with(is_separator) && !text.ends_with(is_separator)
    };
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 63 && text.chars().all(is_valid) && has_valid_ends(text)
}

/// Maps a body from the control plane.
fn to_local(shape: Shape, scope: RequestScope, body: String) -> Vec<u8> {
    let mut rewriter = RESPONSES.rewriter(shape, scope, Limits::default());
    let local = rewriter.rewrite_all(Bytes::from(body.clone()));
    let local = local.unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!(rewriter.handler_mut().take_damaged_objects(), 0, "{body}");
    local.to_vec()
}

/// Asserts that a remote object names the Secrets of the local namespace that the local object names.
fn assert_secret_names(remote: &Value, local: &Value) {
    let Mapping::Shared(shared) = &*MAPPING else {
        panic!("the mapping is shared");
    };
    for pointer in SECRET_NAMES {
        let name = |object: &Value| object.pointer(pointer)?.as_str().map(str::to_owned);
        let Some(local) = name(local).filter(|name| !name.is_empty()) else {
            continue;
        };
        let expected = shared.remote_secret_name(&ObjectKey::new(LOCAL, local));
        assert_eq!(name(remote), expected, "{pointer} of {remote}");
    }
}

/// Maps an object from the control plane, alone and in a list. Both must be equal.
fn read(remote: &Value, name: &str, text: impl Fn(&Value) -> String) -> Value {
    let local = to_local(Shape::Object, scope(name), text(remote));
    let local: Value = serde_json::from_slice(&local).unwrap();
    let all = RequestScope::all_namespaces(&MAPPING, &Selectors::default(), NameLimit::default());
    let foreign = json!({"metadata": {"name": "x", "namespace": REMOTE}});
    let list = json!({"kind": "List", "items": [foreign, remote, foreign]});
    let list = to_local(Shape::List, all, text(&list));
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(list["items"], json!([local]));
    assert_secret_names(remote, &local);
    local
}

/// Writes an object as a create, an apply or an update, and reads it. `text` writes JSON in any form.
pub(crate) fn object(body: &[u8], text: impl Fn(&Value) -> String) {
    let Ok(local) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let name = local.pointer("/metadata/name").and_then(Value::as_str);
    // Kubernetes stores no object with another name, so its name is not mapped in lists.
    let Some(name) = name.filter(|name| is_dns_subdomain(name)) else {
        return;
    };
    let current = json!({"metadata": {"resourceVersion": "7", "annotations": {
        ANNOTATION: r#"{"ownerReferences":[{"uid":"1"}],"finalizers":["orphan"]}"#,
    }}});
    let current = CurrentMetadata::read(current.to_string().as_bytes()).unwrap();
    for effect in [WriteEffect::Harmless, WriteEffect::Update(current)] {
        let mut rewriter = REQUESTS.object(scope(name), effect, Limits::default());
        let Ok(remote) = rewriter.rewrite_all(Bytes::copy_from_slice(body)) else {
            continue;
        };
        let mut remote: Value = serde_json::from_slice(&remote).unwrap();
        // The object in the app cluster has none, so they are compared only as the annotation that shows them.
        let owners = remote.get_mut("metadata").and_then(Value::as_object_mut);
        let owners = owners.and_then(|metadata| metadata.remove("ownerReferences"));
        let Some(expected) = comparable(&local, name) else {
            continue;
        };
        let Some(mut remote) = stored(&remote, &remote_name(name), REMOTE) else {
            // The object has the finalizers of both policies, one of them hidden.
            assert!(owners.is_some(), "{remote}");
            continue;
        };
        assert_origin(&remote, name);
        if let Some(owners) = owners {
            remote["metadata"]["ownerReferences"] = owners;
        }
        let read = read(&remote, name, &text);
        assert_eq!(comparable(&read, name), Some(expected), "{remote}");
    }
}

/// Applies a JSON patch of the client to an object. The result must be the same as for the object in the app cluster.
pub(crate) fn json_patch(local: &Value, name: &str, patch: &[u8], text: impl Fn(&Value) -> String) {
    let remote = remote_object(local, name);
    let view = read(&remote, name, &text);
    let mut rewriter =
        REQUESTS.json_patch(scope(name), WriteEffect::Patch(None), Limits::default());
    let mapped = match rewriter.rewrite_all(Bytes::copy_from_slice(patch)) {
        Ok(mapped) => mapped.to_vec(),
        Err(RewriteError::Rejected(why)) => return assert_rejectable(&view, name, patch, why),
        Err(_) => return,
    };
    let handler = rewriter.handler();
    let completed = if handler.needs_current() {
        let current = CurrentMetadata::read(text(&view).as_bytes()).unwrap();
        let restored = Restore::Metadata {
            sets_resource_version: handler.sets_resource_version(),
        };
        match complete_json_patch(&mapped, &current, restored, &scope(name)) {
            Ok(completed) => completed,
            // kube-apiserver rejects it too.
            Err(_) => return,
        }
    } else {
        mapped
    };
    let Ok(mut client) = serde_json::from_slice::<Value>(patch) else {
        return;
    };
    let mut completed: Value = serde_json::from_slice(&completed).unwrap();
    remove_hidden_metadata(&mut client);
    remove_hidden_metadata(&mut completed);
    let expected = json_patch::apply(&view, &with_local_finalizers(client.clone())).ok();
    let expected = expected.and_then(|object| comparable(&object, name));
    let patched = json_patch::apply(&remote, &completed).ok();
    let patched = patched.and_then(|object| stored(&object, &remote_name(name), REMOTE));
    let local = patched.map(|patched| {
        assert_origin(&patched, name);
        read(&patched, name, &text)
    });
    let local = local.and_then(|object| comparable(&object, name));
    assert_eq!(local, expected, "{client} completed to {completed}");
}

/// Applies a merge patch of the client to an object. The result must be the same as for the object in the app cluster.
pub(crate) fn merge_patch(
    local: &Value,
    name: &str,
    patch: &[u8],
    text: impl Fn(&Value) -> String,
) {
    let Ok(client) = serde_json::from_slice::<Value>(patch) else {
        return;
    };
    let mut remote = remote_object(local, name);
    let mut view = read(&remote, name, &text);
    let rewritten = |effect| {
        let mut rewriter = REQUESTS.object(scope(name), effect, Limits::default());
        let rewritten = rewriter.rewrite_all(Bytes::copy_from_slice(patch)).ok()?;
        Some((rewritten, rewriter.handler().needs_current()))
    };
    let rewritten = match rewritten(WriteEffect::Patch(None)) {
        Some((_, true)) => {
            let current = CurrentMetadata::read(text(&view).as_bytes()).unwrap();
            rewritten(WriteEffect::Patch(Some(current)))
        }
        rewritten => rewritten,
    };
    let Some((rewritten, _)) = rewritten else {
        return;
    };
    merge(&mut view, &client);
    merge(&mut remote, &serde_json::from_slice(&rewritten).unwrap());
    let local = stored(&remote, &remote_name(name), REMOTE).map(|patched| {
        assert_origin(&patched, name);
        read(&patched, name, &text)
    });
    let local = local.and_then(|object| comparable(&object, name));
    assert_eq!(local, comparable(&view, name), "{client}");
}

/// Applies a merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let members = target.as_object_mut().unwrap();
    for (key, value) in patch {
        match value {
            Value::Null => drop(members.remove(key)),
            value => merge(members.entry(key).or_insert(Value::Null), value),
        }
    }
}

/// Removes the annotation of hidden metadata from all places where a value may have it. A value can precede its `path`, so
/// claimgate removes the annotation before it knows the place.
fn remove_hidden_metadata(patch: &mut Value) {
    for operation in patch.as_array_mut().into_iter().flatten() {
        for place in [
            "/value",
            "/value/annotations",
            "/value/metadata/annotations",
        ] {
            let members = operation.pointer_mut(place).and_then(Value::as_object_mut);
            members.map(|members| members.remove(ANNOTATION));
        }
    }
}

/// Replaces the finalizers that claimgate stores by those that the app cluster's collector uses. A client that writes the
/// stored ones is understood as if it wrote the others.
fn with_local_finalizers(mut patch: Value) -> Value {
    for operation in patch.as_array_mut().into_iter().flatten() {
        let path = operation.get("path").and_then(Value::as_str);
        let place = match path {
            Some("") => "/value/metadata/finalizers",
            Some("/metadata") => "/value/finalizers",
            Some(path) if path.starts_with("/metadata/finalizers") => "/value",
            _ => continue,
        };
        let list = match operation.pointer_mut(place) {
            Some(Value::Array(list)) => list.as_mut_slice(),
            Some(value) => std::slice::from_mut(value),
            None => continue,
        };
        for finalizer in list {
            local_finalizer(finalizer);
        }
    }
    patch
}

/// Replaces one finalizer by that which the app cluster's collector uses.
fn local_finalizer(finalizer: &mut Value) {
    let text = finalizer
        .as_str()
        .and_then(|text| text.strip_prefix("claimgate.dev/"));
    if let Some(local @ ("orphan" | "foregroundDeletion")) = text {
        *finalizer = local.into();
    }
}

/// Asserts that a rejected patch would have failed in the app cluster too, unless it is of a kind that claimgate rejects.
fn assert_rejectable(view: &Value, name: &str, patch: &[u8], why: &str) {
    if why == COPIES_MAPPED_METADATA || why.contains("claimgate.dev/hidden") {
        return;
    }
    let Ok(client) = serde_json::from_slice::<Value>(patch) else {
        return;
    };
    let patched = json_patch::apply(view, &client).ok();
    let patched = patched.and_then(|object| comparable(&object, name));
    assert!(
        patched.is_none() || why.contains("Secret"),
        "{why}: {client}"
    );
}

/// Returns the object that the control plane stores for one of the app cluster.
fn remote_object(local: &Value, name: &str) -> Value {
    let body = Bytes::from(local.to_string());
    let mut rewriter = REQUESTS.object(scope(name), WriteEffect::Harmless, Limits::default());
    let remote = rewriter.rewrite_all(body).unwrap();
    let remote: Value = serde_json::from_slice(&remote).unwrap();
    let mut remote = stored(&remote, &remote_name(name), REMOTE).unwrap();
    remote["metadata"]["resourceVersion"] = "7".into();
    remote
}
