//! JSON patches (RFC 6902) of objects of which something is hidden.
//!
//! Before the client's operations come some that hide it here too, so that indices and tests mean what
//! the client sees, and after them some that put it back.

use std::collections::BTreeMap;

use serde_json::json;
use serde_json::value::RawValue;

use super::Current;

pub(in crate::translate) const ROOT: &str = "";
pub(in crate::translate) const METADATA: &str = "/metadata";
pub(in crate::translate) const OWNERS: &str = "/metadata/ownerReferences";
pub(in crate::translate) const FINALIZERS: &str = "/metadata/finalizers";
const VERSION: &str = "/metadata/resourceVersion";

/// Whether a pointer leads to a member or to what is below it.
pub(in crate::translate) fn is_within(pointer: &str, member: &str) -> bool {
    let below = pointer.strip_prefix(member);
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// Whether a pointer leads to one of the finalizers.
pub(in crate::translate) fn is_finalizer(pointer: &str) -> bool {
    pointer != FINALIZERS && is_within(pointer, FINALIZERS)
}

/// Whether what is done at a pointer depends on what the client does not see.
pub(in crate::translate) fn is_partial(pointer: &str) -> bool {
    let lists = [FINALIZERS, OWNERS];
    matches!(pointer, ROOT | METADATA) || lists.iter().any(|list| is_within(pointer, list))
}

/// Whether a change at a pointer sets the version that the patch is meant for.
pub(in crate::translate) fn names_version(pointer: &str) -> bool {
    matches!(pointer, ROOT | METADATA | VERSION)
}

/// A pointer as kube-apiserver's patch library reads it, which does not look at what stands before
/// the first slash (`gopkg.in/evanphx/json-patch.v4`, `findObject`).
pub(in crate::translate) fn pointer(text: &str) -> &str {
    text.find('/')
        .and_then(|slash| text.get(slash..))
        .unwrap_or(ROOT)
}

/// The members of an object; of one that stands twice the last counts, as in Go.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The patch in the control plane's terms, with what it takes to lose nothing of what is hidden.
///
/// Where nothing is, no operation comes before the client's, which kube-apiserver numbers in what it says of
/// members that are unknown or twice.
///
/// # Errors
/// It is no list of operations.
pub(super) fn completed(
    patch: &[u8],
    current: &Current,
    names_version: bool,
) -> Result<Vec<u8>, serde_json::Error> {
    let operations: Vec<&RawValue> = serde_json::from_slice(patch)?;
    let hidden = &current.hidden;
    let (mut all, mut restore) = (Vec::new(), Vec::new());
    if !names_version {
        let value = &current.version;
        restore.push(json!({"op": "add", "path": VERSION, "value": value}).to_string());
    }
    // What is hidden may be gone by now, which the version has to tell, as a conflict. So nothing is taken
    // away, or replaced, that was not put there first.
    if !hidden.finalizers.is_empty() {
        let shown = &current.shown;
        all.push(json!({"op": "add", "path": FINALIZERS, "value": shown}).to_string());
        if shown.is_empty() {
            all.push(json!({"op": "remove", "path": FINALIZERS}).to_string());
        }
        if leaves_list(&operations, !current.shown.is_empty())? {
            let last = format!("{FINALIZERS}/-");
            let add = |name| json!({"op": "add", "path": last, "value": name}).to_string();
            restore.extend(hidden.finalizers.iter().map(add));
        } else {
            let value = &hidden.finalizers;
            restore.push(json!({"op": "add", "path": FINALIZERS, "value": value}).to_string());
        }
    }
    if let Some(owners) = &hidden.owner_references {
        all.push(json!({"op": "add", "path": OWNERS, "value": []}).to_string());
        all.push(json!({"op": "remove", "path": OWNERS}).to_string());
        let value = owners.get();
        restore.push(format!(
            r#"{{"op":"add","path":"{OWNERS}","value":{value}}}"#
        ));
    }
    all.extend(
        operations
            .iter()
            .map(|operation| operation.get().to_owned()),
    );
    all.append(&mut restore);
    Ok(format!("[{}]", all.join(",")).into_bytes())
}

/// Whether there is a list of finalizers after these operations, if there was one before them or not.
/// Only what is done to the list as a whole or around it can change that.
fn leaves_list(operations: &[&RawValue], before: bool) -> Result<bool, serde_json::Error> {
    let mut is_there = before;
    for operation in operations {
        let operation: Members<'_> = serde_json::from_str(operation.get())?;
        let text = |member: &str| -> Result<String, serde_json::Error> {
            let raw = operation.get(member).map(|raw| raw.get());
            raw.map_or(Ok(String::new()), serde_json::from_str)
        };
        let op = text("op")?;
        if op == "move" && pointer(&text("from")?) == FINALIZERS {
            is_there = false;
        }
        let below: &[&str] = match pointer(&text("path")?) {
            ROOT => &["metadata", "finalizers"],
            METADATA => &["finalizers"],
            FINALIZERS => &[],
            _ => continue,
        };
        is_there = match op.as_str() {
            "add" | "replace" => has_list(operation.get("value").copied(), below)?,
            // Of something else than a list, which the control plane will refuse.
            "copy" | "move" => true,
            "remove" => false,
            _ => is_there,
        };
    }
    Ok(is_there)
}

/// Whether there is something at the end of these members.
fn has_list(value: Option<&RawValue>, members: &[&str]) -> Result<bool, serde_json::Error> {
    let value = value.filter(|raw| raw.get() != "null");
    match (value, members) {
        (None, _) => Ok(false),
        (Some(_), []) => Ok(true),
        (Some(object), [member, below @ ..]) => {
            let object: Members<'_> = serde_json::from_str(object.get())?;
            has_list(object.get(*member).copied(), below)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_put_before_the_operations_where_nothing_is_hidden() {
        let object = br#"{"metadata":{"resourceVersion":"7","finalizers":["x"]}}"#;
        let current = Current::read(object).unwrap();
        let patch = r#"[{"op":"remove","path":"/metadata/finalizers"}]"#;
        let completed = |names_version| {
            let completed = completed(patch.as_bytes(), &current, names_version).unwrap();
            String::from_utf8(completed).unwrap()
        };
        assert_eq!(completed(true), patch);
        let versioned = r#"[{"op":"remove","path":"/metadata/finalizers"},{"op":"add","path":"/metadata/resourceVersion","value":"7"}]"#;
        assert_eq!(completed(false), versioned);
    }
}
