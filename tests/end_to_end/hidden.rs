//! Writes that would lose hidden metadata, and the reads before them.

use dev_control_plane::RecordedRequest;
use serde_json::json as value;

use super::*;
use crate::harness::{is_for_shop, stored_shop};

const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const FOREGROUND: &str = "foregroundDeletion";
const CLEAR_FINALIZERS: &str = r#"{"metadata":{"finalizers":null}}"#;
const REMOVE_FINALIZERS: &str = r#"[{"op":"remove","path":"/metadata/finalizers"}]"#;

/// Attempts of a patch that always conflicts.
const TRIES: usize = 5;

/// Sets the finalizers of `shop` on the control plane, and an owner reference.
fn set_finalizers(env: &TestEnv, finalizers: &[&str]) {
    let owner = value!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1"});
    let change = value!({"metadata": {"finalizers": finalizers, "ownerReferences": [owner]}});
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    claims.patch("app-ns-1", "shop", &change).unwrap();
}

fn stored(env: &TestEnv) -> Value {
    stored_shop(env).unwrap()
}

fn is_read(request: &RecordedRequest) -> bool {
    is_for_shop(request) && request.method == Method::GET
}

/// Returns the methods of all requests for `shop`.
fn methods(env: &TestEnv) -> Vec<Method> {
    let requests = env.control_plane.requests();
    let for_shop = requests.into_iter().filter(is_for_shop);
    for_shop.map(|request| request.method).collect()
}

/// Adds the control plane's own finalizer to `shop`. Returns a fault with the claim before that change.
fn stale_read(env: &TestEnv) -> Fault {
    set_finalizers(env, &["a"]);
    let before = stored(env);
    set_finalizers(env, &["a", FOREGROUND]);
    env.control_plane.clear_requests();
    json_fault(200, before.to_string())
}

fn assert_is_kept(env: &TestEnv, finalizers: &[&str]) {
    let metadata = &stored(env)["metadata"];
    assert_eq!(metadata["finalizers"], value!(finalizers), "{metadata}");
    assert_eq!(metadata["ownerReferences"][0]["uid"], "u-1", "{metadata}");
    let annotations = metadata["annotations"].to_string();
    assert!(!annotations.contains("claimgate"), "{metadata}");
}

#[tokio::test]
async fn patch_of_a_claim_that_gains_a_hidden_finalizer_is_retried() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    for (kind, patch) in [(MERGE, CLEAR_FINALIZERS), (JSON_PATCH, REMOVE_FINALIZERS)] {
        let stale = stale_read(&env);
        env.control_plane.faults().add_times(1, is_read, stale);
        let (status, body) = client.write("PATCH", SHOP, kind, patch).await;
        assert_eq!(status, 200, "{body}");
        assert_is_kept(&env, &[FOREGROUND]);
        let (get, patch) = (Method::GET, Method::PATCH);
        assert_eq!(methods(&env), [get.clone(), patch.clone(), get, patch]);
    }
}

/// The hidden metadata that the first attempt restores no longer exists.
#[tokio::test]
async fn patch_of_a_claim_that_loses_a_hidden_finalizer_is_retried() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    set_finalizers(&env, &[FOREGROUND]);
    let before = stored(&env);
    let without_hidden = value!({"metadata": {"finalizers": null, "ownerReferences": null}});
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    claims.patch("app-ns-1", "shop", &without_hidden).unwrap();
    let stale = json_fault(200, before.to_string());
    env.control_plane.faults().add_times(1, is_read, stale);
    let patch = r#"[{"op":"add","path":"/metadata/finalizers","value":["a"]}]"#;
    let (status, body) = client.write("PATCH", SHOP, JSON_PATCH, patch).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(stored(&env)["metadata"]["finalizers"], value!(["a"]));
}

#[tokio::test]
async fn patch_that_always_conflicts_gets_409() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let stale = stale_read(&env);
    env.control_plane.faults().add(is_read, stale);
    for (kind, patch) in [(MERGE, CLEAR_FINALIZERS), (JSON_PATCH, REMOVE_FINALIZERS)] {
        env.control_plane.clear_requests();
        let (status, body) = client.write("PATCH", SHOP, kind, patch).await;
        assert_eq!((status, &body["reason"]), (409, &"Conflict".into()));
        assert_is_kept(&env, &["a", FOREGROUND]);
        assert_eq!(methods(&env).len(), 2 * TRIES);
    }
}

#[tokio::test]
async fn conflict_with_the_clients_resource_version_is_not_retried() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let stale = stale_read(&env);
    env.control_plane.faults().add(is_read, stale.clone());
    let Fault::Answer { body: before, .. } = stale else {
        unreachable!()
    };
    let mut update: Value = serde_json::from_slice(&before).unwrap();
    let version = update["metadata"]["resourceVersion"].clone();
    update["metadata"]["namespace"] = "default".into();
    update["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("ownerReferences");
    let merge = value!({"metadata": {"finalizers": [], "resourceVersion": version}});
    let json = value!([{"op": "remove", "path": "/metadata/finalizers"},
        {"op": "add", "path": "/metadata/resourceVersion", "value": version}]);
    for (method, kind, body) in [
        ("PUT", JSON, update),
        ("PATCH", MERGE, merge),
        ("PATCH", JSON_PATCH, json),
    ] {
        env.control_plane.clear_requests();
        let (status, body) = client.write(method, SHOP, kind, &body.to_string()).await;
        assert_eq!(
            (status, &body["reason"]),
            (409, &"Conflict".into()),
            "{body}"
        );
        assert_is_kept(&env, &["a", FOREGROUND]);
        assert_eq!(methods(&env), [Method::GET, method.parse().unwrap()]);
    }
}

#[tokio::test]
async fn failed_read_prevents_the_write() {
    let env = TestEnv::start_with_request_timeout("1s").await;
    let client = env.developer().await;
    set_finalizers(&env, &["a", FOREGROUND]);
    let (_, update) = client.json(SHOP).await;
    let update = update.to_string();
    let cut = |then| Fault::CutBody {
        after_bytes: 50,
        then,
    };
    let denied = value!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
        "reason": "Forbidden", "message": "cannot get it in the namespace \"app-ns-1\""});
    let mut foreign = stored(&env);
    foreign["metadata"]["namespace"] = "payments".into();
    let mut unreadable = stored(&env);
    unreadable["metadata"]["resourceVersion"] = 7.into();
    for (fault, expected) in [
        (Fault::Hang, 504),
        (cut(AfterCut::Silence), 504),
        (cut(AfterCut::Reset), 503),
        (cut(AfterCut::End), 500),
        (Fault::HandleAndDrop, 503),
        (Fault::Refuse, 503),
        (json_fault(401, Value::Null.to_string()), 503),
        (json_fault(403, denied.to_string()), 403),
        (json_fault(200, foreign.to_string()), 500),
        (json_fault(200, unreadable.to_string()), 500),
        (json_fault(204, Value::Null.to_string()), 500),
    ] {
        for (method, kind, body) in [
            ("PUT", JSON, update.as_str()),
            ("PUT", "application/yaml", &update),
            ("PATCH", MERGE, CLEAR_FINALIZERS),
            ("PATCH", JSON_PATCH, REMOVE_FINALIZERS),
        ] {
            let faults = env.control_plane.faults();
            faults.add(is_read, fault.clone());
            env.control_plane.clear_requests();
            let (status, body) = client.write(method, SHOP, kind, body).await;
            faults.clear();
            assert_eq!(status, expected, "{fault:?} {method} {kind}: {body}");
            let text = body.to_string();
            assert!(
                !text.contains("app-ns-1") && !text.contains("payments"),
                "{text}"
            );
            // After a 403, an empty dry run of the write gets the control plane's reply to the write.
            let is_dry_run =
                |r: &RecordedRequest| r.query.contains("dryRun=All") && r.body.is_empty();
            let requests = env.control_plane.requests();
            let is_harmless = requests
                .iter()
                .all(|r| r.method == Method::GET || expected == 403 && is_dry_run(r));
            assert!(is_harmless, "{fault:?} {method} {kind}");
        }
    }
    assert_is_kept(&env, &["a", FOREGROUND]);
}

/// The control plane checks many things before it looks for the object.
#[tokio::test]
async fn write_to_a_missing_claim_reaches_the_control_plane() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let update = claim("gone");
    for (method, kind, body) in [
        ("PUT", JSON, update.as_str()),
        ("PUT", JSON, "{"),
        ("PUT", "application/yaml", &update),
        ("PATCH", MERGE, CLEAR_FINALIZERS),
        ("PATCH", JSON_PATCH, REMOVE_FINALIZERS),
    ] {
        env.control_plane.clear_requests();
        let (status, answer) = client
            .write(method, &format!("{CLAIMS}/gone"), kind, body)
            .await;
        assert!(matches!(status, 400 | 404), "{method} {body}: {answer}");
        let requests = env.control_plane.requests();
        let methods: Vec<_> = requests
            .iter()
            .map(|request| request.method.as_str())
            .collect();
        assert_eq!(methods, ["GET", method], "{kind}");
        // A claim that is created in between has another version.
        let written = requests.last().unwrap();
        let text = String::from_utf8_lossy(&written.body);
        assert_eq!(method == "PATCH", text.contains(r#""1""#), "{text}");
    }
}

/// The result of a test would reveal hidden metadata.
#[tokio::test]
async fn json_patch_cannot_test_hidden_owner_references() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    set_finalizers(&env, &["a"]);
    let before = stored(&env);
    for (path, value) in [
        ("/metadata/ownerReferences/0/name", value!("o")),
        (
            "/metadata/ownerReferences",
            before["metadata"]["ownerReferences"].clone(),
        ),
    ] {
        let tests = value!([{"op": "test", "path": path, "value": value}]);
        let (status, body) = client
            .write("PATCH", SHOP, JSON_PATCH, &tests.to_string())
            .await;
        assert_eq!(status, 422, "{path}: {body}");
    }
    assert_is_kept(&env, &["a"]);
}

#[tokio::test]
async fn only_writes_that_may_lose_hidden_metadata_read_first() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    set_finalizers(&env, &["a", FOREGROUND]);
    let (_, shown) = client.json(SHOP).await;
    let label = r#"{"metadata":{"labels":{"a":"b"},"ownerReferences":[]}}"#;
    let adds = r#"[{"op":"add","path":"/metadata/labels","value":{}}]"#;
    let status_of = format!("{SHOP}/status");
    for (method, path, kind, body) in [
        ("PATCH", SHOP.to_owned(), MERGE, label.to_owned()),
        ("PATCH", SHOP.to_owned(), JSON_PATCH, adds.to_owned()),
        (
            "PATCH",
            status_of.clone(),
            MERGE,
            CLEAR_FINALIZERS.to_owned(),
        ),
        ("PUT", status_of, JSON, shown.to_string()),
    ] {
        env.control_plane.clear_requests();
        let (_, body) = client.write(method, &path, kind, &body).await;
        let requests = env.control_plane.requests();
        let reads = requests.iter().filter(|r| r.method == Method::GET);
        let reads = reads.filter(|r| r.path.contains("/shop")).count();
        assert_eq!(reads, 0, "{method} {path}: {body}");
    }
    assert_is_kept(&env, &["a", FOREGROUND]);
}

#[tokio::test]
async fn owner_references_in_a_write_to_a_subresource_are_removed() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let (_, mut shown) = client.json(SHOP).await;
    shown["metadata"]["ownerReferences"] =
        value!([{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "mine"}]);
    let status_of = format!("{SHOP}/status");
    for (method, kind) in [("PUT", JSON), ("PATCH", MERGE)] {
        env.control_plane.clear_requests();
        let (status, body) = client
            .write(method, &status_of, kind, &shown.to_string())
            .await;
        assert_eq!(status, 200, "{body}");
        let requests = env.control_plane.requests();
        let written = requests.iter().find(|request| request.method == method);
        let text = String::from_utf8_lossy(&written.unwrap().body);
        assert!(!text.contains("mine"), "{text}");
    }
}

/// The read must not inherit the query of the write.
#[tokio::test]
async fn query_of_a_write_is_not_sent_with_its_read() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    set_finalizers(&env, &["a", FOREGROUND]);
    let query = "dryRun=All&fieldManager=me&fieldValidation=Strict";
    let (_, update) = client.json(SHOP).await;
    for (method, kind, body) in [
        ("PUT", JSON, update.to_string()),
        ("PATCH", MERGE, CLEAR_FINALIZERS.to_owned()),
    ] {
        env.control_plane.clear_requests();
        let path = format!("{SHOP}?{query}");
        let (status, body) = client.write(method, &path, kind, &body).await;
        assert_eq!(status, 200, "{body}");
        let requests = env.control_plane.requests();
        let queries = requests.iter().filter(|request| is_for_shop(request));
        let queries: Vec<_> = queries.map(|request| request.query.as_str()).collect();
        assert_eq!(queries, ["", query]);
    }
    assert_is_kept(&env, &["a", FOREGROUND]);
}

/// A large update streams, while a patch is always buffered whole.
#[tokio::test]
async fn large_writes_keep_hidden_metadata() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    set_finalizers(&env, &["a", FOREGROUND]);
    let notes = "n".repeat(200_000);
    let patch =
        format!(r#"{{"metadata":{{"annotations":{{"notes":"{notes}"}},"finalizers":[]}}}}"#);
    let (status, _) = client.write("PATCH", SHOP, MERGE, &patch).await;
    assert_eq!(status, 200);
    assert_is_kept(&env, &[FOREGROUND]);
    let (_, mut update) = client.json(SHOP).await;
    let metadata = update["metadata"].as_object_mut().unwrap();
    metadata["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("claimgate.dev/hidden");
    metadata.insert("finalizers".into(), value!(["b"]));
    let (status, _) = client.write("PUT", SHOP, JSON, &update.to_string()).await;
    assert_eq!(status, 200);
    assert_is_kept(&env, &["b", FOREGROUND]);
    assert_eq!(stored(&env)["metadata"]["annotations"]["notes"], notes);
}

#[tokio::test]
async fn json_patch_of_the_status_does_not_see_hidden_finalizers() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    set_finalizers(&env, &["a", FOREGROUND]);
    let path = format!("{SHOP}/status");
    for (finalizers, expected) in [(value!(["a", FOREGROUND]), 422), (value!(["a"]), 200)] {
        let patch = value!([
            {"op": "test", "path": "/metadata/finalizers", "value": finalizers},
            {"op": "add", "path": "/status", "value": {"nodes": {"count": 4}}},
        ]);
        let patch = patch.to_string();
        let (status, reply) = client.write("PATCH", &path, JSON_PATCH, &patch).await;
        assert_eq!(status, expected, "{reply}");
    }
    assert_is_kept(&env, &["a", FOREGROUND]);
    assert_eq!(stored(&env)["status"]["nodes"]["count"], 4);
}
