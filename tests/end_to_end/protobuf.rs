//! Watches of clients that accept only protobuf.

use http::Response;
use hyper::body::Incoming;
use kube_wire::protobuf::event_from_json;
use serde_json::json as value;

use super::harness::{Client, TIMEOUT};
use super::*;

const IN_PROTOBUF: &str =
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const IN_JSON: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const INITIAL: &str = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&\
     resourceVersionMatch=NotOlderThan";

async fn watch(client: &Client, path: &str, accept: &str) -> Response<Incoming> {
    let request = Request::get(path).header("accept", accept);
    client.send(request.body(Full::default()).unwrap()).await
}

/// The body of a watch.
struct Watch {
    body: Incoming,
    /// Received bytes that were not returned yet.
    buffer: Vec<u8>,
}

impl Watch {
    fn new(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    /// Returns the next event. `end` finds the end of an event in a buffer. Returns `None` at the end of the
    /// watch, and an error if the watch is interrupted.
    async fn next(
        &mut self,
        end: impl Fn(&[u8]) -> Option<usize>,
    ) -> Option<Result<Vec<u8>, hyper::Error>> {
        loop {
            if let Some(end) = end(&self.buffer) {
                let rest = self.buffer.split_off(end);
                return Some(Ok(std::mem::replace(&mut self.buffer, rest)));
            }
            let frame = tokio::time::timeout(TIMEOUT, self.body.frame());
            match frame.await.expect("no event arrived") {
                Some(Ok(frame)) => self.buffer.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    assert!(self.buffer.is_empty(), "the watch ends within an event");
                    return None;
                }
            }
        }
    }

    async fn framed(&mut self) -> Option<Result<Vec<u8>, hyper::Error>> {
        let end = |bytes: &[u8]| {
            let length = u32::from_be_bytes(*bytes.first_chunk()?);
            let end = 4 + usize::try_from(length).unwrap();
            (bytes.len() >= end).then_some(end)
        };
        let event = self.next(end).await?;
        Some(event.map(|event| event[4..].to_vec()))
    }

    async fn line(&mut self) -> Vec<u8> {
        let end = |bytes: &[u8]| {
            bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|at| at + 1)
        };
        self.next(end).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn protobuf_events_equal_the_json_events() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    let path = format!("{ALL}?{INITIAL}");
    let response = watch(&client, &path, IN_PROTOBUF).await;
    let stream = "application/vnd.kubernetes.protobuf;stream=watch";
    assert_eq!(response.headers()["content-type"], stream);
    let mut in_protobuf = Watch::new(response);
    let mut in_json = Watch::new(watch(&client, &path, IN_JSON).await);

    // A long event is converted on another thread, and the next one must not overtake it.
    let note = value!({"metadata": {"annotations": {"note": "x".repeat(200 << 10)}}});
    claims
        .create(example::claim("payments", "theirs", 1))
        .unwrap();
    claims
        .create(example::claim("app-ns-2", "ours", 1))
        .unwrap();
    claims.patch("app-ns-2", "ours", &note).unwrap();
    claims.delete("app-ns-2", "ours").unwrap();
    for kind in ["ADDED", "BOOKMARK", "ADDED", "MODIFIED", "DELETED"] {
        let line = in_json.line().await;
        let text = String::from_utf8(line.clone()).unwrap();
        assert!(text.contains(&format!(r#""type":"{kind}""#)), "{text}");
        assert!(!text.contains("app-ns"), "{text}");
        let event = in_protobuf.framed().await.unwrap().unwrap();
        assert!(event == event_from_json(&line).unwrap(), "{text}");
    }
}

#[tokio::test]
async fn error_event_and_end_of_the_watch_are_passed_on() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let version = env.control_plane.resource_version();
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    claims.create(example::claim("app-ns-1", "new", 1)).unwrap();
    env.control_plane.compact();
    let path = format!("{CLAIMS}?watch=true&resourceVersion={version}");
    let line = Watch::new(watch(&client, &path, IN_JSON).await)
        .line()
        .await;
    assert!(String::from_utf8_lossy(&line).contains("410"));
    let mut in_protobuf = Watch::new(watch(&client, &path, IN_PROTOBUF).await);
    let event = in_protobuf.framed().await.unwrap().unwrap();
    assert_eq!(event, event_from_json(&line).unwrap());
    assert!(in_protobuf.framed().await.is_none());
}

#[tokio::test]
async fn unmapped_namespace_gets_its_bookmark() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let path = format!(
        "{}?{INITIAL}&timeoutSeconds=1",
        CLAIMS.replace("default", "none")
    );
    let line = Watch::new(watch(&client, &path, IN_JSON).await)
        .line()
        .await;
    let mut in_protobuf = Watch::new(watch(&client, &path, IN_PROTOBUF).await);
    let event = in_protobuf.framed().await.unwrap().unwrap();
    assert_eq!(event, event_from_json(&line).unwrap());
    assert!(in_protobuf.framed().await.is_none());
}

#[tokio::test]
async fn event_that_cannot_be_converted_aborts_the_watch() {
    let env = TestEnv::start_with("limits: {maxBufferedSize: 200KiB}").await;
    let client = env.developer().await;
    let event = |kind: &str, spec: &str| {
        let object = value!({
            "kind": kind, "apiVersion": "meta.k8s.io/v1",
            "metadata": {"namespace": "app-ns-1"}, "spec": spec
        });
        value!({"type": "ADDED", "object": object}).to_string() + "\n"
    };
    let kind = "PartialObjectMetadata";
    let first = event(kind, "");
    // The long event can be mapped, because mapping buffers only its metadata.
    for second in [event("Chair", ""), event(kind, &"x".repeat(300 << 10))] {
        let body = first.clone() + &second + &first;
        let fault = json_fault(200, body);
        env.control_plane.faults().add_times(1, |_| true, fault);
        let path = format!("{CLAIMS}?watch=true");
        let mut watch = Watch::new(watch(&client, &path, IN_PROTOBUF).await);
        // The reset may discard the event before it.
        let mut next = watch.framed().await;
        if let Some(Ok(_)) = next {
            next = watch.framed().await;
        }
        assert!(next.unwrap().is_err());
    }
}
