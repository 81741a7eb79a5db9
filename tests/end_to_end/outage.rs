//! Control planes that fail, and clients that do not read.

use super::*;

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
async fn a_write_that_is_given_back_is_sent_once_more() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let faults = bed.control_plane.faults();
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
    assert!(!message.contains("is not known"), "{message}");
    let requests = bed.control_plane.requests();
    let posts = requests.iter().filter(|r| r.method == Method::POST);
    assert_eq!(posts.count(), 4, "each is sent twice and no more");
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
