//! Who is served, how, and how much.

use hyper::client::conn::http1;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::*;

#[tokio::test]
async fn http1_tls12_and_clients_without_sni_are_served() {
    let bed = Bed::start().await;
    for version in [&TLS12, &TLS13] {
        for protocol in [Some("http/1.1"), None] {
            let mut tls = bed.tls(Some(&bed.developer), &[version]);
            tls.alpn_protocols = protocol.iter().map(|name| (*name).into()).collect();
            tls.enable_sni = false;
            let connection = bed.dial(tls).await.unwrap();
            let (_, session) = connection.inner().get_ref();
            assert_eq!(session.protocol_version(), Some(version.version));
            let (mut sender, driver) = http1::handshake(connection).await.unwrap();
            tokio::spawn(driver);
            for expected in [200, 404, 200] {
                let name = if expected == 200 { "shop" } else { "nothing" };
                let request = Request::get(format!("{CLAIMS}/{name}")).header("host", "localhost");
                let request = request.body(Full::<Bytes>::default()).unwrap();
                let (status, body) = json(sender.send_request(request).await.unwrap()).await;
                assert_eq!(status, expected, "{body}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_certificate_needs_a_direct_group_and_headers_give_none() {
    let bed = Bed::start().await;
    for (groups, expected) in [
        (&["others", "system:masters"][..], 403),
        (&["others", "dev-users"], 200),
        (&[], 403),
    ] {
        let client = bed.of_groups(groups).await;
        let request = Request::get(CLAIMS)
            .header("x-remote-user", "developer")
            .header("x-remote-group", "dev-users");
        let request = request.body(Full::default()).unwrap();
        let (status, body) = json(client.send(request).await).await;
        assert_eq!(status, expected, "{groups:?} {body}");
        if expected == 403 {
            assert_eq!(body["reason"], "Forbidden");
            let message = body["message"].as_str().unwrap();
            assert!(
                message.contains("somebody") && message.contains("directGroups"),
                "{message}"
            );
        }
    }
    let request = Request::get(CLAIMS).header("impersonate-user", "root");
    let request = request.body(Full::default()).unwrap();
    let (status, body) = json(bed.developer().await.send(request).await).await;
    assert_eq!((status, &body["reason"]), (403, &"Forbidden".into()));
    // The front proxy's certificate without a user is nobody, and so is one of another CA.
    assert_eq!(bed.proxy().await.json(CLAIMS).await.0, 401);
}

/// kube-apiserver allows 100 streams on a connection, and so does the control plane here.
#[tokio::test]
async fn more_watches_than_a_connection_has_streams_all_get_their_events() {
    const COUNT: usize = 250;
    let bed = Bed::start().await;
    let client = bed.proxy().await;
    let mut watches = Vec::new();
    for _ in 0..COUNT {
        let path = format!("{CLAIMS}?watch=true&fieldSelector=metadata.name%3Deverybody");
        let request = Request::get(path).header("x-remote-user", "argocd");
        let response = client.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(response.status(), 200);
        watches.push(response.into_body());
    }
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims
        .create(example::claim("app-ns-1", "everybody", 1))
        .unwrap();
    for watch in &mut watches {
        let event = line(watch).await.unwrap();
        assert_eq!(event["object"]["metadata"]["namespace"], "default");
    }
    let label = r#"{control_plane="platform",lane="watches"}"#;
    let connections = bed
        .metric(&format!("claimgate_upstream_connections{label}"))
        .await;
    assert_eq!(connections, Some(3.0));
    drop(watches);
    let streams = format!("claimgate_upstream_streams{label}");
    eventually(|| async { bed.metric(&streams).await == Some(0.0) }).await;
}

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
        (bed.proxy().await, 1 << 20),
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

/// Also if the control plane's own has ended, for it was held or compressed.
#[tokio::test]
async fn a_request_keeps_its_place_until_its_answer_leaves() {
    const STREAMS: &str = r#"claimgate_upstream_streams{control_plane="platform",lane="requests"}"#;
    let bed = Bed::start_with("limits: {requestsInFlightMax: 1}").await;
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    let others = bed.developer().await;
    let is_full = async || others.get(CLAIMS).await.status() == 429;
    for (accept, is_long) in [(JSON, false), ("application/yaml", false), (JSON, true)] {
        if is_long {
            let mut claim = example::claim("app-ns-1", "long", 3);
            claim["metadata"]["annotations"] = serde_json::json!({"note": "n".repeat(200_000)});
            claims.create(claim).unwrap();
        }
        let slow = bed.developer_with_room(0).await;
        let request = Request::get(CLAIMS).header("accept", accept);
        let request = request.header("accept-encoding", "gzip");
        let answer = slow.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers().contains_key("content-encoding"), is_long);
        eventually(|| async { bed.metric(STREAMS).await == Some(0.0) }).await;
        assert!(is_full().await, "{accept} of a long list: {is_long}");
        drop(answer);
        eventually(|| async { !is_full().await }).await;
    }
}
