//! Declared references to Secrets in the shared mapping.

use std::collections::BTreeMap;

use claim_mapping::ReferencePaths;
use claim_mapping::mapping::{ObjectKey, SharedNamespace};
use dev_control_plane::{Column, DevControlPlane, DevControlPlaneOptions, Resource};
use serde_json::json as value;

use super::*;
use crate::harness::{SHARED, Setup};
use crate::shared_mapping::{APPLY, JSON_PATCH, MERGE};

const DECLARED: &str = "db.example.org";
/// An API with the same fields, for which no reference is declared.
const UNDECLARED: &str = "other.example.org";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn databases(group: &str, namespace: &str) -> String {
    format!("/apis/{group}/v1/namespaces/{namespace}/databases")
}

fn resource(group: &str) -> Resource {
    let path = ".spec.parameters.passwordSecretRef.name";
    Resource {
        categories: vec!["claim".to_owned()],
        columns: vec![Column::new("PASSWORD", "string", path)],
        ..Resource::new(group, "v1", "Database")
    }
}

async fn env() -> TestEnv {
    let mut options = DevControlPlaneOptions {
        ready_after: None,
        ..example::options()
    };
    options
        .resources
        .extend([DECLARED, UNDECLARED].map(resource));
    let paths = ["spec.parameters.passwordSecretRef", "spec.tlsSecretName"];
    let paths = Vec::from(paths.map(|path| path.parse().unwrap()));
    let references = ReferencePaths::try_from(paths).unwrap();
    let apis = [DECLARED, UNDECLARED].map(|it| format!("{{group: {it}, controlPlane: platform}}"));
    let setup = Setup {
        mapping: SHARED,
        apis: &format!("[{}]", apis.join(", ")),
        references: BTreeMap::from([(DECLARED.to_owned(), references)]),
        ..Setup::default()
    };
    let control_plane = DevControlPlane::start(options).await.unwrap();
    TestEnv::configured(control_plane, setup).await
}

fn database(group: &str, namespace: &str, secret: &str) -> Value {
    value!({
        "apiVersion": format!("{group}/v1"),
        "kind": "Database",
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {
            "parameters": {"passwordSecretRef": {"key": "password", "name": secret}},
            "tlsSecretName": secret,
        },
    })
}

/// Returns the names of the Secrets in the spec.
fn secrets(object: &Value) -> [Option<&str>; 2] {
    [
        "/spec/parameters/passwordSecretRef/name",
        "/spec/tlsSecretName",
    ]
    .map(|pointer| object.pointer(pointer).and_then(Value::as_str))
}

/// Returns the database of a local namespace as the control plane stores it.
fn stored(env: &TestEnv, group: &str, namespace: &str) -> Value {
    let databases = env.control_plane.objects(&format!("databases.{group}"));
    let mut all = databases.unwrap().list(Some("app-ns-1")).into_iter();
    let is_own = |it: &Value| it["metadata"]["annotations"]["claimgate.dev/namespace"] == namespace;
    all.find(is_own).unwrap()
}

fn remote_name(namespace: &str, secret: &str) -> String {
    let shared = SharedNamespace::new("test", "app-ns-1").unwrap();
    let key = ObjectKey::new(namespace, secret);
    shared.remote_secret_name(&key).unwrap()
}

async fn create(client: &harness::Client, group: &str, namespace: &str) {
    let body = database(group, namespace, "pw").to_string();
    let path = databases(group, namespace);
    let (status, reply) = client.write("POST", &path, JSON, &body).await;
    assert_eq!(status, 201, "{reply}");
    assert_eq!(secrets(&reply), [Some("pw"); 2]);
}

#[tokio::test]
async fn same_name_in_two_namespaces_is_two_secrets() {
    let env = env().await;
    let client = env.developer().await;
    for namespace in ["default", "team-a"] {
        create(&client, DECLARED, namespace).await;
        let remote = remote_name(namespace, "pw");
        let stored = stored(&env, DECLARED, namespace);
        assert_eq!(secrets(&stored), [Some(&*remote); 2]);
    }
    assert_ne!(remote_name("default", "pw"), remote_name("team-a", "pw"));
}

#[tokio::test]
async fn api_group_without_declaration_keeps_the_names() {
    let env = env().await;
    let client = env.developer().await;
    create(&client, UNDECLARED, "default").await;
    let stored = stored(&env, UNDECLARED, "default");
    assert_eq!(secrets(&stored), [Some("pw"); 2]);
    let path = databases(UNDECLARED, "default") + "/a";
    let copy = r#"[{"op":"copy","from":"/spec/tlsSecretName","path":"/spec/x"}]"#;
    let (status, reply) = client.write("PATCH", &path, JSON_PATCH, copy).await;
    assert_eq!(status, 200, "{reply}");
}

#[tokio::test]
async fn every_kind_of_write_maps_the_names() {
    let env = env().await;
    let client = env.developer().await;
    create(&client, DECLARED, "default").await;
    let path = databases(DECLARED, "default") + "/a";
    let apply = format!("{path}?fieldManager=me&force=true");
    let spec = |secret: &str| database(DECLARED, "default", secret)["spec"].clone();
    let mut updated = database(DECLARED, "default", "put");
    let (_, current) = client.json(&path).await;
    updated["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
    let operations = value!([
        {"op": "test", "path": "/spec/tlsSecretName", "value": "put"},
        {"op": "replace", "path": "/spec/tlsSecretName", "value": "field"},
        {"op": "add", "path": "/spec/parameters/passwordSecretRef/name", "value": "field"},
    ]);
    let of_parents = value!([
        {"op": "remove", "path": "/spec/tlsSecretName"},
        {"op": "add", "path": "/spec", "value": spec("x")},
        {"op": "replace", "path": "/spec/parameters", "value": spec("parent")["parameters"]},
        {"op": "test", "path": "/spec/parameters/passwordSecretRef",
            "value": spec("parent")["parameters"]["passwordSecretRef"]},
        {"op": "replace", "path": "/spec/tlsSecretName", "value": "parent"},
    ]);
    let merged = value!({"spec": spec("merged")});
    let applied = database(DECLARED, "default", "applied");
    for (method, path, kind, body, secret) in [
        ("PUT", &path, JSON, &updated, "put"),
        ("PATCH", &path, JSON_PATCH, &operations, "field"),
        ("PATCH", &path, JSON_PATCH, &of_parents, "parent"),
        ("PATCH", &path, MERGE, &merged, "merged"),
        ("PATCH", &apply, APPLY, &applied, "applied"),
    ] {
        let (status, reply) = client.write(method, path, kind, &body.to_string()).await;
        assert_eq!(status, 200, "{body}: {reply}");
        assert_eq!(secrets(&reply), [Some(secret); 2], "{body}");
        let stored = stored(&env, DECLARED, "default");
        let remote = remote_name("default", secret);
        assert_eq!(secrets(&stored), [Some(&*remote); 2], "{body}");
    }
    for pointer in ["/spec/tlsSecretName", "/spec/parameters", "/spec"] {
        let copy = value!([{"op": "copy", "from": pointer, "path": "/spec/x"}]).to_string();
        let (status, reply) = client.write("PATCH", &path, JSON_PATCH, &copy).await;
        assert_eq!(status, 422, "{copy}: {reply}");
    }
}

#[tokio::test]
async fn every_kind_of_read_shows_local_names() {
    let env = env().await;
    let client = env.developer().await;
    create(&client, DECLARED, "default").await;
    let path = databases(DECLARED, "default");
    let applied = database(DECLARED, "default", "pw").to_string() + "\n";
    let annotated = value!({"metadata": {"annotations": {LAST_APPLIED: applied}}}).to_string();
    let object = format!("{path}/a");
    let (status, _) = client.write("PATCH", &object, MERGE, &annotated).await;
    assert_eq!(status, 200);
    let remote = remote_name("default", "pw");
    let annotation = &stored(&env, DECLARED, "default")["metadata"]["annotations"][LAST_APPLIED];
    assert_eq!(annotation.as_str().unwrap().matches(&remote).count(), 2);

    let (_, found) = client.json(&object).await;
    assert_eq!(found["metadata"]["annotations"][LAST_APPLIED], applied);
    for path in [path.clone(), format!("/apis/{DECLARED}/v1/databases")] {
        let (_, list) = client.json(&path).await;
        assert_eq!(list["items"], value!([found]));
        let mut events = client.get(&format!("{path}?watch=true")).await.into_body();
        let event = line(&mut events).await.unwrap();
        assert_eq!(event["object"], found);
        let table = Request::get(format!("{path}?includeObject=Object"))
            .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
        let (_, table) = json(client.send(table.body(Full::default()).unwrap()).await).await;
        let row = &table["rows"][0];
        assert_eq!(row["cells"], value!(["a", "pw"]));
        assert_eq!(row["object"], found);
    }
}
