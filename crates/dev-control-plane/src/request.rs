//! A received request, the log of requests, and the resource that a path names
//! (apiserver pkg/endpoints/request/requestinfo.go).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, header};

/// A received request. The body is empty if it was too large.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The number of the connection, counted from 1.
    pub connection: u64,
    pub version: http::Version,
    pub method: Method,
    /// The path as sent, without the query.
    pub path: String,
    /// The query as sent, without `?`.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The last requests, oldest first.
#[derive(Default)]
pub(crate) struct RequestLog {
    requests: Mutex<VecDeque<RecordedRequest>>,
}

/// The percent-decoded parts of a path below `/apis/GROUP/VERSION` or `/api/VERSION`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// The path has the legacy form with `/watch/`.
    pub(crate) watch_path: bool,
}

/// Maximum number of requests in the log.
const REQUESTS_MAX: usize = 10_000;

impl RecordedRequest {
    /// Returns the decoded value of the first query parameter with this name.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Returns the value of a header, or an empty string if it is absent or not text.
    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Returns whether the request is a watch. Any value except `0` and `false` means true (apimachinery
    /// pkg/runtime/conversion.go Convert_Slice_string_To_bool).
    pub fn wants_watch(&self) -> bool {
        self.parameter("watch").is_some_and(|value| is_true(&value))
    }
}

impl RequestLog {
    pub(crate) fn push(&self, request: RecordedRequest) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == REQUESTS_MAX {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Target {
    /// Parses a path. Returns `None` if it is not below a group-version.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut segments = path
            .trim_matches('/')
            .split('/')
            .map(decode)
            .collect::<Option<VecDeque<_>>>()?;
        let group = match segments.pop_front()?.as_str() {
            "api" => String::new(),
            "apis" => segments.pop_front()?,
            _ => return None,
        };
        let version = segments.pop_front()?;
        let watch_path = segments.front().is_some_and(|first| first == "watch");
        if watch_path {
            segments.pop_front();
        }
        // In the core group, `/namespaces/NAME` and its status are requests for the namespace itself.
        let namespaced = segments.front().is_some_and(|first| first == "namespaces")
            && segments.len() >= 3
            && !(group.is_empty() && segments.get(2).is_some_and(|third| third == "status"));
        let namespace = if namespaced {
            segments.pop_front();
            segments.pop_front()
        } else {
            None
        };
        let plural = segments.pop_front()?;
        let (name, subresource) = (segments.pop_front(), segments.pop_front());
        let complete = segments.is_empty();
        let target = Self {
            group,
            version,
            plural,
            namespace,
            name,
            subresource,
            watch_path,
        };
        complete.then_some(target)
    }
}

/// Returns whether a boolean query parameter is true.
pub(crate) fn is_true(value: &str) -> bool {
    value != "0" && !value.eq_ignore_ascii_case("false")
}

/// Percent-decodes a path segment. Unlike in a query, `+` is not a space.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' {
            let mut digit = || char::from(*rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_paths_are_parsed() {
        let parse = |path| Target::parse(path).unwrap();
        let all = parse("/apis/g.io/v1/things");
        assert_eq!((all.plural.as_str(), all.namespace), ("things", None));
        let scale = parse("/apis/g.io/v1/namespaces/n/things/a%2eb/scale");
        assert_eq!(scale.namespace.as_deref(), Some("n"));
        assert_eq!(scale.name.as_deref(), Some("a.b"));
        assert_eq!(scale.subresource.as_deref(), Some("scale"));
        let watch = parse("/apis/g.io/v1/watch/namespaces/n/things");
        assert!(watch.watch_path && watch.namespace.as_deref() == Some("n"));
        let namespace = parse("/api/v1/namespaces/n");
        assert_eq!(
            (namespace.plural.as_str(), namespace.name.as_deref()),
            ("namespaces", Some("n"))
        );
        assert_eq!(Target::parse("/metrics"), None);
    }
}
