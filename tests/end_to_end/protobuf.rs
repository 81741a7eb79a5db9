//! Watches in protobuf, of who takes nothing else.

use claimgate::protobuf::event_from_json;
use http::Response;
use hyper::body::Incoming;
use serde_json::json as value;

use super::harness::{Client, PATIENCE};
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

/// A watch as it comes.
struct Watch {
    body: Incoming,
    came: Vec<u8>,
}

impl Watch {
    fn new(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            came: Vec::new(),
        }
    }

    /// The next event, up to where `end` finds its end; `None` at the end of the watch, and an error if
    /// it breaks off.
    async fn next(
        &mut self,
        end: impl Fn(&[u8]) -> Option<usize>,
    ) -> Option<Result<Vec<u8>, hyper::Error>> {
        loop {
            if let Some(end) = end(&self.came) {
                let rest = self.came.split_off(end);
                return Some(Ok(std::mem::replace(&mut self.came, rest)));
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame());
            match frame.await.expect("no event came") {
                Some(Ok(frame)) => self.came.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    assert!(self.came.is_empty(), "a part of an event is left");
                    return None;
                }
            }
        }
    }

    async fn framed(&mut self) -> Option<Result<Vec<u8>, hyper::Error>> {
        let end = |came: &[u8]| {
            let length = u32::from_be_bytes(*came.first_chunk()?);
            let end = 4 + usize::try_from(length).unwrap();
            (came.len() >= end).then_some(end)
        };
        let event = self.next(end).await?;
        Some(event.map(|event| event[4..].to_vec()))
    }

    async fn line(&mut self) -> Vec<u8> {
        let end = |came: &[u8]| came.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        self.next(end).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn events_are_those_in_json() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    let path = format!("{ALL}?{INITIAL}");
    let response = watch(&client, &path, IN_PROTOBUF).await;
    let stream = "application/vnd.kubernetes.protobuf;stream=watch";
    assert_eq!(response.headers()["content-type"], stream);
    let mut in_protobuf = Watch::new(response);
    let mut in_json = Watch::new(watch(&client, &path, IN_JSON).await);

    // One that is long is written elsewhere, and one that follows must not overtake it.
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
async fn a_failure_within_and_the_end_are_told() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let version = bed.control_plane.resource_version();
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims.create(example::claim("app-ns-1", "new", 1)).unwrap();
    bed.control_plane.compact();
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
async fn a_namespace_that_is_not_mapped_has_its_bookmark() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
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
async fn an_event_that_cannot_be_written_breaks_the_watch_off() {
    let bed = Bed::start_with("limits: {heldBytesMax: 200KiB}").await;
    let client = bed.developer().await;
    let event = |kind: &str, spec: &str| {
        let object = value!({
            "kind": kind, "apiVersion": "meta.k8s.io/v1",
            "metadata": {"namespace": "app-ns-1"}, "spec": spec
        });
        value!({"type": "ADDED", "object": object}).to_string() + "\n"
    };
    let kind = "PartialObjectMetadata";
    let first = event(kind, "");
    // The long one could be mapped all the same, for of that its metadata alone is held.
    for second in [event("Chair", ""), event(kind, &"x".repeat(300 << 10))] {
        let body = first.clone() + &second + &first;
        let mut headers = HeaderMap::new();
        headers.insert("content-type", JSON.parse().unwrap());
        let answer = Fault::Answer {
            status: StatusCode::OK,
            headers,
            body: body.into(),
        };
        bed.control_plane.faults().add_times(1, |_| true, answer);
        let path = format!("{CLAIMS}?watch=true");
        let mut watch = Watch::new(watch(&client, &path, IN_PROTOBUF).await);
        // What came before it may be lost with the reset.
        let mut next = watch.framed().await;
        if let Some(Ok(_)) = next {
            next = watch.framed().await;
        }
        assert!(next.unwrap().is_err());
    }
}
