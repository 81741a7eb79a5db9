//! Deletions of which the app cluster's garbage collector has to know, and what is sent for them.

use claimgate::dev::control_plane::RecordedRequest;
use serde_json::json as value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::harness::Client;

const ORPHAN: &str = r#"{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan"}"#;
const FOREGROUND: &str =
    r#"{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Foreground"}"#;
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const TRIES: usize = 5;

fn one() -> String {
    format!("{CLAIMS}/shop")
}

fn stored(bed: &Bed) -> Option<Value> {
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    claims.get("app-ns-1", "shop")
}

fn finalizers(bed: &Bed) -> Value {
    let metadata = &stored(bed).unwrap()["metadata"];
    metadata.get("finalizers").cloned().unwrap_or_default()
}

fn set(bed: &Bed, metadata: Value) {
    let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
    let change = value!({ "metadata": metadata });
    claims.patch("app-ns-1", "shop", &change).unwrap();
    bed.control_plane.clear_requests();
}

fn is_of_shop(request: &RecordedRequest) -> bool {
    request.path.ends_with("/shop")
}

fn is(method: &'static Method) -> impl Fn(&RecordedRequest) -> bool {
    move |request| is_of_shop(request) && request.method == *method
}

fn requests(bed: &Bed) -> Vec<RecordedRequest> {
    let requests = bed.control_plane.requests();
    requests.into_iter().filter(is_of_shop).collect()
}

fn methods(bed: &Bed) -> Vec<Method> {
    let requests = requests(bed).into_iter();
    requests.map(|request| request.method).collect()
}

fn status(code: u16, reason: &str) -> Fault {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", JSON.parse().unwrap());
    let body = value!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": reason, "message": "no", "code": code});
    Fault::Answer {
        status: StatusCode::from_u16(code).unwrap(),
        headers,
        body: body.to_string().into(),
    }
}

async fn delete(client: &Client, query: &str, kind: &str, body: &str) -> (u16, Value) {
    let path = format!("{}{query}", one());
    client.write("DELETE", &path, kind, body).await
}

/// The control plane in memory reads neither YAML nor protobuf, and so refuses that.
#[tokio::test]
async fn the_collector_is_told_before_the_deletion_is_sent_as_it_came() {
    for (query, kind, body, told) in [
        ("", JSON, ORPHAN, "orphan"),
        ("", JSON, FOREGROUND, "foregroundDeletion"),
        ("", JSON, r#"{"orphanDependents":true}"#, "orphan"),
        (
            "",
            JSON,
            r#"{"orphanDependents":null,"propagationPolicy":"Orphan","dryRun":[]}"#,
            "orphan",
        ),
        (
            "",
            "application/yaml",
            "propagationPolicy: Orphan\n",
            "orphan",
        ),
        ("", PROTOBUF, "k8s\0\x12\x08\x22\x06Orphan", "orphan"),
        ("", PROTOBUF, "k8s\0\x12\x02\x18\x01", "orphan"),
        ("?propagationPolicy=Orphan", JSON, "", "orphan"),
        (
            "?propagationPolicy=Foreground",
            JSON,
            "",
            "foregroundDeletion",
        ),
        ("?orphanDependents=perhaps", JSON, "", "orphan"),
        // A body alone counts.
        (
            "?propagationPolicy=Orphan&dryRun=All",
            JSON,
            FOREGROUND,
            "foregroundDeletion",
        ),
    ] {
        let bed = Bed::start().await;
        let client = bed.developer().await;
        // Left over from another deletion.
        let before = value!([
            "claimgate.dev/orphan",
            "a",
            "claimgate.dev/foregroundDeletion"
        ]);
        set(&bed, value!({ "finalizers": before }));
        let version = stored(&bed).unwrap()["metadata"]["resourceVersion"].clone();
        delete(&client, query, kind, body).await;
        let requests = requests(&bed);
        let [read, patch, deletion, ..] = requests.as_slice() else {
            panic!("{:?}", methods(&bed))
        };
        let methods = [read, patch, deletion].map(|request| &request.method);
        assert_eq!(methods, [Method::GET, Method::PATCH, Method::DELETE]);
        assert_eq!(patch.query, "fieldManager=claimgate");
        let sent: Value = serde_json::from_slice(&patch.body).unwrap();
        let finalizers = value!(["a", format!("claimgate.dev/{told}")]);
        let metadata = value!({"finalizers": finalizers, "resourceVersion": version});
        assert_eq!(sent, value!({ "metadata": metadata }), "{query} {body}");
        assert_eq!(deletion.body, body);
        assert_eq!(deletion.query, query.trim_start_matches('?'));
    }
}

#[tokio::test]
async fn the_app_cluster_sees_the_finalizer_by_its_name_and_takes_it_off() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let (code, body) = delete(&client, "", JSON, FOREGROUND).await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(
        body["metadata"]["finalizers"],
        value!(["foregroundDeletion"])
    );
    assert_eq!(
        finalizers(&bed),
        value!(["claimgate.dev/foregroundDeletion"])
    );
    let version = &body["metadata"]["resourceVersion"];
    let patch = value!({"metadata": {"finalizers": null, "resourceVersion": version}});
    let merge = "application/merge-patch+json";
    let (code, body) = client
        .write("PATCH", &one(), merge, &patch.to_string())
        .await;
    assert_eq!(code, 200, "{body}");
    assert!(stored(&bed).is_none());
}

#[tokio::test]
async fn what_leaves_the_collector_nothing_to_do_is_sent_alone() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    set(&bed, value!({"finalizers": ["a"]}));
    for (query, kind, body) in [
        ("", JSON, ""),
        ("", JSON, r#"{"propagationPolicy":"Background"}"#),
        ("", JSON, r#"{"orphanDependents":false}"#),
        (
            "",
            JSON,
            r#"{"propagationPolicy":"Orphan","dryRun":["All"]}"#,
        ),
        ("?propagationPolicy=Orphan&dryRun=All", JSON, ""),
        ("?orphanDependents=0", JSON, ""),
        // Refused by the control plane.
        ("", JSON, r#"{"propagationPolicy":"Sideways"}"#),
        (
            "",
            JSON,
            r#"{"propagationPolicy":"Orphan","orphanDependents":true}"#,
        ),
        ("", JSON, r#"{"propagationPolicy":"Orphan","#),
        ("", "text/plain", ORPHAN),
        ("", PROTOBUF, "k8s\0\x12\x0d\x22\x06Orphan\x2a\x03All"),
        ("", PROTOBUF, "k8s\0\x12\x02\x18"),
    ] {
        bed.control_plane.clear_requests();
        delete(&client, query, kind, body).await;
        let requests = requests(&bed);
        assert_eq!(methods(&bed), [Method::DELETE], "{query} {body}");
        assert_eq!(requests[0].body, body);
        assert_eq!(finalizers(&bed), value!(["a"]));
    }
}

#[tokio::test]
async fn of_nothing_the_deletion_is_refused_in_the_control_planes_words() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let path = format!("{CLAIMS}/none");
    let (code, body) = client.write("DELETE", &path, JSON, ORPHAN).await;
    assert_eq!((code, &body["reason"]), (404, &"NotFound".into()));
    let last = bed.control_plane.requests().pop().unwrap();
    assert_eq!(last.method, Method::DELETE);
}

/// What is not known to be told may be lost.
#[tokio::test]
async fn without_the_read_or_the_patch_nothing_is_deleted() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    for (method, fault, expected) in [
        (&Method::GET, status(403, "Forbidden"), 403),
        (&Method::GET, status(500, "InternalError"), 500),
        (&Method::GET, Fault::HandleAndDrop, 503),
        (&Method::PATCH, status(403, "Forbidden"), 403),
        (&Method::PATCH, status(422, "Invalid"), 422),
        (&Method::PATCH, Fault::HandleAndDrop, 503),
    ] {
        for body in [ORPHAN, FOREGROUND] {
            bed.control_plane.clear_requests();
            bed.control_plane.faults().add(is(method), fault.clone());
            let (code, answer) = delete(&client, "", JSON, body).await;
            bed.control_plane.faults().clear();
            assert_eq!(code, expected, "{method} {fault:?}: {answer}");
            // Refused, the control plane is asked what it says of the deletion, by one that is none.
            let sent = requests(&bed);
            let mut deletions = sent.iter().filter(|r| r.method == Method::DELETE);
            let is_dry = |r: &RecordedRequest| {
                let body = String::from_utf8_lossy(&r.body);
                r.query == "dryRun=All" && body.contains(r#""dryRun":["All"],"preconditions""#)
            };
            assert!(
                deletions.all(|r| expected == 403 && is_dry(r)),
                "{method} {fault:?}"
            );
        }
    }
    assert_eq!(
        stored(&bed).unwrap()["metadata"].get("deletionTimestamp"),
        None
    );
}

#[tokio::test]
async fn a_claim_that_changes_under_it_is_read_anew() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let conflict = status(409, "Conflict");
    let faults = bed.control_plane.faults();
    faults.add_times(1, is(&Method::PATCH), conflict.clone());
    let (code, body) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!(code, 200, "{body}");
    let (get, patch) = (Method::GET, Method::PATCH);
    let twice = [get.clone(), patch.clone(), get, patch, Method::DELETE];
    assert_eq!(methods(&bed), twice);

    let bed = Bed::start().await;
    let client = bed.developer().await;
    bed.control_plane.faults().add(is(&Method::PATCH), conflict);
    let (code, body) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!((code, &body["reason"]), (409, &"Conflict".into()));
    assert_eq!(methods(&bed).len(), 2 * TRIES);
}

#[tokio::test]
async fn preconditions_are_about_the_claim_as_the_client_saw_it() {
    for kind in [JSON, "application/yaml"] {
        let bed = Bed::start().await;
        let client = bed.developer().await;
        let metadata = stored(&bed).unwrap()["metadata"].clone();
        let options = |uid: &Value, version: &Value| {
            let preconditions = value!({"uid": uid, "resourceVersion": version});
            let options = value!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
                "propagationPolicy": "Orphan", "preconditions": preconditions});
            options.to_string()
        };
        let (uid, version) = (&metadata["uid"], &metadata["resourceVersion"]);
        for body in [
            options(&"another".into(), version),
            options(uid, &"1".into()),
        ] {
            bed.control_plane.clear_requests();
            let (code, answer) = delete(&client, "", JSON, &body).await;
            assert_eq!(code, 409, "{answer}");
            assert_eq!(methods(&bed), [Method::GET, Method::DELETE]);
            assert_eq!(finalizers(&bed), Value::Null);
        }
        bed.control_plane.clear_requests();
        let (code, answer) = delete(&client, "", kind, &options(uid, version)).await;
        assert_eq!(code, 200, "{answer}");
        assert_eq!(answer["metadata"]["finalizers"], value!(["orphan"]));
        let deletion = requests(&bed).pop().unwrap();
        let sent: Value = serde_json::from_slice(&deletion.body).unwrap();
        let named = sent["preconditions"]["resourceVersion"].clone();
        assert_ne!(&named, version);
        let only_that: Value = serde_json::from_str(&options(uid, &named)).unwrap();
        assert_eq!(sent, only_that);
    }
}

#[tokio::test]
async fn preconditions_in_the_query_are_too() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let metadata = stored(&bed).unwrap()["metadata"].clone();
    let version = metadata["resourceVersion"].as_str().unwrap();
    let query = "?propagationPolicy=Foreground&resourceVersion=";
    delete(&client, &format!("{query}1"), JSON, "").await;
    assert_eq!(methods(&bed), [Method::GET, Method::DELETE]);
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let (code, answer) = delete(&client, &format!("{query}{version}"), JSON, "").await;
    assert_eq!(code, 200, "{answer}");
    let [_, _, deletion] = requests(&bed).try_into().unwrap();
    let patched = answer["metadata"]["resourceVersion"].as_str().unwrap();
    let named = deletion.query.rsplit('=').next().unwrap();
    assert_ne!(named, version);
    // The deletion itself made the next one.
    assert_ne!(named, patched);
    assert!(named.parse::<u64>().unwrap() > version.parse().unwrap());
}

/// Otherwise another deletion would be taken for this one.
#[tokio::test]
async fn a_deletion_that_is_refused_leaves_nothing_behind() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let before = value!(["a", "orphan"]);
    set(&bed, value!({ "finalizers": before }));
    let denied = status(403, "Forbidden");
    bed.control_plane.faults().add(is(&Method::DELETE), denied);
    let (code, _) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!(code, 403);
    assert_eq!(finalizers(&bed), before);
    // One that failed may still be carried out.
    let failed = status(504, "Timeout");
    bed.control_plane.faults().clear();
    bed.control_plane.faults().add(is(&Method::DELETE), failed);
    let (code, _) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!(code, 504);
    assert_eq!(
        finalizers(&bed),
        value!(["a", "orphan", "claimgate.dev/orphan"])
    );
}

/// So does one whose client leaves: the finalizer alone would be taken for another deletion's.
#[tokio::test]
async fn a_deletion_goes_on_without_its_client() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let faults = bed.control_plane.faults();
    let may_go_on = CancellationToken::new();
    faults.add(is(&Method::PATCH), Fault::Until(may_go_on.clone()));
    let mut deletion = Box::pin(delete(&client, "", JSON, ORPHAN));
    tokio::select! {
        _ = &mut deletion => panic!("the patch is not answered"),
        () = eventually(|| async { methods(&bed).contains(&Method::PATCH) }) => {}
    }
    drop(deletion);
    // This comes behind the stream's reset on the same connection.
    assert_eq!(client.get("/livez").await.status(), 200);
    may_go_on.cancel();
    eventually(|| async { methods(&bed).contains(&Method::DELETE) }).await;
}

/// A claim that is being deleted takes no more finalizers.
#[tokio::test]
async fn during_a_deletion_orphans_are_refused_and_the_foreground_is_not() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    set(&bed, value!({"finalizers": ["a"]}));
    delete(&client, "", JSON, "").await;
    bed.control_plane.clear_requests();
    let (code, body) = delete(&client, "", JSON, ORPHAN).await;
    assert_eq!((code, &body["reason"]), (409, &"Conflict".into()), "{body}");
    assert_eq!(body["details"]["name"], "shop");
    assert_eq!(methods(&bed), [Method::GET]);
    bed.control_plane.clear_requests();
    let (code, body) = delete(&client, "", JSON, FOREGROUND).await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(methods(&bed), [Method::GET, Method::DELETE]);

    let bed = Bed::start().await;
    let client = bed.developer().await;
    for methods_sent in [
        vec![Method::GET, Method::PATCH, Method::DELETE],
        vec![Method::GET, Method::DELETE],
    ] {
        bed.control_plane.clear_requests();
        let (code, body) = delete(&client, "", JSON, ORPHAN).await;
        assert_eq!(code, 200, "{body}");
        assert_eq!(methods(&bed), methods_sent);
    }
}

#[tokio::test]
async fn a_collection_leaves_no_orphans_and_is_deleted_in_the_foreground_as_it_came() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    bed.control_plane.clear_requests();
    let by_query = format!("{CLAIMS}?propagationPolicy=Orphan");
    for (path, body) in [(CLAIMS, ORPHAN), (by_query.as_str(), "")] {
        let (code, answer) = client.write("DELETE", path, JSON, body).await;
        assert_eq!((code, &answer["reason"]), (422, &"Invalid".into()));
    }
    assert!(bed.control_plane.requests().is_empty());
    let (code, answer) = client.write("DELETE", CLAIMS, JSON, FOREGROUND).await;
    assert_eq!(code, 200, "{answer}");
    assert!(stored(&bed).is_none());
    let [deletion] = bed.control_plane.requests().try_into().unwrap();
    assert_eq!(deletion.body, FOREGROUND);
}

/// What is read there but not here could be anything.
#[tokio::test]
async fn options_that_cannot_be_read_are_refused() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    bed.control_plane.clear_requests();
    let deep = format!(
        r#"{{"propagationPolicy":"Orphan","x":{}1{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    for (kind, body, expected) in [
        (JSON, deep.as_str(), 400),
        (
            "application/yaml",
            "propagationPolicy: !!binary T3JwaGFu",
            400,
        ),
        (PROTOBUF, "k8s\0\x12\x0a\x7b\x7c\x22\x06Orphan", 400),
        ("application/cbor", "x", 415),
    ] {
        let (code, answer) = delete(&client, "", kind, body).await;
        assert_eq!(code, expected, "{kind} {body}: {answer}");
    }
    assert!(requests(&bed).is_empty());
}
