//! Discovery and OpenAPI.

use std::collections::BTreeSet;

use dev_control_plane::Resource;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::*;

const OPENAPI_V3: &str = "/openapi/v3/apis/k8s.starter.org/v1alpha1";

#[tokio::test]
async fn discovery_and_openapi_answer_with_etags_and_304() {
    let env = TestEnv::start().await;
    let client = env.front_proxy().await;
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (path, accept) in [
        ("/apis", v2),
        ("/openapi/v2", JSON),
        ("/openapi/v3", JSON),
        (OPENAPI_V3, JSON),
    ] {
        let get = async |etags: &str| {
            let request = Request::get(path)
                .header("accept", accept)
                .header("x-remote-user", "a")
                .header("if-none-match", etags);
            client.send(request.body(Full::default()).unwrap()).await
        };
        let first = get("\"\"").await;
        assert_eq!(
            (first.status().as_u16(), &first.headers()["content-type"]),
            (200, &accept.parse().unwrap())
        );
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        let (_, body) = json(first).await;
        let text = body.to_string();
        assert!(
            text.contains("k8s.starter.org") && !text.contains("networkpolicies"),
            "{text}"
        );
        let (weak, among_others) = (format!("W/{etag}"), format!("\"other\", {etag}"));
        for known in [&etag, &weak, &among_others, "*"] {
            let unchanged = get(known).await;
            assert_eq!(unchanged.status(), 304, "{path} {known}");
            assert_eq!(unchanged.headers()["etag"], etag);
            assert!(!unchanged.headers().contains_key("content-type"));
        }
        for other in ["\"other\"", etag.trim_matches('"'), &etag.to_lowercase()] {
            assert_eq!(get(other).await.status(), 200, "{path} {other}");
        }
    }
}

/// With the right hash, clients may cache the document for a year. kube-apiserver redirects requests with
/// another hash, which is impossible behind the aggregator.
#[tokio::test]
async fn openapi_v3_is_cacheable_with_its_hash_and_served_with_any() {
    let env = TestEnv::start().await;
    let (_, index) = env.developer().await.json("/openapi/v3").await;
    let url = &index["paths"]["apis/k8s.starter.org/v1alpha1"]["serverRelativeURL"];
    let url = url.as_str().unwrap();
    assert!(url.starts_with(OPENAPI_V3), "{url}");
    let hash = url.split_once("?hash=").unwrap().1;
    let other = format!("{OPENAPI_V3}?hash={}", hash.to_lowercase());
    let empty = format!("{OPENAPI_V3}?hash=");
    for (url, is_kept) in [
        (url, true),
        (OPENAPI_V3, false),
        (&other, false),
        (&empty, false),
    ] {
        for etag in [format!("\"{hash}\""), "\"other\"".to_owned()] {
            let request = Request::get(url).header("if-none-match", &etag);
            let request = request.body(Full::default()).unwrap();
            let response = env.developer().await.send(request).await;
            let status = if etag.contains(hash) { 304 } else { 200 };
            assert_eq!(response.status(), status, "{url} {etag}");
            let headers = response.headers();
            assert_eq!(headers["etag"], format!("\"{hash}\""), "{url}");
            assert_eq!(headers["vary"], "Accept", "{url}");
            let expected = if is_kept {
                "public, immutable"
            } else {
                "no-cache, private"
            };
            assert_eq!(headers["cache-control"], expected, "{url}");
            let days_cached = headers.get("expires").map(|date| {
                let date = httpdate(date.to_str().unwrap());
                (date - OffsetDateTime::now_utc()).whole_days()
            });
            // One year, less the time since the response.
            assert_eq!(days_cached, is_kept.then_some(364), "{url}");
        }
    }
}

fn httpdate(text: &str) -> OffsetDateTime {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = PrimitiveDateTime::parse(text, format);
    date.unwrap_or_else(|error| panic!("{text}: {error}"))
        .assume_utc()
}

/// The connector may not be authorized to read OpenAPI.
#[tokio::test]
async fn claims_are_served_without_the_control_planes_openapi() {
    let control_plane = TestEnv::control_plane().await;
    let forbidden = Fault::Answer {
        status: StatusCode::FORBIDDEN,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
    };
    let faults = control_plane.faults();
    faults.add(|request| request.path.starts_with("/openapi/"), forbidden);
    let env = TestEnv::start_with_control_plane(control_plane, "").await;
    let client = env.developer().await;
    assert_eq!(client.get(CLAIMS).await.status(), 200);
    assert_eq!(client.get("/openapi/v2").await.status(), 503);
    env.control_plane.faults().clear();
    eventually(|| async { client.get("/openapi/v2").await.status() == 200 }).await;
}

/// Collects the targets of all `$ref` below a value, as JSON pointers.
fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str().filter(|_| key == "$ref") {
                    Some(reference) => {
                        into.insert(reference.trim_start_matches('#').to_owned());
                    }
                    None => references(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

#[tokio::test]
async fn openapi_has_only_the_schemas_that_claims_reference() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    for (path, definitions) in [
        ("/openapi/v2", "/definitions"),
        (
            "/openapi/v3/apis/k8s.starter.org/v1alpha1",
            "/components/schemas",
        ),
    ] {
        let (_, document) = client.json(path).await;
        let defined = document.pointer(definitions).unwrap().as_object().unwrap();
        let mut reached = BTreeSet::new();
        references(&document["paths"], &mut reached);
        let mut before = 0;
        while before < reached.len() {
            before = reached.len();
            for pointer in reached.clone() {
                let target = document.pointer(&pointer);
                references(
                    target.unwrap_or_else(|| panic!("{path}: nothing at {pointer}")),
                    &mut reached,
                );
            }
        }
        let kinds = |of: &Value| of.to_string().contains("\"kind\":\"KubernetesCluster");
        for (name, definition) in defined {
            // kubectl explain needs a kind even if no path refers to it.
            let pointer = format!("{definitions}/{name}");
            let is_reached = reached.contains(&pointer) || kinds(definition);
            assert!(is_reached, "{path}: {name} is not reached");
        }
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(path.starts_with("/apis/k8s.starter.org"), "{path}");
        }
    }
}

/// The app cluster already defines Kubernetes' own kinds. Parsers fail if a kind has two definitions.
#[tokio::test]
async fn openapi_v2_defines_only_exposed_kinds() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let (_, document) = client.json("/openapi/v2").await;
    let mut kinds = BTreeSet::new();
    for (name, definition) in document["definitions"].as_object().unwrap() {
        let Some(of) = definition.get("x-kubernetes-group-version-kind") else {
            continue;
        };
        for kind in of.as_array().unwrap() {
            assert_eq!(kind["group"], "k8s.starter.org", "{name}");
            kinds.insert(kind["kind"].as_str().unwrap().to_owned());
        }
    }
    assert!(kinds.contains("KubernetesCluster") && kinds.contains("KubernetesClusterList"));
}

#[tokio::test]
async fn discovery_is_served_in_every_format() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    for (path, accept, kind) in [
        ("/apis", beta, "APIGroupDiscoveryList"),
        ("/apis", JSON, "APIGroupList"),
        ("/apis/k8s.starter.org", JSON, "APIGroup"),
        ("/apis/k8s.starter.org/v1alpha1", JSON, "APIResourceList"),
    ] {
        let request = Request::get(path).header("accept", accept);
        let response = client.send(request.body(Full::default()).unwrap()).await;
        let content_type = response.headers()["content-type"].clone();
        assert_eq!(content_type, accept);
        let (status, body) = json(response).await;
        assert_eq!((status, &body["kind"]), (200, &kind.into()));
        assert!(body.to_string().contains("k8s.starter.org"), "{body}");
    }
    for path in [
        "/api",
        "/apis/nothing.org",
        "/apis/nothing.org/v1",
        "/apis/k8s.starter.org/%20",
        "/x",
    ] {
        let response = client.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        let content_type = response.headers()["content-type"].clone();
        assert_eq!(content_type, "text/plain; charset=utf-8", "{path}");
    }
    let (status, version) = client.json("/version").await;
    assert_eq!(status, 200);
    assert!(version["gitVersion"].as_str().unwrap().starts_with('v'));
}

/// A cluster-scoped CRD may replace a namespaced one before the daemon refreshes discovery. Objects
/// without a namespace do not belong to any app cluster.
#[tokio::test]
async fn cluster_scoped_objects_are_never_shown() {
    const VOLUMES: &str = "/apis/k8s.starter.org/v1alpha1/volumes";
    let volumes = Resource {
        categories: vec!["claim".to_owned()],
        ..Resource::new("k8s.starter.org", "v1alpha1", "Volume")
    };
    let control_plane = TestEnv::control_plane().await;
    control_plane.add_resources([volumes.clone()]);
    let env = TestEnv::start_with_control_plane(control_plane, "").await;
    let client = env.developer().await;
    let namespaced = serde_json::json!({"metadata": {"name": "mine", "namespace": "app-ns-1"}});
    let cluster_scoped = serde_json::json!({"metadata": {"name": "everybodys"}});
    let create = |object| {
        let volumes = env.control_plane.objects("volumes.k8s.starter.org");
        volumes.unwrap().create(object).unwrap()
    };
    create(namespaced);
    let (status, list) = client.json(VOLUMES).await;
    assert_eq!((status, list["items"].as_array().unwrap().len()), (200, 1));

    env.control_plane.add_resources([Resource {
        namespaced: false,
        ..volumes
    }]);
    create(cluster_scoped);
    env.control_plane.clear_requests();
    let (status, body) = client.json(VOLUMES).await;
    let requests = env.control_plane.requests();
    assert!(requests.iter().any(|request| request.path == VOLUMES));
    assert!(!body.to_string().contains("everybodys"), "{status} {body}");
    let watch = format!("{VOLUMES}?watch=true&timeoutSeconds=1");
    let events = client.get(&watch).await.into_body().collect().await;
    let events = events.map_or_else(|_reset| Bytes::new(), |body| body.to_bytes());
    let events = String::from_utf8_lossy(&events);
    assert!(!events.contains("everybodys"), "{events}");
    for below in ["", "?watch=true", "/status"] {
        let path = format!("{VOLUMES}/everybodys{below}");
        let (status, body) = client.json(&path).await;
        assert_ne!(status, 200, "{path}: {body}");
    }
}
