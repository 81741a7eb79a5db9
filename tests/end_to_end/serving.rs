//! Who is served, and how much.

use super::*;

#[tokio::test]
async fn only_the_connectors_identity_goes_to_the_control_plane() {
    let bed = Bed::start().await;
    let proxy = bed.proxy().await;
    let request = Request::get(CLAIMS)
        .header("x-remote-user", "admin")
        .header("x-remote-group", "system:masters")
        .header("impersonate-user", "root")
        .header("authorization", "Bearer theirs")
        .header("user-agent", "kubectl");
    let (status, _) = json(proxy.send(request.body(Full::default()).unwrap()).await).await;
    assert_eq!(status, 200);
    let requests = bed.control_plane.requests();
    let sent = requests
        .iter()
        .find(|r| r.path.contains("kubernetesclusters"))
        .unwrap();
    assert_eq!(sent.path, CLAIMS.replace("default", "app-ns-1"));
    assert_eq!(sent.headers["user-agent"], "kubectl");
    let expected = format!("Bearer {}", bed.control_plane.token());
    assert_eq!(sent.headers["authorization"], expected.as_str());
    let names: Vec<&str> = sent.headers.keys().map(|name| name.as_str()).collect();
    assert!(
        names
            .iter()
            .all(|n| !n.starts_with("x-") && !n.starts_with("imp")),
        "{names:?}"
    );
}

#[tokio::test]
async fn who_is_not_known_gets_401_for_all_but_health() {
    let bed = Bed::start().await;
    let nobody = bed.nobody().await;
    assert_eq!(nobody.get("/readyz").await.status(), 200);
    for path in [CLAIMS, "/apis", "/openapi/v2", "/version", "/"] {
        let (status, body) = nobody.json(path).await;
        assert_eq!((status, &body["kind"]), (401, &"Status".into()), "{path}");
    }
}

#[tokio::test]
async fn headers_beyond_the_bound_are_431_and_the_connection_survives() {
    let bed = Bed::start().await;
    for (client, most) in [
        (bed.developer().await, 16 << 10),
        (bed.proxy().await, 64 << 10),
    ] {
        let with = |bytes: usize| {
            let request = Request::get(CLAIMS).header("x-remote-user", "somebody");
            request
                .header("x-large", "x".repeat(bytes))
                .body(Full::default())
                .unwrap()
        };
        assert_eq!(client.send(with(most - 2048)).await.status(), 200);
        assert_eq!(client.send(with(most + 1024)).await.status(), 431);
        assert_eq!(client.send(with(10)).await.status(), 200);
    }
}

#[tokio::test]
async fn stopping_ends_watches_cleanly_and_lets_requests_finish() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let mut watch = client
        .get(&format!("{CLAIMS}?watch=true"))
        .await
        .into_body();
    assert!(line(&mut watch).await.is_some());
    let slow = Fault::Delay(std::time::Duration::from_millis(300));
    bed.control_plane
        .faults()
        .add_times(1, |r| r.path.ends_with("/shop"), slow);
    let one = format!("{CLAIMS}/shop");
    let (answer, ()) = tokio::join!(client.json(&one), async {
        let seen = || async {
            bed.control_plane
                .requests()
                .iter()
                .any(|r| r.path.ends_with("/shop"))
        };
        eventually(seen).await;
        bed.stop.gently.cancel();
    });
    assert_eq!(answer.0, 200);
    let rest = watch
        .collect()
        .await
        .expect("the watch ends without an error");
    assert!(rest.to_bytes().is_empty());
    bed.running.await.unwrap();
}

#[tokio::test]
async fn load_beyond_the_limits_is_429() {
    let bed = Bed::start_with("limits: {watchesMax: 1, bodyMax: 1KiB}").await;
    let client = bed.developer().await;
    let first = client.get(&format!("{CLAIMS}?watch=true")).await;
    assert_eq!(first.status(), 200);
    let second = client.get(&format!("{CLAIMS}?watch=true")).await;
    assert_eq!(second.status(), 429);
    assert_eq!(second.headers()["retry-after"], "1");
    drop(first);
    eventually(|| async { client.get(&format!("{CLAIMS}?watch=true")).await.status() == 200 })
        .await;
    let (status, body) = client.write("POST", CLAIMS, JSON, &"x".repeat(2000)).await;
    assert_eq!(
        (status, &body["reason"]),
        (413, &"RequestEntityTooLarge".into())
    );
}
