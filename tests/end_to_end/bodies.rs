//! Names in request and response bodies are mapped in both directions.

use super::*;

#[tokio::test]
async fn namespaces_are_mapped_in_requests_and_responses() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let (status, created) = client.write("POST", CLAIMS, JSON, &claim("new")).await;
    assert_eq!(
        (status, &created["metadata"]["namespace"]),
        (201, &"default".into())
    );
    let stored = env
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
        {"op":"replace","path":"/spec/parameters/nodes/count","value":9}]"#;
    let (status, patched) = client
        .write("PATCH", &one, "application/json-patch+json", patch)
        .await;
    assert_eq!(
        (status, &patched["spec"]["parameters"]["nodes"]["count"]),
        (200, &9.into()),
        "{patched}"
    );
    let (status, _) = client.write("DELETE", &one, JSON, "").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn json_patch_that_copies_mapped_metadata_returns_422() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let patch_type = "application/json-patch+json";
    for path in [format!("{CLAIMS}/shop"), format!("{CLAIMS}/shop/status")] {
        for (op, from, to) in [
            ("copy", "/metadata/namespace", "/spec/parameters"),
            ("move", "/spec/parameters", "/metadata"),
        ] {
            let patch = format!(r#"[{{"op":"{op}","from":"{from}","path":"{to}"}}]"#);
            let (status, answer) = client.write("PATCH", &path, patch_type, &patch).await;
            assert_eq!((status, &answer["reason"]), (422, &"Invalid".into()));
            let message = answer["message"].as_str().unwrap();
            assert!(message.contains("may not copy or move"), "{message}");
        }
    }
}

#[tokio::test]
async fn lists_and_watches_drop_foreign_claims() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
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
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
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
async fn foreign_table_rows_without_objects_are_dropped() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
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
async fn error_message_uses_local_names_and_is_bounded() {
    let env = TestEnv::start_with("limits: {maxBufferedSize: 200KiB}").await;
    let client = env.developer().await;
    let answer = |message: &str| {
        let status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": "NotFound", "code": 404,
            "details": {"name": "app-ns-1", "kind": "namespaces"},
        });
        json_fault(404, status.to_string())
    };
    let faults = env.control_plane.faults();
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

/// kube-apiserver compresses bodies above 128 KiB if the client accepts gzip.
#[tokio::test]
async fn large_lists_are_compressed_if_the_client_accepts_gzip() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
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

/// Only the control plane decides whether a key is valid.
#[tokio::test]
async fn long_key_is_passed_to_the_control_plane() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
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

/// Returns pseudorandom letters, which gzip hardly compresses. They are the same for each call.
fn noise(length: usize) -> String {
    let mut state = 1u32;
    let letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from((state >> 24) % 26).unwrap())
    };
    std::iter::repeat_with(letter).take(length).collect()
}

/// A frame has a header of 9 bytes.
#[tokio::test]
async fn frame_of_a_rewritten_body_fills_one_tls_record() {
    const FRAME_BYTES: usize = (16 << 10) - 9;
    let env = TestEnv::start().await;
    let client = env.developer().await;
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
async fn body_that_is_not_json_reaches_the_control_plane_unchanged() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let deep = format!("{{kind: K,\"spec\":{}", "[".repeat(20_000));
    // Valid JSON for a parser without a depth limit.
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

/// kube-apiserver quotes the beginning of a body that it cannot decode.
#[tokio::test]
async fn error_quotes_the_body_that_the_client_sent() {
    const BEGINNING_BYTES: usize = 30;
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let object = |namespace: &str, length: usize| {
        let notes = "n".repeat(length);
        format!(r#"{{"metadata":{{"namespace":"{namespace}"}},"kind":"K","notes":"{notes}"}}"#)
    };
    let patch = |namespace: &str| {
        format!(r#"[{{"value":{{"namespace":"{namespace}"}},"op":"test","path":"/metadata"}}]"#)
    };
    let mapped = patch("app-ns-1");
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
    for (method, path, content_type, received, sent) in [
        ("POST", CLAIMS, JSON, object("default", 0), &short),
        ("POST", CLAIMS, JSON, object("default", 100_000), &long),
        ("POST", CLAIMS, YAML, yaml, &sorted),
        (
            "PATCH",
            SHOP,
            "application/json-patch+json",
            patch("default"),
            &mapped,
        ),
    ] {
        let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": quoted(sent), "reason": "BadRequest", "code": 400});
        let rejection = json_fault(400, status.to_string());
        let faults = env.control_plane.faults();
        faults.add_times(1, |r| r.method != Method::GET, rejection);
        let (status, answer) = client.write(method, path, content_type, &received).await;
        assert_eq!(
            (status, &answer["message"]),
            (400, &quoted(&received).into()),
            "{content_type} of {} bytes",
            received.len()
        );
    }
}

#[tokio::test]
async fn yaml_is_mapped_both_ways() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let claim = "# a comment\napiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\n\
        metadata:\n  name: new\n  \"n\\x61mespace\": &here default\n  labels: {here: *here}\nspec: {id: new, parameters: {nodes: {count: 0x3}}}\n";
    let (status, created) = client.write("POST", CLAIMS, YAML, claim).await;
    assert_eq!(
        (status, &created["metadata"]["labels"]["here"]),
        (201, &"default".into()),
        "{created}"
    );
    let stored = env.control_plane.objects(example::CLAIMS).unwrap();
    let stored = stored.get("app-ns-1", "new").unwrap();
    assert_eq!(stored["metadata"]["namespace"], "app-ns-1");
    assert_eq!(stored["spec"]["parameters"]["nodes"]["count"], 3);
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
async fn owner_references_in_yaml_are_rejected_in_every_notation() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let owners = "ownerReferences: [{apiVersion: v1, kind: Pod, name: a, uid: b}]";
    let metadata = format!("&m {{name: owned, {owners}}}");
    for body in [
        format!("kind: K\nmetadata: {metadata}"),
        // Quotes that mean something else than in JSON.
        format!("{{kind: K,\"spec\":{{\"region\": '\"'}},\"metadata\":{metadata},\"z\": '\"'}}"),
        format!("kind: K\na: {metadata}\nmetadata: *m"),
        format!("kind: K\na: {metadata}\nmetadata: {{<<: *m}}"),
    ] {
        for (method, path, kind) in [
            ("PATCH", SHOP, "application/apply-patch+yaml"),
            ("PUT", SHOP, YAML),
        ] {
            let (status, answer) = client.write(method, path, kind, &body).await;
            assert_eq!(status, 422, "{body}: {answer}");
        }
    }
}

#[tokio::test]
async fn invalid_yaml_gets_kube_apiservers_400() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
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
        let (status, answer) = client.write("PATCH", SHOP, kind, body).await;
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
async fn list_too_large_for_yaml_gets_406_and_is_available_as_json() {
    let env = TestEnv::start_with("limits: {maxBufferedSize: 1KiB}\n").await;
    let client = env.developer().await;
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
