//! Failures of the control plane are passed on to clients.

use dev_control_plane::RecordedRequest;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER};

use super::*;

const TEXT: &str = "text/plain; charset=utf-8";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf,application/json";
const WARNING: &str = r#"299 - "networks in namespace \"app-ns-1\" are deprecated""#;
const LOCAL_WARNING: &str = r#"299 - "networks in namespace \"default\" are deprecated""#;

/// An ID from the control plane, which clients must not see.
const UPSTREAM_ID: &str = "4711";

/// The method, path, Accept and Content-Type of a request.
type Case = (&'static str, &'static str, &'static str, &'static str);

/// One request for each way in which claimgate handles requests.
const REQUESTS: [Case; 13] = [
    ("GET", "/shop", JSON, ""),
    ("GET", "", JSON, ""),
    ("GET", "?watch=true", JSON, ""),
    ("GET", "", TABLE, ""),
    ("GET", "?watch=true", TABLE, ""),
    ("GET", "/shop", "application/yaml", ""),
    ("GET", "/shop/scale", JSON, ""),
    ("POST", "", JSON, JSON),
    ("PUT", "/shop", JSON, JSON),
    ("PATCH", "/shop", JSON, "application/merge-patch+json"),
    ("PATCH", "/shop", JSON, "application/apply-patch+yaml"),
    ("DELETE", "/shop?propagationPolicy=Orphan", JSON, ""),
    ("DELETE", "", JSON, ""),
];

/// A failure of the control plane, with its body in remote and in local names.
struct UpstreamFailure {
    code: u16,
    kind: &'static str,
    retry_after: Option<&'static str>,
    remote: String,
    local: String,
}

impl UpstreamFailure {
    fn new(code: u16, kind: &'static str, retry_after: Option<&'static str>, body: &str) -> Self {
        let [remote, local] = ["app-ns-1", "default"].map(|name| body.replace("NS", name));
        Self {
            code,
            kind,
            retry_after,
            remote,
            local,
        }
    }

    fn status(
        code: u16,
        reason: &str,
        message: &str,
        details: &str,
        after: Option<&'static str>,
    ) -> Self {
        let message = Value::from(message);
        let body = format!(
            r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":{message},"reason":"{reason}","details":{details},"code":{code}}}"#
        );
        Self::new(code, JSON, after, &(body + "\n"))
    }

    /// Returns a fault with headers for the client, and with headers that must not be passed on.
    fn fault(&self) -> Fault {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &'static str| {
            headers.append(name, value.parse().unwrap());
        };
        set("content-type", self.kind);
        set("x-content-type-options", "nosniff");
        set("warning", WARNING);
        set("warning", r#"299 - "unknown field""#);
        if let Some(seconds) = self.retry_after {
            set("retry-after", seconds);
        }
        set("audit-id", UPSTREAM_ID);
        set("cache-control", "public");
        set("x-kubernetes-pf-flowschema-uid", UPSTREAM_ID);
        set("x-kubernetes-pf-prioritylevel-uid", UPSTREAM_ID);
        Fault::Answer {
            status: StatusCode::from_u16(self.code).unwrap(),
            headers,
            body: self.remote.clone().into(),
        }
    }

    /// Returns the headers that the client gets, sorted.
    fn headers(&self, kind: &str) -> Vec<(String, String)> {
        let mut headers = vec![
            ("cache-control", "no-cache, private"),
            ("content-type", kind),
            ("warning", LOCAL_WARNING),
            ("warning", r#"299 - "unknown field""#),
            ("x-content-type-options", "nosniff"),
        ];
        headers.extend(self.retry_after.map(|seconds| ("retry-after", seconds)));
        headers.sort_unstable();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        headers.into_iter().map(owned).collect()
    }
}

/// Returns failures as kube-apiserver's filters and handlers write them.
fn failures() -> Vec<UpstreamFailure> {
    let claims = r#"{"group":"k8s.starter.org","kind":"kubernetesclusters"}"#;
    let forbidden = r#"kubernetesclusters.k8s.starter.org is forbidden: User "claimgate-team-a" cannot list resource "kubernetesclusters" in API group "k8s.starter.org" in the namespace "NS""#;
    let busy = "Too many requests, please try again later.\n";
    let failed = r#"Internal Server Error: "/apis/k8s.starter.org/v1alpha1/namespaces/NS/kubernetesclusters?limit=5": no route"#;
    vec![
        UpstreamFailure::new(429, TEXT, Some("1"), busy),
        UpstreamFailure::status(
            429,
            "TooManyRequests",
            "storage is (re)initializing",
            r#"{"retryAfterSeconds":7}"#,
            Some("7"),
        ),
        UpstreamFailure::status(403, "Forbidden", forbidden, claims, None),
        UpstreamFailure::status(
            503,
            "ServiceUnavailable",
            r#"no leader for namespaces "NS""#,
            r#"{"retryAfterSeconds":10}"#,
            Some("10"),
        ),
        UpstreamFailure::new(503, TEXT, None, "service unavailable\n"),
        UpstreamFailure::new(500, TEXT, None, failed),
        UpstreamFailure::status(
            504,
            "Timeout",
            "Timeout: Too large resource version: 9, current: 8",
            r#"{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1}"#,
            Some("1"),
        ),
    ]
}

fn is_for_claims(request: &RecordedRequest) -> bool {
    request.path.contains("kubernetesclusters")
}

fn request((method, path, accept, kind): Case, accepted: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{CLAIMS}{path}"))
        .header(ACCEPT, accepted.unwrap_or(accept));
    let mut body = String::new();
    if !kind.is_empty() {
        request = request.header(CONTENT_TYPE, kind);
        // This patch could remove hidden metadata, so claimgate reads the claim first.
        body = match kind.contains("merge-patch") {
            true => r#"{"metadata":{"finalizers":null}}"#.to_owned(),
            false => claim("shop"),
        };
    }
    request.body(Full::from(body)).unwrap()
}

/// Returns headers and body, without headers that differ from call to call.
async fn read(response: http::Response<hyper::body::Incoming>) -> (Vec<(String, String)>, Bytes) {
    let mut headers: Vec<(String, String)> = response
        .headers()
        .iter()
        .filter(|(name, _)| ![CONTENT_LENGTH, DATE].contains(name))
        .filter(|(name, value)| *name != "audit-id" || *value == UPSTREAM_ID)
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort_unstable();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (headers, body)
}

/// A response to one of [`REQUESTS`], with a description for messages.
struct ClientResponse {
    case: Case,
    about: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// Sends every request while the control plane returns `failure`. `accepted` replaces their Accept header.
/// Asserts that each response has the status code of the failure.
async fn responses(
    env: &TestEnv,
    failure: &UpstreamFailure,
    accepted: Option<&str>,
) -> Vec<ClientResponse> {
    let client = env.developer().await;
    let faults = env.control_plane.faults();
    faults.clear();
    faults.add(is_for_claims, failure.fault());
    let mut responses = Vec::new();
    for case in REQUESTS {
        let about = format!("{} to {case:?}", failure.local);
        let response = client.send(request(case, accepted)).await;
        assert_eq!(response.status(), failure.code, "{about}");
        let (headers, body) = read(response).await;
        responses.push(ClientResponse {
            case,
            about,
            headers,
            body,
        });
    }
    responses
}

#[tokio::test]
async fn failures_are_passed_on_with_local_names() {
    let env = TestEnv::start().await;
    for failure in failures() {
        for response in responses(&env, &failure, None).await {
            let (about, text) = (response.about, String::from_utf8_lossy(&response.body));
            let (_, _, accept, _) = response.case;
            if accept == "application/yaml" && failure.kind == JSON {
                let expected = failure.headers("application/yaml");
                assert_eq!(response.headers, expected, "{about}");
                assert!(text.starts_with("apiVersion: v1\n") && !text.contains("app-ns"));
                continue;
            }
            assert_eq!(response.headers, failure.headers(failure.kind), "{about}");
            assert_eq!(text, failure.local, "{about}");
        }
    }
}

/// A failure in plain text stays plain text, as with kube-apiserver.
#[tokio::test]
async fn failures_are_protobuf_if_the_client_accepts_it() {
    let env = TestEnv::start().await;
    for failure in failures() {
        for response in responses(&env, &failure, Some(PROTOBUF)).await {
            let (about, body) = (response.about, response.body);
            if failure.kind == TEXT {
                assert_eq!(response.headers, failure.headers(TEXT), "{about}");
                assert_eq!(String::from_utf8_lossy(&body), failure.local, "{about}");
                continue;
            }
            let protobuf = "application/vnd.kubernetes.protobuf";
            assert_eq!(response.headers, failure.headers(protobuf), "{about}");
            let status: Value = serde_json::from_str(&failure.local).unwrap();
            let has = |text: &str| body.windows(text.len()).any(|w| w == text.as_bytes());
            assert!(body.starts_with(b"k8s\0") && !has("app-ns"), "{about}");
            for word in ["message", "reason"] {
                assert!(has(status[word].as_str().unwrap()), "{about}");
            }
        }
    }
}

/// Only claimgate's operator can fix the credentials, so the response does not ask clients to log in or
/// to retry.
#[tokio::test]
async fn rejected_credentials_of_claimgate_get_503() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let mut failure = UpstreamFailure::status(401, "Unauthorized", "Unauthorized", "{}", Some("1"));
    for kind in [JSON, TEXT] {
        failure.kind = kind;
        let Fault::Answer {
            status,
            mut headers,
            body,
        } = failure.fault()
        else {
            unreachable!()
        };
        headers.insert("www-authenticate", "Bearer".parse().unwrap());
        let faults = env.control_plane.faults();
        faults.clear();
        faults.add(
            is_for_claims,
            Fault::Answer {
                status,
                headers,
                body,
            },
        );
        for case in REQUESTS {
            let mut request = request(case, Some(JSON));
            let client_token = "Bearer client".parse().unwrap();
            request.headers_mut().insert(AUTHORIZATION, client_token);
            let response = client.send(request).await;
            assert_eq!(response.status(), 503, "{case:?}");
            assert!(response.headers().get(RETRY_AFTER).is_none());
            assert!(response.headers().get("www-authenticate").is_none());
            assert_eq!(response.headers()[CONTENT_TYPE], JSON);
            let (_, status) = json(response).await;
            assert_eq!(status["reason"], "ServiceUnavailable");
            let message = status["message"].as_str().unwrap();
            assert!(message.contains("\"platform\"") && message.contains("own credentials"));
        }
    }
}

/// The message names the verb of the client's request, not of the read or patch before it.
#[tokio::test]
async fn forbidden_write_is_reported_with_its_own_verb() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let faults = env.control_plane.faults();
    let denied = |verb: &str| {
        let message = format!(r#"User "connector" cannot {verb} in the namespace "NS""#);
        UpstreamFailure::status(403, "Forbidden", &message, "{}", None).fault()
    };
    let named = REQUESTS
        .into_iter()
        .filter(|(method, path, ..)| *method != "GET" && path.starts_with("/shop"));
    for case in named {
        for first in ["GET", "PATCH"] {
            faults.clear();
            let claims = env.control_plane.objects(example::CLAIMS).unwrap();
            let before = claims.get("app-ns-1", "shop");
            let is_first = move |r: &RecordedRequest| is_for_claims(r) && r.method == first;
            let own = case.0;
            let is_own = move |r: &RecordedRequest| is_for_claims(r) && r.method == own;
            // The request's own verb first; the two are the same for a patch.
            faults.add(is_own, denied(own));
            faults.add(is_first, denied(first));
            let (status, body) = json(client.send(request(case, None)).await).await;
            let expected = format!(r#"User "connector" cannot {own} in the namespace "default""#);
            assert_eq!(
                (status, &body["message"]),
                (403, &expected.into()),
                "{case:?}"
            );
            assert_eq!(claims.get("app-ns-1", "shop"), before);
        }
    }
}

/// Otherwise a client that respects RBAC would forget the kind.
#[tokio::test]
async fn forbidden_while_the_control_plane_starts_returns_503() {
    let env = TestEnv::start().await;
    let client = env.developer().await;
    let forbidden = UpstreamFailure::status(403, "Forbidden", "no roles yet", "{}", None);
    let faults = env.control_plane.faults();
    faults.add(is_for_claims, forbidden.fault());
    faults.add(|request| request.path == "/readyz", json_fault(500, "{}"));
    for case in REQUESTS {
        let response = client.send(request(case, Some(JSON))).await;
        assert_eq!(response.status(), 503, "{case:?}");
        let (_, status) = json(response).await;
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("it is starting"), "{message}");
    }
    faults.clear();
    faults.add(is_for_claims, forbidden.fault());
    let status = || async { client.send(request(REQUESTS[0], Some(JSON))).await.status() };
    eventually(|| async { status().await == 403 }).await;
}
