//! Request info: the path, method and query of an API request.
//!
//! [`Target::parse`] follows the request info resolver of Kubernetes
//! (`apiserver/pkg/endpoints/request/requestinfo.go`) for the paths of an aggregated API server with namespaced
//! resources. It is independent of the exposed resources and of namespace mapping.

mod path;
mod query;
mod verb;

use http::Method;

use self::path::{is_unambiguous, segments};
pub use self::path::{path_segment_error, percent_decode};
pub use self::query::Query;
pub use self::verb::Verb;

/// The endpoint of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// `/livez`, `/readyz` or `/healthz`.
    Health,
    /// `/version`.
    Version,
    /// Discovery: `/apis`, `/apis/G` and `/apis/G/V`.
    Discovery,
    /// `/openapi/v2`, `/openapi/v3` and the paths below it.
    OpenApi,
    /// Objects of a resource.
    Resource(ResourceRequest),
    /// Any other path.
    Unknown,
}

/// A request for objects of one resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceRequest {
    pub verb: Verb,
    pub group: String,
    pub version: String,
    /// The plural of the resource, as in the path.
    pub resource: String,
    /// The namespace in the path; `None` for all namespaces.
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<String>,
    /// The path has the legacy prefix `watch/`.
    pub watch_path: bool,
}

impl Target {
    /// Parses a request's method, percent-encoded path and query.
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        match path {
            "/livez" | "/readyz" | "/healthz" => return Self::Health,
            "/version" | "/version/" => return Self::Version,
            _ => {}
        }
        let Some(segments) = segments(path) else {
            return Self::Unknown;
        };
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let is_document = !path.ends_with("//") && parts.iter().all(|part| is_unambiguous(part));
        match parts.as_slice() {
            ["openapi", "v2"] | ["openapi", "v3", ..] if is_document => Self::OpenApi,
            ["apis"] | ["apis", _] | ["apis", _, _] if is_document => Self::Discovery,
            ["apis", group, version, rest @ ..] => {
                resource_request(method, group, version, rest, query)
            }
            _ => Self::Unknown,
        }
    }
}

/// Parses the segments after `/apis/G/V`.
fn resource_request(
    method: &Method,
    group: &str,
    version: &str,
    rest: &[&str],
    query: &Query,
) -> Target {
    let (special, rest) = match rest {
        [special @ ("watch" | "proxy"), rest @ ..] if !rest.is_empty() => (Some(*special), rest),
        rest => (None, rest),
    };
    let watch_path = special == Some("watch");
    let (namespace, rest) = match rest {
        // An empty namespace means all namespaces.
        ["namespaces", "", resource @ ..] if !resource.is_empty() => (None, resource),
        ["namespaces", namespace, resource @ ..] if !resource.is_empty() => {
            (Some((*namespace).to_owned()), resource)
        }
        rest => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (resource, None, None),
        [resource, name] => (resource, Some(*name), None),
        // Kubernetes ignores segments after the subresource.
        [resource, name, subresource, ..] => (resource, Some(*name), Some(*subresource)),
        _ => return Target::Unknown,
    };
    // The namespace and the name may be ambiguous: such requests are rejected with a specific message.
    let is_readable = namespace
        .as_deref()
        .is_none_or(|namespace| !namespace.contains(char::is_control));
    let others = [Some(group), Some(version), Some(*resource), subresource];
    let is_clear = others.into_iter().flatten().all(is_unambiguous);
    if !is_clear || !is_readable || name == Some("") {
        return Target::Unknown;
    }
    let verb = match *method {
        _ if special == Some("proxy") => Verb::Proxy,
        // The legacy path takes precedence over the method.
        _ if watch_path => Verb::Watch,
        Method::GET | Method::HEAD if name.is_some() => Verb::Get,
        Method::GET | Method::HEAD if query.is_watch() => Verb::Watch,
        Method::GET | Method::HEAD => Verb::List,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if name.is_some() => Verb::Delete,
        Method::DELETE => Verb::DeleteCollection,
        _ => Verb::Unknown,
    };
    Target::Resource(ResourceRequest {
        verb,
        group: group.to_owned(),
        version: version.to_owned(),
        resource: (*resource).to_owned(),
        namespace,
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
        watch_path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, path: &str, query: &str) -> Target {
        Target::parse(&method, path, &Query::parse(query))
    }

    fn resource(method: Method, path: &str, query: &str) -> ResourceRequest {
        match parse(method, path, query) {
            Target::Resource(request) => request,
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn verb_follows_method_name_and_watch_parameter() {
        let one = "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters/a";
        let all = "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters";
        for (method, path, query, verb) in [
            (Method::GET, one, "", Verb::Get),
            (Method::GET, one, "watch=true", Verb::Get),
            (Method::GET, all, "", Verb::List),
            (Method::GET, all, "watch=", Verb::Watch),
            (Method::GET, all, "watch=no", Verb::Watch),
            (Method::GET, all, "watch=FALSE", Verb::List),
            (Method::GET, all, "watch=0", Verb::List),
            (Method::POST, all, "", Verb::Create),
            (Method::PUT, one, "", Verb::Update),
            (Method::PATCH, one, "", Verb::Patch),
            (Method::DELETE, one, "", Verb::Delete),
            (Method::DELETE, all, "", Verb::DeleteCollection),
        ] {
            assert_eq!(resource(method, path, query).verb, verb, "{path}?{query}");
        }
    }

    #[test]
    fn legacy_watch_path_is_a_watch_even_with_a_name() {
        let request = resource(Method::GET, "/apis/g/v1/watch/namespaces/ns/things/a", "");
        assert_eq!(request.verb, Verb::Watch);
        assert!(request.watch_path);
        assert_eq!(request.namespace.as_deref(), Some("ns"));
        assert_eq!(request.name.as_deref(), Some("a"));
        let request = resource(Method::DELETE, "/apis/g/v1/watch/namespaces/ns/things", "");
        assert_eq!(request.verb, Verb::Watch);
    }

    #[test]
    fn ambiguous_paths_have_no_target() {
        for path in [
            "/apis/g/v1/namespaces/a/../b/things",
            "/apis/g/v1/namespaces/a%2Fb/things",
            "/apis/g/v1//things",
            "//apis/g/v1/things",
            "/apis/g/v1//",
            "/apis/g/v1/things//status",
            "/apis/g/v1/things/a%2Fb",
            "/apis/g/v1/things/a/%2e%2e",
            "/apis/g/v1/%2e%2e/a",
            "/apis/g/v1/namespaces/a%00/things",
            "/api",
            "/",
            "/metrics",
        ] {
            assert_eq!(parse(Method::GET, path, ""), Target::Unknown, "{path}");
        }
    }

    #[test]
    fn names_and_empty_segments_match_kubernetes() {
        let things = "/apis/g/v1/namespaces/ns/things";
        for (raw, name) in [
            ("..", ".."),
            ("%2e", "."),
            ("a%25b", "a%b"),
            ("a%01b", "a\u{1}b"),
        ] {
            let request = resource(Method::GET, &format!("{things}/{raw}"), "");
            assert_eq!(request.name.as_deref(), Some(name));
        }
        for (raw, namespace) in [("..", ".."), ("%2e", "."), ("a%252Fb", "a%2Fb")] {
            let request = resource(
                Method::GET,
                &format!("/apis/g/v1/namespaces/{raw}/things"),
                "",
            );
            assert_eq!(request.namespace.as_deref(), Some(namespace));
        }
        let request = resource(Method::GET, &format!("{things}///"), "");
        assert_eq!(request.verb, Verb::List);
        let request = resource(Method::GET, "/apis/g/v1/namespaces//things", "");
        assert_eq!((request.namespace, request.name), (None, None));
        let request = resource(Method::GET, "/apis/g/v1/proxy/namespaces/ns/things/a", "");
        assert_eq!(request.verb, Verb::Proxy);
        assert_eq!(request.resource, "things");
    }

    #[test]
    fn segments_after_subresource_are_ignored() {
        let path = "/apis/g/v1/namespaces/a/things/b/status/more";
        let request = resource(Method::GET, path, "");
        assert_eq!(request.subresource.as_deref(), Some("status"));
    }

    #[test]
    fn unknown_methods_have_no_verb() {
        let request = resource(Method::TRACE, "/apis/g/v1/things", "");
        assert_eq!(request.verb, Verb::Unknown);
    }
}
