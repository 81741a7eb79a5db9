//! The daemon between a client and an in-memory control plane.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod harness;

use bytes::Bytes;
use claimgate::dev::control_plane::faults::{AfterCut, Fault, Listening};
use claimgate::dev::example;
use harness::{ALL, Bed, CLAIMS, eventually, json, line};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

const JSON: &str = "application/json";

fn claim(name: &str) -> String {
    example::claim("default", name, 3).to_string()
}

#[tokio::test]
async fn requests_and_responses_are_in_local_terms() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let (status, created) = client.write("POST", CLAIMS, JSON, &claim("new")).await;
    assert_eq!(
        (status, &created["metadata"]["namespace"]),
        (201, &"default".into())
    );
    let stored = bed
        .control_plane
        .objects(example::CLAIMS)
        .unwrap()
        .get("app-ns-1", "new");
    assert_eq!(stored.unwrap()["metadata"]["namespace"], "app-ns-1");
    let (status, list) = client.json(CLAIMS).await;
    assert_eq!((status, list["items"].as_array().unwrap().len()), (200, 2));
    assert!(!list.to_string().contains("app-ns"));
    let one = format!("{CLAIMS}/new");
    let patch = r#"[{"op":"test","path":"/metadata/namespace","value":"default"},
        {"op":"replace","path":"/spec/nodeCount","value":9}]"#;
    let (status, patched) = client
        .write("PATCH", &one, "application/json-patch+json", patch)
        .await;
    assert_eq!(
        (status, &patched["spec"]["nodeCount"]),
        (200, &9.into()),
        "{patched}"
    );
    let (status, _) = client.write("DELETE", &one, JSON, "").await;
    assert_eq!(status, 200);
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
async fn foreign_claims_are_in_no_list_and_no_watch() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    for accept in [JSON, "application/json;as=Table;v=v1;g=meta.k8s.io"] {
        let request = Request::get(ALL)
            .header("accept", accept)
            .body(Full::default())
            .unwrap();
        let (status, list) = json(client.send(request).await).await;
        let text = list.to_string();
        assert_eq!(status, 200);
        assert!(
            text.contains("shop") && !text.contains("not-yours"),
            "{text}"
        );
        assert!(
            !text.contains("payments") && !text.contains("\"app-ns"),
            "{text}"
        );
    }
    let mut watch = client.get(&format!("{ALL}?watch=true")).await.into_body();
    assert_eq!(
        line(&mut watch).await.unwrap()["object"]["metadata"]["name"],
        "shop"
    );
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims
        .create(example::claim("payments", "theirs", 1))
        .unwrap();
    claims
        .create(example::claim("app-ns-2", "ours", 1))
        .unwrap();
    let event = line(&mut watch).await.unwrap();
    assert_eq!(event["object"]["metadata"]["name"], "ours");
    assert_eq!(event["object"]["metadata"]["namespace"], "team-a");
}

#[tokio::test]
async fn rows_without_objects_are_judged_all_the_same() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let bare = |query: &str| {
        let request = Request::get(format!("{ALL}?includeObject=None{query}"));
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        request
            .header("accept", table)
            .body(Full::default())
            .unwrap()
    };
    let (status, table) = json(client.send(bare("")).await).await;
    assert_eq!((status, &table["kind"]), (200, &"Table".into()));
    let rows = table["rows"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row.get("object").is_none()),
        "{table}"
    );
    let names: Vec<_> = rows.iter().map(|row| &row["cells"][0]).collect();
    assert_eq!(names, ["shop"], "{table}");
    let mut watch = client.send(bare("&watch=true")).await.into_body();
    let event = line(&mut watch).await.unwrap();
    let row = &event["object"]["rows"][0];
    assert_eq!(
        (&row["cells"][0], row.get("object")),
        (&"shop".into(), None),
        "{event}"
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
        (bed.proxy().await, 64 << 10),
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
async fn a_broken_or_cut_list_is_an_error() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    for then in [AfterCut::End, AfterCut::Reset] {
        let after_bytes = 100;
        let cut = Fault::CutBody { after_bytes, then };
        bed.control_plane
            .faults()
            .add_times(1, |r| r.path.ends_with("clusters"), cut);
        let request = Request::get(CLAIMS).body(Full::default()).unwrap();
        // The reset may overtake the headers, on either side of the daemon.
        if let Ok(response) = client.try_send(request).await
            && response.status() == 200
        {
            assert!(response.into_body().collect().await.is_err(), "{then:?}");
        }
    }
}

#[tokio::test]
async fn a_write_of_unknown_outcome_is_told_as_such_and_not_repeated() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    bed.control_plane
        .faults()
        .add(|r| r.method == Method::POST, Fault::HandleAndDrop);
    let request = Request::post(CLAIMS).header("content-type", JSON);
    let response = client
        .send(request.body(Full::from(claim("once"))).unwrap())
        .await;
    assert!(response.headers().get("retry-after").is_none());
    let (status, body) = json(response).await;
    assert_eq!(status, 503);
    assert!(
        body["message"].as_str().unwrap().contains("is not known"),
        "{body}"
    );
    let posts = bed
        .control_plane
        .requests()
        .iter()
        .filter(|r| r.method == Method::POST)
        .count();
    assert_eq!(posts, 1);
}

#[tokio::test]
async fn a_control_plane_that_is_away_is_named_and_comes_back() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    bed.control_plane.faults().listen(Listening::Refusing).await;
    bed.control_plane.faults().drop_connections();
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
    bed.control_plane
        .faults()
        .listen(Listening::Accepting)
        .await;
    eventually(|| async { client.json(CLAIMS).await.0 == 200 }).await;
}

#[tokio::test]
async fn a_goaway_costs_nobody_a_request() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    for _ in 0..20 {
        let (status, body) = client.json(CLAIMS).await;
        assert_eq!(status, 200, "{body}");
        bed.control_plane.faults().goaway();
    }
}

#[tokio::test]
async fn those_who_do_not_read_stop_nobody_else() {
    let bed = Bed::start().await;
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    for number in 0..40 {
        let mut claim = example::claim("app-ns-1", &format!("big-{number}"), 1);
        claim["metadata"]["annotations"]["notes"] = "n".repeat(100_000).into();
        claims.create(claim).unwrap();
    }
    let client = bed.developer().await;
    let mut unread = Vec::new();
    for query in ["", "?watch=true"] {
        for _ in 0..20 {
            unread.push(bed.developer().await.get(&format!("{CLAIMS}{query}")).await);
        }
    }
    assert!(unread.iter().all(|response| response.status() == 200));
    let (status, _) = client.json(&format!("{CLAIMS}/shop")).await;
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

#[tokio::test]
async fn a_failures_message_is_in_local_terms_and_bounded() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let answer = |message: &str| {
        let status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": "NotFound", "code": 404,
            "details": {"name": "app-ns-1", "kind": "namespaces"},
        });
        let mut headers = HeaderMap::new();
        headers.insert("content-type", JSON.parse().unwrap());
        let body = Bytes::from(status.to_string());
        Fault::Answer {
            status: StatusCode::NOT_FOUND,
            headers,
            body,
        }
    };
    let faults = bed.control_plane.faults();
    faults.add_times(
        1,
        |r| r.path.ends_with("/x"),
        answer("namespaces \"app-ns-1\" not found"),
    );
    let (status, body) = client.json(&format!("{CLAIMS}/x")).await;
    assert_eq!(
        (status, &body["message"]),
        (404, &"namespaces \"default\" not found".into())
    );
    assert_eq!(body["details"]["name"], "default");
    faults.add_times(
        1,
        |r| r.path.ends_with("/y"),
        answer(&"long ".repeat(20_000)),
    );
    let (status, body) = client.json(&format!("{CLAIMS}/y")).await;
    assert_eq!(
        (status, &body["kind"]),
        (404, &Value::from("Status")),
        "{body}"
    );
    assert!(body.to_string().len() < 1000);
}

#[tokio::test]
async fn discovery_and_openapi_come_from_memory_with_etags() {
    let bed = Bed::start().await;
    let client = bed.proxy().await;
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (path, accept) in [("/apis", v2), ("/openapi/v2", JSON), ("/openapi/v3", JSON)] {
        let request = |etag: Option<&str>| {
            let request = Request::get(path)
                .header("accept", accept)
                .header("x-remote-user", "a");
            let request = request.header("if-none-match", etag.unwrap_or("\"\""));
            request.body(Full::default()).unwrap()
        };
        // OpenAPI is read after discovery, which readiness waits for.
        eventually(|| async { client.send(request(None)).await.status() == 200 }).await;
        let first = client.send(request(None)).await;
        assert_eq!(
            (first.status().as_u16(), &first.headers()["content-type"]),
            (200, &accept.parse().unwrap())
        );
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        let (_, body) = json(first).await;
        let text = body.to_string();
        assert!(
            text.contains("k8s.starter.org") && !text.contains("networkpolicies"),
            "{text}"
        );
        assert_eq!(
            client.send(request(Some(&etag))).await.status(),
            304,
            "{path}"
        );
    }
}

/// Metric, least and greatest value; P stands for the control plane's label, R for the resource's,
/// BODY for the length of the claim that was created. A string is replaced in the request, and at
/// least one in each of the answers and events.
const EXPECTED_METRICS: &str = r#"requests_total{R,verb="create",code="201"} 1 1
requests_total{R,verb="get",code="200"} 1 1
request_duration_seconds_count{R,verb="get"} 1 1
watches{R} 1 1
requests_in_flight 0 0
watch_events_total{type="ADDED"} 2 2
watch_buffer_overflows_total 0 0
body_bytes_total{direction="received"} BODY BODY
body_bytes_total{direction="sent"} 1000 10000
rewrite_replacements_total 3 10
upstream_connections{P,lane="watches"} 1 1
upstream_streams{P,lane="watches"} 1 1
control_plane_up{P} 1 1
discovery_age_seconds{P} 0 20
authentication_failures_total{reason="no_certificate"} 1 1
build_info{version="0.1.0",commit="unknown"} 1 1"#;

#[tokio::test]
async fn metrics_tell_what_happened() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let mut watch = client.get(&format!("{ALL}?watch=true")).await.into_body();
    assert!(line(&mut watch).await.is_some());
    let (status, _) = client.write("POST", CLAIMS, JSON, &claim("counted")).await;
    assert_eq!(status, 201);
    assert!(line(&mut watch).await.is_some());
    let foreign = example::claim("payments", "theirs", 1);
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims.create(foreign).unwrap();
    assert_eq!(client.json(&format!("{CLAIMS}/counted")).await.0, 200);
    assert_eq!(bed.nobody().await.json(CLAIMS).await.0, 401);

    let created = claim("counted").len().to_string();
    let resource = r#"P,group="k8s.starter.org",resource="kubernetesclusters""#;
    let expected = EXPECTED_METRICS.replace("BODY", &created);
    let expected = expected.replace('R', resource);
    for line in expected.replace('P', "control_plane=\"platform\"").lines() {
        let [name, least, most] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let value = bed.metric(&format!("claimgate_{name}")).await;
        let value = value.unwrap_or_else(|| panic!("no {name}"));
        let range = least.parse::<f64>().unwrap()..=most.parse().unwrap();
        assert!(range.contains(&value), "{name} is {value}");
    }
    assert!(bed.metric("process_open_fds").await.unwrap() > 5.0);
}
