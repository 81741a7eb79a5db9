//! What a request asks for: the path, method and query of an API request, parsed once.
//!
//! In flows a method and a URI, out comes a [`Target`]. Follows the request info resolver of
//! Kubernetes' apiserver (`endpoints/request/requestinfo.go`), for the paths that an aggregated
//! API server of namespaced resources is asked for. Knows nothing of mappings or of what is exposed.

use std::fmt;

use http::Method;

/// Where a request goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// `/livez`, `/readyz` or `/healthz`.
    Health,
    /// `/version`.
    Version,
    /// Discovery: `/apis`, `/apis/G` and `/apis/G/V`.
    Discovery,
    /// `/openapi/v2`, `/openapi/v3` and what is below it.
    OpenApi,
    /// Objects of a resource.
    Resource(ResourceRequest),
    /// Anything else.
    Unknown,
}

/// A request for objects of one resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceRequest {
    pub verb: Verb,
    pub group: String,
    pub version: String,
    /// The plural, as in the path.
    pub resource: String,
    /// As the client wrote it; `None` for all namespaces.
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<String>,
    /// The path starts with the legacy `watch/`.
    pub watch_path: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    /// By the path, as for a watch; no custom resource has it.
    Proxy,
    Update,
    Watch,
    /// A method that Kubernetes has no verb for.
    Unknown,
}

impl Verb {
    /// The name that RBAC and discovery use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Proxy => "proxy",
            Self::Update => "update",
            Self::Watch => "watch",
            Self::Unknown => "",
        }
    }

    /// Whether the verb changes nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Target {
    /// Parses a request's method, path (still percent-encoded) and query.
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
        let is_document = !path.ends_with("//") && parts.iter().all(|part| is_plain(part));
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
        // An empty one is none.
        ["namespaces", "", resource @ ..] if !resource.is_empty() => (None, resource),
        ["namespaces", namespace, resource @ ..] if !resource.is_empty() => {
            (Some((*namespace).to_owned()), resource)
        }
        rest => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (resource, None, None),
        [resource, name] => (resource, Some(*name), None),
        // What follows a subresource is read past, as by Kubernetes' resolver.
        [resource, name, subresource, ..] => (resource, Some(*name), Some(*subresource)),
        _ => return Target::Unknown,
    };
    let others = [
        Some(group),
        Some(version),
        Some(*resource),
        namespace.as_deref(),
        subresource,
    ];
    if !others.into_iter().flatten().all(is_plain) || name == Some("") {
        return Target::Unknown;
    }
    let verb = match *method {
        _ if special == Some("proxy") => Verb::Proxy,
        // Whatever the method: the path alone says so.
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

/// The decoded segments of a path, without slashes at its end, or `None` where one holds a slash once it
/// is decoded.
fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?.trim_end_matches('/');
    path.split('/')
        .map(|raw| percent_decode(raw).filter(|segment| !segment.contains('/')))
        .collect()
}

/// Whether a segment means the same path to whatever server is next.
fn is_plain(segment: &str) -> bool {
    why_no_name(segment).is_none() && !segment.is_empty() && !segment.contains(char::is_control)
}

/// Why kube-apiserver has no object of this name, if it could mean another path to the next server
/// (`apimachinery/pkg/api/validation/path/name.go`).
pub(crate) fn why_no_name(name: &str) -> Option<&'static str> {
    match name {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        name => name.contains('%').then_some("may not contain '%'"),
    }
}

/// Decodes `%XX`; `None` where the result is no UTF-8 or an escape is broken.
pub(crate) fn percent_decode(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A query string as its pairs, in the order in which they came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes form-urlencoded text, which is how Go encodes a query (`+` for a space).
    pub fn parse(raw: &str) -> Self {
        Self(
            url::form_urlencoded::parse(raw.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of a parameter, which is the one that Kubernetes reads.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// Sets a parameter to one value, where its first one stood.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.0.iter().position(|(k, _)| k == key) {
            Some(first) => {
                let mut at = 0;
                self.0.retain_mut(|(k, v)| {
                    if at == first {
                        value.clone_into(v);
                    }
                    at += 1;
                    at - 1 == first || k != key
                });
            }
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }

    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(k, _)| k != key);
    }

    /// Whether a collection is to be watched.
    pub fn is_watch(&self) -> bool {
        self.is_true("watch")
    }

    /// Only `0` and `false`, in any case, say no, since Kubernetes' query decoder takes every other value for
    /// true (`apimachinery/pkg/runtime/converter.go`).
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key)
            .is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        f.write_str(&text.extend_pairs(&self.0).finish())
    }
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
    fn verbs_follow_method_name_and_watch() {
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
    fn legacy_watch_path_is_a_watch_even_of_one_name() {
        let request = resource(Method::GET, "/apis/g/v1/watch/namespaces/ns/things/a", "");
        assert_eq!(request.verb, Verb::Watch);
        assert!(request.watch_path);
        assert_eq!(request.namespace.as_deref(), Some("ns"));
        assert_eq!(request.name.as_deref(), Some("a"));
        let request = resource(Method::DELETE, "/apis/g/v1/watch/namespaces/ns/things", "");
        assert_eq!(request.verb, Verb::Watch);
    }

    #[test]
    fn paths_that_could_be_read_differently_by_the_next_server_have_no_target() {
        for path in [
            "/apis/g/v1/namespaces/a/../b/things",
            "/apis/g/v1/namespaces/a%2Fb/things",
            "/apis/g/v1/namespaces/%2e%2e/things",
            "/apis/g/v1//things",
            "//apis/g/v1/things",
            "/apis/g/v1//",
            "/apis/g/v1/things//status",
            "/apis/g/v1/things/a%2Fb",
            "/apis/g/v1/things/a/%2e%2e",
            "/apis/g/v1/%2e%2e/a",
            "/apis/g/v1/namespaces/a%252Fb/things",
            "/apis/g/v1/namespaces/a%00/things",
            "/api",
            "/",
            "/metrics",
        ] {
            assert_eq!(parse(Method::GET, path, ""), Target::Unknown, "{path}");
        }
    }

    #[test]
    fn names_and_empty_segments_are_read_as_kubernetes_reads_them() {
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
        let request = resource(Method::GET, &format!("{things}///"), "");
        assert_eq!(request.verb, Verb::List);
        let request = resource(Method::GET, "/apis/g/v1/namespaces//things", "");
        assert_eq!((request.namespace, request.name), (None, None));
        let request = resource(Method::GET, "/apis/g/v1/proxy/namespaces/ns/things/a", "");
        assert_eq!(request.verb, Verb::Proxy);
        assert_eq!(request.resource, "things");
    }

    #[test]
    fn a_query_keeps_order_and_sets_in_place() {
        let mut query = Query::parse("a=1&fieldSelector=metadata.namespace%3Dx&a=2&b=+y");
        query.set("a", "3");
        assert_eq!(
            query.to_string(),
            "a=3&fieldSelector=metadata.namespace%3Dx&b=+y"
        );
        query.set("c", "");
        query.remove("b");
        assert_eq!(
            query.to_string(),
            "a=3&fieldSelector=metadata.namespace%3Dx&c="
        );
    }

    #[test]
    fn what_follows_a_subresource_means_nothing() {
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
