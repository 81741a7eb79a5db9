//! Watches by WebSocket.

use std::time::Duration;

use claimgate::dev::certificates::Identity;
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

use super::harness::PATIENCE;
use super::*;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

const HANDSHAKE: [(&str, &str); 5] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("origin", "https://localhost"),
];

/// The answer to a handshake with more headers, on a connection of its own.
async fn ask(
    bed: &Bed,
    identity: &Identity,
    path: &str,
    more: &[(&str, &str)],
) -> http::Response<Incoming> {
    let tls = bed.tls(Some(identity), tokio_rustls::rustls::ALL_VERSIONS);
    let connection = bed.dial(tls).await.unwrap();
    let (mut sender, driver) = http1::handshake(connection).await.unwrap();
    tokio::spawn(driver.with_upgrades());
    let mut request = Request::get(path).header("host", "localhost");
    for (name, value) in HANDSHAKE.iter().chain(more) {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    sender.send_request(request).await.unwrap()
}

async fn open(bed: &Bed, path: &str) -> Socket {
    let response = ask(bed, &bed.developer, path, &[]).await;
    socket(response).await
}

async fn socket(response: http::Response<Incoming>) -> Socket {
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

async fn next(socket: &mut Socket) -> Message {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await;
    message.expect("no message came").unwrap().unwrap()
}

async fn event(socket: &mut Socket) -> Value {
    let Message::Text(text) = next(socket).await else {
        panic!("an event is text");
    };
    assert!(text.ends_with("}\n") && !text.contains("app-ns"), "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The code of the close frame, behind which nothing comes.
async fn closed(socket: &mut Socket) -> CloseCode {
    let Message::Close(Some(frame)) = next(socket).await else {
        panic!("it does not close");
    };
    assert!(socket.next().await.is_none());
    frame.code
}

/// Nothing is left of a watch, on either side.
async fn gone(bed: &Bed) {
    for name in [
        r#"claimgate_upstream_streams{control_plane="platform",lane="watches"}"#,
        r#"claimgate_watches{control_plane="platform",group="k8s.starter.org",resource="kubernetesclusters"}"#,
    ] {
        eventually(|| async { bed.metric(name).await == Some(0.0) }).await;
    }
}

#[tokio::test]
async fn each_event_is_a_message_in_local_terms() {
    let bed = Bed::start().await;
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    let mut socket = open(&bed, &format!("{ALL}?watch=true")).await;
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
    let requests = bed.control_plane.requests();
    let sent = requests.iter().find(|r| r.path.ends_with("clusters"));
    let headers = &sent.unwrap().headers;
    assert!(!headers.contains_key("upgrade") && !headers.contains_key("origin"));
    let count = r#"claimgate_requests_total{control_plane="platform",group="k8s.starter.org",resource="kubernetesclusters",verb="watch",code="101"}"#;
    assert_eq!(bed.metric(count).await, Some(1.0));
}

#[tokio::test]
async fn the_front_proxys_users_may_watch_too_and_choose_a_protocol() {
    let bed = Bed::start().await;
    let more = [
        ("x-remote-user", "argocd"),
        ("sec-websocket-protocol", "base64.binary.k8s.io"),
    ];
    let response = ask(&bed, &bed.proxy, &format!("{CLAIMS}?watch=true"), &more).await;
    let headers = response.headers();
    assert_eq!(headers["sec-websocket-protocol"], "base64.binary.k8s.io");
    assert_eq!(headers["connection"], "Upgrade");
    assert!(!headers.contains_key("cache-control") && !headers.contains_key("content-type"));
    let mut socket = socket(response).await;
    assert_eq!(event(&mut socket).await["type"], "ADDED");
}

#[tokio::test]
async fn an_event_in_protobuf_is_a_binary_message() {
    let bed = Bed::start().await;
    let path = format!("{CLAIMS}?watch=true");
    let messages = async |serializer: &str| {
        let accept =
            format!("application/{serializer};as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
        let more = [("accept", accept.as_str())];
        let mut socket = socket(ask(&bed, &bed.developer, &path, &more).await).await;
        next(&mut socket).await
    };
    let in_json = messages("json").await.into_data();
    let in_protobuf = messages("vnd.kubernetes.protobuf").await;
    let written = claimgate::protobuf::event_from_json(&in_json).unwrap();
    assert_eq!(in_protobuf, Message::Binary(written.into()));
}

#[tokio::test]
async fn a_client_that_closes_or_goes_away_ends_the_watch() {
    let bed = Bed::start().await;
    let path = format!("{CLAIMS}?watch=true");
    let mut socket = open(&bed, &path).await;
    event(&mut socket).await;
    let leaves = CloseFrame {
        code: CloseCode::Away,
        reason: Utf8Bytes::default(),
    };
    socket.close(Some(leaves)).await.unwrap();
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
    gone(&bed).await;

    let mut socket = open(&bed, &path).await;
    event(&mut socket).await;
    drop(socket);
    gone(&bed).await;
}

#[tokio::test]
async fn pings_are_answered_and_other_messages_ignored() {
    let bed = Bed::start().await;
    let mut socket = open(&bed, &format!("{CLAIMS}?watch=true")).await;
    event(&mut socket).await;
    for message in [
        Message::text("hello"),
        Message::binary(vec![0; 60_000]),
        Message::Ping("there?".into()),
    ] {
        socket.send(message).await.unwrap();
    }
    assert_eq!(next(&mut socket).await, Message::Pong("there?".into()));
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims
        .create(example::claim("app-ns-1", "late", 1))
        .unwrap();
    assert_eq!(
        event(&mut socket).await["object"]["metadata"]["name"],
        "late"
    );

    socket.send(Message::binary(vec![0; 70_000])).await.unwrap();
    assert_eq!(closed(&mut socket).await, CloseCode::Size);
    gone(&bed).await;
}

#[tokio::test]
async fn the_end_of_the_watch_closes_it() {
    let bed = Bed::start().await;
    let watch = format!("{CLAIMS}?watch=true");
    let mut socket = open(&bed, &format!("{watch}&timeoutSeconds=1")).await;
    event(&mut socket).await;
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);

    for then in [AfterCut::End, AfterCut::Reset] {
        let after_bytes = 100;
        let cut = Fault::CutBody { after_bytes, then };
        let faults = bed.control_plane.faults();
        faults.add_times(1, |r| r.path.ends_with("clusters"), cut);
        let mut socket = open(&bed, &watch).await;
        let code = closed(&mut socket).await;
        // The reset may overtake the bytes, and then the watch has no event that is cut.
        assert!(code == CloseCode::Error || then == AfterCut::Reset);
    }

    let mut socket = open(&bed, &watch).await;
    event(&mut socket).await;
    bed.stop.gently.cancel();
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
    bed.running.await.unwrap();
}

/// Who does not answer the close has the end of the connection all the same, and not only in time.
#[tokio::test]
async fn the_connection_ends_with_the_close() {
    let bed = Bed::start().await;
    let path = format!("{CLAIMS}?watch=true&timeoutSeconds=1");
    let response = ask(&bed, &bed.developer, &path, &[]).await;
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let mut stream = TokioIo::new(upgraded);
    let mut all = Vec::new();
    while !all.ends_with(&[0x88, 2, 0x03, 0xe8]) {
        assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "{all:?}");
    }
    // The client still has five seconds to say something.
    let end = tokio::time::timeout(Duration::from_secs(4), stream.read_buf(&mut all)).await;
    assert_eq!(end.expect("the connection does not end").unwrap(), 0);
}

#[tokio::test]
async fn a_namespace_without_a_remote_one_has_bookmarks() {
    let bed = Bed::start().await;
    let path = CLAIMS.replace("default", "nowhere");
    let query = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true\
                 &resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let mut socket = open(&bed, &format!("{path}?{query}")).await;
    assert_eq!(event(&mut socket).await["type"], "BOOKMARK");
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
}

#[tokio::test]
async fn what_is_refused_before_the_watch_is_answered_as_ever() {
    let bed = Bed::start_with("limits: {watchesMax: 1}").await;
    let watch = format!("{CLAIMS}?watch=true");
    let user = ("x-remote-user", "argocd");
    for (identity, path, code) in [
        (&bed.proxy, watch.replace("v1alpha1", "v9"), 404),
        (&bed.proxy, format!("{watch}&labelSelector=a+in+b"), 400),
        (&bed.developer, format!("{watch}&labelSelector=a+in+b"), 400),
        // No watch, so that there is nothing to upgrade to.
        (&bed.developer, CLAIMS.to_owned(), 200),
    ] {
        let response = ask(&bed, identity, &path, &[user]).await;
        assert_eq!(response.status(), code, "{path}");
        let headers = response.headers();
        assert_eq!(headers["cache-control"], "no-cache, private", "{path}");
        // The aggregator closes the connection, and has the client told so.
        assert_eq!(headers["connection"], "close", "{path}");
    }
    let mut headers = HeaderMap::new();
    headers.insert("content-type", JSON.parse().unwrap());
    let forbidden = Fault::Answer {
        status: StatusCode::FORBIDDEN,
        headers,
        body: r#"{"kind":"Status","message":"may not watch in the namespace \"app-ns-1\""}"#.into(),
    };
    let faults = bed.control_plane.faults();
    faults.add_times(1, |r| r.path.ends_with("clusters"), forbidden);
    let (status, body) = json(ask(&bed, &bed.proxy, &watch, &[user]).await).await;
    let message = "may not watch in the namespace \"default\"";
    assert_eq!((status, &body["message"]), (403, &message.into()));
    // Another protocol is not spoken here, and what is asked for is answered without.
    let first = ask(
        &bed,
        &bed.developer,
        &watch,
        &[("sec-websocket-protocol", "a,b")],
    )
    .await;
    assert_eq!(first.status(), 400);
    gone(&bed).await;
    let _open = open(&bed, &watch).await;
    let second = ask(&bed, &bed.developer, &watch, &[]).await;
    assert_eq!(second.status(), 429);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let bed = Bed::start_with("limits: {watchStallMax: 1s}").await;
    let mut socket = open(&bed, &format!("{CLAIMS}?watch=true")).await;
    event(&mut socket).await;
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    for number in 0..100 {
        let mut claim = example::claim("app-ns-1", &format!("big-{number}"), 1);
        claim["metadata"]["annotations"]["notes"] = "n".repeat(200_000).into();
        claims.create(claim).unwrap();
    }
    gone(&bed).await;
    // The place of the connection too is free again.
    bed.stop.gently.cancel();
    tokio::time::timeout(PATIENCE, bed.running)
        .await
        .unwrap()
        .unwrap();
}
