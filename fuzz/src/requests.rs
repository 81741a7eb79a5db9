//! Request bodies by the proxy's own rules, against serde_json on the whole body.

use std::sync::LazyLock;

use bytes::{Buf, Bytes};
use claimgate::rewrite::{Error, Framing, Limits, Output, Rewriter, Rules};
use claimgate::translate::hidden::{ANNOTATION, Current, Effect};
use claimgate::translate::request::{RequestHandler, RequestRules};
use claimgate::translate::{LAST_APPLIED, Scope};
use serde_json::Value;

const LOCAL: &str = "default";
const REMOTE: &str = "app-ns-1";

static RULES: LazyLock<RequestRules> = LazyLock::new(|| RequestRules::compile().unwrap());

const FINALIZERS: &str = "/metadata/finalizers";
const NAMESPACE: &str = "/metadata/namespace";

/// What the control plane hides of every object.
static CURRENT: LazyLock<Current> = LazyLock::new(|| {
    let hidden = r#"{"ownerReferences":[{"uid":"1"}],"finalizers":["orphan"]}"#;
    let metadata = serde_json::json!({"resourceVersion": "7", "annotations": {ANNOTATION: hidden}});
    let object = serde_json::json!({ "metadata": metadata }).to_string();
    Current::read(object.as_bytes()).unwrap()
});

fn rewriter(rules: &Rules, effect: Effect) -> Rewriter<RequestHandler> {
    let (local, remote) = (LOCAL.to_owned(), REMOTE.to_owned());
    let handler = RULES.handler(Scope::One { local, remote }, effect);
    Rewriter::new(rules.clone(), Framing::One, Limits::default(), handler)
}

fn rewritten(rules: &Rules, effect: Effect, text: &[u8]) -> Result<Bytes, Error> {
    let mut rewriter = rewriter(rules, effect);
    let mut out = Output::default();
    rewriter.feed(Bytes::copy_from_slice(text), &mut out)?;
    rewriter.finish(&mut out)?;
    Ok(out.copy_to_bytes(out.len()))
}

/// An object, a merge patch or an apply patch.
pub fn object(text: &[u8]) {
    let output = rewritten(&RULES.object, Effect::Harmless, text);
    let parsed = serde_json::from_slice::<Value>(text);
    if let (Ok(mut input), Ok(output)) = (parsed, output) {
        let mut output = serde_json::from_slice::<Value>(&output).unwrap();
        leave_out_hidden(&mut input, true);
        leave_out_hidden(&mut output, false);
        map(&mut input, "/metadata", true);
        map(&mut output, "/metadata", false);
        assert_eq!(input, output);
    }
    update(text);
}

/// An update, and a patch of all finalizers, has what is hidden, and is JSON after it if it was before.
fn update(text: &[u8]) {
    let current = || CURRENT.clone();
    for effect in [Effect::Update(current()), Effect::Patch(Some(current()))] {
        let is_update = matches!(effect, Effect::Update(_));
        let (Ok(input), Ok(output)) = (
            serde_json::from_slice::<Value>(text),
            rewritten(&RULES.object, effect, text),
        ) else {
            continue;
        };
        let output = serde_json::from_slice::<Value>(&output).unwrap();
        let hidden = output.pointer("/metadata/annotations/claimgate.dev~1hidden");
        assert!(hidden.is_none(), "{output}");
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
            is_update || metadata.contains_key("resourceVersion"),
            "{output}"
        );
    }
}

/// What is hidden never leaves, and owner references that are some are refused.
fn leave_out_hidden(object: &mut Value, is_input: bool) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return;
    };
    let owners = metadata.remove("ownerReferences");
    assert!(is_input || owners.is_none(), "{owners:?}");
    let annotations = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut);
    let hidden = annotations.and_then(|annotations| annotations.remove(ANNOTATION));
    assert!(is_input || hidden.is_none(), "{hidden:?}");
}

/// A list of operations.
pub fn json_patch(text: &[u8]) {
    let mut rewriter = rewriter(&RULES.json_patch, Effect::Patch(None));
    let output = rewriter.whole(Bytes::copy_from_slice(text));
    if let Ok(mapped) = &output
        && let Ok(patch) = rewriter.handler().with_local_copies(mapped.clone())
    {
        local_copies(&patch);
    }
    let parsed = serde_json::from_slice::<Value>(text);
    if let (Ok(mut input), Ok(output)) = (parsed, output) {
        if let Ok(completed) = CURRENT.complete_json_patch(&output, false) {
            serde_json::from_slice::<Vec<Value>>(&completed).unwrap();
        }
        let mut output = serde_json::from_slice::<Value>(&output).unwrap();
        operations(&mut input, true);
        operations(&mut output, false);
        assert_eq!(input, output);
    }
}

/// The namespace has its local name where an operation takes it, and no other one at the end than before.
fn local_copies(patch: &[u8]) {
    let Ok(Value::Array(operations)) = serde_json::from_slice(patch) else {
        return;
    };
    let mut namespace = Some(Value::from(REMOTE));
    for operation in operations {
        let text = |key| {
            operation
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let is = |key| pointer(text(key)) == NAMESPACE;
        match text("op") {
            "move" if is("from") && is("path") => {}
            "copy" | "move" if is("from") => {
                assert_eq!(namespace, Some(LOCAL.into()), "{operation}");
                namespace = namespace.filter(|_| text("op") == "copy");
            }
            "add" | "replace" if is("path") => namespace = operation.get("value").cloned(),
            "" | "test" => {}
            // Whatever it is, no operation may take it then.
            _ if ["", "/metadata", NAMESPACE].contains(&pointer(text("path")).as_str()) => {
                namespace = None;
            }
            _ => {}
        }
    }
    assert_ne!(namespace, Some(LOCAL.into()));
}

fn pointer(text: &str) -> String {
    text.find('/')
        .map_or_else(String::new, |at| text[at..].to_owned())
}

fn operations(patch: &mut Value, is_input: bool) {
    let annotation = format!("/metadata/annotations/{}", LAST_APPLIED.replace('/', "~1"));
    for operation in patch.as_array_mut().into_iter().flatten() {
        let text = |key| {
            operation
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (path, from) = (pointer(text("path")), pointer(text("from")));
        // The remote name must not get to where it is not mapped back.
        let copies = matches!(text("op"), "copy" | "move")
            && operation.get("from").is_some_and(Value::is_string);
        let holds = ["", "/metadata", "/metadata/annotations", &annotation];
        assert!(!copies || !holds.contains(&from.as_str()), "{operation}");
        let changes = !matches!(text("op"), "" | "test");
        let is_finalizers = |pointer: &str| {
            let below = pointer.strip_prefix(FINALIZERS);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        assert!(
            !copies || !is_finalizers(&path) || is_finalizers(&from),
            "{operation}"
        );
        let owners = path == "/metadata/ownerReferences";
        assert!(!changes || !owners, "{operation}");
        let Some(value) = operation.get_mut("value") else {
            continue;
        };
        // Taken out there wherever the value may go, if that is read only after it.
        for place in ["", "/annotations", "/metadata/annotations"] {
            let object = value.pointer_mut(place).and_then(Value::as_object_mut);
            object.and_then(|object| object.remove(ANNOTATION));
        }
        match path.as_str() {
            "" => map(value, "/metadata", is_input),
            "/metadata" => map(value, "", is_input),
            "/metadata/annotations" => annotations(value, is_input),
            NAMESPACE => namespace(value, is_input),
            FINALIZERS => finalizers(value, is_input),
            path if is_finalizers(path) => finalizer(value, is_input),
            path if path == annotation => applied(value, is_input),
            _ => {}
        }
    }
}

/// Maps what `metadata` says, which stands at a pointer, if it is the input's.
fn map(value: &mut Value, metadata: &str, is_input: bool) {
    let Some(Value::Object(metadata)) = value.pointer_mut(metadata) else {
        return;
    };
    if let Some(value) = metadata.get_mut("namespace") {
        namespace(value, is_input);
    }
    if let Some(value) = metadata.get_mut("annotations") {
        annotations(value, is_input);
    }
    if let Some(value) = metadata.get_mut("finalizers") {
        finalizers(value, is_input);
    }
}

/// One of something else than names is refused, and so is one of both policies, whatever becomes of it.
fn finalizers(value: &mut Value, is_input: bool) {
    let Some(names) = value.as_array_mut() else {
        return;
    };
    let has = |finalizer| {
        let mut all = names.iter().filter_map(Value::as_str);
        all.any(|name| name.strip_prefix("claimgate.dev/").unwrap_or(name) == finalizer)
    };
    let is_of_both = has("orphan") && has("foregroundDeletion");
    if names.iter().all(Value::is_string) && !is_of_both {
        for name in names {
            finalizer(name, is_input);
        }
    } else {
        *value = Value::Null;
    }
}

/// Those of the app cluster's collector are not the control plane's.
fn finalizer(value: &mut Value, is_input: bool) {
    if is_input && (*value == "orphan" || *value == "foregroundDeletion") {
        *value = format!("claimgate.dev/{}", value.as_str().unwrap()).into();
    }
}

fn annotations(value: &mut Value, is_input: bool) {
    let annotations = value.as_object_mut();
    if let Some(value) = annotations.and_then(|all| all.get_mut(LAST_APPLIED)) {
        applied(value, is_input);
    }
}

fn namespace(value: &mut Value, is_input: bool) {
    if is_input && *value == LOCAL {
        *value = REMOTE.into();
    }
}

/// Puts what the string holds in its place, since white space and escapes may differ from how
/// serde_json writes them; nothing if that is not JSON, for then it is of no matter.
fn applied(value: &mut Value, is_input: bool) {
    let Value::String(text) = value else {
        return;
    };
    let mut inner = serde_json::from_str::<Value>(text).unwrap_or_default();
    let metadata = inner.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(value) = metadata.and_then(|metadata| metadata.get_mut("namespace")) {
        namespace(value, is_input);
    }
    *value = inner;
}
