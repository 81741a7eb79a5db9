//! Unit tests of the body reader.

use std::collections::BTreeMap;
use std::convert::Infallible;

use futures_util::stream;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use super::*;
use crate::proxy::testing::TestRequest;
use crate::upstream::RequestBody;

const OBJECT: &str = "/apis/a.org/v1/namespaces/team-a/claims/b";

fn reader() -> BodyReader {
    BodyReader::new(
        RulesByGroup::compile(&BTreeMap::new(), RequestRules::compile).unwrap(),
        1 << 20,
        Metrics::new(),
        Conversions::new(),
    )
}

async fn read(
    request: &TestRequest,
    effect: WriteEffect,
    incoming: impl Body<Data = Bytes> + Unpin + Send + 'static,
) -> Result<OutboundBody, RequestError> {
    let reader = reader();
    let context = request.context();
    let remote = RemoteRequest::plan(&context).unwrap().unwrap();
    reader.read(&context, &remote, effect, incoming).await
}

fn full(text: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(text.into())
}

fn buffered(body: &OutboundBody) -> &[u8] {
    match &body.body {
        RequestBody::Full(bytes) => bytes,
        RequestBody::Empty => b"",
        RequestBody::Stream(_) => panic!("the body streams"),
    }
}

fn object(namespace: &str) -> String {
    format!(r#"{{"kind":"Claim","metadata":{{"namespace":"{namespace}"}}}}"#)
}

#[tokio::test]
async fn short_json_is_buffered_and_names_remote_namespace() {
    let request = TestRequest::new(Method::PUT, OBJECT);
    let body = read(&request, WriteEffect::Harmless, full(object("team-a")))
        .await
        .unwrap();
    assert_eq!(buffered(&body), object("remote-a").as_bytes());
    assert_eq!(body.content_type, None);
}

#[tokio::test]
async fn invalid_json_is_sent_as_received() {
    let request = TestRequest::new(Method::PUT, OBJECT);
    let raw = r#"{"metadata":{"namespace":"team-a"},}"#;
    let body = read(&request, WriteEffect::Harmless, full(raw))
        .await
        .unwrap();
    assert_eq!(buffered(&body), raw.as_bytes());
}

#[tokio::test]
async fn long_json_streams() {
    let request = TestRequest::new(Method::PUT, OBJECT);
    let padding = " ".repeat(BUFFERED_BYTES_MAX);
    let body = object("team-a") + &padding;
    let body = read(&request, WriteEffect::Harmless, full(body))
        .await
        .unwrap();
    assert!(matches!(body.body, RequestBody::Stream(_)));
    let sent = body.body.collect().await.unwrap().to_bytes();
    assert_eq!(sent, object("remote-a") + &padding);
    assert!(body.failure.take().is_none());
}

#[tokio::test]
async fn owner_references_in_long_json_break_the_stream() {
    let request = TestRequest::new(Method::PUT, OBJECT);
    let padding = " ".repeat(BUFFERED_BYTES_MAX);
    let frames = [
        format!(r#"{{"spec":{{}},{padding}"#),
        r#""metadata":{"ownerReferences":[{"name":"a"}]}}"#.to_owned(),
    ];
    let frames = frames.map(|frame| Ok::<_, Infallible>(Frame::data(Bytes::from(frame))));
    let incoming = StreamBody::new(stream::iter(frames));
    let body = read(&request, WriteEffect::Harmless, incoming)
        .await
        .unwrap();
    assert!(body.body.collect().await.is_err());
    assert!(matches!(
        body.failure.take(),
        Some(RequestError::OwnerReferences)
    ));
}

#[tokio::test]
async fn yaml_is_converted_and_gets_json_media_type() {
    let request =
        TestRequest::new(Method::PUT, OBJECT).header(CONTENT_TYPE, "application/yaml; a=b");
    let yaml = "kind: Claim\nmetadata:\n  namespace: team-a\n";
    let body = read(&request, WriteEffect::Harmless, full(yaml))
        .await
        .unwrap();
    assert_eq!(buffered(&body), object("remote-a").as_bytes());
    assert_eq!(body.content_type.unwrap(), "application/json; a=b");
}

#[tokio::test]
async fn merge_patch_of_finalizers_needs_the_current_object() {
    let request = TestRequest::new(Method::PATCH, OBJECT)
        .header(CONTENT_TYPE, "application/merge-patch+json");
    let context = request.context();
    let remote = RemoteRequest::plan(&context).unwrap().unwrap();
    let reader = reader();
    for (patch, needs_current) in [
        (r#"{"metadata":{"finalizers":["a.org/x"]}}"#, true),
        (r#"{"spec":{"a":1}}"#, false),
    ] {
        let whole = reader.read_as_json(&context, &remote, full(patch)).await;
        let whole = whole.unwrap();
        let rewrite = |current| {
            let rewritten =
                reader.rewrite_patch(&context, &remote, WriteEffect::Patch(current), &whole);
            rewritten.unwrap()
        };
        assert_eq!(rewrite(None).is_none(), needs_current, "{patch}");
        let completed = rewrite(Some(CurrentMetadata::missing())).unwrap();
        assert_eq!(completed.is_versioned, needs_current, "{patch}");
    }
}

#[tokio::test]
async fn announced_length_above_limit_is_rejected_before_reading() {
    let request = TestRequest::new(Method::PUT, OBJECT).header(CONTENT_LENGTH, "1048577");
    let read = read(&request, WriteEffect::Harmless, full(object("team-a"))).await;
    assert!(matches!(read, Err(RequestError::BodyTooLarge { .. })));
}
