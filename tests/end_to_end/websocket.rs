//! Watches by WebSocket: the handshake, the messages and the end of a watch.

use std::time::Duration;

use dev_control_plane::certificates::Identity;
use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::harness::TIMEOUT;
use super::*;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

const HANDSHAKE: [(&str, &str); 5] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("origin", "https://localhost"),
];

/// Sends a handshake with additional headers on a new connection, and returns the response.
async fn handshake(
    env: &TestEnv,
    identity: &Identity,
    path: &str,
    more: &[(&str, &str)],
) -> http::Response<Incoming> {
    let tls = env.tls(Some(identity), tokio_rustls::rustls::ALL_VERSIONS);
    let connection = env.dial(tls).await.unwrap();
    let (mut sender, driver) = http1::handshake(connection).await.unwrap();
    tokio::spawn(driver.with_upgrades());
    let mut request = Request::get(path).header("host", "localhost");
    for (name, value) in HANDSHAKE.iter().chain(more) {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    sender.send_request(request).await.unwrap()
}

async fn open(env: &TestEnv, path: &str) -> Socket {
    let response = handshake(env, &env.developer, path, &[]).await;
    socket(response).await
}

async fn socket(response: http::Response<Incoming>) -> Socket {
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

async fn next(socket: &mut Socket) -> Message {
    let message = tokio::time::timeout(TIMEOUT, socket.next()).await;
    message.expect("no message arrived").unwrap().unwrap()
}

async fn event(socket: &mut Socket) -> Value {
    let Message::Text(text) = next(socket).await else {
        panic!("the event is not text");
    };
    assert!(text.ends_with("}\n") && !text.contains("app-ns"), "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Returns the code of the close frame, which must be the last message.
async fn closed(socket: &mut Socket) -> CloseCode {
    let Message::Close(Some(frame)) = next(socket).await else {
        panic!("the message is not a close frame");
    };
    assert!(socket.next().await.is_none());
    frame.code
}

/// Waits until the watch has ended on both sides.
async fn watch_ended(env: &TestEnv) {
    for name in [
        r#"claimgate_upstream_streams{control_plane="platform",class="watches"}"#,
        r#"claimgate_watches{control_plane="platform",group="k8s.starter.org",resource="kubernetesclusters"}"#,
    ] {
        eventually(|| async { env.metric(name).await == Some(0.0) }).await;
    }
}

#[tokio::test]
async fn each_event_is_a_message_with_local_names() {
    let env = TestEnv::start().await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let mut socket = open(&env, &format!("{ALL}?watch=true")).await;
    assert_eq!(
        event(&mut socket).await["object"]["metadata"]["name"],
        "shop"
    );
    for (namespace, name) in [("payments", "theirs"), ("app-ns-1", "a"), ("app-ns-2", "b")] {
        claims.create(example::claim(namespace, name, 1)).unwrap();
    }
    for (namespace, name) in [("default", "a"), ("team-a", "b")] {
        let metadata = &event(&mut socket).await["object"]["metadata"];
        assert_eq!(metadata["namespace"], namespace);
        assert_eq!(metadata["name"], name);
    }
    let requests = env.control_plane.requests();
    let sent = requests.iter().find(|r| r.path.ends_with("clusters"));
    let headers = &sent.unwrap().headers;
    assert!(!headers.contains_key("upgrade") && !headers.contains_key("origin"));
    let count = r#"claimgate_requests_total{control_plane="platform",group="k8s.starter.org",resource="kubernetesclusters",verb="watch",code="101"}"#;
    assert_eq!(env.metric(count).await, Some(1.0));
}

#[tokio::test]
async fn forwarded_users_can_watch_and_choose_a_subprotocol() {
    let env = TestEnv::start().await;
    let more = [
        ("x-remote-user", "argocd"),
        ("sec-websocket-protocol", "base64.binary.k8s.io"),
    ];
    let response = handshake(
        &env,
        &env.front_proxy,
        &format!("{CLAIMS}?watch=true"),
        &more,
    )
    .await;
    let headers = response.headers();
    assert_eq!(headers["sec-websocket-protocol"], "base64.binary.k8s.io");
    assert_eq!(headers["connection"], "Upgrade");
    assert!(!headers.contains_key("cache-control") && !headers.contains_key("content-type"));
    let mut socket = socket(response).await;
    assert_eq!(event(&mut socket).await["type"], "ADDED");
}

#[tokio::test]
async fn protobuf_event_is_a_binary_message() {
    let env = TestEnv::start().await;
    let path = format!("{CLAIMS}?watch=true");
    let messages = async |serializer: &str| {
        let accept =
            format!("application/{serializer};as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
        let more = [("accept", accept.as_str())];
        let mut socket = socket(handshake(&env, &env.developer, &path, &more).await).await;
        next(&mut socket).await
    };
    let in_json = messages("json").await.into_data();
    let in_protobuf = messages("vnd.kubernetes.protobuf").await;
    let written = kube_wire::protobuf::event_from_json(&in_json).unwrap();
    assert_eq!(in_protobuf, Message::Binary(written.into()));
}

#[tokio::test]
async fn client_that_closes_or_disconnects_ends_the_watch() {
    let env = TestEnv::start().await;
    let path = format!("{CLAIMS}?watch=true");
    let mut socket = open(&env, &path).await;
    event(&mut socket).await;
    let going_away = CloseFrame {
        code: CloseCode::Away,
        reason: Utf8Bytes::default(),
    };
    socket.close(Some(going_away)).await.unwrap();
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
    watch_ended(&env).await;

    let mut socket = open(&env, &path).await;
    event(&mut socket).await;
    drop(socket);
    watch_ended(&env).await;
}

#[tokio::test]
async fn pings_are_answered_and_other_messages_ignored() {
    let env = TestEnv::start().await;
    let mut socket = open(&env, &format!("{CLAIMS}?watch=true")).await;
    event(&mut socket).await;
    for message in [
        Message::text("hello"),
        Message::binary(vec![0; 60_000]),
        Message::Ping("there?".into()),
    ] {
        socket.send(message).await.unwrap();
    }
    assert_eq!(next(&mut socket).await, Message::Pong("there?".into()));
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    claims
        .create(example::claim("app-ns-1", "late", 1))
        .unwrap();
    assert_eq!(
        event(&mut socket).await["object"]["metadata"]["name"],
        "late"
    );

    socket.send(Message::binary(vec![0; 70_000])).await.unwrap();
    assert_eq!(closed(&mut socket).await, CloseCode::Size);
    watch_ended(&env).await;
}

#[tokio::test]
async fn end_of_the_watch_closes_the_websocket() {
    let env = TestEnv::start().await;
    let watch = format!("{CLAIMS}?watch=true");
    let mut socket = open(&env, &format!("{watch}&timeoutSeconds=1")).await;
    event(&mut socket).await;
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);

    for then in [AfterCut::End, AfterCut::Reset] {
        let after_bytes = 100;
        let cut = Fault::CutBody { after_bytes, then };
        let faults = env.control_plane.faults();
        faults.add_times(1, |r| r.path.ends_with("clusters"), cut);
        let mut socket = open(&env, &watch).await;
        let code = closed(&mut socket).await;
        // A reset may overtake the bytes, and then no event is cut.
        assert!(code == CloseCode::Error || then == AfterCut::Reset);
    }

    let mut socket = open(&env, &watch).await;
    event(&mut socket).await;
    env.stop.graceful.cancel();
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
    env.running.await.unwrap();
}

/// The daemon does not wait for the client's own close frame.
#[tokio::test]
async fn connection_ends_after_the_close_frame() {
    let env = TestEnv::start().await;
    let path = format!("{CLAIMS}?watch=true&timeoutSeconds=1");
    let response = handshake(&env, &env.developer, &path, &[]).await;
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let mut stream = TokioIo::new(upgraded);
    let mut all = Vec::new();
    while !all.ends_with(&[0x88, 2, 0x03, 0xe8]) {
        assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "{all:?}");
    }
    // The daemon still reads from the client for five seconds.
    let end = tokio::time::timeout(Duration::from_secs(4), stream.read_buf(&mut all)).await;
    assert_eq!(end.expect("the connection stays open").unwrap(), 0);
}

#[tokio::test]
async fn unmapped_namespace_gets_bookmarks() {
    let env = TestEnv::start().await;
    let path = CLAIMS.replace("default", "nowhere");
    let query = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true\
                 &resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let mut socket = open(&env, &format!("{path}?{query}")).await;
    assert_eq!(event(&mut socket).await["type"], "BOOKMARK");
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
}

#[tokio::test]
async fn errors_before_the_watch_are_ordinary_responses() {
    let env = TestEnv::start_with("limits: {maxWatches: 1}").await;
    let watch = format!("{CLAIMS}?watch=true");
    let user = ("x-remote-user", "argocd");
    for (identity, path, code) in [
        (&env.front_proxy, watch.replace("v1alpha1", "v9"), 404),
        (
            &env.front_proxy,
            format!("{watch}&labelSelector=a+in+b"),
            400,
        ),
        (&env.developer, format!("{watch}&labelSelector=a+in+b"), 400),
        // Not a watch, so the upgrade is ignored.
        (&env.developer, CLAIMS.to_owned(), 200),
    ] {
        let response = handshake(&env, identity, &path, &[user]).await;
        assert_eq!(response.status(), code, "{path}");
        let headers = response.headers();
        assert_eq!(headers["cache-control"], "no-cache, private", "{path}");
        // The aggregator closes the connection after any response other than an upgrade.
        assert_eq!(headers["connection"], "close", "{path}");
    }
    let forbidden = json_fault(
        403,
        r#"{"kind":"Status","message":"may not watch in the namespace \"app-ns-1\""}"#,
    );
    let faults = env.control_plane.faults();
    faults.add_times(1, |r| r.path.ends_with("clusters"), forbidden);
    let (status, body) = json(handshake(&env, &env.front_proxy, &watch, &[user]).await).await;
    let message = "may not watch in the namespace \"default\"";
    assert_eq!((status, &body["message"]), (403, &message.into()));
    // Several subprotocols are rejected.
    let first = handshake(
        &env,
        &env.developer,
        &watch,
        &[("sec-websocket-protocol", "a,b")],
    )
    .await;
    assert_eq!(first.status(), 400);
    watch_ended(&env).await;
    let _open = open(&env, &watch).await;
    let second = handshake(&env, &env.developer, &watch, &[]).await;
    assert_eq!(second.status(), 429);
}

#[tokio::test]
async fn client_that_reads_nothing_is_disconnected() {
    let env = TestEnv::start_with("limits: {watchWriteTimeout: 1s}").await;
    let mut socket = open(&env, &format!("{CLAIMS}?watch=true")).await;
    event(&mut socket).await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    for number in 0..100 {
        let mut claim = example::claim("app-ns-1", &format!("big-{number}"), 1);
        claim["metadata"]["annotations"]["notes"] = "n".repeat(200_000).into();
        claims.create(claim).unwrap();
    }
    watch_ended(&env).await;
    // The connection has ended too.
    env.stop.graceful.cancel();
    tokio::time::timeout(TIMEOUT, env.running)
        .await
        .unwrap()
        .unwrap();
}
