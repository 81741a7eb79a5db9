//! Writes in a shared mapping: to claims that lost their labels, and to objects that were replaced.

use dev_control_plane::RecordedRequest;
use serde_json::json as value;

use super::*;
use crate::shared_mapping::{
    APPLY, JSON_PATCH, MERGE, assert_is_local, claim_in, env_with_claims, origin, stored,
};

/// Removes the labels and annotations of all claims as an administrator of the control plane would.
fn damage(env: &TestEnv) {
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    for claim in stored(env) {
        let name = claim["metadata"]["name"].as_str().unwrap();
        let lost = value!({"metadata": {"labels": null, "annotations": null}});
        claims.patch("app-ns-1", name, &lost).unwrap();
    }
}

/// Returns the stored claims whose labels and annotations contain the origin of `default/a`.
fn intact(env: &TestEnv) -> Vec<Value> {
    let contains_origin = |map: &Value| {
        let origin = origin("test", "a");
        let mut members = origin.as_object().unwrap().iter();
        members.all(|(key, value)| map[key] == *value)
    };
    let mut all = stored(env);
    all.retain(|claim| {
        let metadata = &claim["metadata"];
        contains_origin(&metadata["labels"]) && contains_origin(&metadata["annotations"])
    });
    all
}

#[tokio::test]
async fn lost_labels_are_restored_and_counted() {
    let (env, client) = env_with_claims().await;
    damage(&env);
    let path = format!("{CLAIMS}/a");
    let (status, claim) = client.json(&path).await;
    assert_eq!(status, 200, "{claim}");
    assert_eq!(
        env.metric("claimgate_damaged_objects_total").await,
        Some(1.0)
    );
    let (status, reply) = client.write("PUT", &path, JSON, &claim.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    let intact = intact(&env);
    assert_eq!(intact.len(), 1);
    assert_eq!(intact[0]["metadata"]["labels"], origin("test", "a"));
    assert_eq!(intact[0]["metadata"]["annotations"], origin("test", "a"));
}

#[tokio::test]
async fn next_patch_of_the_object_restores_lost_labels() {
    let (env, client) = env_with_claims().await;
    let path = format!("{CLAIMS}/a");
    for (kind, body) in [
        (MERGE, r#"{"spec":{"id":"b"}}"#),
        (MERGE, r#"{"metadata":{"labels":{"x":"y"}}}"#),
        (MERGE, r#"{"metadata":{"labels":null}}"#),
        (MERGE, r#"{"metadata":{"finalizers":["example.org/x"]}}"#),
        (MERGE, r#"{"metadata":{"finalizers":null},"spec":{}}"#),
        (MERGE, "{}"),
        (
            JSON_PATCH,
            r#"[{"op":"add","path":"/spec/id","value":"c"}]"#,
        ),
        (
            JSON_PATCH,
            r#"[{"op":"add","path":"/metadata/labels","value":{"x":"y"}}]"#,
        ),
        (JSON_PATCH, "[]"),
    ] {
        damage(&env);
        assert_eq!(intact(&env).len(), 0);
        let (status, reply) = client.write("PATCH", &path, kind, body).await;
        assert_eq!(status, 200, "{body}: {reply}");
        assert_is_local(&reply);
        assert_eq!(intact(&env).len(), 1, "{body}");
    }
    damage(&env);
    let status = format!("{path}/status");
    let body = r#"{"status":{}}"#;
    let (code, reply) = client.write("PATCH", &status, MERGE, body).await;
    assert_eq!(code, 200, "{reply}");
    assert_eq!(intact(&env).len(), 0);
}

/// A label that is too long for the local name is none of the origin.
#[tokio::test]
async fn next_patch_removes_a_forged_label_of_a_long_name() {
    let (env, client) = env_with_claims().await;
    let name = "n".repeat(70);
    let mut claim = example::claim("default", &name, 1);
    claim["metadata"]["name"] = name.as_str().into();
    let (status, reply) = client.write("POST", CLAIMS, JSON, &claim.to_string()).await;
    assert_eq!(status, 201, "{reply}");
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let named = |claim: &Value| claim["metadata"]["annotations"]["claimgate.dev/name"] == *name;
    let remote = stored(&env).into_iter().find(named).unwrap();
    let remote = remote["metadata"]["name"].as_str().unwrap();
    let forged = value!({"metadata": {"labels": {"claimgate.dev/name": "other"}}});
    claims.patch("app-ns-1", remote, &forged).unwrap();
    let path = format!("{CLAIMS}/{name}");
    let (status, reply) = client.write("PATCH", &path, MERGE, "{}").await;
    assert_eq!(status, 200, "{reply}");
    let labels = &claims.get("app-ns-1", remote).unwrap()["metadata"]["labels"];
    assert!(labels.get("claimgate.dev/name").is_none(), "{labels}");
}

#[tokio::test]
async fn json_patch_of_the_status_does_not_see_the_origin() {
    let (env, client) = env_with_claims().await;
    let path = format!("{CLAIMS}/a/status");
    let before = stored(&env);
    for body in [
        r#"[{"op":"test","path":"/metadata/labels/claimgate.dev~1name","value":"a"}]"#,
        r#"[{"op":"add","path":"/metadata/labels/x","value":"y"}]"#,
        r#"[{"op":"copy","from":"/metadata/annotations/x","path":"/status/x"}]"#,
    ] {
        let (status, reply) = client.write("PATCH", &path, JSON_PATCH, body).await;
        assert_eq!(status, 422, "{body}: {reply}");
    }
    assert_eq!(stored(&env), before);
    let body = r#"[
        {"op":"add","path":"/metadata/labels","value":{"x":"y"}},
        {"op":"test","path":"/metadata/labels","value":{"x":"y"}},
        {"op":"add","path":"/status","value":{"nodes":{"count":4}}}
    ]"#;
    let (status, reply) = client.write("PATCH", &path, JSON_PATCH, body).await;
    assert_eq!(status, 200, "{reply}");
    assert_is_local(&reply);
    assert!(reply["metadata"].get("labels").is_none(), "{reply}");
    assert_eq!(reply["status"]["nodes"]["count"], 4);
    assert_eq!(intact(&env).len(), 1);
}

/// Returns the stored claim `default/a`, and a fault with an older claim of the same name.
fn replaced(env: &TestEnv) -> (Value, Fault) {
    let all = stored(env);
    let is_own =
        |claim: &&Value| claim["metadata"]["annotations"]["claimgate.dev/namespace"] == "default";
    let now = all.iter().find(is_own).unwrap();
    let mut before = now.clone();
    before["metadata"]["uid"] = "before".into();
    (now.clone(), json_fault(200, before.to_string()))
}

fn is_read(sent: &RecordedRequest) -> bool {
    sent.method == Method::GET && sent.path.contains("/a-")
}

#[tokio::test]
async fn write_to_a_replaced_claim_is_checked_again() {
    let (env, client) = env_with_claims().await;
    let path = format!("{CLAIMS}/a");
    let (scale, status) = (format!("{path}/scale"), format!("{path}/status"));
    let apply = format!("{path}?fieldManager=me&force=true");
    let applied = r#"{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"a"}}"#;
    for (method, path, kind, body) in [
        ("PATCH", &path, MERGE, r#"{"spec":{"id":"b"}}"#),
        (
            "PATCH",
            &path,
            MERGE,
            r#"{"metadata":{"labels":{"x":"y"}}}"#,
        ),
        ("PATCH", &path, JSON_PATCH, "[]"),
        ("PATCH", &status, JSON_PATCH, "[]"),
        ("PATCH", &scale, JSON_PATCH, "[]"),
        ("PATCH", &apply, APPLY, applied),
        ("DELETE", &path, JSON, r#"{"dryRun":["All"]}"#),
        ("DELETE", &format!("{path}?dryRun=All"), JSON, ""),
        (
            "DELETE",
            &path,
            JSON,
            r#"{"propagationPolicy":"Foreground"}"#,
        ),
    ] {
        env.control_plane.clear_requests();
        let (now, fault) = replaced(&env);
        env.control_plane.faults().add_times(1, is_read, fault);
        let (code, reply) = client.write(method, path, kind, body).await;
        assert_eq!(code, 200, "{method} {path} {body}: {reply}");
        let requests = env.control_plane.requests();
        let last = requests
            .iter()
            .rfind(|sent| sent.method == *method)
            .unwrap();
        let sent = format!("{} {}", last.query, String::from_utf8_lossy(&last.body));
        let uid = now["metadata"]["uid"].as_str().unwrap();
        assert!(sent.contains(uid), "{method} {path} {body}: {sent}");
    }
}

/// kube-apiserver rejects a patch with another uid as invalid, and the development control plane as a conflict.
#[tokio::test]
async fn patch_of_a_replaced_claim_is_checked_again_if_its_uid_is_invalid() {
    let (env, client) = env_with_claims().await;
    let (_, fault) = replaced(&env);
    let faults = env.control_plane.faults();
    faults.add_times(1, is_read, fault);
    let is_patch = |sent: &RecordedRequest| sent.method == Method::PATCH;
    let invalid = r#"{"kind":"Status","code":422,"reason":"Invalid","message":"metadata.uid: Invalid value: \"before\": field is immutable"}"#;
    faults.add_times(1, is_patch, json_fault(422, invalid));
    let path = format!("{CLAIMS}/a");
    let body = r#"{"spec":{"id":"b"}}"#;
    let (code, reply) = client.write("PATCH", &path, MERGE, body).await;
    assert_eq!(code, 200, "{reply}");
    assert_eq!(reply["spec"]["id"], "b");
}

#[tokio::test]
async fn write_does_not_change_an_object_that_replaced_a_claim() {
    let (env, client) = env_with_claims().await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let (claim, fault) = replaced(&env);
    let remote = claim["metadata"]["name"].as_str().unwrap();
    let theirs =
        value!({"metadata": {"annotations": origin("test", "b"), "labels": origin("test", "b")}});
    let foreign = claims.patch("app-ns-1", remote, &theirs).unwrap();
    let path = format!("{CLAIMS}/a");
    let status = format!("{path}/status");
    let apply = format!("{path}?fieldManager=me&force=true");
    let applied = claim_in("default", "a");
    for (method, path, kind, body, expected) in [
        ("PATCH", &path, MERGE, r#"{"spec":{"id":"b"}}"#, 404),
        (
            "PATCH",
            &path,
            JSON_PATCH,
            r#"[{"op":"remove","path":"/spec/id"}]"#,
            404,
        ),
        (
            "PATCH",
            &status,
            JSON_PATCH,
            r#"[{"op":"add","path":"/status","value":{}}]"#,
            404,
        ),
        ("PATCH", &apply, APPLY, &applied, 409),
        ("DELETE", &path, JSON, "", 404),
        (
            "DELETE",
            &path,
            JSON,
            r#"{"propagationPolicy":"Background"}"#,
            404,
        ),
    ] {
        env.control_plane
            .faults()
            .add_times(1, is_read, fault.clone());
        let (code, reply) = client.write(method, path, kind, body).await;
        assert_eq!(code, expected, "{method} {path} {body}: {reply}");
        assert_is_local(&reply);
        assert_eq!(claims.get("app-ns-1", remote).unwrap(), foreign);
    }
}

#[tokio::test]
async fn uid_of_the_client_stays() {
    let (env, client) = env_with_claims().await;
    let path = format!("{CLAIMS}/a");
    for (method, kind, body) in [
        ("PATCH", MERGE, r#"{"metadata":{"uid":"other"}}"#),
        ("DELETE", JSON, r#"{"preconditions":{"uid":"other"}}"#),
    ] {
        let (code, reply) = client.write(method, &path, kind, body).await;
        assert_eq!(code, 409, "{method} {body}: {reply}");
        assert_is_local(&reply);
    }
    assert_eq!(stored(&env).len(), 2);
    let apply = format!("{CLAIMS}/new?fieldManager=me");
    let created = claim_in("default", "new");
    let (code, reply) = client.write("PATCH", &apply, APPLY, &created).await;
    assert_eq!(code, 201, "{reply}");
}

/// The object has the remote name of `default/a`, but someone gave it to another app cluster.
#[tokio::test]
async fn object_of_another_app_cluster_is_never_seen_or_touched() {
    for (labels, annotations) in [
        (origin("team-b", "a"), origin("team-b", "a")),
        (value!(null), origin("team-b", "a")),
        (origin("team-b", "a"), value!(null)),
        (origin("test", "a"), origin("team-b", "a")),
    ] {
        let (env, client) = env_with_claims().await;
        let claims = env.control_plane.objects(example::CLAIMS).unwrap();
        let (claim, _) = replaced(&env);
        let remote = claim["metadata"]["name"].as_str().unwrap();
        let lost = value!({"metadata": {"annotations": null, "labels": null}});
        claims.patch("app-ns-1", remote, &lost).unwrap();
        let theirs = value!({"metadata": {"annotations": annotations, "labels": labels}});
        let foreign = claims.patch("app-ns-1", remote, &theirs).unwrap();
        let path = format!("{CLAIMS}/a");
        let apply = format!("{path}?fieldManager=me&force=true");
        let applied = claim_in("default", "a");
        for (method, path, kind, body, expected) in [
            ("GET", path.as_str(), JSON, "", 404),
            ("PATCH", &path, MERGE, r#"{"spec":{"id":"b"}}"#, 404),
            ("PATCH", &apply, APPLY, &applied, 409),
            ("POST", CLAIMS, JSON, &applied, 409),
            ("DELETE", &path, JSON, "", 404),
        ] {
            let (code, reply) = client.write(method, path, kind, body).await;
            assert_eq!(code, expected, "{method} {path} {theirs}: {reply}");
            assert_is_local(&reply);
        }
        let head = Request::head(&path).body(Full::default()).unwrap();
        assert_eq!(client.send(head).await.status(), 404, "{theirs}");
        let (_, list) = client.json(CLAIMS).await;
        assert_eq!(list["items"], value!([]), "{theirs}");
        assert_eq!(claims.get("app-ns-1", remote).unwrap(), foreign);
    }
}

#[tokio::test]
async fn patch_with_metadata_that_is_no_object_changes_nothing() {
    let (env, client) = env_with_claims().await;
    let path = format!("{CLAIMS}/a");
    let apply = format!("{path}?fieldManager=me&force=true");
    let before = stored(&env);
    for metadata in ["null", "[]", "\"x\""] {
        let merge = format!(r#"{{"metadata":{metadata},"spec":{{"id":"b"}}}}"#);
        let (code, reply) = client.write("PATCH", &path, MERGE, &merge).await;
        assert!(matches!(code, 400 | 422), "{merge}: {reply}");
        let applied = format!(
            r#"{{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{metadata}}}"#
        );
        let (code, reply) = client.write("PATCH", &apply, APPLY, &applied).await;
        assert_eq!(code, 400, "{applied}: {reply}");
        assert_eq!(stored(&env), before);
    }
}

#[tokio::test]
async fn apply_restores_labels_that_another_field_manager_changed() {
    let (env, client) = env_with_claims().await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let path = format!("{CLAIMS}/a");
    let apply = format!("{path}?fieldManager=kubectl");
    let applied = claim_in("default", "a");
    let (code, reply) = client
        .write("PATCH", &format!("{apply}&force=true"), APPLY, &applied)
        .await;
    assert_eq!(code, 200, "{reply}");
    let stored = intact(&env);
    let remote = stored[0]["metadata"]["name"].as_str().unwrap();
    let oops = value!({"claimgate.dev/name": "oops"});
    let change = value!({"metadata": {"labels": oops}});
    claims.patch("app-ns-1", remote, &change).unwrap();
    assert!(intact(&env).is_empty());
    let (code, reply) = client.write("PATCH", &apply, APPLY, &applied).await;
    assert_eq!(code, 200, "{reply}");
    assert_is_local(&reply);
    assert_eq!(intact(&env).len(), 1);
}
