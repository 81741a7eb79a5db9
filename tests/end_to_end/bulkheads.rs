//! A control plane or a user that takes too much leaves room for others.

use std::sync::Arc;

use dev_control_plane::RecordedRequest;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::harness::{Client, OTHER, Setup};
use super::*;

const BOTH: &str = "[{group: k8s.starter.org, controlPlane: platform}, {group: other.example.org, controlPlane: other}]";

/// Sends a GET as a user, through the front proxy.
async fn get(client: &Client, user: &str, path: &str) -> (u16, Option<String>, Value) {
    let request = Request::get(path).header("x-remote-user", user);
    let response = client.send(request.body(Full::default()).unwrap()).await;
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
    let (status, body) = json(response).await;
    (status, retry_after, body)
}

/// Sends GETs that do not return until the fault ends, and waits until `in_flight` requests are in flight.
async fn fill(
    env: &TestEnv,
    client: &Arc<Client>,
    requests: &[(&'static str, &'static str)],
    in_flight: u32,
) -> Vec<JoinHandle<u16>> {
    let mut sent = Vec::new();
    for &(user, path) in requests {
        let client = Arc::clone(client);
        sent.push(tokio::spawn(
            async move { get(&client, user, path).await.0 },
        ));
    }
    let gauge = r#"claimgate_requests_in_flight{control_plane="platform"}"#;
    let expected = Some(f64::from(in_flight));
    eventually(|| async { env.metric(gauge).await == expected }).await;
    sent
}

/// Requests to the control plane wait until the returned token is cancelled.
fn stall(
    env: &TestEnv,
    matches: impl Fn(&RecordedRequest) -> bool + Send + Sync + 'static,
) -> CancellationToken {
    let resumed = CancellationToken::new();
    let faults = env.control_plane.faults();
    faults.add(matches, Fault::Until(resumed.clone()));
    resumed
}

#[tokio::test]
async fn stalled_control_plane_takes_no_requests_from_another() {
    let other = TestEnv::other_control_plane().await;
    let setup = Setup {
        apis: BOTH,
        keys: "limits: {maxRequestsInFlight: 4, maxWatches: 1}",
        more: "limits: {maxRequestsInFlight: 5, maxWatches: 2}",
        other: Some(&other),
        ..Setup::default()
    };
    let env = TestEnv::configured(TestEnv::control_plane().await, setup).await;
    let client = Arc::new(env.front_proxy().await);
    let resumed = stall(&env, |request| request.path.contains("/shop"));
    let sent = fill(
        &env,
        &client,
        &[("a", SHOP), ("a", SHOP), ("b", SHOP), ("b", SHOP)],
        4,
    )
    .await;

    let (status, retry_after, body) = get(&client, "c", SHOP).await;
    assert_eq!((status, retry_after.as_deref()), (429, Some("1")), "{body}");
    assert_eq!(body["reason"], "TooManyRequests");
    let message = body["message"].as_str().unwrap();
    let key = "controlPlanes.platform.limits.maxRequestsInFlight";
    assert!(
        message.contains("\"platform\"") && message.contains(key),
        "{message}"
    );
    assert_eq!(get(&client, "c", OTHER).await.0, 200);

    resumed.cancel();
    for request in sent {
        assert_eq!(request.await.unwrap(), 200);
    }
    let watch = |path: &str| {
        let request = Request::get(format!("{path}?watch=true")).header("x-remote-user", "c");
        client.send(request.body(Full::default()).unwrap())
    };
    let first = watch(CLAIMS).await;
    let second = watch(CLAIMS).await;
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 429)
    );
    assert_eq!(watch(OTHER).await.status(), 200);
}

#[tokio::test]
async fn lists_of_one_user_leave_room_for_lists_and_gets_of_others() {
    let setup = Setup {
        keys: "limits: {maxRequestsInFlight: 8}",
        ..Setup::default()
    };
    let env = TestEnv::configured(TestEnv::control_plane().await, setup).await;
    let client = Arc::new(env.front_proxy().await);
    let resumed = stall(&env, |request| request.path.ends_with("clusters"));
    let greedy = fill(&env, &client, &[("greedy", CLAIMS); 4], 4).await;
    let (status, _, body) = get(&client, "greedy", SHOP).await;
    assert_eq!(status, 429, "one user has at most half: {body}");
    assert!(
        body["message"].as_str().unwrap().contains("one user"),
        "{body}"
    );

    let second = fill(&env, &client, &[("second", CLAIMS); 2], 6).await;
    let (status, _, body) = get(&client, "third", CLAIMS).await;
    assert_eq!(status, 429, "lists have at most three quarters: {body}");
    assert!(
        body["message"].as_str().unwrap().contains("too many lists"),
        "{body}"
    );
    for user in ["second", "third"] {
        assert_eq!(get(&client, user, SHOP).await.0, 200);
    }

    resumed.cancel();
    for request in greedy.into_iter().chain(second) {
        assert_eq!(request.await.unwrap(), 200);
    }
}
