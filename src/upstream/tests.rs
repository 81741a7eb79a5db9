//! Tests with the in-memory control plane. [`upstream`] is shared with the tests of the catalog.

use std::net::SocketAddr;
use std::time::Duration;

use dev_control_plane::{DevControlPlane, DevControlPlaneOptions};
use http::Request;
use http::header::ACCEPT_ENCODING;
use http_body_util::BodyExt;
use tokio::net::{TcpSocket, TcpStream};

use super::*;
use crate::telemetry::metrics::Metrics;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A client of a control plane, through a port of this host.
pub(crate) fn upstream(control_plane: &DevControlPlane, port: u16, metrics: &Metrics) -> Upstream {
    let endpoint = Endpoint {
        name: "platform".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        path_prefix: String::new(),
        tls_server_name: None,
        certificate_authority: Some(PemSource::Inline(control_plane.ca_pem().into())),
        gzip: GzipPolicy::Auto,
        timeouts: Timeouts {
            connect: TIMEOUT,
            request: TIMEOUT,
            request_body_stall: TIMEOUT,
            ping_interval: TIMEOUT,
            ping_timeout: TIMEOUT,
        },
    };
    let credentials = Credentials::token(control_plane.token()).unwrap();
    Upstream::new(endpoint, credentials, metrics).unwrap()
}

/// A listener whose queue is full. The kernel drops further connection attempts, and clients repeat
/// them after a second.
async fn full_listener() -> (TcpStream, tokio::net::TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(0).unwrap();
    let first = TcpStream::connect(listener.local_addr().unwrap()).await;
    (first.unwrap(), listener)
}

/// Returns whether a connection attempt to the port is pending.
fn is_connecting_to(port: u16) -> bool {
    const SYN_SENT: &str = "02";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (remote, state) = (columns.get(2).unwrap(), columns.get(3).unwrap());
        remote.ends_with(&format!(":{port:04X}")) && *state == SYN_SENT
    })
}

#[tokio::test]
async fn slow_handshake_enables_gzip() {
    let control_plane = DevControlPlane::start(DevControlPlaneOptions::default())
        .await
        .unwrap();
    let (first, listener) = full_listener().await;
    let port = listener.local_addr().unwrap().port();
    let upstream = upstream(&control_plane, port, &Metrics::new());
    let request = Request::get("/livez").body(RequestBody::Empty).unwrap();
    let sent = tokio::spawn(async move { upstream.send(ConnectionClass::Requests, request).await });
    let connecting = async {
        while !is_connecting_to(port) {
            tokio::task::yield_now().await;
        }
    };
    let connecting = tokio::time::timeout(TIMEOUT, connecting).await;
    connecting.expect("the client connected at once, or never tried");
    drop(first);
    listener.accept().await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut server = TcpStream::connect(control_plane.address()).await.unwrap();
    let relay =
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut server).await });
    sent.await.unwrap().unwrap();
    relay.abort();

    let requests = control_plane.requests();
    let encodings: Vec<_> = requests.iter().map(|r| r.header(ACCEPT_ENCODING)).collect();
    assert_eq!(encodings, ["gzip"]);
}

fn connections(metrics: &Metrics) -> String {
    let text = metrics.encode();
    let mut lines = text.lines();
    let value = lines.find_map(|line| {
        line.strip_prefix(
            "claimgate_upstream_connections{control_plane=\"platform\",class=\"requests\"} ",
        )
    });
    value.unwrap_or("none").to_owned()
}

#[tokio::test]
async fn all_but_one_idle_connection_are_closed() {
    const CONNECTIONS: usize = 3;
    let control_plane = DevControlPlane::start(DevControlPlaneOptions::default())
        .await
        .unwrap();
    let metrics = Metrics::new();
    let upstream = upstream(&control_plane, control_plane.address().port(), &metrics);
    let streams = ConnectionClass::Requests.limits().streams_max * (CONNECTIONS - 1) + 1;
    let mut responses = Vec::new();
    for _ in 0..streams {
        let request = Request::get("/apis").body(RequestBody::Empty).unwrap();
        // A response keeps its stream until its body has been read.
        responses.push(
            upstream
                .send(ConnectionClass::Requests, request)
                .await
                .unwrap(),
        );
    }
    assert_eq!(connections(&metrics), CONNECTIONS.to_string());
    for response in responses {
        response.into_body().collect().await.unwrap();
    }
    let closed = async {
        while connections(&metrics) != "1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let closed = tokio::time::timeout(TIMEOUT, closed).await;
    closed.expect("idle connections stay open");
}
