//! Writes that would lose what is hidden of an object, and the reads before them.

use claimgate::dev::control_plane::RecordedRequest;
use serde_json::json as value;

use super::*;

const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const FOREGROUND: &str = "foregroundDeletion";
const LETS_GO: &str = r#"{"metadata":{"finalizers":null}}"#;
const REMOVES: &str = r#"[{"op":"remove","path":"/metadata/finalizers"}]"#;

/// Tries of a patch that loses every race.
const TRIES: usize = 5;

fn one() -> String {
    format!("{CLAIMS}/shop")
}

/// Sets `shop`'s finalizers on the control plane, which has an owner as well.
fn hold(bed: &Bed, finalizers: &[&str]) {
    let owner = value!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1"});
    let change = value!({"metadata": {"finalizers": finalizers, "ownerReferences": [owner]}});
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims.patch("app-ns-1", "shop", &change).unwrap();
}

fn stored(bed: &Bed) -> Value {
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims.get("app-ns-1", "shop").unwrap()
}

fn is_of_shop(request: &RecordedRequest) -> bool {
    request.path.ends_with("/shop")
}

fn is_read(request: &RecordedRequest) -> bool {
    is_of_shop(request) && request.method == Method::GET
}

/// The methods of what was asked about `shop`.
fn asked(bed: &Bed) -> Vec<Method> {
    let requests = bed.control_plane.requests();
    let of_shop = requests.into_iter().filter(is_of_shop);
    of_shop.map(|request| request.method).collect()
}

fn answer(status: u16, body: &Value) -> Fault {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", JSON.parse().unwrap());
    Fault::Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.to_string().into(),
    }
}

/// What a read would have found before the control plane took the claim for its collector.
fn stale_read(bed: &Bed) -> Fault {
    hold(bed, &["a"]);
    let before = stored(bed);
    hold(bed, &["a", FOREGROUND]);
    bed.control_plane.clear_requests();
    answer(200, &before)
}

fn assert_is_kept(bed: &Bed, finalizers: &[&str]) {
    let metadata = &stored(bed)["metadata"];
    assert_eq!(metadata["finalizers"], value!(finalizers), "{metadata}");
    assert_eq!(metadata["ownerReferences"][0]["uid"], "u-1", "{metadata}");
    let annotations = metadata["annotations"].to_string();
    assert!(!annotations.contains("claimgate"), "{metadata}");
}

#[tokio::test]
async fn a_patch_whose_object_changes_under_it_is_completed_anew() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    for (kind, patch) in [(MERGE, LETS_GO), (JSON_PATCH, REMOVES)] {
        let stale = stale_read(&bed);
        bed.control_plane.faults().add_times(1, is_read, stale);
        let (status, body) = client.write("PATCH", &one(), kind, patch).await;
        assert_eq!(status, 200, "{body}");
        assert_is_kept(&bed, &[FOREGROUND]);
        let (get, patch) = (Method::GET, Method::PATCH);
        assert_eq!(asked(&bed), [get.clone(), patch.clone(), get, patch]);
    }
}

/// What the patch hides first is no longer there.
#[tokio::test]
async fn a_patch_of_what_is_let_go_meanwhile_is_completed_anew() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    hold(&bed, &[FOREGROUND]);
    let before = stored(&bed);
    let let_go = value!({"metadata": {"finalizers": null, "ownerReferences": null}});
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims.patch("app-ns-1", "shop", &let_go).unwrap();
    let stale = answer(200, &before);
    bed.control_plane.faults().add_times(1, is_read, stale);
    let patch = r#"[{"op":"add","path":"/metadata/finalizers","value":["a"]}]"#;
    let (status, body) = client.write("PATCH", &one(), JSON_PATCH, patch).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(stored(&bed)["metadata"]["finalizers"], value!(["a"]));
}

#[tokio::test]
async fn a_patch_that_loses_every_race_is_a_conflict() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let stale = stale_read(&bed);
    bed.control_plane.faults().add(is_read, stale);
    for (kind, patch) in [(MERGE, LETS_GO), (JSON_PATCH, REMOVES)] {
        bed.control_plane.clear_requests();
        let (status, body) = client.write("PATCH", &one(), kind, patch).await;
        assert_eq!((status, &body["reason"]), (409, &"Conflict".into()));
        assert_is_kept(&bed, &["a", FOREGROUND]);
        assert_eq!(asked(&bed).len(), 2 * TRIES);
    }
}

#[tokio::test]
async fn a_conflict_of_a_version_that_the_client_names_is_its_own() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let stale = stale_read(&bed);
    bed.control_plane.faults().add(is_read, stale.clone());
    let Fault::Answer { body: before, .. } = stale else {
        unreachable!()
    };
    let mut update: Value = serde_json::from_slice(&before).unwrap();
    let version = update["metadata"]["resourceVersion"].clone();
    update["metadata"]["namespace"] = "default".into();
    update["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("ownerReferences");
    let merge = value!({"metadata": {"finalizers": [], "resourceVersion": version}});
    let json = value!([{"op": "remove", "path": "/metadata/finalizers"},
        {"op": "add", "path": "/metadata/resourceVersion", "value": version}]);
    for (method, kind, body) in [
        ("PUT", JSON, update),
        ("PATCH", MERGE, merge),
        ("PATCH", JSON_PATCH, json),
    ] {
        bed.control_plane.clear_requests();
        let (status, body) = client.write(method, &one(), kind, &body.to_string()).await;
        assert_eq!(
            (status, &body["reason"]),
            (409, &"Conflict".into()),
            "{body}"
        );
        assert_is_kept(&bed, &["a", FOREGROUND]);
        assert_eq!(asked(&bed), [Method::GET, method.parse().unwrap()]);
    }
}

#[tokio::test]
async fn without_the_read_nothing_is_written() {
    let bed = Bed::with_request_timeout("1s").await;
    let client = bed.developer().await;
    hold(&bed, &["a", FOREGROUND]);
    let (_, update) = client.json(&one()).await;
    let update = update.to_string();
    let cut = |then| Fault::CutBody {
        after_bytes: 50,
        then,
    };
    let denied = value!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
        "reason": "Forbidden", "message": "cannot get it in the namespace \"app-ns-1\""});
    let mut foreign = stored(&bed);
    foreign["metadata"]["namespace"] = "payments".into();
    let mut unreadable = stored(&bed);
    unreadable["metadata"]["resourceVersion"] = 7.into();
    for (fault, expected) in [
        (Fault::Hang, 504),
        (cut(AfterCut::Silence), 504),
        (cut(AfterCut::Reset), 503),
        (cut(AfterCut::End), 500),
        (Fault::HandleAndDrop, 503),
        (Fault::Refuse, 503),
        (answer(401, &Value::Null), 503),
        (answer(403, &denied), 403),
        (answer(200, &foreign), 500),
        (answer(200, &unreadable), 500),
        (answer(204, &Value::Null), 500),
    ] {
        for (method, kind, body) in [
            ("PUT", JSON, update.as_str()),
            ("PUT", "application/yaml", &update),
            ("PATCH", MERGE, LETS_GO),
            ("PATCH", JSON_PATCH, REMOVES),
        ] {
            let faults = bed.control_plane.faults();
            faults.add(is_read, fault.clone());
            bed.control_plane.clear_requests();
            let (status, body) = client.write(method, &one(), kind, body).await;
            faults.clear();
            assert_eq!(status, expected, "{fault:?} {method} {kind}: {body}");
            let text = body.to_string();
            assert!(
                !text.contains("app-ns-1") && !text.contains("payments"),
                "{text}"
            );
            // Refused, it is asked what it says of the write, by one that writes nothing.
            let harmless =
                |r: &RecordedRequest| r.query.contains("dryRun=All") && r.body.is_empty();
            let requests = bed.control_plane.requests();
            let all_are_so = requests
                .iter()
                .all(|r| r.method == Method::GET || expected == 403 && harmless(r));
            assert!(all_are_so, "{fault:?} {method} {kind}");
        }
    }
    assert_is_kept(&bed, &["a", FOREGROUND]);
}

/// It looks at much before it looks for the object.
#[tokio::test]
async fn a_write_to_what_is_missing_is_the_control_planes_to_refuse() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let update = claim("gone");
    for (method, kind, body) in [
        ("PUT", JSON, update.as_str()),
        ("PUT", JSON, "{"),
        ("PUT", "application/yaml", &update),
        ("PATCH", MERGE, LETS_GO),
        ("PATCH", JSON_PATCH, REMOVES),
    ] {
        bed.control_plane.clear_requests();
        let (status, answer) = client
            .write(method, &format!("{CLAIMS}/gone"), kind, body)
            .await;
        assert!(matches!(status, 400 | 404), "{method} {body}: {answer}");
        let requests = bed.control_plane.requests();
        let methods: Vec<_> = requests
            .iter()
            .map(|request| request.method.as_str())
            .collect();
        assert_eq!(methods, ["GET", method], "{kind}");
        // Should it have come to be in between, then at another version.
        let written = requests.last().unwrap();
        let text = String::from_utf8_lossy(&written.body);
        assert_eq!(method == "PATCH", text.contains(r#""1""#), "{text}");
    }
}

/// It would tell whether the client guessed what is hidden, and of a list that is not there.
#[tokio::test]
async fn a_patch_can_test_no_owner_that_is_hidden() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    hold(&bed, &["a"]);
    let before = stored(&bed);
    for (path, value) in [
        ("/metadata/ownerReferences/0/name", value!("o")),
        (
            "/metadata/ownerReferences",
            before["metadata"]["ownerReferences"].clone(),
        ),
    ] {
        let tests = value!([{"op": "test", "path": path, "value": value}]);
        let (status, body) = client
            .write("PATCH", &one(), JSON_PATCH, &tests.to_string())
            .await;
        assert_eq!(status, 422, "{path}: {body}");
    }
    assert_is_kept(&bed, &["a"]);
}

#[tokio::test]
async fn only_what_may_lose_something_is_read_for() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    hold(&bed, &["a", FOREGROUND]);
    let (_, shown) = client.json(&one()).await;
    let label = r#"{"metadata":{"labels":{"a":"b"},"ownerReferences":[]}}"#;
    let adds = r#"[{"op":"add","path":"/metadata/labels","value":{}}]"#;
    let status_of = format!("{}/status", one());
    for (method, path, kind, body) in [
        ("PATCH", one(), MERGE, label.to_owned()),
        ("PATCH", one(), JSON_PATCH, adds.to_owned()),
        ("PATCH", status_of.clone(), MERGE, LETS_GO.to_owned()),
        ("PUT", status_of, JSON, shown.to_string()),
    ] {
        bed.control_plane.clear_requests();
        let (_, body) = client.write(method, &path, kind, &body).await;
        let requests = bed.control_plane.requests();
        let reads = requests.iter().filter(|r| r.method == Method::GET);
        let reads = reads.filter(|r| r.path.contains("/shop")).count();
        assert_eq!(reads, 0, "{method} {path}: {body}");
    }
    assert_is_kept(&bed, &["a", FOREGROUND]);
}

#[tokio::test]
async fn owners_in_a_write_to_a_subresource_are_left_out() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let (_, mut shown) = client.json(&one()).await;
    shown["metadata"]["ownerReferences"] =
        value!([{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "mine"}]);
    let status_of = format!("{}/status", one());
    for (method, kind) in [("PUT", JSON), ("PATCH", MERGE)] {
        bed.control_plane.clear_requests();
        let (status, body) = client
            .write(method, &status_of, kind, &shown.to_string())
            .await;
        assert_eq!(status, 200, "{body}");
        let requests = bed.control_plane.requests();
        let written = requests.iter().find(|request| request.method == method);
        let text = String::from_utf8_lossy(&written.unwrap().body);
        assert!(!text.contains("mine"), "{text}");
    }
}

/// The read asks for the object as it is; what the write says of itself is the write's.
#[tokio::test]
async fn parameters_of_a_write_stay_with_it() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    hold(&bed, &["a", FOREGROUND]);
    let query = "dryRun=All&fieldManager=me&fieldValidation=Strict";
    let (_, update) = client.json(&one()).await;
    for (method, kind, body) in [
        ("PUT", JSON, update.to_string()),
        ("PATCH", MERGE, LETS_GO.to_owned()),
    ] {
        bed.control_plane.clear_requests();
        let path = format!("{}?{query}", one());
        let (status, body) = client.write(method, &path, kind, &body).await;
        assert_eq!(status, 200, "{body}");
        let requests = bed.control_plane.requests();
        let queries = requests.iter().filter(|request| is_of_shop(request));
        let queries: Vec<_> = queries.map(|request| request.query.as_str()).collect();
        assert_eq!(queries, ["", query]);
    }
    assert_is_kept(&bed, &["a", FOREGROUND]);
}

/// Of what is too long to be held otherwise, an update streams and a patch waits.
#[tokio::test]
async fn long_writes_are_completed_too() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    hold(&bed, &["a", FOREGROUND]);
    let notes = "n".repeat(200_000);
    let patch =
        format!(r#"{{"metadata":{{"annotations":{{"notes":"{notes}"}},"finalizers":[]}}}}"#);
    let (status, _) = client.write("PATCH", &one(), MERGE, &patch).await;
    assert_eq!(status, 200);
    assert_is_kept(&bed, &[FOREGROUND]);
    let (_, mut update) = client.json(&one()).await;
    let metadata = update["metadata"].as_object_mut().unwrap();
    metadata["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("claimgate.dev/hidden");
    metadata.insert("finalizers".into(), value!(["b"]));
    let (status, _) = client.write("PUT", &one(), JSON, &update.to_string()).await;
    assert_eq!(status, 200);
    assert_is_kept(&bed, &["b", FOREGROUND]);
    assert_eq!(stored(&bed)["metadata"]["annotations"]["notes"], notes);
}
