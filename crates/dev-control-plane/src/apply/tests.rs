use serde_json::{Value, json};

use super::*;
use crate::example;

fn manager(operation: Operation, name: &str) -> FieldManager {
    FieldManager {
        operation,
        ..FieldManager::update(name, "k8s.starter.org/v1alpha1".to_owned())
    }
}

fn applier(name: &str) -> FieldManager {
    manager(Operation::Apply, name)
}

fn config(spec: Value) -> Value {
    json!({"apiVersion": "k8s.starter.org/v1alpha1", "kind": "KubernetesCluster",
        "metadata": {"name": "a", "namespace": "n"}, "spec": spec})
}

fn nodes(count: u32) -> Value {
    config(json!({"parameters": {"nodes": {"count": count}}}))
}

fn applied(live: &Value, config: &Value, name: &str) -> Result<Value, Vec<Conflict>> {
    apply(&schema(), live, config, &applier(name), false)
}

/// Returns a new object after an apply.
fn created(config: &Value, name: &str) -> Value {
    let mut object = config.clone();
    record_create(&schema(), config, &mut object, &applier(name));
    object
}

fn schema() -> Value {
    example::claim_resource().schema
}

/// Returns the fields of a manager, or null.
fn fields<'a>(object: &'a Value, name: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut entries = entries.into_iter().flatten();
    entries
        .find(|entry| entry["manager"] == name)
        .map_or(&Value::Null, |entry| &entry["fieldsV1"])
}

#[test]
fn applier_owns_what_it_sent() {
    let object = created(&nodes(3), "ada");
    let entry = &object["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["operation"], &entry["apiVersion"]),
        (&json!("Apply"), &json!("k8s.starter.org/v1alpha1"))
    );
    assert_eq!(
        fields(&object, "ada"),
        &json!({"f:spec": {"f:parameters": {"f:nodes": {"f:count": {}}}}})
    );
}

#[test]
fn updater_owns_the_containers_that_it_creates() {
    let mut object = nodes(3);
    let given = object.clone();
    record_create(
        &schema(),
        &given,
        &mut object,
        &manager(Operation::Update, "ada"),
    );
    assert_eq!(
        fields(&object, "ada"),
        &json!({"f:spec": {".": {}, "f:parameters": {".": {},
            "f:nodes": {".": {}, "f:count": {}}}}})
    );
}

#[test]
fn change_of_a_foreign_field_conflicts_without_force() {
    let live = created(&nodes(3), "ada");
    let conflicts = applied(&live, &nodes(5), "bob").unwrap_err();
    let shown: Vec<String> = conflicts
        .iter()
        .map(|conflict| format!("{}: {}", conflict.manager, conflict.path))
        .collect();
    assert_eq!(shown, [r#""ada": .spec.parameters.nodes.count"#]);
    let forced = apply(&schema(), &live, &nodes(5), &applier("bob"), true).unwrap();
    assert_eq!(forced["spec"]["parameters"]["nodes"]["count"], 5);
    assert_eq!(fields(&forced, "ada"), &Value::Null);
}

#[test]
fn equal_values_are_owned_by_both_appliers() {
    let live = created(&nodes(3), "ada");
    let both = applied(&live, &nodes(3), "bob").unwrap();
    assert_eq!(fields(&both, "ada"), fields(&both, "bob"));
    let by_one = applied(&both, &config(json!({"id": "x"})), "ada").unwrap();
    assert_eq!(by_one["spec"]["parameters"]["nodes"]["count"], 3);
}

#[test]
fn fields_no_longer_applied_are_removed_with_their_containers() {
    let both = json!({"id": "x", "parameters": {"nodes": {"count": 3},
        "labels": {"a": "1", "b": "2"}}});
    let live = created(&config(both), "ada");
    let less = config(json!({"id": "x", "parameters": {"labels": {"a": "1"}}}));
    let next = applied(&live, &less, "ada").unwrap();
    assert_eq!(
        next["spec"],
        json!({"id": "x", "parameters": {"labels": {"a": "1"}}})
    );
    assert_eq!(next["metadata"]["name"], "a");
}

#[test]
fn fields_without_manager_stay_in_containers_that_stay() {
    let both = json!({"id": "x", "parameters": {"nodes": {"count": 3}}});
    let mut live = created(&config(both), "ada");
    live["spec"]["parameters"]["nodes"]["size"] = json!("small");
    let next = applied(&live, &nodes(3), "ada").unwrap();
    let expected = json!({"parameters": {"nodes": {"count": 3, "size": "small"}}});
    assert_eq!(next["spec"], expected);
}

#[test]
fn apply_that_changes_nothing_is_the_same_object() {
    let mut live = created(&nodes(3), "ada");
    live["metadata"]["managedFields"][0]["time"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(applied(&live, &nodes(3), "ada").unwrap(), live);
}

#[test]
fn update_takes_fields_from_the_applier() {
    let live = created(&nodes(3), "ada");
    let mut next = live.clone();
    next["spec"]["parameters"]["nodes"]["count"] = json!(7);
    record_update(
        &schema(),
        &live,
        &mut next,
        &manager(Operation::Update, "scaler"),
    );
    assert_eq!(fields(&next, "ada"), &Value::Null);
    let conflicts = applied(&next, &nodes(3), "ada").unwrap_err();
    assert_eq!(
        conflicts[0].manager.to_string(),
        r#""scaler" using k8s.starter.org/v1alpha1"#
    );
}

#[test]
fn update_can_replace_or_reset_managed_fields() {
    let live = created(&nodes(3), "ada");
    let updater = manager(Operation::Update, "kubectl");
    let mut renamed = live.clone();
    renamed["metadata"]["managedFields"][0]["manager"] = json!("bob");
    record_update(&schema(), &live, &mut renamed, &updater);
    assert_eq!(fields(&renamed, "bob"), fields(&live, "ada"));
    let mut reset = live.clone();
    reset["metadata"]["managedFields"] = json!([{}]);
    record_update(&schema(), &live, &mut reset, &updater);
    assert_eq!(reset["metadata"].get("managedFields"), None);
    let next = applied(&reset, &nodes(3), "ada").unwrap();
    assert!(fields(&next, "before-first-apply").is_object());
}
