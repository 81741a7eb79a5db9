//! Namespaces that are not mapped, and resources that are not exposed.
//!
//! The app cluster's garbage collector deletes what an object owns once a read of the object returns 404.
//! So claimgate returns 404 only for objects that the control plane does not have.

use http::Response;
use hyper::body::Incoming;

use super::*;

const UNMAPPED: &str = "/apis/k8s.starter.org/v1alpha1/namespaces/nowhere/kubernetesclusters";
const NETWORK_POLICIES: &str =
    "/apis/k8s.starter.org/v1alpha1/namespaces/default/clusternetworkpolicies";

async fn send(env: &TestEnv, method: &str, path: &str) -> Response<Incoming> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/merge-patch+json");
    let body = Full::from(claim("shop"));
    env.developer()
        .await
        .send(request.body(body).unwrap())
        .await
}

#[tokio::test]
async fn unmapped_namespace_returns_403_for_requests_by_name() {
    let env = TestEnv::start().await;
    for (method, path) in [
        ("GET", "/shop"),
        ("GET", "/shop/status"),
        ("GET", "/shop/scale"),
        ("DELETE", "/shop"),
        ("DELETE", "/shop?dryRun=All"),
        ("PATCH", "/shop"),
        ("PATCH", "/shop/scale"),
    ] {
        env.control_plane.clear_requests();
        let path = format!("{UNMAPPED}{path}");
        let (code, body) = json(send(&env, method, &path).await).await;
        let message = "namespace \"nowhere\" is not mapped to the control plane \"platform\"; add it to \
             controlPlanes.platform.mapping.namespaces in claimgate's configuration";
        assert_eq!(
            (code, &body["reason"], &body["message"]),
            (403, &"Forbidden".into(), &message.into()),
            "{method} {path}"
        );
        assert_eq!(body["details"]["name"], "shop");
        let requests = env.control_plane.requests();
        assert!(!requests.iter().any(|r| r.path.contains("nowhere")));
    }
    assert_eq!(
        send(&env, "HEAD", &format!("{UNMAPPED}/shop"))
            .await
            .status(),
        403
    );
    // The control plane itself reports an object that does not exist.
    let missing = format!("{CLAIMS}/missing");
    assert_eq!(send(&env, "GET", &missing).await.status(), 404);
}

/// client-go's RetryWatcher rejects version 0.
#[tokio::test]
async fn lists_and_bookmarks_of_an_unmapped_namespace_have_version_1() {
    let env = TestEnv::start().await;
    let (code, list) = env.developer().await.json(UNMAPPED).await;
    assert_eq!(
        (code, &list["metadata"]["resourceVersion"]),
        (200, &"1".into())
    );
    let (code, list) = json(send(&env, "DELETE", UNMAPPED).await).await;
    assert_eq!(
        (code, &list["metadata"]["resourceVersion"]),
        (200, &"1".into())
    );
    let query = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true\
                 &resourceVersionMatch=NotOlderThan";
    let watch = env
        .developer()
        .await
        .get(&format!("{UNMAPPED}?{query}"))
        .await;
    let bookmark = line(&mut watch.into_body()).await.unwrap();
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], "1");
}

/// Objects of such resources exist on the control plane although clients cannot see them.
#[tokio::test]
async fn resource_that_is_not_exposed_returns_403_for_requests_by_name() {
    let env = TestEnv::start().await;
    for (path, code) in [
        (format!("{NETWORK_POLICIES}/a"), 403),
        (format!("{NETWORK_POLICIES}/a/status"), 403),
        (CLAIMS.replace("v1alpha1", "v1") + "/shop", 404),
        (CLAIMS.replace("k8s.starter", "dropped") + "/shop", 403),
        // The namespace controller may delete a namespace after a 404 for its collections.
        (NETWORK_POLICIES.to_owned(), 404),
        (CLAIMS.replace("k8s.starter", "dropped"), 404),
        (NETWORK_POLICIES.replace("clusternetwork", "no"), 404),
        (NETWORK_POLICIES.replace("clusternetwork", "no") + "/a", 404),
    ] {
        let response = send(&env, "GET", &path).await;
        assert_eq!(response.status(), code, "{path}");
    }
    let (_, body) = env
        .developer()
        .await
        .json(&format!("{NETWORK_POLICIES}/a"))
        .await;
    assert_eq!(
        body["message"],
        "clusternetworkpolicies.k8s.starter.org is not exposed in version \"v1alpha1\"; add it to apis in \
         claimgate's configuration, or see claimgate's log if it is there"
    );
    assert_eq!(
        (&body["kind"], &body["reason"]),
        (&"Status".into(), &"Forbidden".into())
    );
}
