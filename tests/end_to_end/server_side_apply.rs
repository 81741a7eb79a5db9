//! Server-side apply through the daemon, with namespaces mapped.

use super::harness::Client;
use super::*;

const APPLY: &str = "application/apply-patch+yaml";

#[tokio::test]
async fn documented_claim_is_accepted_with_strict_validation() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let path = format!("{CLAIMS}?fieldValidation=Strict");
    let (status, created) = client
        .write("POST", &path, "application/yaml", example::CLAIM_MANIFEST)
        .await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(
        created["spec"]["parameters"]["services"]["operators"]["prometheus"]["version"],
        "34.5.1"
    );
}

/// Applies a claim with this name and spec.
async fn apply(client: &Client, name: &str, options: &str, spec: &str) -> (u16, Value) {
    let path = format!("{CLAIMS}/{name}?{options}");
    let config = format!(
        "apiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\n\
         metadata: {{name: {name}, namespace: default}}\nspec: {spec}\n"
    );
    client.write("PATCH", &path, APPLY, &config).await
}

fn entry<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().find(|entry| entry["manager"] == manager)
}

#[tokio::test]
async fn apply_creates_updates_and_removes_fields() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let path = format!("{CLAIMS}/my-cluster?fieldManager=flux");
    let (status, created) = client
        .write("PATCH", &path, APPLY, example::CLAIM_MANIFEST)
        .await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["metadata"]["namespace"], "default");
    let spec = "{id: my-cluster, parameters: {nodes: {count: 5, size: small}}}";
    let (status, updated) = apply(&client, "my-cluster", "fieldManager=flux", spec).await;
    assert_eq!(status, 200, "{updated}");
    let expected = serde_json::json!({"id": "my-cluster",
        "parameters": {"nodes": {"count": 5, "size": "small"}}});
    assert_eq!(updated["spec"], expected);
    assert_eq!(entry(&updated, "flux").unwrap()["operation"], "Apply");
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let stored = claims.get("app-ns-1", "my-cluster").unwrap();
    assert_eq!(stored["spec"], expected);
}

#[tokio::test]
async fn apply_without_changes_or_as_dry_run_is_not_stored() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let spec = "{id: a, parameters: {}}";
    let (status, _) = apply(&client, "a", "fieldManager=flux", spec).await;
    assert_eq!(status, 201);
    let version = env.control_plane.resource_version();
    for (options, spec) in [
        ("fieldManager=flux", spec),
        ("fieldManager=flux&dryRun=All", "{id: b, parameters: {}}"),
    ] {
        let (status, answer) = apply(&client, "a", options, spec).await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(env.control_plane.resource_version(), version);
}

#[tokio::test]
async fn apply_to_field_of_another_manager_conflicts_until_forced() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let spec = "{parameters: {nodes: {count: 9}}}";
    let (status, conflict) = apply(&client, "shop", "fieldManager=flux", spec).await;
    assert_eq!((status, &conflict["reason"]), (409, &"Conflict".into()));
    assert_eq!(
        conflict["message"],
        "Apply failed with 1 conflict: conflict with \"dev-control-plane\" using \
         k8s.starter.org/v1alpha1: .spec.parameters.nodes.count"
    );
    let cause = &conflict["details"]["causes"][0];
    assert_eq!(
        (&cause["reason"], &cause["field"]),
        (
            &"FieldManagerConflict".into(),
            &".spec.parameters.nodes.count".into()
        )
    );
    let (status, forced) = apply(&client, "shop", "fieldManager=flux&force=true", spec).await;
    assert_eq!(
        (status, &forced["spec"]["parameters"]["nodes"]["count"]),
        (200, &9.into()),
        "{forced}"
    );
    assert!(entry(&forced, "flux").is_some());
}

#[tokio::test]
async fn other_writes_are_recorded_by_field_manager_or_user_agent() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let path = format!("{CLAIMS}?fieldManager=creator");
    let (status, created) = client.write("POST", &path, JSON, &claim("new")).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(entry(&created, "creator").unwrap()["operation"], "Update");
    let request = Request::patch(format!("{CLAIMS}/new"))
        .header("content-type", "application/merge-patch+json")
        .header("user-agent", "scaler/v1 (linux)")
        .body(Full::from(
            r#"{"spec":{"parameters":{"nodes":{"count":7}}}}"#,
        ))
        .unwrap();
    let (status, scaled) = json(client.send(request).await).await;
    assert_eq!(status, 200, "{scaled}");
    let entry = entry(&scaled, "scaler").unwrap();
    let fields = serde_json::json!({"f:spec": {"f:parameters": {"f:nodes": {"f:count": {}}}}});
    assert_eq!(entry["fieldsV1"], fields);
}

#[tokio::test]
async fn apply_to_status_owns_only_status_fields() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let path = format!("{CLAIMS}/shop/status?fieldManager=operator");
    let config = "apiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\n\
                  metadata: {name: shop}\nspec: {id: changed}\nstatus: {nodes: {count: 3}}\n";
    let (status, updated) = client.write("PATCH", &path, APPLY, config).await;
    assert_eq!(status, 200, "{updated}");
    assert_eq!(updated["spec"]["id"], "shop");
    let entry = entry(&updated, "operator").unwrap();
    assert_eq!(entry["subresource"], "status");
    let fields = serde_json::json!({"f:status": {"f:nodes": {"f:count": {}}}});
    assert_eq!(entry["fieldsV1"], fields);
}

#[tokio::test]
async fn apply_without_manager_or_with_unknown_fields_is_rejected() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let spec = "{id: a, parameters: {}}";
    let (status, answer) = apply(&client, "a", "force=true", spec).await;
    assert_eq!(
        (status, &answer["message"]),
        (
            422,
            &"PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: \
              is required for apply patch"
                .into()
        )
    );
    let unknown = "{id: a, parameters: {}, nodeCount: 3}";
    let (status, answer) = apply(&client, "a", "fieldManager=flux", unknown).await;
    assert_eq!(status, 500, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.ends_with(".spec.nodeCount: field not declared in schema"),
        "{message}"
    );
}
