//! How response bodies end: a watch after a whole event, and an interrupted body with an error.

use hyper::body::Incoming;

use super::*;

/// Size in bytes of an event. It is not a multiple of the frame size, so events rarely end with a frame.
const EVENT_BYTES: usize = (1 << 20) + 77;
const EVENTS: usize = 16;

/// The flow-control window of an HTTP/2 client in bytes.
const WINDOW_BYTES: u32 = 64 << 10;

/// Returns the whole body of a watch. Its events fill the frames, as if many events were ready at once.
fn events() -> Bytes {
    let event = |at: usize| {
        let mut object = example::claim("app-ns-1", &format!("large-{at}"), 1);
        object["metadata"]["annotations"]["note"] = "n".repeat(EVENT_BYTES).into();
        serde_json::json!({"type": "ADDED", "object": object}).to_string() + "\n"
    };
    (0..EVENTS).map(event).collect::<String>().into()
}

/// Creates `count` claims of `bytes` bytes each.
fn populate(env: &TestEnv, count: usize, bytes: usize) {
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    for at in 0..count {
        let mut claim = example::claim("app-ns-1", &format!("large-{at}"), 1);
        claim["metadata"]["annotations"]["note"] = "n".repeat(bytes).into();
        claims.create(claim).unwrap();
    }
}

/// Reads at least `at_least` bytes, or until the end. Returns them, and whether the body was interrupted.
async fn read(body: &mut Incoming, at_least: usize) -> (Vec<u8>, bool) {
    let mut taken = Vec::new();
    while taken.len() < at_least {
        let frame = tokio::time::timeout(harness::TIMEOUT, body.frame()).await;
        match frame.expect("no frame arrived") {
            Some(Ok(frame)) => taken.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(_)) => return (taken, true),
            None => break,
        }
    }
    (taken, false)
}

/// Returns the number of events. Asserts that all are complete and use local names.
fn whole_events(text: &[u8]) -> usize {
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.ends_with('\n'), "the last event is incomplete");
    let events = text.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["object"]["metadata"]["namespace"], "default");
    });
    events.count()
}

/// Sends a GET. HTTP/1.1 and HTTP/2 mark complete and interrupted bodies in different ways.
async fn get(env: &TestEnv, is_http1: bool, path: &str) -> Incoming {
    let response = match is_http1 {
        true => env.get_http1(path).await,
        false => {
            env.developer_with_window(WINDOW_BYTES)
                .await
                .get(path)
                .await
        }
    };
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// The client reads slowly, and no frame from the control plane ends with an event.
#[tokio::test]
async fn draining_ends_a_watch_of_large_events_between_two_events() {
    for is_http1 in [false, true] {
        let env = TestEnv::start().await;
        let faults = env.control_plane.faults();
        faults.add(|r| r.query.contains("watch"), json_fault(200, events()));
        let mut watch = get(&env, is_http1, &format!("{CLAIMS}?watch=true")).await;
        let (mut taken, _) = read(&mut watch, 100_000).await;
        env.stop.graceful.cancel();
        let (rest, is_broken) = read(&mut watch, usize::MAX).await;
        assert!(!is_broken, "HTTP/1.1: {is_http1}");
        taken.extend(rest);
        let events = whole_events(&taken);
        assert!((1..EVENTS).contains(&events), "{events} events");
        env.running.await.unwrap();
    }
}

/// The client reads nothing until the control plane has ended the watch, so the rest is buffered.
#[tokio::test]
async fn timeout_ends_a_watch_of_large_events_after_the_last_event() {
    const STREAMS: &str = r#"claimgate_upstream_streams{control_plane="platform",class="watches"}"#;
    let env = TestEnv::start_with("limits: {watchBufferSize: 8MiB}").await;
    populate(&env, 2, EVENT_BYTES);
    for is_http1 in [false, true] {
        let path = format!("{CLAIMS}?watch=true&timeoutSeconds=1");
        let mut watch = get(&env, is_http1, &path).await;
        eventually(|| async { env.metric(STREAMS).await == Some(0.0) }).await;
        let (taken, is_broken) = read(&mut watch, usize::MAX).await;
        assert!(!is_broken, "HTTP/1.1: {is_http1}");
        assert_eq!(whole_events(&taken), 3);
    }
}

/// How the control plane interrupts a body.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Break {
    End,
    Reset,
    Connection,
}

/// Number of bytes after which the control plane interrupts a body, within an item or event.
const CUT_AT: usize = 3 << 20;

/// Returns the received part of an interrupted body, and whether the client gets an error.
async fn broken(env: &TestEnv, is_http1: bool, path: &str, how: Break) -> (Vec<u8>, bool) {
    let then = match how {
        Break::End => AfterCut::End,
        Break::Reset => AfterCut::Reset,
        Break::Connection => AfterCut::Silence,
    };
    let after_bytes = CUT_AT;
    let faults = env.control_plane.faults();
    let cut = Fault::CutBody { after_bytes, then };
    faults.add_times(1, |r| r.path.ends_with("clusters"), cut);
    let mut body = get(env, is_http1, path).await;
    let (mut taken, is_error) = read(&mut body, 2 * EVENT_BYTES).await;
    if is_error {
        return (taken, true);
    }
    if how == Break::Connection {
        faults.drop_connections();
    }
    let (rest, is_error) = read(&mut body, usize::MAX).await;
    taken.extend(rest);
    (taken, is_error)
}

#[tokio::test]
async fn interrupted_body_ends_with_an_error() {
    let env = TestEnv::start().await;
    populate(&env, 5, EVENT_BYTES);
    let watch = format!("{CLAIMS}?watch=true");
    for how in [Break::End, Break::Reset, Break::Connection] {
        for is_http1 in [false, true] {
            let about = format!("{how:?}, by HTTP/1.1: {is_http1}");
            let (list, is_error) = broken(&env, is_http1, CLAIMS, how).await;
            assert!(is_error && list.len() < CUT_AT, "{about}");

            let (events, is_error) = broken(&env, is_http1, &watch, how).await;
            // A reset may overtake all bytes of the event that it interrupts.
            assert!(is_error || how == Break::Reset, "{about}");
            let whole = match is_error {
                true => events.iter().rposition(|byte| *byte == b'\n').unwrap() + 1,
                false => events.len(),
            };
            assert!((1..6).contains(&whole_events(&events[..whole])), "{about}");
        }
    }
}

/// The client continues from its last resourceVersion, as after a timeout.
#[tokio::test]
async fn watch_interrupted_between_two_events_ends_without_error() {
    let env = TestEnv::start().await;
    let faults = env.control_plane.faults();
    for is_http1 in [false, true] {
        let mut watch = get(&env, is_http1, &format!("{CLAIMS}?watch=true")).await;
        assert!(line(&mut watch).await.is_some());
        faults.drop_connections();
        let (rest, is_broken) = read(&mut watch, usize::MAX).await;
        assert!(rest.is_empty() && !is_broken, "HTTP/1.1: {is_http1}");
    }
}
