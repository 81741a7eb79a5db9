//! Compressed responses of the control plane.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;

use super::*;

fn gzip(plain: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Returns a list in remote names, longer than the part that is buffered before a response is sent.
fn list() -> String {
    let items: Vec<_> = (0..400)
        .map(|at| {
            let mut claim = example::claim("app-ns-1", &format!("c{at}"), 3);
            claim["metadata"]["annotations"] = serde_json::json!({"note": "much ".repeat(200)});
            claim
        })
        .collect();
    let api_version = "k8s.starter.org/v1alpha1";
    let metadata = serde_json::json!({"resourceVersion": "7"});
    serde_json::json!({"apiVersion": api_version, "kind": "KubernetesClusterList",
        "metadata": metadata, "items": items})
    .to_string()
}

/// Returns a response of the control plane with this encoding.
fn encoded_response(status: StatusCode, encoding: &str, body: impl Into<Bytes>) -> Fault {
    let body = body.into();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", JSON),
        ("content-encoding", encoding),
        ("content-length", &body.len().to_string()),
        ("vary", "Accept-Encoding"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    Fault::Answer {
        status,
        headers,
        body,
    }
}

impl TestEnv {
    fn respond_once(&self, fault: Fault) {
        let faults = self.control_plane.faults();
        faults.add_times(1, |r| r.path.ends_with("clusters"), fault);
    }

    /// Returns the Accept-Encoding headers of requests to the control plane with this path and query.
    fn accepted_encodings(&self, path: &str, query: &str) -> Vec<String> {
        let requests = self.control_plane.requests();
        let matching = requests
            .iter()
            .filter(|r| r.path.contains(path) && r.query == query);
        let accepted: Vec<_> = matching
            .map(|r| r.header("accept-encoding").to_owned())
            .collect();
        assert!(!accepted.is_empty(), "no request for {path}");
        accepted
    }
}

#[tokio::test]
async fn gzip_is_requested_as_configured_and_never_for_watches() {
    for (key, wanted) in [
        ("compression: off", "identity"),
        ("compression: on", "gzip"),
    ] {
        let env = TestEnv::start_with_control_plane_keys(key).await;
        let client = env.developer().await;
        let request = Request::get(CLAIMS).header("accept-encoding", "br");
        let response = client.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(response.status(), 200);
        let initial = "allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&\
            sendInitialEvents=true&watch=true";
        let watch = client.get(&format!("{CLAIMS}?{initial}")).await;
        assert_eq!(watch.status(), 200);
        assert_eq!(
            env.accepted_encodings("kubernetesclusters", ""),
            [wanted],
            "{key:?}"
        );
        assert_eq!(
            env.accepted_encodings("kubernetesclusters", initial),
            ["identity"]
        );
        for path in ["/apis", "/openapi/v2", "/openapi/v3"] {
            assert!(
                env.accepted_encodings(path, "")
                    .iter()
                    .all(|accepted| accepted == wanted)
            );
        }
    }
}

/// The response has several gzip members. It is decoded even if claimgate did not request gzip.
#[tokio::test]
async fn gzip_from_the_control_plane_is_decoded_and_mapped() {
    let plain = list();
    let (first, second) = plain.split_at(plain.len() / 3);
    let packed = [gzip(first), gzip(""), gzip(second)].concat();
    for key in ["compression: on", "compression: off"] {
        let env = TestEnv::start_with_control_plane_keys(key).await;
        let client = env.developer().await;
        let get = async |encoding: &str| {
            let request = Request::get(CLAIMS).header("accept-encoding", encoding);
            let (parts, body) = client
                .send(request.body(Full::default()).unwrap())
                .await
                .into_parts();
            assert_eq!(parts.status, 200);
            (parts.headers, body.collect().await.unwrap().to_bytes())
        };
        env.respond_once(encoded_response(StatusCode::OK, "identity", plain.clone()));
        let (expected_headers, expected) = get("identity").await;
        assert_eq!(expected.len(), plain.replace("app-ns-1", "default").len());
        assert_eq!(expected_headers.get("vary"), None);
        assert_eq!(expected_headers.get("content-encoding"), None);

        env.respond_once(encoded_response(StatusCode::OK, "gzip", packed.clone()));
        let (mut headers, body) = get("identity").await;
        headers.insert("date", expected_headers["date"].clone());
        headers.insert("audit-id", expected_headers["audit-id"].clone());
        assert_eq!(headers, expected_headers, "{key}");
        assert_eq!(body, expected, "{key}");

        env.respond_once(encoded_response(StatusCode::OK, "gzip", packed.clone()));
        let (headers, body) = get("gzip").await;
        assert_eq!(headers["content-encoding"], "gzip");
        let vary: Vec<_> = headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["Accept-Encoding"]);
        let mut unpacked = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&*body);
        std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
        assert_eq!(unpacked, expected);
    }
}

#[tokio::test]
async fn head_request_gets_the_content_encoding_of_get() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    for (path, accepted, packed) in [
        (CLAIMS, "gzip", true),
        (CLAIMS, "identity", false),
        (SHOP, "gzip", false),
    ] {
        if path == CLAIMS {
            env.respond_once(encoded_response(StatusCode::OK, "identity", list()));
        }
        let request = Request::head(path).header("accept-encoding", accepted);
        let response = client.send(request.body(Full::default()).unwrap()).await;
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, 200);
        let encoding = parts.headers.get("content-encoding");
        assert_eq!(
            encoding.is_some_and(|name| name == "gzip"),
            packed,
            "{path}"
        );
        assert_eq!(parts.headers.contains_key("vary"), packed, "{path}");
        assert!(body.collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn corrupt_gzip_ends_the_response_with_an_error() {
    let env = TestEnv::start_with_control_plane_keys("compression: on").await;
    let client = env.developer().await;
    let plain = list();
    let packed = gzip(&plain);
    let mut corrupt = packed.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 0x55;
    let mut checksum = packed.clone();
    checksum[packed.len() - 8] ^= 1;
    let mut length = packed.clone();
    length[packed.len() - 4] ^= 1;
    for (what, body) in [
        ("truncated", packed[..packed.len() / 2].to_vec()),
        ("without its length", packed[..packed.len() - 1].to_vec()),
        (
            "without its second member",
            [&*packed, &packed[..5]].concat(),
        ),
        ("corrupt", corrupt),
        ("with a wrong checksum", checksum),
        ("with a wrong length", length),
        ("with garbage after it", [&*packed, b"\0"].concat()),
        ("uncompressed", plain.clone().into()),
        ("empty", Vec::new()),
    ] {
        env.respond_once(encoded_response(StatusCode::OK, "gzip", body));
        // A reset may overtake the headers.
        if let Ok(response) = client
            .try_send(Request::get(CLAIMS).body(Full::default()).unwrap())
            .await
        {
            assert_eq!(response.status(), 200, "{what}");
            assert!(response.into_body().collect().await.is_err(), "{what}");
        }
    }
}

#[tokio::test]
async fn unrequested_encodings_are_rejected() {
    let env = TestEnv::start_with_control_plane_keys("compression: on").await;
    let client = env.developer().await;
    for encoding in ["br", "gzip, gzip", "deflate"] {
        for (status, expected) in [(200, 500), (503, 503)] {
            let status = StatusCode::from_u16(status).unwrap();
            env.respond_once(encoded_response(status, encoding, gzip(&list())));
            let response = client.get(CLAIMS).await;
            assert_eq!(response.headers().get("content-encoding"), None);
            let (code, body) = json(response).await;
            assert_eq!(
                (code, &body["kind"]),
                (expected, &"Status".into()),
                "{body}"
            );
            let message = body["message"].as_str().unwrap();
            assert!(message.contains(&format!("{encoding:?}")), "{message}");
        }
    }
}

#[tokio::test]
async fn gzip_failures_and_watches_are_decoded() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": "namespaces \"app-ns-1\" not found", "code": 404});
    let body = gzip(&status.to_string());
    env.respond_once(encoded_response(StatusCode::NOT_FOUND, "gzip", body));
    let response = client.get(CLAIMS).await;
    assert_eq!(response.headers().get("content-encoding"), None);
    let (code, body) = json(response).await;
    assert_eq!(code, 404);
    assert_eq!(body["message"], "namespaces \"default\" not found");

    let event = |name: &str| {
        let object = example::claim("app-ns-1", name, 3);
        gzip(&format!(
            "{}\n",
            serde_json::json!({"type": "ADDED", "object": object})
        ))
    };
    let events = [event("first"), event("second")].concat();
    for (length, is_whole) in [(events.len(), true), (events.len() - 1, false)] {
        env.respond_once(encoded_response(
            StatusCode::OK,
            "gzip",
            events[..length].to_vec(),
        ));
        let watch = client.get(&format!("{CLAIMS}?watch=true")).await;
        assert_eq!(watch.headers().get("content-encoding"), None);
        let mut watch = watch.into_body();
        let mut text = Vec::new();
        let end = loop {
            match watch.frame().await {
                Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        assert_eq!(
            end, is_whole,
            "a watch that breaks off within gzip ends with an error"
        );
        let text = String::from_utf8(text).unwrap();
        if is_whole {
            assert_eq!(
                text.matches("\"namespace\":\"default\"").count(),
                2,
                "{text}"
            );
        }
        assert!(!text.contains("app-ns"), "{text}");
    }
}
