//! Checks the proxy's rules for request bodies against the same mapping of the whole body by serde_json.

use std::sync::LazyLock;

use bytes::{Buf, Bytes};
use claim_mapping::hidden_metadata::{
    ANNOTATION, CurrentMetadata, Restore, WriteEffect, complete_json_patch,
};
use claim_mapping::mapping::{Mapping, NameLimit};
use claim_mapping::request::RequestRules;
use claim_mapping::{LAST_APPLIED, ReferencePaths, RequestScope};
use json_rewrite::{Limits, Output, RewriteError};
use serde_json::Value;

const LOCAL: &str = "default";
const REMOTE: &str = "app-ns-1";

static RULES: LazyLock<RequestRules> =
    LazyLock::new(|| RequestRules::compile(&ReferencePaths::default()).unwrap());

/// The scope of requests to the only mapped namespace.
static SCOPE: LazyLock<RequestScope> = LazyLock::new(|| {
    let rows = [(LOCAL.to_owned(), REMOTE.to_owned())];
    let mapping = Mapping::table(rows.into()).unwrap();
    RequestScope::namespace(&mapping, LOCAL, None, NameLimit::default()).unwrap()
});

const ANNOTATIONS: &str = "/metadata/annotations";
const FINALIZERS: &str = "/metadata/finalizers";
const HIDDEN: &str = "/metadata/annotations/claimgate.dev~1hidden";
const NAMESPACE: &str = "/metadata/namespace";
const OWNER_REFERENCES: &str = "/metadata/ownerReferences";

/// The metadata of the object on the control plane: an owner reference and a finalizer are hidden.
static CURRENT: LazyLock<CurrentMetadata> = LazyLock::new(|| {
    let hidden = r#"{"ownerReferences":[{"uid":"1"}],"finalizers":["orphan"]}"#;
    let metadata = serde_json::json!({"resourceVersion": "7", "annotations": {ANNOTATION: hidden}});
    let object = serde_json::json!({ "metadata": metadata }).to_string();
    CurrentMetadata::read(object.as_bytes()).unwrap()
});

/// The side of the rewriter that a document comes from.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Side {
    /// The client's document, which the checks map themselves.
    Input,
    /// The rewriter's document, which must already be mapped.
    Output,
}

/// Returns the rewritten text, and whether its result depends on hidden metadata.
fn rewrite(effect: WriteEffect, text: &[u8]) -> Result<(Bytes, bool), RewriteError> {
    let mut rewriter = RULES.object(SCOPE.clone(), effect, Limits::default());
    let mut out = Output::default();
    rewriter.feed(Bytes::copy_from_slice(text), &mut out)?;
    rewriter.finish(&mut out)?;
    let depends_on_hidden = rewriter.handler().depends_on_hidden();
    Ok((out.copy_to_bytes(out.len()), depends_on_hidden))
}

/// Checks the text as an object, a merge patch or an apply patch.
pub(crate) fn object(text: &[u8]) {
    let output = rewrite(WriteEffect::Harmless, text);
    let parsed = serde_json::from_slice::<Value>(text);
    if let (Ok(mut input), Ok((output, _))) = (parsed, output) {
        let mut output = serde_json::from_slice::<Value>(&output).unwrap();
        remove_hidden_metadata(&mut input, Side::Input);
        remove_hidden_metadata(&mut output, Side::Output);
        map_metadata(&mut input, "/metadata", Side::Input);
        map_metadata(&mut output, "/metadata", Side::Output);
        assert_eq!(input, output);
    }
    check_hidden_metadata_is_restored(text);
}

/// Checks that updates, and patches that replace all finalizers, contain the hidden metadata afterwards.
fn check_hidden_metadata_is_restored(text: &[u8]) {
    let current = || CURRENT.clone();
    for effect in [
        WriteEffect::Update(current()),
        WriteEffect::Patch(Some(current())),
    ] {
        let is_update = matches!(effect, WriteEffect::Update(_));
        let (Ok(input), Ok((output, depends_on_hidden))) =
            (serde_json::from_slice::<Value>(text), rewrite(effect, text))
        else {
            continue;
        };
        let output = serde_json::from_slice::<Value>(&output).unwrap();
        assert!(output.pointer(HIDDEN).is_none(), "{output}");
        let Some(metadata) = output.get("metadata").and_then(Value::as_object) else {
            continue;
        };
        let owners = metadata.get("ownerReferences");
        assert_eq!(owners.is_some(), is_update, "{output}");
        let finalizers = metadata.get("finalizers");
        assert!(finalizers.is_some() || !is_update, "{output}");
        let names = finalizers.and_then(Value::as_array);
        if let Some(names) = names.filter(|names| names.iter().all(Value::is_string)) {
            assert!(
                names.iter().any(|name| name == "orphan"),
                "{input} {output}"
            );
        }
        assert!(
            is_update || !depends_on_hidden || metadata.contains_key("resourceVersion"),
            "{output}"
        );
    }
}

/// Removes owner references and the annotation with hidden metadata. Asserts that an output has neither.
fn remove_hidden_metadata(object: &mut Value, side: Side) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return;
    };
    let owners = metadata.remove("ownerReferences");
    assert!(side == Side::Input || owners.is_none(), "{owners:?}");
    let annotations = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut);
    let hidden = annotations.and_then(|annotations| annotations.remove(ANNOTATION));
    assert!(side == Side::Input || hidden.is_none(), "{hidden:?}");
}

/// Checks the text as a JSON patch.
pub(crate) fn json_patch(text: &[u8]) {
    let effect = WriteEffect::Patch(None);
    let mut rewriter = RULES.json_patch(SCOPE.clone(), effect, Limits::default());
    let output = rewriter.rewrite_all(Bytes::copy_from_slice(text));
    let parsed = serde_json::from_slice::<Value>(text);
    if let (Ok(mut input), Ok(output)) = (parsed, output) {
        let restored = Restore::Metadata {
            sets_resource_version: false,
        };
        if let Ok(completed) = complete_json_patch(&output, &CURRENT, restored, &SCOPE) {
            serde_json::from_slice::<Vec<Value>>(&completed).unwrap();
        }
        let mut output = serde_json::from_slice::<Value>(&output).unwrap();
        map_operations(&mut input, Side::Input);
        map_operations(&mut output, Side::Output);
        assert_eq!(input, output);
    }
}

/// Returns the text from its first slash on. kube-apiserver's JSON patch library ignores what precedes it.
fn pointer(text: &str) -> String {
    text.find('/')
        .map_or_else(String::new, |at| text[at..].to_owned())
}

fn is_within(pointer: &str, member: &str) -> bool {
    let below = pointer.strip_prefix(member);
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

fn map_operations(patch: &mut Value, side: Side) {
    let last_applied = format!("{ANNOTATIONS}/{}", LAST_APPLIED.replace('/', "~1"));
    for operation in patch.as_array_mut().into_iter().flatten() {
        let text = |key| {
            operation
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let path = operation.get("path").and_then(Value::as_str).map(pointer);
        // A copy would bring mapped metadata to a place where it is not mapped, or the reverse.
        let copies = matches!(text("op"), "copy" | "move");
        let mapped = [
            NAMESPACE,
            FINALIZERS,
            OWNER_REFERENCES,
            HIDDEN,
            &last_applied,
        ];
        for key in ["from", "path"] {
            let pointer = operation.get(key).and_then(Value::as_str).map(pointer);
            let touches_mapped = pointer.is_some_and(|pointer| {
                let mut mapped = mapped.iter();
                mapped.any(|field| is_within(&pointer, field) || is_within(field, &pointer))
            });
            assert!(!copies || !touches_mapped, "{operation}");
        }
        let Some(path) = path else {
            // kube-apiserver rejects an operation without a path, so nothing reads its value.
            if let Some(members) = operation.as_object_mut() {
                members.remove("value");
            }
            continue;
        };
        let changes = !matches!(text("op"), "" | "test");
        assert!(!changes || path != OWNER_REFERENCES, "{operation}");
        let Some(value) = operation.get_mut("value") else {
            continue;
        };
        // A `value` can precede its `path`. The rewriter then does not know yet where the value belongs, so it
        // removes the annotation from every place where the path could put it.
        for place in ["", "/annotations", ANNOTATIONS] {
            let object = value.pointer_mut(place).and_then(Value::as_object_mut);
            object.and_then(|object| object.remove(ANNOTATION));
        }
        match path.as_str() {
            "" => map_metadata(value, "/metadata", side),
            "/metadata" => map_metadata(value, "", side),
            ANNOTATIONS => map_annotations(value, side),
            NAMESPACE => map_namespace(value, side),
            FINALIZERS => map_finalizers(value, side),
            path if is_within(path, FINALIZERS) => map_finalizer(value, side),
            path if path == last_applied => map_last_applied(value, side),
            _ => {}
        }
    }
}

/// Maps the object at the JSON pointer `metadata`.
fn map_metadata(value: &mut Value, metadata: &str, side: Side) {
    let Some(Value::Object(metadata)) = value.pointer_mut(metadata) else {
        return;
    };
    if let Some(value) = metadata.get_mut("namespace") {
        map_namespace(value, side);
    }
    if let Some(value) = metadata.get_mut("annotations") {
        map_annotations(value, side);
    }
    if let Some(value) = metadata.get_mut("finalizers") {
        map_finalizers(value, side);
    }
}

/// Maps a list of finalizers. A list that kube-apiserver rejects becomes null on both sides: one
/// with something other than strings, or with the finalizers of both propagation policies.
fn map_finalizers(value: &mut Value, side: Side) {
    let Some(names) = value.as_array_mut() else {
        return;
    };
    let has = |finalizer| {
        let mut all = names.iter().filter_map(Value::as_str);
        all.any(|name| name.strip_prefix("claimgate.dev/").unwrap_or(name) == finalizer)
    };
    let has_both_policies = has("orphan") && has("foregroundDeletion");
    if names.iter().all(Value::is_string) && !has_both_policies {
        for name in names {
            map_finalizer(name, side);
        }
    } else {
        *value = Value::Null;
    }
}

/// Adds claimgate's prefix to the finalizers of the app cluster's garbage collector, because the control plane's
/// collector would act on them without it.
fn map_finalizer(value: &mut Value, side: Side) {
    if side == Side::Input && (*value == "orphan" || *value == "foregroundDeletion") {
        *value = format!("claimgate.dev/{}", value.as_str().unwrap()).into();
    }
}

fn map_annotations(value: &mut Value, side: Side) {
    let annotations = value.as_object_mut();
    if let Some(value) = annotations.and_then(|all| all.get_mut(LAST_APPLIED)) {
        map_last_applied(value, side);
    }
}

fn map_namespace(value: &mut Value, side: Side) {
    if side == Side::Input && *value == LOCAL {
        *value = REMOTE.into();
    }
}

/// Replaces a string by the JSON that it contains, because serde_json may choose other white space and escapes
/// than the rewriter keeps. A string that is not JSON becomes null: it is not mapped.
fn map_last_applied(value: &mut Value, side: Side) {
    let Value::String(text) = value else {
        return;
    };
    let mut inner = serde_json::from_str::<Value>(text).unwrap_or_default();
    let metadata = inner.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(value) = metadata.and_then(|metadata| metadata.get_mut("namespace")) {
        map_namespace(value, side);
    }
    *value = inner;
}
