//! The shared mapping: all namespaces of the app cluster in one namespace of the control plane.

use dev_control_plane::RecordedRequest;
use serde_json::json as value;

use super::*;

const OTHER: &str = "/apis/k8s.starter.org/v1alpha1/namespaces/other/kubernetesclusters";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// Returns the claims on the control plane except the one that is not of this cluster.
pub(crate) fn stored(env: &TestEnv) -> Vec<Value> {
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let mut all = claims.list(Some("app-ns-1"));
    all.retain(|claim| claim["metadata"]["name"] != "shop");
    all
}

pub(crate) fn claim_in(namespace: &str, name: &str) -> String {
    let mut claim = example::claim(namespace, name, 3);
    claim["spec"]["writeConnectionSecretToRef"] = value!({"name": "db"});
    claim.to_string()
}

pub(crate) fn assert_is_local(reply: &Value) {
    let text = reply.to_string();
    for remote in ["app-ns-1", "claimgate.dev/", "-ns-1"] {
        assert!(!text.contains(remote), "{text}");
    }
}

pub(crate) async fn env_with_claims() -> (TestEnv, harness::Client) {
    let env = TestEnv::start_shared().await;
    let client = env.developer().await;
    for (path, namespace, name) in [(CLAIMS, "default", "a"), (OTHER, "other", "a")] {
        let (status, reply) = client
            .write("POST", path, JSON, &claim_in(namespace, name))
            .await;
        assert_eq!(status, 201, "{reply}");
        assert_is_local(&reply);
        assert_eq!(reply["metadata"]["namespace"], namespace);
        assert_eq!(reply["metadata"]["name"], name);
    }
    (env, client)
}

#[tokio::test]
async fn claims_of_all_namespaces_are_stored_in_one() {
    let (env, client) = env_with_claims().await;
    let stored = stored(&env);
    assert_eq!(stored.len(), 2);
    for claim in &stored {
        let metadata = &claim["metadata"];
        assert_eq!(metadata["labels"]["claimgate.dev/cluster"], "test");
        assert_eq!(metadata["labels"]["claimgate.dev/name"], "a");
        assert_eq!(metadata["annotations"]["claimgate.dev/name"], "a");
        let secret = &claim["spec"]["writeConnectionSecretToRef"]["name"];
        assert!(secret.as_str().unwrap().starts_with("db-"), "{secret}");
    }
    for (path, names) in [(CLAIMS, value!(["a"])), (ALL, value!(["a", "a"]))] {
        let (_, list) = client.json(path).await;
        let items = list["items"].as_array().unwrap();
        let listed: Vec<_> = items.iter().map(|item| &item["metadata"]["name"]).collect();
        assert_eq!(value!(listed), names);
        assert_is_local(&list);
    }
    let (status, claim) = client.json(&format!("{CLAIMS}/a")).await;
    assert_eq!(status, 200, "{claim}");
    assert_eq!(claim["spec"]["writeConnectionSecretToRef"]["name"], "db");
    assert!(claim["metadata"].get("labels").is_none(), "{claim}");
    let (status, reply) = client.json(SHOP).await;
    assert_eq!(status, 404, "{reply}");
    assert_is_local(&reply);
}

#[tokio::test]
async fn origin_survives_every_kind_of_write() {
    let (env, client) = env_with_claims().await;
    let path = format!("{CLAIMS}/a");
    for (kind, body) in [
        (MERGE, r#"{"metadata":{"labels":{"x":"y"}}}"#),
        (MERGE, r#"{"metadata":{"labels":null,"annotations":null}}"#),
        (
            MERGE,
            r#"{"metadata":{"labels":{"claimgate.dev/name":"b"}}}"#,
        ),
        (
            JSON_PATCH,
            r#"[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]"#,
        ),
        (JSON_PATCH, r#"[{"op":"remove","path":"/metadata/labels"}]"#),
        (
            JSON_PATCH,
            r#"[{"op":"add","path":"/metadata/annotations","value":{"claimgate.dev/name":"b"}}]"#,
        ),
    ] {
        let (status, reply) = client.write("PATCH", &path, kind, body).await;
        assert_eq!(status, 200, "{body}: {reply}");
        assert_is_local(&reply);
    }
    let (_, mut claim) = client.json(&path).await;
    claim["metadata"]["labels"] = value!({"z": "1"});
    let (status, reply) = client.write("PUT", &path, JSON, &claim.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["metadata"]["labels"], value!({"z": "1"}));
    let stored = stored(&env);
    let mut of_default = stored
        .iter()
        .filter(|claim| claim["metadata"]["labels"]["claimgate.dev/namespace"] == "default");
    let metadata = &of_default.next().unwrap()["metadata"];
    assert_eq!(metadata["labels"]["claimgate.dev/name"], "a");
    assert_eq!(metadata["labels"]["z"], "1");
    assert_eq!(metadata["annotations"]["claimgate.dev/name"], "a");
}

#[tokio::test]
async fn generated_names_are_generated_here() {
    let (_env, client) = env_with_claims().await;
    let mut claim = example::claim("default", "x", 1);
    claim["metadata"] = value!({"generateName": "gen-"});
    let (status, reply) = client.write("POST", CLAIMS, JSON, &claim.to_string()).await;
    assert_eq!(status, 201, "{reply}");
    let name = reply["metadata"]["name"].as_str().unwrap();
    assert_eq!(name.len(), "gen-".len() + 5, "{name}");
    assert_eq!(reply["metadata"]["generateName"], "gen-");
    let (status, _) = client.json(&format!("{CLAIMS}/{name}")).await;
    assert_eq!(status, 200);
}

/// kube-apiserver also tries eight names.
#[tokio::test]
async fn taken_generated_names_are_replaced() {
    let (env, client) = env_with_claims().await;
    let mut claim = example::claim("default", "x", 1);
    claim["metadata"] = value!({"generateName": "gen-"});
    for (taken, expected) in [(7, 201), (8, 409)] {
        let conflict = Fault::Answer {
            status: StatusCode::CONFLICT,
            headers: HeaderMap::new(),
            body: value!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "AlreadyExists", "code": 409})
                .to_string()
                .into(),
        };
        let is_create = |request: &RecordedRequest| {
            request.method == Method::POST && request.path.ends_with("/kubernetesclusters")
        };
        env.control_plane
            .faults()
            .add_times(taken, is_create, conflict);
        let (status, reply) = client.write("POST", CLAIMS, JSON, &claim.to_string()).await;
        assert_eq!(status, expected, "{reply}");
    }
}

#[tokio::test]
async fn watch_shows_local_names() {
    let (_env, client) = env_with_claims().await;
    let mut events = client
        .get(&format!("{CLAIMS}?watch=true&resourceVersion=0"))
        .await
        .into_body();
    let event = line(&mut events).await.unwrap();
    assert_eq!(event["object"]["metadata"]["name"], "a");
    assert_is_local(&event);
    let (status, reply) = client
        .write("DELETE", &format!("{CLAIMS}/a"), JSON, "")
        .await;
    assert_eq!(status, 200, "{reply}");
    let event = line(&mut events).await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_is_local(&event);
}

/// Creates an object in the shared namespace as an administrator of the control plane would.
fn create_remote(env: &TestEnv, name: &str, labels: Value, annotations: Value) {
    let mut claim = example::claim("app-ns-1", name, 1);
    claim["metadata"]["labels"] = labels;
    claim["metadata"]["annotations"] = annotations;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    claims.create(claim).unwrap();
}

pub(crate) fn origin(cluster: &str, name: &str) -> Value {
    value!({
        "claimgate.dev/cluster": cluster,
        "claimgate.dev/namespace": "default",
        "claimgate.dev/name": name,
    })
}

#[tokio::test]
async fn objects_with_forged_labels_are_never_shown_or_deleted() {
    let (env, client) = env_with_claims().await;
    create_remote(&env, "plain", value!({}), value!({}));
    create_remote(
        &env,
        "forged",
        origin("test", "forged"),
        origin("test", "forged"),
    );
    create_remote(
        &env,
        "theirs",
        origin("other", "theirs"),
        origin("other", "theirs"),
    );
    for path in [CLAIMS, ALL] {
        let (_, list) = client.json(path).await;
        let text = list.to_string();
        assert!(text.contains("\"a\""), "{text}");
        for foreign in ["plain", "forged", "theirs"] {
            assert!(!text.contains(foreign), "{text}");
        }
    }
    for foreign in ["plain", "forged", "theirs"] {
        let (status, _) = client.json(&format!("{CLAIMS}/{foreign}")).await;
        assert_eq!(status, 404, "{foreign}");
    }
}

/// Returns the remote names of the stored objects.
fn stored_names(env: &TestEnv) -> Vec<String> {
    let name = |claim: &Value| claim["metadata"]["name"].as_str().unwrap().to_owned();
    stored(env).iter().map(name).collect()
}

/// Creates more claims than a page of the list contains, and objects that only have the labels of one.
async fn env_with_mixed_collection() -> (TestEnv, harness::Client) {
    let (env, client) = env_with_claims().await;
    for number in 0..60 {
        let claim = claim_in("default", &format!("n{number}"));
        let (status, reply) = client.write("POST", CLAIMS, JSON, &claim).await;
        assert_eq!(status, 201, "{reply}");
    }
    for name in ["forged", "zz-forged"] {
        create_remote(&env, name, origin("test", name), origin("test", name));
    }
    (env, client)
}

#[tokio::test]
async fn deleting_a_collection_leaves_objects_with_forged_labels() {
    let (env, client) = env_with_mixed_collection().await;
    let waiting = format!("{CLAIMS}/n7");
    let body = r#"{"metadata":{"finalizers":["example.org/wait"]}}"#;
    let (status, reply) = client.write("PATCH", &waiting, MERGE, body).await;
    assert_eq!(status, 200, "{reply}");
    let dry_run = r#"{"dryRun":["All"]}"#;
    let (status, reply) = client.write("DELETE", CLAIMS, JSON, dry_run).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["items"].as_array().unwrap().len(), 61);
    assert_eq!(stored(&env).len(), 64);

    let (status, reply) = client.write("DELETE", CLAIMS, JSON, "").await;
    assert_eq!(status, 200, "{reply}");
    assert_is_local(&reply);
    let remaining = reply["items"].as_array().unwrap();
    assert_eq!(remaining.len(), 1);
    assert_eq!(remaining[0]["metadata"]["name"], "n7");
    let mut names = stored_names(&env);
    names.retain(|name| !name.starts_with("n7-"));
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[0].starts_with("a-"), "{names:?}");
    assert_eq!(names[1..], ["forged", "zz-forged"]);
    let (_, list) = client.json(ALL).await;
    let listed = list["items"].as_array().unwrap().iter();
    let listed: Vec<_> = listed
        .map(|claim| &claim["metadata"]["namespace"])
        .collect();
    assert_eq!(listed, ["other", "default"]);
}

#[tokio::test]
async fn deletions_of_a_collection_keep_the_options_and_require_the_listed_uid() {
    let (env, client) = env_with_mixed_collection().await;
    let is_deletion = |path: &str| path.contains("/n1-");
    for (query, body) in [
        (
            "",
            r#"{"gracePeriodSeconds":3,"propagationPolicy":"Background","dryRun":["All"]}"#,
        ),
        (
            "?gracePeriodSeconds=3&propagationPolicy=Background&dryRun=All",
            "",
        ),
    ] {
        env.control_plane.clear_requests();
        let path = format!("{CLAIMS}{query}");
        let (status, reply) = client.write("DELETE", &path, JSON, body).await;
        assert_eq!(status, 200, "{reply}");
        let requests = env.control_plane.requests();
        let mut deletions = requests.iter().filter(|sent| is_deletion(&sent.path));
        let deletion = deletions.next().unwrap();
        let options = match body {
            "" => deletion.query.clone(),
            _ => String::from_utf8(deletion.body.to_vec()).unwrap(),
        };
        for option in ["uid", "gracePeriodSeconds", "Background", "dryRun"] {
            assert!(options.contains(option), "{options}");
        }
    }
    let gone = json_fault(404, r#"{"kind":"Status","code":404,"reason":"NotFound"}"#);
    let faults = env.control_plane.faults();
    faults.add(move |sent| is_deletion(&sent.path), gone);
    let (status, reply) = client.write("DELETE", CLAIMS, JSON, "").await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["items"].as_array().unwrap().len(), 1);
    faults.clear();
    let denied = json_fault(
        403,
        r#"{"kind":"Status","code":403,"message":"kubernetesclusters.k8s.starter.org \"x\" is forbidden","reason":"Forbidden"}"#,
    );
    faults.add(move |sent| is_deletion(&sent.path), denied);
    let (status, reply) = client.write("DELETE", CLAIMS, JSON, "").await;
    assert_eq!(status, 403, "{reply}");
}

#[tokio::test]
async fn object_of_another_name_is_neither_shown_nor_overwritten() {
    let (env, client) = env_with_claims().await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let stored = stored(&env);
    let of_default =
        |claim: &&Value| claim["metadata"]["annotations"]["claimgate.dev/namespace"] == "default";
    let remote = stored.iter().find(of_default).unwrap()["metadata"]["name"].clone();
    let remote = remote.as_str().unwrap();
    let theirs =
        value!({"metadata": {"annotations": origin("test", "b"), "labels": origin("test", "b")}});
    claims.patch("app-ns-1", remote, &theirs).unwrap();
    let path = format!("{CLAIMS}/a");
    let (status, _) = client.json(&path).await;
    assert_eq!(status, 404);
    let (status, reply) = client
        .write("PUT", &path, JSON, &claim_in("default", "a"))
        .await;
    assert_eq!(status, 404, "{reply}");
    let (status, reply) = client
        .write("POST", CLAIMS, JSON, &claim_in("default", "a"))
        .await;
    assert_eq!(status, 409, "{reply}");
    let message = reply["message"].as_str().unwrap();
    assert!(message.contains("another cluster or name"), "{message}");

    let before = claims.get("app-ns-1", remote).unwrap();
    let (status, scale) = (format!("{path}/status"), format!("{path}/scale"));
    let apply = format!("{path}?fieldManager=me&force=true");
    for (method, path, kind, body) in [
        ("GET", &scale, JSON, ""),
        ("PATCH", &path, MERGE, r#"{"spec":{"nodeCount":9}}"#),
        (
            "PATCH",
            &path,
            MERGE,
            r#"{"metadata":{"labels":{"a":"b"}}}"#,
        ),
        ("PATCH", &path, JSON_PATCH, "[]"),
        ("PATCH", &status, MERGE, r#"{"status":{"nodeCount":9}}"#),
        ("PATCH", &scale, MERGE, r#"{"spec":{"replicas":9}}"#),
        ("DELETE", &path, JSON, ""),
    ] {
        let (code, reply) = client.write(method, path, kind, body).await;
        assert_eq!(code, 404, "{method} {path} {body}: {reply}");
        assert_eq!(claims.get("app-ns-1", remote).unwrap(), before);
    }
    let body = claim_in("default", "a");
    let (code, reply) = client.write("PATCH", &apply, APPLY, &body).await;
    assert_eq!(code, 409, "{reply}");
    assert_eq!(claims.get("app-ns-1", remote).unwrap(), before);
}

#[tokio::test]
async fn invalid_namespace_has_no_claims() {
    let (_env, client) = env_with_claims().await;
    for namespace in ["No_Name", "-a-", "a%20b"] {
        let all = format!("{ALL}?fieldSelector=metadata.namespace%3D{namespace}");
        let (status, list) = client.json(&all).await;
        assert_eq!(status, 200, "{list}");
        assert_eq!(list["items"], value!([]), "{list}");
    }
    let named = CLAIMS.replace("/default/", "/No_Name/") + "/a";
    let (status, reply) = client.json(&named).await;
    assert_eq!(status, 403, "{reply}");
    let message = reply["message"].as_str().unwrap();
    assert!(message.contains("is not a valid name"), "{message}");
    assert_eq!(reply["details"]["name"], "a");
}
