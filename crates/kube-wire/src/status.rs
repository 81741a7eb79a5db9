//! Failures in the form that Kubernetes clients expect: `Status` objects.

mod response_format;

use bytes::Bytes;
use http::header;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

pub use self::response_format::{ResponseFormat, is_pretty};
use crate::accept::{self, Serializer};

/// A failure (`apimachinery/pkg/apis/meta/v1/types.go`, `Status`).
#[derive(Clone, Debug)]
pub struct Status {
    pub code: StatusCode,
    /// The machine-readable reason; empty if Kubernetes defines none.
    pub reason: &'static str,
    pub message: String,
    pub details: Details,
}

/// Details of a failure (`apimachinery/pkg/apis/meta/v1/types.go`, `StatusDetails`). Empty fields are omitted.
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

/// An invalid field (`apimachinery/pkg/apis/meta/v1/types.go`, `StatusCause`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    pub reason: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub field: &'static str,
}

/// The JSON form of a `Status`, with the fields in kube-apiserver's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusObject<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: EmptyObject,
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    code: u16,
}

#[derive(Serialize)]
struct EmptyObject {}

impl Status {
    fn json(&self, is_indented: bool) -> String {
        let object = StatusObject {
            kind: "Status",
            api_version: "v1",
            metadata: EmptyObject {},
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: (self.details != Details::default()).then_some(&self.details),
            code: self.code.as_u16(),
        };
        escape_like_go(accept::json(&object, is_indented))
    }

    /// Returns the response with this `Status` as its body. If the format cannot express it, the
    /// body is JSON.
    pub fn response(&self, format: ResponseFormat) -> Response<Bytes> {
        let json = self.json(format.is_indented());
        let (body, serializer) = match format.serializer.encode(json.as_bytes()) {
            Ok(body) => (body, format.serializer),
            Err(_) => (json.into_bytes(), Serializer::Json),
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

/// Escapes the characters that Go's `encoding/json` escapes. In JSON, they occur only inside strings.
fn escape_like_go(json: String) -> String {
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
    use super::*;

    /// Returns the format for a client that accepts no format of a Status.
    fn indented() -> ResponseFormat {
        let request = http::Request::get("/").header("accept", "text/html");
        ResponseFormat::negotiate(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn indented_status_matches_go() {
        let status = Status {
            code: StatusCode::NOT_ACCEPTABLE,
            reason: "NotAcceptable",
            message: "only the following media types are accepted: application/json".into(),
            details: Details::default(),
        };
        let response = status.response(indented());
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
