//! Where a stream ends: a watch between two events, and what breaks off not as if it were whole.

use hyper::body::Incoming;

use super::*;

/// No multiple of what a frame holds, so that no event ends with a frame but by chance.
const EVENT_BYTES: usize = (1 << 20) + 77;
const EVENTS: usize = 16;

/// What a client takes in before it is read, where the protocol tells how much that is.
const ROOM_BYTES: u32 = 64 << 10;

/// A watch's whole body, in which the events come one behind the other in full frames, as from a
/// control plane that has more to say already.
fn events() -> Bytes {
    let event = |at: usize| {
        let mut object = example::claim("app-ns-1", &format!("large-{at}"), 1);
        object["metadata"]["annotations"]["note"] = "n".repeat(EVENT_BYTES).into();
        serde_json::json!({"type": "ADDED", "object": object}).to_string() + "\n"
    };
    (0..EVENTS).map(event).collect::<String>().into()
}

fn answer(body: Bytes) -> Fault {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", JSON.parse().unwrap());
    Fault::Answer {
        status: StatusCode::OK,
        headers,
        body,
    }
}

/// Adds claims of so many bytes, of which all lists and watches in their namespace hold all.
fn populate(bed: &Bed, count: usize, bytes: usize) {
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    for at in 0..count {
        let mut claim = example::claim("app-ns-1", &format!("large-{at}"), 1);
        claim["metadata"]["annotations"]["note"] = "n".repeat(bytes).into();
        claims.create(claim).unwrap();
    }
}

/// Takes so many bytes at least, or all until the end; whether the body broke off.
async fn take(body: &mut Incoming, at_least: usize) -> (Vec<u8>, bool) {
    let mut taken = Vec::new();
    while taken.len() < at_least {
        let frame = tokio::time::timeout(harness::PATIENCE, body.frame()).await;
        match frame.expect("nothing came") {
            Some(Ok(frame)) => taken.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(_)) => return (taken, true),
            None => break,
        }
    }
    (taken, false)
}

/// How many there are. All of them have to be whole and in local terms.
fn whole_events(text: &[u8]) -> usize {
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.ends_with('\n'), "the last event is not whole");
    let events = text.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["object"]["metadata"]["namespace"], "default");
    });
    events.count()
}

/// By both protocols: what ends well, and what does not, is told in another way in each.
async fn get(bed: &Bed, is_http1: bool, path: &str) -> Incoming {
    let response = match is_http1 {
        true => bed.http1(path).await,
        false => bed.developer_with_room(ROOM_BYTES).await.get(path).await,
    };
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// However far the client is behind, and though no frame from the control plane ends with an event.
#[tokio::test]
async fn a_stop_ends_a_watch_of_large_events_behind_one_of_them() {
    for is_http1 in [false, true] {
        let bed = Bed::start().await;
        let faults = bed.control_plane.faults();
        faults.add(|r| r.query.contains("watch"), answer(events()));
        let mut watch = get(&bed, is_http1, &format!("{CLAIMS}?watch=true")).await;
        let (mut taken, _) = take(&mut watch, 100_000).await;
        bed.stop.gently.cancel();
        let (rest, is_broken) = take(&mut watch, usize::MAX).await;
        assert!(!is_broken, "HTTP/1.1: {is_http1}");
        taken.extend(rest);
        let events = whole_events(&taken);
        assert!((1..EVENTS).contains(&events), "{events} events");
        bed.running.await.unwrap();
    }
}

/// Also if the client reads nothing until the control plane has ended it: the last of it waits here.
#[tokio::test]
async fn a_timeout_ends_a_watch_of_large_events_behind_the_last_one() {
    const STREAMS: &str = r#"claimgate_upstream_streams{control_plane="platform",lane="watches"}"#;
    let bed = Bed::start_with("limits: {watchBufferMax: 8MiB}").await;
    populate(&bed, 2, EVENT_BYTES);
    for is_http1 in [false, true] {
        let path = format!("{CLAIMS}?watch=true&timeoutSeconds=1");
        let mut watch = get(&bed, is_http1, &path).await;
        eventually(|| async { bed.metric(STREAMS).await == Some(0.0) }).await;
        let (taken, is_broken) = take(&mut watch, usize::MAX).await;
        assert!(!is_broken, "HTTP/1.1: {is_http1}");
        assert_eq!(whole_events(&taken), 3);
    }
}

/// How the control plane breaks off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Break {
    End,
    Reset,
    Connection,
}

/// Bytes after which the control plane breaks off: in the middle of an item or event.
const CUT_AT: usize = 3 << 20;

/// What comes of a body that is broken off, and whether the client is told so.
async fn broken(bed: &Bed, is_http1: bool, path: &str, how: Break) -> (Vec<u8>, bool) {
    let then = match how {
        Break::End => AfterCut::End,
        Break::Reset => AfterCut::Reset,
        Break::Connection => AfterCut::Silence,
    };
    let after_bytes = CUT_AT;
    let faults = bed.control_plane.faults();
    let cut = Fault::CutBody { after_bytes, then };
    faults.add_times(1, |r| r.path.ends_with("clusters"), cut);
    let mut body = get(bed, is_http1, path).await;
    let (mut taken, is_told) = take(&mut body, 2 * EVENT_BYTES).await;
    if is_told {
        return (taken, true);
    }
    if how == Break::Connection {
        faults.drop_connections();
    }
    let (rest, is_told) = take(&mut body, usize::MAX).await;
    taken.extend(rest);
    (taken, is_told)
}

#[tokio::test]
async fn what_breaks_off_in_the_middle_does_not_look_whole() {
    let bed = Bed::start().await;
    populate(&bed, 5, EVENT_BYTES);
    let watch = format!("{CLAIMS}?watch=true");
    for how in [Break::End, Break::Reset, Break::Connection] {
        for is_http1 in [false, true] {
            let about = format!("{how:?}, by HTTP/1.1: {is_http1}");
            let (list, is_told) = broken(&bed, is_http1, CLAIMS, how).await;
            assert!(is_told && list.len() < CUT_AT, "{about}");

            let (events, is_told) = broken(&bed, is_http1, &watch, how).await;
            // Or the reset has overtaken all that was sent of the event that it breaks off.
            assert!(is_told || how == Break::Reset, "{about}");
            let whole = match is_told {
                true => events.iter().rposition(|byte| *byte == b'\n').unwrap() + 1,
                false => events.len(),
            };
            assert!((1..6).contains(&whole_events(&events[..whole])), "{about}");
        }
    }
}

/// Then it is as a timeout: the client goes on from the last version that it has seen.
#[tokio::test]
async fn a_watch_that_breaks_off_between_two_events_ends_well() {
    let bed = Bed::start().await;
    let faults = bed.control_plane.faults();
    for is_http1 in [false, true] {
        let mut watch = get(&bed, is_http1, &format!("{CLAIMS}?watch=true")).await;
        assert!(line(&mut watch).await.is_some());
        faults.drop_connections();
        let (rest, is_broken) = take(&mut watch, usize::MAX).await;
        assert!(rest.is_empty() && !is_broken, "HTTP/1.1: {is_http1}");
    }
}
