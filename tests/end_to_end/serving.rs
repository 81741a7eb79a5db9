//! Protocols, authentication, limits and draining.

use hyper::client::conn::http1;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::*;

#[tokio::test]
async fn http1_tls12_and_clients_without_sni_are_served() {
    let env = TestEnv::start().await;
    for version in [&TLS12, &TLS13] {
        for protocol in [Some("http/1.1"), None] {
            let mut tls = env.tls(Some(&env.developer), &[version]);
            tls.alpn_protocols = protocol.iter().map(|name| (*name).into()).collect();
            tls.enable_sni = false;
            let connection = env.dial(tls).await.unwrap();
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
async fn direct_access_needs_a_group_in_the_client_certificate() {
    let env = TestEnv::start().await;
    for (groups, expected) in [
        (&["others", "system:masters"][..], 403),
        (&["others", "dev-users"], 200),
        (&[], 403),
    ] {
        let client = env.member_of(groups).await;
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
    let (status, body) = json(env.developer().await.send(request).await).await;
    assert_eq!((status, &body["reason"]), (403, &"Forbidden".into()));
    // The front proxy's certificate authenticates no user without X-Remote-User.
    assert_eq!(env.front_proxy().await.json(CLAIMS).await.0, 401);
}

/// The in-memory control plane allows 100 streams on a connection, like kube-apiserver.
#[tokio::test]
async fn watches_beyond_the_streams_of_one_connection_get_their_events() {
    const COUNT: usize = 250;
    let env = TestEnv::start().await;
    let client = env.front_proxy().await;
    let mut watches = Vec::new();
    for _ in 0..COUNT {
        let path = format!("{CLAIMS}?watch=true&fieldSelector=metadata.name%3Deverybody");
        let request = Request::get(path).header("x-remote-user", "argocd");
        let response = client.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(response.status(), 200);
        watches.push(response.into_body());
    }
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    claims
        .create(example::claim("app-ns-1", "everybody", 1))
        .unwrap();
    for watch in &mut watches {
        let event = line(watch).await.unwrap();
        assert_eq!(event["object"]["metadata"]["namespace"], "default");
    }
    let label = r#"{control_plane="platform",class="watches"}"#;
    let connections = env
        .metric(&format!("claimgate_upstream_connections{label}"))
        .await;
    assert_eq!(connections, Some(3.0));
    drop(watches);
    let streams = format!("claimgate_upstream_streams{label}");
    eventually(|| async { env.metric(&streams).await == Some(0.0) }).await;
}

#[tokio::test]
async fn control_plane_sees_only_the_identity_of_claimgate() {
    let env = TestEnv::start().await;
    let proxy = env.front_proxy().await;
    let request = Request::get(CLAIMS)
        .header("x-remote-user", "admin")
        .header("x-remote-group", "system:masters")
        .header("impersonate-user", "root")
        .header("authorization", "Bearer theirs")
        .header("user-agent", "kubectl");
    let (status, _) = json(proxy.send(request.body(Full::default()).unwrap()).await).await;
    assert_eq!(status, 200);
    let requests = env.control_plane.requests();
    let sent = requests
        .iter()
        .find(|r| r.path.contains("kubernetesclusters"))
        .unwrap();
    assert_eq!(sent.path, CLAIMS.replace("default", "app-ns-1"));
    assert_eq!(sent.headers["user-agent"], "kubectl");
    let expected = format!("Bearer {}", env.control_plane.token());
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
async fn anonymous_requests_get_401_except_for_health() {
    let env = TestEnv::start().await;
    let anonymous = env.anonymous().await;
    assert_eq!(anonymous.get("/readyz").await.status(), 200);
    for path in [CLAIMS, "/apis", "/openapi/v2", "/version", "/"] {
        let (status, body) = anonymous.json(path).await;
        assert_eq!((status, &body["kind"]), (401, &"Status".into()), "{path}");
    }
}

#[tokio::test]
async fn headers_above_the_limit_get_431_and_the_connection_stays_open() {
    let env = TestEnv::start().await;
    for (client, limit) in [
        (env.developer().await, 16 << 10),
        (env.front_proxy().await, 1 << 20),
    ] {
        let with = |bytes: usize| {
            let request = Request::get(CLAIMS).header("x-remote-user", "somebody");
            request
                .header("x-large", "x".repeat(bytes))
                .body(Full::default())
                .unwrap()
        };
        assert_eq!(client.send(with(limit - 2048)).await.status(), 200);
        let (status, body) = json(client.send(with(limit + 1024)).await).await;
        let reason = "RequestHeaderFieldsTooLarge";
        assert_eq!((status, &body["reason"]), (431, &reason.into()));
        let cause = body["details"]["causes"][0]["message"].as_str().unwrap();
        assert!(cause.starts_with("x-large: 1 fields with"), "{cause}");
        // h2 itself rejects more than twice the limit, without a body.
        assert_eq!(
            json(client.send(with(2 * limit + 1024)).await).await,
            (431, Value::Null)
        );
        assert_eq!(client.send(with(10)).await.status(), 200);
    }
}

#[tokio::test]
async fn users_may_have_thousands_of_groups() {
    let env = TestEnv::start().await;
    let client = env.front_proxy().await;
    for (count, expected) in [(15_000, 200), (20_000, 431), (23_000, 431)] {
        let request = || {
            let request = Request::get(CLAIMS).header("host", "localhost");
            let mut request = request.header("x-remote-user", "somebody");
            for number in 0..count {
                request = request.header("x-remote-group", number.to_string());
            }
            request.body(Full::<Bytes>::default()).unwrap()
        };
        let tls = env.tls(Some(&env.front_proxy), &[&TLS13]);
        let (mut http1, driver) = http1::handshake(env.dial(tls).await.unwrap())
            .await
            .unwrap();
        tokio::spawn(driver);
        let mut http2 = request();
        http2.headers_mut().remove("host");
        for response in [
            client.send(http2).await,
            http1.send_request(request()).await.unwrap(),
        ] {
            let version = response.version();
            let (status, body) = json(response).await;
            assert_eq!(status, expected, "{version:?} {count}: {body}");
            if expected == 431 {
                let cause = body["details"]["causes"][0]["message"].as_str().unwrap();
                let expected = format!("x-remote-group: {count} fields with");
                assert!(cause.starts_with(&expected), "{cause}");
            }
        }
    }
}

#[tokio::test]
async fn draining_ends_watches_cleanly_and_finishes_requests() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let mut watch = client
        .get(&format!("{CLAIMS}?watch=true"))
        .await
        .into_body();
    assert!(line(&mut watch).await.is_some());
    let slow = Fault::Delay(std::time::Duration::from_millis(300));
    env.control_plane
        .faults()
        .add_times(1, |r| r.path.ends_with("/shop"), slow);
    let (answer, ()) = tokio::join!(client.json(SHOP), async {
        let seen = || async {
            env.control_plane
                .requests()
                .iter()
                .any(|r| r.path.ends_with("/shop"))
        };
        eventually(seen).await;
        env.stop.graceful.cancel();
    });
    assert_eq!(answer.0, 200);
    let rest = watch
        .collect()
        .await
        .expect("the watch ends without an error");
    assert!(rest.to_bytes().is_empty());
    env.running.await.unwrap();
}

#[tokio::test]
async fn requests_above_the_limits_get_429_or_413() {
    let env = TestEnv::start_with("limits: {maxWatches: 1, maxRequestBodySize: 1KiB}").await;
    let client = env.developer().await;
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

/// The permit stays in use after the control plane's response has ended, if it is buffered or compressed.
#[tokio::test]
async fn request_keeps_its_permit_until_its_response_is_sent() {
    const STREAMS: &str =
        r#"claimgate_upstream_streams{control_plane="platform",class="requests"}"#;
    let env = TestEnv::start_with("limits: {maxRequestsInFlight: 1}").await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let others = env.developer().await;
    let is_full = async || others.get(CLAIMS).await.status() == 429;
    for (accept, is_long) in [(JSON, false), ("application/yaml", false), (JSON, true)] {
        if is_long {
            let mut claim = example::claim("app-ns-1", "long", 3);
            claim["metadata"]["annotations"] = serde_json::json!({"note": "n".repeat(200_000)});
            claims.create(claim).unwrap();
        }
        let slow = env.developer_with_window(0).await;
        let request = Request::get(CLAIMS).header("accept", accept);
        let request = request.header("accept-encoding", "gzip");
        let answer = slow.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers().contains_key("content-encoding"), is_long);
        eventually(|| async { env.metric(STREAMS).await == Some(0.0) }).await;
        assert!(is_full().await, "{accept}, long list: {is_long}");
        drop(answer);
        eventually(|| async { !is_full().await }).await;
    }
}
