//! Control planes that fail, and clients that do not read.

use std::time::{Duration, Instant};

use dev_control_plane::RecordedRequest;
use dev_control_plane::faults::Http2Limits;

use super::harness::{Client, Setup};
use super::*;

const DEFAULT_HTTP2: Http2Limits = Http2Limits {
    streams_max: 100,
    stream_window_bytes: 256 << 10,
};

#[tokio::test]
async fn truncated_or_reset_list_ends_with_an_error() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    for then in [AfterCut::End, AfterCut::Reset] {
        let after_bytes = 100;
        let cut = Fault::CutBody { after_bytes, then };
        env.control_plane
            .faults()
            .add_times(1, |r| r.path.ends_with("clusters"), cut);
        let request = Request::get(CLAIMS).body(Full::default()).unwrap();
        // A reset may overtake the headers, on either side of the daemon.
        if let Ok(response) = client.try_send(request).await
            && response.status() == 200
        {
            assert!(response.into_body().collect().await.is_err(), "{then:?}");
        }
    }
}

/// Returns whether a request creates a claim. claimgate also posts reviews of its rights.
fn is_create(request: &RecordedRequest) -> bool {
    request.method == Method::POST && request.path.ends_with("/kubernetesclusters")
}

#[tokio::test]
async fn write_with_unknown_outcome_gets_503_and_is_not_repeated() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    env.control_plane
        .faults()
        .add(is_create, Fault::HandleAndDrop);
    let request = Request::post(CLAIMS).header("content-type", JSON);
    let response = client
        .send(request.body(Full::from(claim("once"))).unwrap())
        .await;
    assert!(response.headers().get("retry-after").is_none());
    let (status, body) = json(response).await;
    assert_eq!(status, 503);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("may have taken effect"),
        "{body}"
    );
    let posts = env
        .control_plane
        .requests()
        .iter()
        .filter(|request| is_create(request))
        .count();
    assert_eq!(posts, 1);
}

#[tokio::test]
async fn write_rejected_unprocessed_is_repeated_once() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let faults = env.control_plane.faults();
    let post = |name: &str| {
        let request = Request::post(CLAIMS).header("content-type", JSON);
        client.send(request.body(Full::from(claim(name))).unwrap())
    };
    faults.add_times(1, is_create, Fault::Refuse);
    let (status, body) = json(post("again").await).await;
    assert_eq!((status, &body["metadata"]["name"]), (201, &"again".into()));

    faults.add(is_create, Fault::Refuse);
    let (status, body) = json(post("never").await).await;
    assert_eq!(status, 503);
    let message = body["message"].as_str().unwrap();
    assert!(!message.contains("may have taken effect"), "{message}");
    let requests = env.control_plane.requests();
    let posts = requests.iter().filter(|request| is_create(request));
    assert_eq!(posts.count(), 4, "each write is sent exactly twice");
}

#[tokio::test]
async fn error_names_unavailable_control_plane_until_it_returns() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    env.control_plane.faults().listen(Listening::Refusing).await;
    env.control_plane.faults().drop_connections();
    eventually(|| async {
        let (status, body) = client.json(CLAIMS).await;
        let message = body["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(status, 503, "{body}");
        message.contains("connection refused") && message.contains("\"platform\"")
    })
    .await;
    assert_eq!(
        client.get("/apis/k8s.starter.org/v1alpha1").await.status(),
        200
    );
    env.control_plane
        .faults()
        .listen(Listening::Accepting)
        .await;
    eventually(|| async { client.json(CLAIMS).await.0 == 200 }).await;
}

#[tokio::test]
async fn control_plane_that_allows_no_streams_gets_503_after_the_connect_timeout() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let faults = env.control_plane.faults();
    faults.limit_http2(Http2Limits {
        streams_max: 0,
        ..DEFAULT_HTTP2
    });
    faults.drop_connections();
    eventually(|| async {
        let (status, body) = client.json(CLAIMS).await;
        let message = body["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(status, 503, "{body}");
        message.contains("allowed no further stream within 2 s")
            && message.contains("API group \"k8s.starter.org\"")
    })
    .await;
    faults.limit_http2(DEFAULT_HTTP2);
    eventually(|| async { client.json(CLAIMS).await.0 == 200 }).await;
}

#[tokio::test]
async fn request_body_that_the_control_plane_does_not_accept_gets_503() {
    let setup = Setup {
        timeouts: ", requestBodyStall: 300ms",
        ..Setup::default()
    };
    let env = TestEnv::configured(TestEnv::control_plane().await, setup).await;
    let client = env.developer().await;
    let post = async |name: String| {
        let (status, body) = client.write("POST", CLAIMS, JSON, &claim(&name)).await;
        let message = body["message"].as_str().unwrap_or_default();
        (status, message.to_owned())
    };
    let closed = Http2Limits {
        stream_window_bytes: 0,
        ..DEFAULT_HTTP2
    };
    reconnect(&env, &client, closed).await;
    let (status, message) = post("stalled".to_owned()).await;
    assert_eq!(status, 503, "{message}");
    assert!(
        message.contains("accepted no data of the request body"),
        "{message}"
    );
    assert_eq!(client.json(CLAIMS).await.0, 200);
    reconnect(&env, &client, DEFAULT_HTTP2).await;
    let (status, message) = post("works".to_owned()).await;
    assert_eq!(status, 201, "{message}");
}

/// Closes all connections and waits until the daemon uses one with these limits.
async fn reconnect(env: &TestEnv, client: &Client, limits: Http2Limits) {
    let faults = env.control_plane.faults();
    faults.limit_http2(limits);
    let accepted = faults.connections_accepted();
    faults.drop_connections();
    let is_new = || faults.connections_accepted() > accepted;
    eventually(|| async { client.json(CLAIMS).await.0 == 200 && is_new() }).await;
}

/// The kernel accepts the connections, but no TLS handshake follows.
#[tokio::test]
async fn unreachable_control_plane_delays_only_the_first_requests() {
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
    const REQUESTS: u32 = 100;
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let faults = env.control_plane.faults();
    faults.listen(Listening::Ignoring).await;
    faults.drop_connections();
    eventually(|| async {
        let (_, body) = client.json(CLAIMS).await;
        body["message"]
            .as_str()
            .unwrap_or_default()
            .contains("no connection within 2 s")
    })
    .await;
    let before = Instant::now();
    for _ in 0..REQUESTS {
        assert_eq!(client.json(CLAIMS).await.0, 503);
    }
    assert!(
        before.elapsed() < CONNECT_TIMEOUT,
        "requests waited for a connection"
    );
    let verbose = client.get("/readyz?verbose").await.into_body();
    let verbose = verbose.collect().await.unwrap().to_bytes();
    let verbose = String::from_utf8_lossy(&verbose);
    assert!(
        verbose.contains("control plane \"platform\" cannot be reached"),
        "{verbose}"
    );
    faults.listen(Listening::Accepting).await;
    eventually(|| async { client.json(CLAIMS).await.0 == 200 }).await;
}

#[tokio::test]
async fn control_plane_that_serves_nothing_is_degraded() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let faults = env.control_plane.faults();
    let is_degraded = async || {
        let metric = r#"claimgate_control_plane_degraded{control_plane="platform"}"#;
        let body = client.get("/readyz?verbose").await.into_body();
        let text = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        let is_shown = text.contains("[!]control plane \"platform\" is degraded");
        assert_eq!(env.metric(metric).await == Some(1.0), is_shown, "{text}");
        is_shown
    };
    assert!(!is_degraded().await);
    for (code, kind) in [(502, "text/plain"), (200, "text/html")] {
        let answer = Fault::Answer {
            status: StatusCode::from_u16(code).unwrap(),
            headers: HeaderMap::from_iter([(
                "content-type".parse().unwrap(),
                kind.parse().unwrap(),
            )]),
            body: "<html>".into(),
        };
        faults.add(|_| true, answer);
        eventually(|| async {
            assert!(client.get(CLAIMS).await.status().is_server_error());
            is_degraded().await
        })
        .await;
        faults.clear();
        eventually(|| async { client.json(CLAIMS).await.0 == 200 && !is_degraded().await }).await;
    }
}

#[tokio::test]
async fn requests_succeed_during_goaway() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    for _ in 0..20 {
        let (status, body) = client.json(CLAIMS).await;
        assert_eq!(status, 200, "{body}");
        env.control_plane.faults().goaway();
    }
}

#[tokio::test]
async fn clients_that_do_not_read_never_delay_other_clients() {
    let env = TestEnv::start().await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    for number in 0..40 {
        let mut claim = example::claim("app-ns-1", &format!("big-{number}"), 1);
        claim["metadata"]["annotations"]["notes"] = "n".repeat(100_000).into();
        claims.create(claim).unwrap();
    }
    let client = env.developer().await;
    let mut unread = Vec::new();
    for query in ["", "?watch=true"] {
        for _ in 0..20 {
            unread.push(env.developer().await.get(&format!("{CLAIMS}{query}")).await);
        }
    }
    assert!(unread.iter().all(|response| response.status() == 200));
    let (status, _) = client.json(SHOP).await;
    assert_eq!(status, 200);
    let (status, list) = client.json(CLAIMS).await;
    assert_eq!((status, list["items"].as_array().unwrap().len()), (200, 41));
    let mut watch = client
        .get(&format!(
            "{CLAIMS}?watch=true&fieldSelector=metadata.name%3Dlate"
        ))
        .await
        .into_body();
    claims
        .create(example::claim("app-ns-1", "late", 1))
        .unwrap();
    assert_eq!(
        line(&mut watch).await.unwrap()["object"]["metadata"]["name"],
        "late"
    );
}
