//! Checks request bodies and JSON patches in a shared mapping. The checks are those of the property tests.

#[path = "../../crates/claim-mapping/tests/shared_mapping/check.rs"]
mod check;
#[path = "../../crates/claim-mapping/tests/shared_mapping/json_patch.rs"]
mod json_patch;

use std::sync::LazyLock;

use serde_json::{Value, json};

/// The object that the patches change.
static OBJECT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "apiVersion": "k8s.starter.org/v1alpha1",
        "kind": "KubernetesCluster",
        "metadata": {
            "annotations": {"note": "n"},
            "finalizers": ["x"],
            "labels": {"app": "shop"},
            "name": "db",
            "namespace": "default",
        },
        "spec": {
            "parameters": {"passwordSecretRef": {"name": "password"}},
            "region": "eu",
            "tlsSecretName": "tls",
            "writeConnectionSecretToRef": {"name": "conn"},
        },
    })
});

/// Checks the text as an object and as a merge patch.
pub(crate) fn object(text: &[u8]) {
    if can_be_compared(text) {
        check::object(text, Value::to_string);
        check::merge_patch(&OBJECT, "db", text, Value::to_string);
    }
}

/// Checks the text as a JSON patch, of an object with labels and of one without.
pub(crate) fn patch(text: &[u8]) {
    if can_be_compared(text) {
        check::json_patch(&OBJECT, "db", text, Value::to_string);
        let mut bare = OBJECT.clone();
        bare["metadata"] = json!({"name": "db", "namespace": "default"});
        check::json_patch(&bare, "db", text, Value::to_string);
    }
}

/// Returns whether serde_json reads the text and writes it again without a change of its numbers.
fn can_be_compared(text: &[u8]) -> bool {
    let value = serde_json::from_slice::<Value>(text);
    value.is_ok_and(|value| !has_float(&value))
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(elements) => elements.iter().any(has_float),
        Value::Object(members) => members.values().any(has_float),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}
