//! PartialObjectMetadata and its list (apiserver pkg/endpoints/handlers/response.go).

use serde::Serialize;
use serde_json::Value;

/// `metav1.PartialObjectMetadata` of one object.
#[derive(Serialize)]
pub(crate) struct PartialMetadata {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: ObjectMeta,
}

#[derive(Serialize)]
pub(crate) struct PartialMetadataList {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    items: Vec<PartialMetadata>,
}

macro_rules! object_meta {
    ($($field:ident),*) => {
        /// `metav1.ObjectMeta`; keys in the order of the Go struct.
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ObjectMeta { $(#[serde(skip_serializing_if = "Option::is_none")] $field: Option<Value>),* }

        impl ObjectMeta {
            fn of(object: &Value) -> Self {
                let mut metadata =
                    object.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
                Self { $($field: metadata.remove(&camel_case(stringify!($field)))),* }
            }
        }
    };
}

object_meta!(
    name,
    generate_name,
    namespace,
    uid,
    resource_version,
    generation,
    creation_timestamp,
    deletion_timestamp,
    deletion_grace_period_seconds,
    labels,
    annotations,
    owner_references,
    finalizers,
    managed_fields
);

fn camel_case(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &initial.into_iter().chain(letters).collect::<String>()
    })
}

impl PartialMetadata {
    pub(crate) fn of(object: &Value, version: &str) -> Self {
        Self {
            kind: "PartialObjectMetadata",
            api_version: format!("meta.k8s.io/{version}"),
            metadata: ObjectMeta::of(object),
        }
    }
}

impl PartialMetadataList {
    pub(crate) fn of<'a>(
        objects: impl Iterator<Item = &'a Value>,
        metadata: Value,
        version: &str,
    ) -> Self {
        Self {
            kind: "PartialObjectMetadataList",
            api_version: format!("meta.k8s.io/{version}"),
            metadata,
            items: objects
                .map(|object| PartialMetadata::of(object, version))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_in_the_order_of_the_go_struct() {
        let object = json!({"kind": "K", "metadata": {"annotations": {}, "name": "a",
            "namespace": "n", "resourceVersion": "5"}});
        let partial = serde_json::to_string(&PartialMetadata::of(&object, "v1")).unwrap();
        assert_eq!(
            partial,
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","namespace":"n","resourceVersion":"5","annotations":{}}}"#
        );
    }
}
