//! Deletions with a finalizer for the app cluster's garbage collector, which is written first.

use dev_control_plane::RecordedRequest;
use serde_json::json as value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::harness::{Client, is_for_shop, stored_shop};

const ORPHAN: &str = r#"{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan"}"#;
const FOREGROUND: &str =
    r#"{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Foreground"}"#;
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// Attempts of a patch that always conflicts.
const TRIES: usize = 5;

fn finalizers(env: &TestEnv) -> Value {
    let metadata = &stored_shop(env).unwrap()["metadata"];
    metadata.get("finalizers").cloned().unwrap_or_default()
}

fn set_metadata(env: &TestEnv, metadata: Value) {
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let change = value!({ "metadata": metadata });
    claims.patch("app-ns-1", "shop", &change).unwrap();
    env.control_plane.clear_requests();
}

fn is_shop_with(method: &'static Method) -> impl Fn(&RecordedRequest) -> bool {
    move |request| is_for_shop(request) && request.method == *method
}

fn requests(env: &TestEnv) -> Vec<RecordedRequest> {
    let requests = env.control_plane.requests();
    requests.into_iter().filter(is_for_shop).collect()
}

fn methods(env: &TestEnv) -> Vec<Method> {
    let requests = requests(env).into_iter();
    requests.map(|request| request.method).collect()
}

fn failure(code: u16, reason: &str) -> Fault {
    let body = value!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": reason, "message": "no", "code": code});
    json_fault(code, body.to_string())
}

async fn delete(client: &Client, query: &str, kind: &str, body: &str) -> (u16, Value) {
    let path = format!("{SHOP}{query}");
    client.write("DELETE", &path, kind, body).await
}

/// The in-memory control plane reads neither YAML nor protobuf, so it rejects those deletions.
#[tokio::test]
async fn finalizer_is_written_before_the_unchanged_deletion_is_sent() {
    for (query, kind, body, finalizer) in [
        ("", JSON, ORPHAN, "orphan"),
        ("", JSON, FOREGROUND, "foregroundDeletion"),
        ("", JSON, r#"{"orphanDependents":true}"#, "orphan"),
        (
            "",
            JSON,
            r#"{"orphanDependents":null,"propagationPolicy":"Orphan","dryRun":[]}"#,
            "orphan",
        ),
        (
            "",
            "application/yaml",
            "propagationPolicy: Orphan\n",
            "orphan",
        ),
        ("", PROTOBUF, "k8s\0\x12\x08\x22\x06Orphan", "orphan"),
        ("", PROTOBUF, "k8s\0\x12\x02\x18\x01", "orphan"),
        ("?propagationPolicy=Orphan", JSON, "", "orphan"),
        (
            "?propagationPolicy=Foreground",
            JSON,
            "",
            "foregroundDeletion",
        ),
        ("?orphanDependents=perhaps", JSON, "", "orphan"),
        // With a body, the query is ignored.
        (
            "?propagationPolicy=Orphan&dryRun=All",
            JSON,
            FOREGROUND,
            "foregroundDeletion",
        ),
    ] {
        let env = TestEnv::start().await;
        let client = env.developer().await;
        // Finalizers of an earlier deletion.
        let before = value!([
            "claimgate.dev/orphan",
            "a",
            "claimgate.dev/foregroundDeletion"
        ]);
        set_metadata(&env, value!({ "finalizers": before }));
        let version = stored_shop(&env).unwrap()["metadata"]["resourceVersion"].clone();
        delete(&client, query, kind, body).await;
        let requests = requests(&env);
        let [read, patch, deletion, ..] = requests.as_slice() else {
            panic!("{:?}", methods(&env))
        };
        let methods = [read, patch, deletion].map(|request| &request.method);
        assert_eq!(methods, [Method::GET, Method::PATCH, Method::DELETE]);
        assert_eq!(patch.query, "fieldManager=claimgate");
        let sent: Value = serde_json::from_slice(&patch.body).unwrap();
        let finalizers = value!(["a", format!("claimgate.dev/{finalizer}")]);
        let metadata = value!({"finalizers": finalizers, "resourceVersion": version});
        assert_eq!(sent, value!({ "metadata": metadata }), "{query} {body}");
        assert_eq!(deletion.body, body);
        assert_eq!(deletion.query, query.trim_start_matches('?'));
    }
}

#[tokio::test]
async fn app_cluster_sees_the_finalizer_under_its_kubernetes_name_and_removes_it() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let (code, body) = delete(&client, "", JSON, FOREGROUND).await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(
        body["metadata"]["finalizers"],
        value!(["foregroundDeletion"])
    );
    assert_eq!(
        finalizers(&env),
        value!(["claimgate.dev/foregroundDeletion"])
    );
    let version = &body["metadata"]["resourceVersion"];
    let patch = value!({"metadata": {"finalizers": null, "resourceVersion": version}});
    let merge = "application/merge-patch+json";
    let (code, body) = client.write("PATCH", SHOP, merge, &patch.to_string()).await;
    assert_eq!(code, 200, "{body}");
    assert!(stored_shop(&env).is_none());
}

#[tokio::test]
async fn deletion_without_orphan_or_foreground_writes_no_finalizer() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    set_metadata(&env, value!({"finalizers": ["a"]}));
    for (query, kind, body) in [
        ("", JSON, ""),
        ("", JSON, r#"{"propagationPolicy":"Background"}"#),
        ("", JSON, r#"{"orphanDependents":false}"#),
        (
            "",
            JSON,
            r#"{"propagationPolicy":"Orphan","dryRun":["All"]}"#,
        ),
        ("?propagationPolicy=Orphan&dryRun=All", JSON, ""),
        ("?orphanDependents=0", JSON, ""),
        // Rejected by the control plane.
        ("", JSON, r#"{"propagationPolicy":"Sideways"}"#),
        (
            "",
            JSON,
            r#"{"propagationPolicy":"Orphan","orphanDependents":true}"#,
        ),
        ("", JSON, r#"{"propagationPolicy":"Orphan","#),
        ("", "text/plain", ORPHAN),
        ("", PROTOBUF, "k8s\0\x12\x0d\x22\x06Orphan\x2a\x03All"),
        ("", PROTOBUF, "k8s\0\x12\x02\x18"),
    ] {
        env.control_plane.clear_requests();
        delete(&client, query, kind, body).await;
        let requests = requests(&env);
        assert_eq!(methods(&env), [Method::DELETE], "{query} {body}");
        assert_eq!(requests[0].body, body);
        assert_eq!(finalizers(&env), value!(["a"]));
    }
}

#[tokio::test]
async fn deleting_missing_claim_returns_404() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let path = format!("{CLAIMS}/none");
    let (code, body) = client.write("DELETE", &path, JSON, ORPHAN).await;
    assert_eq!((code, &body["reason"]), (404, &"NotFound".into()));
    let last = env.control_plane.requests().pop().unwrap();
    assert_eq!(last.method, Method::DELETE);
}

/// Without the finalizer the garbage collector could miss the deletion.
#[tokio::test]
async fn failed_read_or_patch_prevents_the_deletion() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    for (method, fault, expected) in [
        (&Method::GET, failure(403, "Forbidden"), 403),
        (&Method::GET, failure(500, "InternalError"), 500),
        (&Method::GET, Fault::HandleAndDrop, 503),
        (&Method::PATCH, failure(403, "Forbidden"), 403),
        (&Method::PATCH, failure(422, "Invalid"), 422),
        (&Method::PATCH, Fault::HandleAndDrop, 503),
    ] {
        for body in [ORPHAN, FOREGROUND] {
            env.control_plane.clear_requests();
            env.control_plane
                .faults()
                .add(is_shop_with(method), fault.clone());
            let (code, answer) = delete(&client, "", JSON, body).await;
            env.control_plane.faults().clear();
            assert_eq!(code, expected, "{method} {fault:?}: {answer}");
            // After a 403, a dry run of the deletion gets the control plane's reply to the deletion.
            let sent = requests(&env);
            let mut deletions = sent.iter().filter(|r| r.method == Method::DELETE);
            let is_dry = |r: &RecordedRequest| {
                let body = String::from_utf8_lossy(&r.body);
                r.query == "dryRun=All" && body.contains(r#""dryRun":["All"],"preconditions""#)
            };
            assert!(
                deletions.all(|r| expected == 403 && is_dry(r)),
                "{method} {fault:?}"
            );
        }
    }
    assert_eq!(
        stored_shop(&env).unwrap()["metadata"].get("deletionTimestamp"),
        None
    );
}

#[tokio::test]
async fn conflicting_patch_is_retried_after_another_read() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let conflict = failure(409, "Conflict");
    let faults = env.control_plane.faults();
    faults.add_times(1, is_shop_with(&Method::PATCH), conflict.clone());
    let (code, body) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!(code, 200, "{body}");
    let (get, patch) = (Method::GET, Method::PATCH);
    let twice = [get.clone(), patch.clone(), get, patch, Method::DELETE];
    assert_eq!(methods(&env), twice);

    let env = TestEnv::start().await;
    let client = env.developer().await;
    env.control_plane
        .faults()
        .add(is_shop_with(&Method::PATCH), conflict);
    let (code, body) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!((code, &body["reason"]), (409, &"Conflict".into()));
    assert_eq!(methods(&env).len(), 2 * TRIES);
}

#[tokio::test]
async fn preconditions_apply_to_the_claim_before_the_finalizer() {
    for kind in [JSON, "application/yaml"] {
        let env = TestEnv::start().await;
        let client = env.developer().await;
        let metadata = stored_shop(&env).unwrap()["metadata"].clone();
        let options = |uid: &Value, version: &Value| {
            let preconditions = value!({"uid": uid, "resourceVersion": version});
            let options = value!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
                "propagationPolicy": "Orphan", "preconditions": preconditions});
            options.to_string()
        };
        let (uid, version) = (&metadata["uid"], &metadata["resourceVersion"]);
        for body in [
            options(&"another".into(), version),
            options(uid, &"1".into()),
        ] {
            env.control_plane.clear_requests();
            let (code, answer) = delete(&client, "", JSON, &body).await;
            assert_eq!(code, 409, "{answer}");
            assert_eq!(methods(&env), [Method::GET, Method::DELETE]);
            assert_eq!(finalizers(&env), Value::Null);
        }
        env.control_plane.clear_requests();
        let (code, answer) = delete(&client, "", kind, &options(uid, version)).await;
        assert_eq!(code, 200, "{answer}");
        assert_eq!(answer["metadata"]["finalizers"], value!(["orphan"]));
        let deletion = requests(&env).pop().unwrap();
        let sent: Value = serde_json::from_slice(&deletion.body).unwrap();
        let named = sent["preconditions"]["resourceVersion"].clone();
        assert_ne!(&named, version);
        let expected: Value = serde_json::from_str(&options(uid, &named)).unwrap();
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn preconditions_in_the_query_apply_to_the_claim_before_the_finalizer() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let metadata = stored_shop(&env).unwrap()["metadata"].clone();
    let version = metadata["resourceVersion"].as_str().unwrap();
    let query = "?propagationPolicy=Foreground&resourceVersion=";
    delete(&client, &format!("{query}1"), JSON, "").await;
    assert_eq!(methods(&env), [Method::GET, Method::DELETE]);
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let (code, answer) = delete(&client, &format!("{query}{version}"), JSON, "").await;
    assert_eq!(code, 200, "{answer}");
    let [_, _, deletion] = requests(&env).try_into().unwrap();
    let patched = answer["metadata"]["resourceVersion"].as_str().unwrap();
    let named = deletion.query.rsplit('=').next().unwrap();
    assert_ne!(named, version);
    // The deletion itself created the next version.
    assert_ne!(named, patched);
    assert!(named.parse::<u64>().unwrap() > version.parse().unwrap());
}

/// A remaining finalizer would act on a later deletion.
#[tokio::test]
async fn rejected_deletion_removes_its_finalizer() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let before = value!(["a", "orphan"]);
    set_metadata(&env, value!({ "finalizers": before }));
    let denied = failure(403, "Forbidden");
    env.control_plane
        .faults()
        .add(is_shop_with(&Method::DELETE), denied);
    let (code, _) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!(code, 403);
    assert_eq!(finalizers(&env), before);
    // A deletion that timed out may still take place.
    let failed = failure(504, "Timeout");
    env.control_plane.faults().clear();
    env.control_plane
        .faults()
        .add(is_shop_with(&Method::DELETE), failed);
    let (code, _) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!(code, 504);
    assert_eq!(
        finalizers(&env),
        value!(["a", "orphan", "claimgate.dev/orphan"])
    );
}

/// A finalizer without a deletion would act on a later deletion.
#[tokio::test]
async fn deletion_completes_after_its_client_disconnects() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let faults = env.control_plane.faults();
    let patch_may_continue = CancellationToken::new();
    faults.add(
        is_shop_with(&Method::PATCH),
        Fault::Until(patch_may_continue.clone()),
    );
    let mut deletion = Box::pin(delete(&client, "", JSON, ORPHAN));
    tokio::select! {
        _ = &mut deletion => panic!("the deletion ended before the patch was answered"),
        () = eventually(|| async { methods(&env).contains(&Method::PATCH) }) => {}
    }
    drop(deletion);
    // This request follows the stream's reset on the same connection.
    assert_eq!(client.get("/livez").await.status(), 200);
    patch_may_continue.cancel();
    eventually(|| async { methods(&env).contains(&Method::DELETE) }).await;
}

/// Kubernetes adds no finalizers to an object that is being deleted.
#[tokio::test]
async fn second_deletion_with_orphan_gets_409_and_with_foreground_passes() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    set_metadata(&env, value!({"finalizers": ["a"]}));
    delete(&client, "", JSON, "").await;
    env.control_plane.clear_requests();
    let (code, body) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!((code, &body["reason"]), (409, &"Conflict".into()), "{body}");
    assert_eq!(body["details"]["name"], "shop");
    assert_eq!(methods(&env), [Method::GET]);
    env.control_plane.clear_requests();
    let (code, body) = delete(&client, "", JSON, FOREGROUND).await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(methods(&env), [Method::GET, Method::DELETE]);

    let env = TestEnv::start().await;
    let client = env.developer().await;
    for methods_sent in [
        vec![Method::GET, Method::PATCH, Method::DELETE],
        vec![Method::GET, Method::DELETE],
    ] {
        env.control_plane.clear_requests();
        let (code, body) = delete(&client, "", JSON, ORPHAN).await;
        assert_eq!(code, 200, "{body}");
        assert_eq!(methods(&env), methods_sent);
    }
}

#[tokio::test]
async fn deletecollection_rejects_orphan_and_passes_foreground_unchanged() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    env.control_plane.clear_requests();
    let by_query = format!("{CLAIMS}?propagationPolicy=Orphan");
    for (path, body) in [(CLAIMS, ORPHAN), (by_query.as_str(), "")] {
        let (code, answer) = client.write("DELETE", path, JSON, body).await;
        assert_eq!((code, &answer["reason"]), (422, &"Invalid".into()));
    }
    assert!(env.control_plane.requests().is_empty());
    let (code, answer) = client.write("DELETE", CLAIMS, JSON, FOREGROUND).await;
    assert_eq!(code, 200, "{answer}");
    assert!(stored_shop(&env).is_none());
    let [deletion] = env.control_plane.requests().try_into().unwrap();
    assert_eq!(deletion.body, FOREGROUND);
}

/// The control plane might read a policy that claimgate cannot.
#[tokio::test]
async fn unreadable_delete_options_are_rejected() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    env.control_plane.clear_requests();
    let deep = format!(
        r#"{{"propagationPolicy":"Orphan","x":{}1{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    for (kind, body, expected) in [
        (JSON, deep.as_str(), 400),
        (
            "application/yaml",
            "propagationPolicy: !!binary T3JwaGFu",
            400,
        ),
        (PROTOBUF, "k8s\0\x12\x0a\x7b\x7c\x22\x06Orphan", 400),
        ("application/cbor", "x", 415),
    ] {
        let (code, answer) = delete(&client, "", kind, body).await;
        assert_eq!(code, expected, "{kind} {body}: {answer}");
    }
    assert!(requests(&env).is_empty());
}
