//! Control planes that fail, and clients that do not read.

use super::*;

#[tokio::test]
async fn truncated_or_reset_list_ends_with_an_error() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    for then in [AfterCut::End, AfterCut::Reset] {
        let after_bytes = 100;
        let cut = Fault::CutBody { after_bytes, then };
        env.control_plane
            .faults()
            .add_times(1, |r| r.path.ends_with("clusters"), cut);
        let request = Request::get(CLAIMS).body(Full::default()).unwrap();
        // A reset may overtake the headers, on either side of the daemon.
        if let Ok(response) = client.try_send(request).await
            && response.status() == 200
        {
            assert!(response.into_body().collect().await.is_err(), "{then:?}");
        }
    }
}

#[tokio::test]
async fn write_with_unknown_outcome_gets_503_and_is_not_repeated() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    env.control_plane
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
        body["message"]
            .as_str()
            .unwrap()
            .contains("may have taken effect"),
        "{body}"
    );
    let posts = env
        .control_plane
        .requests()
        .iter()
        .filter(|r| r.method == Method::POST)
        .count();
    assert_eq!(posts, 1);
}

#[tokio::test]
async fn write_rejected_unprocessed_is_repeated_once() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let faults = env.control_plane.faults();
    let post = |name: &str| {
        let request = Request::post(CLAIMS).header("content-type", JSON);
        client.send(request.body(Full::from(claim(name))).unwrap())
    };
    faults.add_times(1, |r| r.method == Method::POST, Fault::Refuse);
    let (status, body) = json(post("again").await).await;
    assert_eq!((status, &body["metadata"]["name"]), (201, &"again".into()));

    faults.add(|r| r.method == Method::POST, Fault::Refuse);
    let (status, body) = json(post("never").await).await;
    assert_eq!(status, 503);
    let message = body["message"].as_str().unwrap();
    assert!(!message.contains("may have taken effect"), "{message}");
    let requests = env.control_plane.requests();
    let posts = requests.iter().filter(|r| r.method == Method::POST);
    assert_eq!(posts.count(), 4, "each write is sent exactly twice");
}

#[tokio::test]
async fn error_names_unavailable_control_plane_until_it_returns() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    env.control_plane.faults().listen(Listening::Refusing).await;
    env.control_plane.faults().drop_connections();
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
    env.control_plane
        .faults()
        .listen(Listening::Accepting)
        .await;
    eventually(|| async { client.json(CLAIMS).await.0 == 200 }).await;
}

#[tokio::test]
async fn requests_succeed_during_goaway() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    for _ in 0..20 {
        let (status, body) = client.json(CLAIMS).await;
        assert_eq!(status, 200, "{body}");
        env.control_plane.faults().goaway();
    }
}

#[tokio::test]
async fn clients_that_do_not_read_never_delay_other_clients() {
    let env = TestEnv::start().await;
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    for number in 0..40 {
        let mut claim = example::claim("app-ns-1", &format!("big-{number}"), 1);
        claim["metadata"]["annotations"]["notes"] = "n".repeat(100_000).into();
        claims.create(claim).unwrap();
    }
    let client = env.developer().await;
    let mut unread = Vec::new();
    for query in ["", "?watch=true"] {
        for _ in 0..20 {
            unread.push(env.developer().await.get(&format!("{CLAIMS}{query}")).await);
        }
    }
    assert!(unread.iter().all(|response| response.status() == 200));
    let (status, _) = client.json(SHOP).await;
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
