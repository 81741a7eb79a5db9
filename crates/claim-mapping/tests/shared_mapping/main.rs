//! Property tests of a shared mapping: what the app cluster writes is what it reads, and the object on the control plane
//! has its origin.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod check;
mod json_order;
mod json_patch;

use claim_mapping::request::RequestRules;
use claim_mapping::response::ResponseRules;
use claim_mapping::{LAST_APPLIED, ReferencePath, ReferencePaths};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 1000,
        ..Default::default()
    }
}

fn map_of(keys: &'static [&'static str]) -> impl Strategy<Value = Option<Value>> {
    let value = prop_oneof!["[a-z]{0,5}", any::<String>()].prop_map(Value::from);
    let map = proptest::collection::btree_map(select(keys), value, 0..4).prop_map(|map| {
        let members = map.into_iter().map(|(key, value)| (key.to_owned(), value));
        Some(Value::Object(members.collect()))
    });
    prop_oneof![Just(None), Just(Some(Value::Null)), map]
}

fn labels() -> impl Strategy<Value = Option<Value>> {
    map_of(&[
        "app",
        "a/b",
        "claimgate.dev/cluster",
        "claimgate.dev/name",
        "claimgate.dev/names",
    ])
}

fn annotations() -> impl Strategy<Value = Option<Value>> {
    map_of(&[
        "note",
        "claimgate.dev/namespace",
        "claimgate.dev/name",
        "claimgate.dev/hidden",
        LAST_APPLIED,
    ])
}

fn finalizers() -> impl Strategy<Value = Option<Value>> {
    let names = select(&["x", "orphan", "claimgate.dev/foregroundDeletion"][..]);
    let list = proptest::collection::vec(names, 0..3);
    prop_oneof![Just(None), list.prop_map(|list| Some(json!(list)))]
}

fn spec() -> impl Strategy<Value = Value> {
    let secret = prop_oneof![Just(None), "[a-z][a-z0-9]{0,9}".prop_map(Some)];
    (any::<String>(), secret).prop_map(|(region, secret)| {
        let mut spec = json!({"region": region, "labels": {"claimgate.dev/name": "x"}});
        if let Some(secret) = secret {
            spec["writeConnectionSecretToRef"] = json!({ "name": secret });
            spec["publishConnectionDetailsTo"] = json!({ "name": secret });
            spec["parameters"] = json!({"passwordSecretRef": {"name": secret, "key": "k"}});
            spec["tlsSecretName"] = secret.into();
        }
        spec
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z][a-z0-9]{0,9}", "[a-z]{40,70}(\\.[a-z-]{0,9}[a-z])?"]
}

fn object(
    labels: Option<Value>,
    annotations: Option<Value>,
    finalizers: Option<Value>,
    name: &str,
    spec: Value,
) -> Value {
    let mut metadata = Map::from_iter([("name".to_owned(), Value::from(name))]);
    for (key, value) in [
        ("annotations", annotations),
        ("finalizers", finalizers),
        ("labels", labels),
    ] {
        metadata.extend(value.map(|value| (key.to_owned(), value)));
    }
    json!({"apiVersion": "k8s.starter.org/v1alpha1", "kind": "KubernetesCluster", "metadata": metadata, "spec": spec})
}

prop_compose! {
    fn named_object()(
        labels in labels(),
        annotations in annotations(),
        finalizers in finalizers(),
        name in name(),
        spec in spec(),
        is_applied in any::<bool>(),
        has_namespace in any::<bool>(),
    ) -> (Value, String) {
        let mut object = object(labels, annotations, finalizers, &name, spec);
        if has_namespace {
            object["metadata"]["namespace"] = "default".into();
        }
        if is_applied {
            let mut applied = object.clone();
            applied["metadata"]["annotations"] = json!({});
            let applied = applied.to_string() + "\n";
            object["metadata"]["annotations"] = json!({ LAST_APPLIED: applied });
        }
        (object, name)
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn what_is_written_is_read((object, _) in named_object(), seed in any::<u64>()) {
        let text = |value: &Value| json_order::in_order(value, seed);
        check::object(text(&object).as_bytes(), text);
    }
}

/// Pointers in patches of the object `db`.
const POINTERS: &[&str] = &[
    "",
    "/metadata",
    "/metadata/annotations",
    "/metadata/annotations/claimgate.dev~1name",
    "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
    "/metadata/annotations/note",
    "/metadata/finalizers",
    "/metadata/finalizers/-",
    "/metadata/finalizers/0",
    "/metadata/labels",
    "/metadata/labels/app",
    "/metadata/labels/claimgate.dev~1cluster",
    "/metadata/labels/claimgate.dev~1name",
    "/metadata/labels/claimgate.dev~1other",
    "/metadata/name",
    "/metadata/namespace",
    "/spec",
    "/spec/parameters",
    "/spec/parameters/passwordSecretRef",
    "/spec/parameters/passwordSecretRef/name",
    "/spec/region",
    "/spec/tlsSecretName",
    "/spec/writeConnectionSecretToRef",
    "/spec/writeConnectionSecretToRef/name",
    "/spec/x",
    "x/metadata/labels",
];

fn patch_value(local: Value) -> impl Strategy<Value = Value> {
    let applied = json!({"metadata": {"name": "db", "namespace": "default"}}).to_string();
    let metadata =
        json!({"name": "db", "namespace": "default", "annotations": {LAST_APPLIED: applied}});
    prop_oneof![
        select(vec![
            json!(null),
            json!({}),
            json!([]),
            json!("x"),
            json!("db"),
            json!("default"),
            json!("orphan"),
            json!(["x"]),
            json!({"app": "shop"}),
            json!({"claimgate.dev/name": "x", "app": "shop"}),
            json!({"name": "db"}),
            json!({"name": "db", "labels": {"app": "shop"}}),
            json!({"name": "db", "labels": null}),
            metadata.clone(),
            json!({"metadata": metadata}),
            Value::from(applied),
            local.clone(),
        ]),
        select(POINTERS)
            .prop_map(move |pointer| local.pointer(pointer).cloned().unwrap_or_default()),
    ]
}

fn operation(local: Value) -> impl Strategy<Value = Value> {
    let ops = select(&["add", "add", "replace", "remove", "test", "copy", "move"][..]);
    let pointer = || select(POINTERS);
    (ops, pointer(), pointer(), patch_value(local)).prop_map(|(op, path, from, value)| match op {
        "remove" => json!({"op": op, "path": path}),
        "copy" | "move" => json!({"op": op, "path": path, "from": from}),
        _ => json!({"op": op, "path": path, "value": value}),
    })
}

fn local_object() -> impl Strategy<Value = Value> {
    let fields = (labels(), annotations(), finalizers(), spec());
    fields.prop_map(|(labels, annotations, finalizers, spec)| {
        let mut object = object(labels, annotations, finalizers, "db", spec);
        object["metadata"]["namespace"] = "default".into();
        object
    })
}

/// A merge patch sets and removes members, and whole maps.
fn merge_patch() -> impl Strategy<Value = Value> {
    let member = prop_oneof![Just(Value::Null), "[a-z]{0,3}".prop_map(Value::from)];
    let keys = select(&["app", "note", "claimgate.dev/name", "claimgate.dev/cluster"][..]);
    let map = proptest::collection::btree_map(keys, member, 0..3).prop_map(|map| json!(map));
    let map = prop_oneof![Just(None), Just(Some(Value::Null)), map.prop_map(Some)];
    let name = prop_oneof![Just(Value::Null), "[a-z]{0,3}".prop_map(Value::from)];
    (map.clone(), map, finalizers(), name).prop_map(|(labels, annotations, finalizers, name)| {
        let fields = [
            ("labels", labels),
            ("annotations", annotations),
            ("finalizers", finalizers),
        ];
        let fields = fields.into_iter();
        let metadata = fields.filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let parameters = json!({"passwordSecretRef": {"name": name}});
        let spec = json!({"region": "us", "parameters": parameters, "tlsSecretName": name});
        json!({"metadata": Map::from_iter(metadata), "spec": spec})
    })
}

fn object_and_patch() -> impl Strategy<Value = (Value, Value)> {
    local_object().prop_flat_map(|local| {
        let patch = proptest::collection::vec(operation(local.clone()), 1..4);
        (Just(local), patch.prop_map(Value::from))
    })
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn merged_object_is_that_of_the_app_cluster(
        local in local_object(),
        patch in merge_patch(),
        seed in any::<u64>(),
    ) {
        let text = |value: &Value| json_order::in_order(value, seed);
        check::merge_patch(&local, "db", text(&patch).as_bytes(), text);
    }

    #[test]
    fn patched_object_is_that_of_the_app_cluster(
        (local, patch) in object_and_patch(),
        seed in any::<u64>(),
    ) {
        let text = |value: &Value| json_order::in_order(value, seed);
        let body = text(&patch);
        check::json_patch(&local, "db", body.as_bytes(), text);
    }
}

/// Paths with the keys of fields that have other rules. Paths that cannot be declared together are left out.
fn references() -> impl Strategy<Value = ReferencePaths> {
    let keys = &[
        "annotations",
        "finalizers",
        "items",
        "kind",
        "labels",
        "metadata",
        "name",
        "namespace",
        "object",
        "ownerReferences",
        "rows",
        "secretName",
        "spec",
        "uid",
        "value",
        "writeConnectionSecretToRef",
    ][..];
    let path = proptest::collection::vec(select(keys), 1..6).prop_filter_map("no path", |keys| {
        format!("spec.{}", keys.join(".")).parse().ok()
    });
    let paths = proptest::collection::vec(path, 0..5);
    paths.prop_filter_map("overlapping paths", |paths: Vec<ReferencePath>| {
        ReferencePaths::try_from(paths).ok()
    })
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn rules_compile_for_all_references(references in references()) {
        prop_assert!(RequestRules::compile(&references).is_ok(), "{references:?}");
        prop_assert!(ResponseRules::compile(&references).is_ok(), "{references:?}");
    }
}
