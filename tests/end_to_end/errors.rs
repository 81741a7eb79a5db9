//! What the control plane refuses, in the words in which its clients hear of it.

use claimgate::dev::control_plane::RecordedRequest;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER};

use super::*;

const TEXT: &str = "text/plain; charset=utf-8";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf,application/json";
const WARNING: &str = r#"299 - "networks in namespace \"app-ns-1\" are deprecated""#;
const LOCAL_WARNING: &str = r#"299 - "networks in namespace \"default\" are deprecated""#;

/// What the control plane's own records are found by.
const THEIR_ID: &str = "4711";

/// A request of each kind that there are rules or a way of its own for.
const REQUESTS: [(&str, &str, &str, &str); 13] = [
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

/// An answer of the control plane, with its body there and here.
struct Refusal {
    code: u16,
    kind: &'static str,
    retry_after: Option<&'static str>,
    remote: String,
    local: String,
}

impl Refusal {
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

    /// With headers that mean something to the client, and some that are about the control plane alone.
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
        set("audit-id", THEIR_ID);
        set("cache-control", "public");
        set("x-kubernetes-pf-flowschema-uid", THEIR_ID);
        set("x-kubernetes-pf-prioritylevel-uid", THEIR_ID);
        Fault::Answer {
            status: StatusCode::from_u16(self.code).unwrap(),
            headers,
            body: self.remote.clone().into(),
        }
    }

    /// The headers that go through, and the one that every answer has, sorted.
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

/// In the words of kube-apiserver's filters and handlers.
fn refusals() -> Vec<Refusal> {
    let claims = r#"{"group":"k8s.starter.org","kind":"kubernetesclusters"}"#;
    let forbidden = r#"kubernetesclusters.k8s.starter.org is forbidden: User "claimgate-team-a" cannot list resource "kubernetesclusters" in API group "k8s.starter.org" in the namespace "NS""#;
    let busy = "Too many requests, please try again later.\n";
    let failed = r#"Internal Server Error: "/apis/k8s.starter.org/v1alpha1/namespaces/NS/kubernetesclusters?limit=5": no route"#;
    vec![
        Refusal::new(429, TEXT, Some("1"), busy),
        Refusal::status(
            429,
            "TooManyRequests",
            "storage is (re)initializing",
            r#"{"retryAfterSeconds":7}"#,
            Some("7"),
        ),
        Refusal::status(403, "Forbidden", forbidden, claims, None),
        Refusal::status(
            503,
            "ServiceUnavailable",
            r#"no leader for namespaces "NS""#,
            r#"{"retryAfterSeconds":10}"#,
            Some("10"),
        ),
        Refusal::new(503, TEXT, None, "service unavailable\n"),
        Refusal::new(500, TEXT, None, failed),
        Refusal::status(
            504,
            "Timeout",
            "Timeout: Too large resource version: 9, current: 8",
            r#"{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1}"#,
            Some("1"),
        ),
    ]
}

fn is_of_claims(request: &RecordedRequest) -> bool {
    request.path.contains("kubernetesclusters")
}

fn request(
    (method, path, accept, kind): (&str, &str, &str, &str),
    accepted: Option<&str>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{CLAIMS}{path}"))
        .header(ACCEPT, accepted.unwrap_or(accept));
    let mut body = String::new();
    if !kind.is_empty() {
        request = request.header(CONTENT_TYPE, kind);
        // The patch is one that could lose what is hidden, so that it is read before it is sent.
        body = match kind.contains("merge-patch") {
            true => r#"{"metadata":{"finalizers":null}}"#.to_owned(),
            false => claim("shop"),
        };
    }
    request.body(Full::from(body)).unwrap()
}

/// What came, but for headers that differ from call to call.
async fn came(response: http::Response<hyper::body::Incoming>) -> (Vec<(String, String)>, Bytes) {
    let mut headers: Vec<(String, String)> = response
        .headers()
        .iter()
        .filter(|(name, _)| ![CONTENT_LENGTH, DATE].contains(name))
        .filter(|(name, value)| *name != "audit-id" || *value == THEIR_ID)
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort_unstable();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (headers, body)
}

#[tokio::test]
async fn refusals_come_through_in_local_terms() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let faults = bed.control_plane.faults();
    for refusal in refusals() {
        faults.clear();
        faults.add(is_of_claims, refusal.fault());
        for asked in REQUESTS {
            let about = format!("{} to {asked:?}", refusal.local);
            let response = client.send(request(asked, None)).await;
            assert_eq!(response.status(), refusal.code, "{about}");
            let (headers, body) = came(response).await;
            if asked.2 == "application/yaml" && refusal.kind == JSON {
                assert_eq!(headers, refusal.headers("application/yaml"), "{about}");
                let text = String::from_utf8_lossy(&body);
                assert!(text.starts_with("apiVersion: v1\n") && !text.contains("app-ns"));
                continue;
            }
            assert_eq!(headers, refusal.headers(refusal.kind), "{about}");
            assert_eq!(String::from_utf8_lossy(&body), refusal.local, "{about}");
        }
    }
}

/// Text stays text, as kube-apiserver has it for any client.
#[tokio::test]
async fn clients_of_protobuf_are_refused_in_it() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let faults = bed.control_plane.faults();
    for refusal in refusals() {
        faults.clear();
        faults.add(is_of_claims, refusal.fault());
        for asked in REQUESTS {
            let about = format!("{} to {asked:?}", refusal.local);
            let response = client.send(request(asked, Some(PROTOBUF))).await;
            assert_eq!(response.status(), refusal.code, "{about}");
            let (headers, body) = came(response).await;
            if refusal.kind == TEXT {
                assert_eq!(headers, refusal.headers(TEXT), "{about}");
                assert_eq!(String::from_utf8_lossy(&body), refusal.local, "{about}");
                continue;
            }
            let protobuf = "application/vnd.kubernetes.protobuf";
            assert_eq!(headers, refusal.headers(protobuf), "{about}");
            let status: Value = serde_json::from_str(&refusal.local).unwrap();
            let has = |text: &str| body.windows(text.len()).any(|w| w == text.as_bytes());
            assert!(body.starts_with(b"k8s\0") && !has("app-ns"), "{about}");
            for word in ["message", "reason"] {
                assert!(has(status[word].as_str().unwrap()), "{about}");
            }
        }
    }
}

/// Nobody but who runs claimgate can mend it, so that no client is told to log in, or to try again.
#[tokio::test]
async fn refused_credentials_are_claimgates_own_matter() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let mut refusal = Refusal::status(401, "Unauthorized", "Unauthorized", "{}", Some("1"));
    for kind in [JSON, TEXT] {
        refusal.kind = kind;
        let Fault::Answer {
            status,
            mut headers,
            body,
        } = refusal.fault()
        else {
            unreachable!()
        };
        headers.insert("www-authenticate", "Bearer".parse().unwrap());
        let faults = bed.control_plane.faults();
        faults.clear();
        faults.add(
            is_of_claims,
            Fault::Answer {
                status,
                headers,
                body,
            },
        );
        for asked in REQUESTS {
            let mut request = request(asked, Some(JSON));
            let theirs = "Bearer theirs".parse().unwrap();
            request.headers_mut().insert(AUTHORIZATION, theirs);
            let response = client.send(request).await;
            assert_eq!(response.status(), 503, "{asked:?}");
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

/// What the connector may not do is told of that, and not of what claimgate has to do before it.
#[tokio::test]
async fn a_write_is_refused_in_words_about_it() {
    let bed = Bed::start().await;
    let client = bed.developer().await;
    let faults = bed.control_plane.faults();
    let denied = |verb: &str| {
        let message = format!(r#"User "connector" cannot {verb} in the namespace "NS""#);
        Refusal::status(403, "Forbidden", &message, "{}", None).fault()
    };
    let named = REQUESTS
        .into_iter()
        .filter(|(method, path, ..)| *method != "GET" && path.starts_with("/shop"));
    for asked in named {
        for first in ["GET", "PATCH"] {
            faults.clear();
            let claims = bed.control_plane.objects(example::CLAIMS).unwrap();
            let before = claims.get("app-ns-1", "shop");
            let is_first = move |r: &RecordedRequest| is_of_claims(r) && r.method == first;
            let own = asked.0;
            let is_own = move |r: &RecordedRequest| is_of_claims(r) && r.method == own;
            // Its own first: if that is a patch, both are.
            faults.add(is_own, denied(own));
            faults.add(is_first, denied(first));
            let (status, body) = json(client.send(request(asked, None)).await).await;
            let expected = format!(r#"User "connector" cannot {own} in the namespace "default""#);
            assert_eq!(
                (status, &body["message"]),
                (403, &expected.into()),
                "{asked:?}"
            );
            assert_eq!(claims.get("app-ns-1", "shop"), before);
        }
    }
}
