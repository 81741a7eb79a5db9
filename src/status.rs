//! A failure as Kubernetes' clients expect it, in what they take it in.

use bytes::Bytes;
use http::header::{self, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::accept::{self, Serializer};
use crate::request_info::Query;

/// How the agents begin whose users read what comes.
const HUMANS: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

/// In what a client takes a Status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Media {
    pub serializer: Serializer,
    /// Of JSON alone.
    is_indented: bool,
}

impl Media {
    pub const JSON: Self = Self {
        serializer: Serializer::Json,
        is_indented: false,
    };

    /// As kube-apiserver has it, which falls back to indented JSON where the client accepts nothing
    /// that a Status can be had in (`apiserver/pkg/endpoints/handlers/responsewriters/writers.go`,
    /// `ErrorNegotiated` and `WriteRawJSON`).
    pub fn of(request: &Parts) -> Self {
        Self::accepted(request).unwrap_or(Self {
            serializer: Serializer::Json,
            is_indented: true,
        })
    }

    /// The same without what it falls back to.
    pub fn accepted(request: &Parts) -> Option<Self> {
        let clauses = accept::clauses(&request.headers);
        let clause = clauses.iter().find(|clause| clause.takes_status())?;
        Some(Self {
            serializer: clause.serializer()?,
            is_indented: clause.is_pretty() || is_pretty(request),
        })
    }

    pub fn is_indented(self) -> bool {
        self.is_indented
    }
}

/// What is not said in Accept (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`,
/// `isPrettyPrint`).
pub fn is_pretty(request: &Parts) -> bool {
    let query = request.uri.query().unwrap_or_default();
    let query = Query::parse(if query.contains("pretty") { query } else { "" });
    if let Some(pretty) = query.get("pretty").filter(|pretty| !pretty.is_empty()) {
        // The truths of Go's `strconv.ParseBool`.
        return matches!(pretty, "1" | "t" | "T" | "TRUE" | "true" | "True");
    }
    let agent = request.headers.get(USER_AGENT);
    agent
        .and_then(|agent| agent.to_str().ok())
        .is_some_and(|agent| HUMANS.iter().any(|human| agent.starts_with(human)))
}

/// A failure as Kubernetes describes it.
#[derive(Clone, Debug)]
pub struct Status {
    pub code: StatusCode,
    pub reason: &'static str,
    pub message: String,
    pub details: Details,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// What is wrong with a field (`apimachinery/pkg/apis/meta/v1/types.go`, `StatusCause`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    pub reason: &'static str,
    pub message: String,
    pub field: &'static str,
}

/// The fields in the order in which kube-apiserver writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusObject<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    code: u16,
}

#[derive(Serialize)]
struct Empty {}

impl Status {
    /// The JSON document, with the newline that kube-apiserver ends it with, unless it is indented.
    fn json(&self, is_indented: bool) -> String {
        let object = StatusObject {
            kind: "Status",
            api_version: "v1",
            metadata: Empty {},
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: (self.details != Details::default()).then_some(&self.details),
            code: self.code.as_u16(),
        };
        escaped(accept::json(&object, is_indented))
    }

    /// In JSON if it can't be written in what is wanted.
    pub fn response(&self, media: Media) -> Response<Bytes> {
        let Media {
            serializer,
            is_indented,
        } = media;
        let json = self.json(is_indented);
        let (body, serializer) = match serializer.write(json.as_bytes()) {
            Ok(body) => (body, serializer),
            Err(_unwritable) => (json.into_bytes(), Serializer::Json),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.code;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, serializer.content_type());
        if let Some(seconds) = self.details.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// JSON with the escapes of Go's `encoding/json`. Outside of strings there are no such characters.
fn escaped(json: String) -> String {
    let is_escaped = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if !json.contains(is_escaped) {
        return json;
    }
    let escaped = json.chars().map(|c| match c {
        c if is_escaped(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn media(accept: &str, uri: &str, agent: &str) -> Media {
        let request = Request::get(uri)
            .header("accept", accept)
            .header("user-agent", agent);
        Media::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_status_comes_in_the_first_type_that_asks_for_no_other_form() {
        for (accept, serializer, is_indented) in [
            ("", Serializer::Json, false),
            ("*/*", Serializer::Json, false),
            ("application/json;stream=watch", Serializer::Json, false),
            (
                "application/vnd.kubernetes.protobuf",
                Serializer::Protobuf,
                false,
            ),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Serializer::Protobuf,
                false,
            ),
            (
                "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,application/yaml",
                Serializer::Yaml,
                false,
            ),
            (
                "application/yaml;stream=watch,application/json",
                Serializer::Json,
                false,
            ),
            (
                "application/json;as=Table;g=meta.k8s.io;v=v1",
                Serializer::Json,
                true,
            ),
            ("application/json;sv=v1", Serializer::Json, true),
            ("text/html", Serializer::Json, true),
            ("application/json;pretty=1", Serializer::Json, true),
        ] {
            let expected = Media {
                serializer,
                is_indented,
            };
            assert_eq!(media(accept, "/", "kubectl"), expected, "{accept}");
        }
    }

    #[test]
    fn people_get_it_indented() {
        for (uri, agent, is_indented) in [
            ("/", "curl/8.5.0", true),
            ("/", "Mozilla/5.0 (X11)", true),
            ("/", "Mozilla/4.0", false),
            ("/?pretty=false", "curl/8.5.0", false),
            ("/?pretty=", "curl/8.5.0", true),
            ("/?pretty=true", "kubectl", true),
            ("/?pretty=yes", "kubectl", false),
            ("/?x=pretty", "kubectl", false),
        ] {
            assert_eq!(
                media("", uri, agent).is_indented,
                is_indented,
                "{uri} {agent}"
            );
        }
    }

    #[test]
    fn what_is_indented_is_as_go_indents_it() {
        let status = Status {
            code: StatusCode::NOT_ACCEPTABLE,
            reason: "NotAcceptable",
            message: "only the following media types are accepted: application/json".into(),
            details: Details::default(),
        };
        let response = status.response(media("text/html", "/", ""));
        assert_eq!(
            std::str::from_utf8(response.body()).unwrap(),
            concat!(
                "{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {},\n",
                "  \"status\": \"Failure\",\n",
                "  \"message\": \"only the following media types are accepted: application/json\",\n",
                "  \"reason\": \"NotAcceptable\",\n  \"code\": 406\n}"
            )
        );
    }
}
