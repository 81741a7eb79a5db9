//! What becomes of names in bodies.

use http::header::CONTENT_TYPE;

use super::*;

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
async fn a_copied_namespace_is_the_local_one() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let one = format!("{CLAIMS}/shop");
    // Longer than what of other bodies is held.
    let long = "x".repeat(100 << 10);
    let labels = format!(r#"{{"labels":{{"a":"{long}"}}}}"#);
    let conditions = format!(
        r#"{{"conditions":[{{"type":"A","status":"True","reason":"B","message":"{long}",
            "lastTransitionTime":"2026-01-02T03:04:05Z"}}]}}"#
    );
    for (path, at, value, copied, moved) in [
        (
            one.clone(),
            "/spec/parameters",
            labels,
            "labels/b",
            "labels/c",
        ),
        (
            format!("{one}/status"),
            "/status",
            conditions,
            "conditions/0/reason",
            "conditions/0/type",
        ),
    ] {
        let patch = format!(
            r#"[{{"op":"add","path":"{at}","value":{value}}},
                {{"op":"copy","from":"/metadata/namespace","path":"{at}/{copied}"}},
                {{"op":"test","path":"/metadata/namespace","value":"default"}},
                {{"op":"move","from":"/metadata/namespace","path":"{at}/{moved}"}}]"#
        );
        let (status, patched) = client
            .write("PATCH", &path, "application/json-patch+json", &patch)
            .await;
        assert_eq!(
            (status, &patched["metadata"]["namespace"]),
            (200, &"default".into())
        );
        let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
        let stored = claims.get("app-ns-1", "shop").unwrap();
        for object in [patched, stored] {
            for pointer in [copied, moved] {
                let value = object.pointer(&format!("{at}/{pointer}"));
                assert_eq!(value, Some(&"default".into()), "{pointer}");
            }
        }
    }
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
    assert!(rows.iter().all(|row| row["object"].is_null()), "{table}");
    let names: Vec<_> = rows.iter().map(|row| &row["cells"][0]).collect();
    assert_eq!(names, ["shop"], "{table}");
    let mut watch = client.send(bare("&watch=true")).await.into_body();
    let event = line(&mut watch).await.unwrap();
    let row = &event["object"]["rows"][0];
    assert_eq!(
        (&row["cells"][0], &row["object"]),
        (&"shop".into(), &Value::Null),
        "{event}"
    );
}

#[tokio::test]
async fn a_failures_message_is_in_local_terms_and_bounded() {
    let bed = Bed::start_with("limits: {heldBytesMax: 200KiB}").await;
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
    let quoting = |namespace: &str| {
        let notes = "long ".repeat(20_000);
        let quoted = serde_json::json!({"metadata": {"namespace": namespace}, "notes": notes});
        format!("no kind in '{quoted}'")
    };
    faults.add_times(1, |r| r.path.ends_with("/z"), answer(&quoting("app-ns-1")));
    let (status, body) = client.json(&format!("{CLAIMS}/z")).await;
    assert_eq!(
        (status, &body["message"]),
        (404, &quoting("default").into())
    );
    faults.add_times(
        1,
        |r| r.path.ends_with("/y"),
        answer(&"long ".repeat(50_000)),
    );
    let (status, body) = client.json(&format!("{CLAIMS}/y")).await;
    assert_eq!(
        (status, &body["kind"]),
        (404, &Value::from("Status")),
        "{body}"
    );
    assert!(body.to_string().len() < 1000);
}

/// As kube-apiserver has it: above 128 KiB, for who asks, and the same once it is unpacked.
#[tokio::test]
async fn large_lists_are_compressed_for_who_asks() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let get = async |path: &str, encoding: &str| {
        let request = Request::get(path).header("accept-encoding", encoding);
        let response = client.send(request.body(Full::default()).unwrap()).await;
        let encoding = response.headers().get("content-encoding").cloned();
        let vary = response.headers().get("vary").cloned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (encoding, vary, body)
    };
    let (encoding, _, _) = get(CLAIMS, "gzip").await;
    assert_eq!(encoding, None, "a small list");

    for at in 0..10 {
        let mut claim: Value = serde_json::from_str(&claim(&format!("c{at}"))).unwrap();
        let note = format!("{at}").repeat(20_000);
        claim["metadata"]["annotations"] = serde_json::json!({ "note": note });
        let (status, _) = client.write("POST", CLAIMS, JSON, &claim.to_string()).await;
        assert_eq!(status, 201);
    }
    let (encoding, vary, packed) = get(CLAIMS, "br, gzip").await;
    assert_eq!(encoding.unwrap(), "gzip");
    assert_eq!(vary.unwrap(), "Accept-Encoding");
    let (encoding, _, plain) = get(CLAIMS, "identity").await;
    assert_eq!(encoding, None);
    assert!(packed.len() * 10 < plain.len(), "{}", packed.len());
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&*packed);
    std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert!(!String::from_utf8_lossy(&unpacked).contains("app-ns"));
}

/// Whether it may be there is for the control plane to say.
#[tokio::test]
async fn a_long_key_is_no_error() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    for at in ["/metadata", ""] {
        let mut long: Value = serde_json::from_str(&claim("long")).unwrap();
        let object = long.pointer_mut(at).unwrap().as_object_mut().unwrap();
        object.insert("k".repeat(5000), Value::from(1));
        let (status, body) = client.write("POST", CLAIMS, JSON, &long.to_string()).await;
        assert_eq!(status, 201, "{body}");
        let (status, body) = client.json(&format!("{CLAIMS}/long")).await;
        assert_eq!(
            (status, &body["metadata"]["namespace"]),
            (200, &Value::from("default"))
        );
        client
            .write("DELETE", &format!("{CLAIMS}/long"), JSON, "")
            .await;
    }
}

/// Letters of which gzip makes a little less, the same each time.
fn noise(length: usize) -> String {
    let mut state = 1u32;
    let letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from((state >> 24) % 26).unwrap())
    };
    std::iter::repeat_with(letter).take(length).collect()
}

/// With the 9 bytes of its header.
#[tokio::test]
async fn a_frame_of_what_is_mapped_fills_one_tls_record() {
    const FRAME_BYTES: usize = (16 << 10) - 9;
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let mut long: Value = serde_json::from_str(&claim("long")).unwrap();
    long["metadata"]["annotations"] = serde_json::json!({"note": noise(20 * FRAME_BYTES)});
    let (status, body) = client.write("POST", CLAIMS, JSON, &long.to_string()).await;
    assert_eq!(status, 201, "{body}");
    for encoding in ["identity", "gzip"] {
        let get = Request::get(format!("{CLAIMS}/long")).header("accept-encoding", encoding);
        let mut body = client
            .send(get.body(Full::default()).unwrap())
            .await
            .into_body();
        let mut lengths = Vec::new();
        while let Some(frame) = body.frame().await {
            lengths.push(frame.unwrap().into_data().unwrap().len());
        }
        let full = lengths.iter().filter(|length| **length == FRAME_BYTES);
        assert!(full.count() >= 10, "{encoding}: {lengths:?}");
        assert!(lengths.iter().all(|length| *length <= FRAME_BYTES));
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_by_the_control_plane_as_it_came() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let deep = format!("{{kind: K,\"spec\":{}", "[".repeat(20_000));
    // JSON to a parser that knows no bound.
    let closed = format!("{deep}{}}}", "]".repeat(20_000));
    for body in [
        "",
        " \n",
        "hello",
        "kind: KubernetesCluster",
        r#"{"metadata":{"namespace":"default""#,
        r#"{"metadata":{"namespace":"default"}}}"#,
        &deep,
        &closed,
    ] {
        let (status, answer) = client.write("POST", CLAIMS, JSON, body).await;
        assert_eq!(status, 400, "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(!message.contains("cannot be read"), "{message}");
    }
}

const YAML: &str = "application/yaml";

/// kube-apiserver quotes how a body begins that it can make nothing of.
#[tokio::test]
async fn a_refusal_quotes_what_the_client_sent() {
    const BEGINNING_BYTES: usize = 30;
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let one = format!("{CLAIMS}/shop");
    let object = |namespace: &str, length: usize| {
        let notes = "n".repeat(length);
        format!(r#"{{"metadata":{{"namespace":"{namespace}"}},"kind":"K","notes":"{notes}"}}"#)
    };
    let patch = r#"[{"op":"copy","from":"/metadata/namespace","path":"/spec/x"}]"#.to_owned();
    let completed = r#"[{"op":"replace","path":"/metadata/namespace""#.to_owned();
    let (short, long) = (object("app-ns-1", 0), object("app-ns-1", 100_000));
    let yaml = "metadata: {namespace: default}\nkind: K\n".to_owned();
    let sorted = r#"{"kind":"K","metadata":{"namespace":"app-ns-1"}}"#.to_owned();
    let quoted = |body: &str| match &body[..BEGINNING_BYTES] {
        begin if begin.starts_with('{') => format!("no kind ({begin} ...)"),
        begin => {
            let digits: String = begin.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("no kind ({digits} ...)")
        }
    };
    for (method, path, kind, came, sent) in [
        ("POST", CLAIMS, JSON, object("default", 0), &short),
        ("POST", CLAIMS, JSON, object("default", 100_000), &long),
        ("POST", CLAIMS, YAML, yaml, &sorted),
        (
            "PATCH",
            &one,
            "application/json-patch+json",
            patch,
            &completed,
        ),
    ] {
        let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": quoted(sent), "reason": "BadRequest", "code": 400});
        let refusal = Fault::Answer {
            status: StatusCode::BAD_REQUEST,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, JSON.parse().unwrap())]),
            body: status.to_string().into(),
        };
        let faults = bed.control_plane.faults();
        faults.add_times(1, |r| r.method != Method::GET, refusal);
        let (status, answer) = client.write(method, path, kind, &came).await;
        assert_eq!(
            (status, &answer["message"]),
            (400, &quoted(&came).into()),
            "{kind} of {} bytes",
            came.len()
        );
    }
}

#[tokio::test]
async fn yaml_is_mapped_both_ways() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let claim = "# a comment\napiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\n\
        metadata:\n  name: new\n  \"n\\x61mespace\": &here default\n  labels: {here: *here}\nspec: {region: eu-west, version: '1.31', nodeCount: 0x3}\n";
    let (status, created) = client.write("POST", CLAIMS, YAML, claim).await;
    assert_eq!(
        (status, &created["metadata"]["labels"]["here"]),
        (201, &"default".into()),
        "{created}"
    );
    let stored = bed.control_plane.objects(example::CLAIMS).unwrap();
    let stored = stored.get("app-ns-1", "new").unwrap();
    assert_eq!(stored["metadata"]["namespace"], "app-ns-1");
    assert_eq!(stored["spec"]["nodeCount"], 3);
    for (path, status, part) in [
        (format!("{CLAIMS}/new"), 200, "\n  namespace: default\n"),
        (CLAIMS.to_owned(), 200, "    namespace: default\n"),
        (format!("{CLAIMS}/none"), 404, "status: Failure\n"),
        (
            format!("{CLAIMS}?watch=true"),
            406,
            "message: 'only the following",
        ),
        (CLAIMS.replace("default", "nowhere"), 200, "items: []\n"),
    ] {
        let request = Request::get(&path).header("accept", format!("{YAML},{JSON}"));
        let answer = client.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], YAML);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains(part) && !text.contains("app-ns"), "{text}");
    }
}

#[tokio::test]
async fn yaml_hides_nothing_from_what_may_not_pass() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let one = format!("{CLAIMS}/shop");
    let owners = "ownerReferences: [{apiVersion: v1, kind: Pod, name: a, uid: b}]";
    let metadata = format!("&m {{name: owned, {owners}}}");
    for body in [
        format!("kind: K\nmetadata: {metadata}"),
        // Quotes that are not what they are in JSON.
        format!("{{kind: K,\"spec\":{{\"region\": '\"'}},\"metadata\":{metadata},\"z\": '\"'}}"),
        format!("kind: K\na: {metadata}\nmetadata: *m"),
        format!("kind: K\na: {metadata}\nmetadata: {{<<: *m}}"),
    ] {
        for (method, path, kind) in [
            ("PATCH", one.as_str(), "application/apply-patch+yaml"),
            ("PUT", one.as_str(), YAML),
        ] {
            let (status, answer) = client.write(method, path, kind, &body).await;
            assert_eq!(status, 422, "{body}: {answer}");
        }
    }
}

#[tokio::test]
async fn broken_yaml_is_refused_here() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let one = format!("{CLAIMS}/shop");
    for (body, why) in [
        (
            "a: b: c: {",
            "error encoding patch: yaml: mapping values are not allowed",
        ),
        (
            "{\"a\":",
            "error decoding patch: error converting YAML to JSON: yaml: line 1",
        ),
        ("a: [!,", "error encoding patch: yaml: "),
    ] {
        let kind = "application/apply-patch+yaml";
        let (status, answer) = client.write("PATCH", &one, kind, body).await;
        let message = answer["message"].as_str().unwrap();
        assert!(status == 400 && message.starts_with(why), "{message}");
    }
    let twice = "kind: KubernetesCluster\nkind: KubernetesCluster\n";
    let strictly = format!("{CLAIMS}?fieldValidation=Strict");
    let (status, answer) = client.write("POST", &strictly, YAML, twice).await;
    let message = answer["message"].as_str().unwrap();
    assert!(
        status == 400 && message.ends_with("line 2: key \"kind\" already set in map"),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_too_long_for_yaml_is_to_be_had_in_json() {
    let bed = Bed::start_with("limits: {heldBytesMax: 1KiB}\n").await;
    let client = bed.developer().await;
    for name in ["one", "two", "three", "four", "five"] {
        let (status, answer) = client.write("POST", CLAIMS, JSON, &claim(name)).await;
        assert_eq!(status, 201, "{answer}");
    }
    for (accept, status) in [(YAML, 406), (JSON, 200)] {
        let request = Request::get(CLAIMS).header("accept", accept);
        let answer = client.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), status);
    }
}
