//! Metrics after a watch, a creation and a read.

use super::*;

/// Each line has a metric with its smallest and its greatest allowed value. P stands for the label of the
/// control plane, R for the labels of the resource, and BODY for the length of the created claim. One
/// string is replaced in the request, and at least one in each response and event.
const EXPECTED_METRICS: &str = r#"requests_total{R,verb="create",code="201"} 1 1
requests_total{R,verb="get",code="200"} 1 1
request_duration_seconds_count{R,verb="get"} 1 1
watches{R} 1 1
requests_in_flight{P} 0 0
watch_events_total{type="ADDED"} 2 2
watch_buffer_overflows_total 0 0
body_bytes_total{direction="received"} BODY BODY
body_bytes_total{direction="sent"} 1000 10000
rewrite_replacements_total 3 10
upstream_connections{P,class="watches"} 1 1
upstream_streams{P,class="watches"} 1 1
upstream_round_trip_seconds{P} 0.000001 2
control_plane_up{P} 1 1
control_plane_degraded{P} 0 0
discovery_age_seconds{P} 0 20
authentication_failures_total{reason="no_certificate"} 1 1
build_info{version="0.1.0",commit="unknown"} 1 1"#;

#[tokio::test]
async fn metrics_count_requests_watches_and_bodies() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let mut watch = client.get(&format!("{ALL}?watch=true")).await.into_body();
    assert!(line(&mut watch).await.is_some());
    let (status, _) = client.write("POST", CLAIMS, JSON, &claim("counted")).await;
    assert_eq!(status, 201);
    assert!(line(&mut watch).await.is_some());
    let foreign = example::claim("payments", "theirs", 1);
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    claims.create(foreign).unwrap();
    assert_eq!(client.json(&format!("{CLAIMS}/counted")).await.0, 200);
    assert_eq!(env.anonymous().await.json(CLAIMS).await.0, 401);

    let created = claim("counted").len().to_string();
    let resource = r#"P,group="k8s.starter.org",resource="kubernetesclusters""#;
    let expected = EXPECTED_METRICS.replace("BODY", &created);
    let expected = expected.replace('R', resource);
    for line in expected.replace('P', "control_plane=\"platform\"").lines() {
        let [name, least, most] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let value = env.metric(&format!("claimgate_{name}")).await;
        let value = value.unwrap_or_else(|| panic!("no {name}"));
        let range = least.parse::<f64>().unwrap()..=most.parse().unwrap();
        assert!(range.contains(&value), "{name} is {value}");
    }
    assert!(env.metric("process_open_fds").await.unwrap() > 5.0);
}
