//! The format of responses that have only one representation: a `Status`, or an `APIResourceList`.

use http::header::USER_AGENT;
use http::request::Parts;

use crate::accept::{self, Serializer};
use crate::request_info::Query;

/// User-Agent prefixes of clients that get indented JSON, because a person reads it
/// (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`, `isPrettyPrint`).
const INTERACTIVE_USER_AGENTS: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

/// The serializer of a response and its indentation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResponseFormat {
    pub serializer: Serializer,
    /// Applies to JSON only.
    is_indented: bool,
}

impl ResponseFormat {
    /// Compact JSON.
    pub const JSON: Self = Self {
        serializer: Serializer::Json,
        is_indented: false,
    };

    /// Negotiates the format of a `Status`. If the client accepts none, the format is indented JSON
    /// (`apiserver/pkg/endpoints/handlers/responsewriters/writers.go`, `ErrorNegotiated` and
    /// `WriteRawJSON`).
    pub fn negotiate(request: &Parts) -> Self {
        Self::accepted(request).unwrap_or(Self {
            serializer: Serializer::Json,
            is_indented: true,
        })
    }

    /// Negotiates the format, or returns `None` if the client accepts none.
    pub fn accepted(request: &Parts) -> Option<Self> {
        let clauses = accept::clauses(&request.headers);
        let clause = clauses.iter().find(|clause| clause.accepts_status())?;
        Some(Self {
            serializer: clause.serializer()?,
            is_indented: clause.is_pretty() || is_pretty(request),
        })
    }

    pub fn is_indented(self) -> bool {
        self.is_indented
    }
}

/// Returns whether the query or the User-Agent requests indented JSON
/// (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`, `isPrettyPrint`).
pub fn is_pretty(request: &Parts) -> bool {
    let query = request.uri.query().unwrap_or_default();
    let query = Query::parse(if query.contains("pretty") { query } else { "" });
    if let Some(pretty) = query.get("pretty").filter(|pretty| !pretty.is_empty()) {
        // The true values of Go's `strconv.ParseBool`.
        return matches!(pretty, "1" | "t" | "T" | "TRUE" | "true" | "True");
    }
    let user_agent = request.headers.get(USER_AGENT);
    user_agent
        .and_then(|agent| agent.to_str().ok())
        .is_some_and(|agent| {
            INTERACTIVE_USER_AGENTS
                .iter()
                .any(|prefix| agent.starts_with(prefix))
        })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn format(accept: &str, uri: &str, agent: &str) -> ResponseFormat {
        let request = Request::get(uri)
            .header("accept", accept)
            .header("user-agent", agent);
        ResponseFormat::negotiate(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn status_uses_first_accepted_type_without_conversion() {
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
            let expected = ResponseFormat {
                serializer,
                is_indented,
            };
            assert_eq!(format(accept, "/", "kubectl"), expected, "{accept}");
        }
    }

    #[test]
    fn browsers_curl_and_pretty_get_indented_json() {
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
                format("", uri, agent).is_indented,
                is_indented,
                "{uri} {agent}"
            );
        }
    }
}
