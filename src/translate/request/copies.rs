//! JSON patches (RFC 6902) that copy or move the object's namespace.
//!
//! What they take has to be its local name. So before such an operation the namespace gets that, and
//! after it the remote one again, and the operation itself stays as it is, for what kube-apiserver says
//! of one that fails.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::POINTER_NAMESPACE;
use crate::translate::hidden::json_patch::pointer;

/// Operations that kube-apiserver takes, and counts where it refuses more
/// (`apiserver/pkg/endpoints/handlers/patch.go`, `maxJSONPatchOperations`).
const OPERATIONS_MAX: usize = 10_000;

/// One that kube-apiserver has nothing to say of before it does it: its warnings of what is unknown or
/// there twice number operations, and those that are put in would count.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    #[serde(borrow, default)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    path: Cow<'a, str>,
    #[serde(borrow, default)]
    from: Cow<'a, str>,
    #[serde(default, rename = "value")]
    _value: Option<Once>,
}

/// A patch in the control plane's terms that leaves the namespace as it is but where it moves it; `None`
/// if it can't be put in terms of the local one unnoticed.
pub(super) fn completed(patch: &[u8], local: &str, remote: &str) -> Option<Vec<u8>> {
    let set =
        |name: &str| json!({"op": "replace", "path": POINTER_NAMESPACE, "value": name}).to_string();
    let operations: Vec<&RawValue> = serde_json::from_slice(patch).ok()?;
    let mut all = Vec::with_capacity(operations.len());
    for raw in operations {
        let operation: Operation<'_> = serde_json::from_str(raw.get()).ok()?;
        let takes = pointer(&operation.from) == POINTER_NAMESPACE;
        let (before, after) = match &*operation.op {
            // Nothing is changed by that.
            "move" if takes && pointer(&operation.path) == POINTER_NAMESPACE => (None, None),
            "move" if takes => (Some(set(local)), None),
            "copy" if takes => (Some(set(local)), Some(set(remote))),
            _ => (None, None),
        };
        all.extend(before);
        all.push(raw.get().to_owned());
        all.extend(after);
    }
    (all.len() <= OPERATIONS_MAX).then(|| format!("[{}]", all.join(",")).into_bytes())
}

/// JSON in which no member is there twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON in which no member is there twice")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut known = HashSet::new();
        while let Some((key, _)) = members.next_entry::<String, Self>()? {
            if !known.insert(key) {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::dev::control_plane::patch::json_patch;
    use crate::translate::request::tests::patched;

    fn object(namespace: &str) -> Value {
        serde_json::json!({
            "metadata": {"name": "n", "namespace": namespace, "labels": {"a": "b"}},
            "spec": {"x": "y", "list": ["z"]}
        })
    }

    fn operation() -> impl Strategy<Value = Value> {
        let op = prop::sample::select(vec![
            "add", "copy", "copy", "move", "remove", "replace", "test",
        ]);
        let namespace = "/metadata/namespace";
        let pointer = || {
            prop::sample::select(vec![
                namespace,
                namespace,
                namespace,
                namespace,
                "/metadata/labels",
                "/metadata/labels/a",
                "/metadata",
                "",
                "/spec",
                "/spec/x",
                "/spec/y",
                "/spec/list/0",
                "/spec/list/-",
                "/spec/none/x",
            ])
        };
        let value = prop::sample::select(vec![
            Value::from("default"),
            Value::from("other"),
            object("default"),
            object("default")["metadata"].clone(),
        ]);
        (op, pointer(), pointer(), value).prop_map(|(op, path, from, value)| {
            serde_json::json!({"op": op, "path": path, "from": from, "value": value})
        })
    }

    proptest! {
        // What goes wrong takes two operations on the namespace.
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// The control plane's object becomes what the patch would make of that which the app cluster
        /// sees.
        #[test]
        fn a_patch_does_what_it_says(operations in prop::collection::vec(operation(), 1..5)) {
            let patch = Value::from(operations);
            if let Ok(mapped) = patched(&patch.to_string()) {
                let (mut seen, mut stored) = (object("default"), object("app-ns-1"));
                let done = json_patch(&mut seen, &patch);
                let mapped: Value = serde_json::from_str(&mapped).unwrap();
                prop_assert_eq!(&json_patch(&mut stored, &mapped), &done, "{} {}", patch, mapped);
                if done.is_ok() {
                    if let Some(namespace) = seen.pointer_mut("/metadata/namespace")
                        && *namespace == "default"
                    {
                        *namespace = "app-ns-1".into();
                    }
                    prop_assert_eq!(stored, seen, "{} {}", patch, mapped);
                }
            }
        }
    }
}
