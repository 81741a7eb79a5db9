//! Plans a request: translates its path and query to remote names.

use http::Uri;

use super::context::RequestContext;
use crate::error::RequestError;
use claim_mapping::{ForeignToken, RequestScope, Selectors};
use kube_wire::accept::{Form, Serializer};
use kube_wire::request_info::{Query, ResourceRequest, Verb, path_segment_error};

/// The path and query of a request in remote names, and which namespaces it covers.
#[derive(Clone)]
pub(super) struct RemoteRequest {
    pub(super) scope: RequestScope,
    /// Whether the client requested a Table without objects. claimgate still requests the objects, because they show
    /// which rows belong to mapped namespaces.
    pub(super) strips_row_objects: bool,
    /// The path without the subresource.
    path: String,
    /// The subresource with a slash, or an empty string.
    subresource: String,
    query: Query,
}

impl RemoteRequest {
    /// Translates a request to remote names. Returns `None` if its local namespace is not mapped.
    ///
    /// # Errors
    /// The object's name, the request across namespaces or the continue token is invalid.
    pub(super) fn plan(context: &RequestContext<'_>) -> Result<Option<Self>, RequestError> {
        let RequestContext {
            request, accept, ..
        } = context;
        // Rejected here, because a server in between could interpret the path differently.
        if let Some(name) = &request.name
            && let Some(why) = path_segment_error(name)
        {
            return Err(RequestError::BadRequest(format!(
                "Name parameter invalid: {name:?}: {why}"
            )));
        }
        if let Some(namespace) = &request.namespace
            && let Some(why) = path_segment_error(namespace)
        {
            return Err(RequestError::BadRequest(format!(
                "Namespace parameter invalid: {namespace:?}: {why}"
            )));
        }
        let selectors = Selectors {
            field: context.query.get("fieldSelector").map(str::to_owned),
            label: context.query.get("labelSelector").map(str::to_owned),
        };
        let Some(scope) = scope(context, &selectors)? else {
            return Ok(None);
        };
        let mut query = context.query.clone();
        if request.verb.has_selectors() {
            map_selectors(&mut query, &scope, &selectors);
        }
        // The control plane rejects a watch with a continue token.
        if request.verb == Verb::List {
            map_continue_token(&mut query, &scope)?;
        }
        let is_filtered_table = matches!(accept.form(), Form::Table(_)) && scope.drops_items();
        let strips_row_objects = is_filtered_table && query.get("includeObject") == Some("None");
        if strips_row_objects {
            query.set("includeObject", "Metadata");
        }
        // Protobuf contains fieldsV1 as JSON, which must not be indented.
        if accept.serializer() == Serializer::Protobuf {
            query.set("pretty", "false");
        }
        Ok(Some(Self {
            path: path(request, &scope),
            subresource: request
                .subresource
                .as_deref()
                .map_or_else(String::new, |subresource| {
                    format!("/{}", encode(subresource))
                }),
            scope,
            strips_row_objects,
            query,
        }))
    }

    /// Returns the query in remote names.
    pub(super) fn query(&self) -> &Query {
        &self.query
    }

    /// Returns the client's `fieldValidation`, or an empty string.
    pub(super) fn field_validation(&self) -> &str {
        self.query.get("fieldValidation").unwrap_or_default()
    }

    pub(super) fn uri(&self) -> Result<Uri, RequestError> {
        let (path, query) = (&self.path, self.query.to_string());
        let subresource = &self.subresource;
        match query.as_str() {
            "" => uri(&format!("{path}{subresource}")),
            query => uri(&format!("{path}{subresource}?{query}")),
        }
    }

    /// Returns the URI of the object, without its subresource and the options of the request.
    pub(super) fn object_uri(&self) -> Result<Uri, RequestError> {
        uri(&self.path)
    }

    /// Returns the URI for a patch of claimgate's own, with claimgate as field manager.
    pub(super) fn own_patch_uri(&self) -> Result<Uri, RequestError> {
        uri(&format!("{}?fieldManager=claimgate", self.path))
    }

    /// Returns the same request for an object whose name is not in the request's path.
    pub(super) fn with_object(&self, name: &str) -> Self {
        Self {
            scope: self.scope.clone().with_object(name),
            ..self.clone()
        }
    }

    pub(super) fn with_scope(self, scope: RequestScope) -> Self {
        Self { scope, ..self }
    }

    /// Returns the same request for an object in the collection at the request's path.
    pub(super) fn member(&self, local: &str) -> Self {
        self.at_remote_name(self.scope.remote_name(local))
    }

    /// Returns the same request for the object with this remote name in the collection at the request's path.
    pub(super) fn at_remote_name(&self, name: &str) -> Self {
        Self {
            path: format!("{}/{}", self.path, encode(name)),
            ..self.clone()
        }
    }

    /// Returns the URI that lists the request's collection.
    pub(super) fn list_uri(&self) -> Result<Uri, RequestError> {
        // The deletion of a collection ignores this parameter.
        self.with_parameter("watch", "false").uri()
    }

    /// Returns the same request with another value of a query parameter.
    pub(super) fn with_parameter(&self, key: &str, value: &str) -> Self {
        let mut remote = self.clone();
        remote.query.set(key, value);
        remote
    }
}

fn uri(text: &str) -> Result<Uri, RequestError> {
    text.parse()
        .map_err(|_| RequestError::BadRequest("the request's path cannot be passed on".into()))
}

/// Returns the scope of a request, or `None` if its namespace is not mapped.
fn scope(
    context: &RequestContext<'_>,
    selectors: &Selectors,
) -> Result<Option<RequestScope>, RequestError> {
    let RequestContext {
        control_plane,
        request,
        kind,
        ..
    } = context;
    let (mapping, limit) = (&control_plane.mapping, kind.name_limit);
    match (&request.namespace, request.verb) {
        (Some(local), _) => {
            let name = request.name.as_deref();
            Ok(RequestScope::namespace(mapping, local, name, limit).ok())
        }
        // As in kube-apiserver, only reads cover more than one namespace.
        (None, Verb::List | Verb::Watch) => Ok(Some(RequestScope::all_namespaces(
            mapping, selectors, limit,
        ))),
        (None, _) => Err(RequestError::PathNotFound),
    }
}

fn map_selectors(query: &mut Query, scope: &RequestScope, local: &Selectors) {
    let remote = scope.remote_selectors(local);
    for (key, selector) in [
        ("fieldSelector", remote.field),
        ("labelSelector", remote.label),
    ] {
        if let Some(selector) = selector {
            query.set(key, &selector);
        }
    }
}

fn map_continue_token(query: &mut Query, scope: &RequestScope) -> Result<(), RequestError> {
    if let Some(token) = query.get("continue").filter(|token| !token.is_empty()) {
        let token = scope
            .token_to_remote(token)
            .map_err(|ForeignToken| RequestError::ForeignContinueToken)?;
        query.set("continue", &token);
    }
    Ok(())
}

fn path(request: &ResourceRequest, scope: &RequestScope) -> String {
    let mut path = format!(
        "/apis/{}/{}",
        encode(&request.group),
        encode(&request.version)
    );
    if request.watch_path {
        path.push_str("/watch");
    }
    let name = request.name.as_deref();
    let name = name.map(|local| scope.remote_name(local));
    let namespace = scope
        .request_namespace()
        .map(|remote| ["namespaces", remote]);
    let rest = [Some(request.resource.as_str()), name];
    let segments = namespace.into_iter().flatten();
    for segment in segments.chain(rest.into_iter().flatten()) {
        path.push('/');
        path.push_str(&encode(segment));
    }
    path
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::header::ACCEPT;

    use super::*;
    use crate::proxy::testing::TestRequest;

    fn plan(method: Method, uri: &str, accept: &'static str) -> String {
        let request = TestRequest::new(method, uri).header(ACCEPT, accept);
        match RemoteRequest::plan(&request.context()) {
            Ok(Some(remote)) => remote.uri().unwrap().to_string(),
            Ok(None) => "not mapped".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn path_and_query_are_translated_to_remote_names() {
        const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
        const PROTOBUF: &str =
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        for (uri, accept, expected) in [
            (
                "/apis/a.org/v1/namespaces/team-a/claims/b%20c/status",
                "*/*",
                "/apis/a.org/v1/namespaces/remote-a/claims/b%20c/status",
            ),
            (
                "/apis/a.org/v1/claims?limit=5",
                "*/*",
                "/apis/a.org/v1/claims?limit=5",
            ),
            (
                "/apis/a.org/v1/claims?fieldSelector=metadata.namespace%3Dteam-b",
                "*/*",
                "/apis/a.org/v1/namespaces/remote-b/claims\
                 ?fieldSelector=metadata.namespace%3Dremote-b",
            ),
            // Requests for one object have no selectors.
            (
                "/apis/a.org/v1/namespaces/team-a/claims/b?fieldSelector=metadata.namespace%3Dteam-a",
                "*/*",
                "/apis/a.org/v1/namespaces/remote-a/claims/b\
                 ?fieldSelector=metadata.namespace%3Dteam-a",
            ),
            (
                "/apis/a.org/v1/claims?includeObject=None",
                TABLE,
                "/apis/a.org/v1/claims?includeObject=Metadata",
            ),
            (
                "/apis/a.org/v1/claims?pretty=1",
                PROTOBUF,
                "/apis/a.org/v1/claims?pretty=false",
            ),
            (
                "/apis/a.org/v1/namespaces/other/claims",
                "*/*",
                "not mapped",
            ),
        ] {
            assert_eq!(plan(Method::GET, uri, accept), expected, "{uri}");
        }
    }

    #[test]
    fn invalid_names_and_writes_across_namespaces_are_rejected() {
        for (method, uri, expected) in [
            (
                Method::GET,
                "/apis/a.org/v1/namespaces/team-a/claims/a%25b",
                "Name parameter invalid: \"a%b\": may not contain '%'",
            ),
            (
                Method::GET,
                "/apis/a.org/v1/namespaces/%2e%2e/claims",
                "Namespace parameter invalid: \"..\": may not be '..'",
            ),
            (
                Method::DELETE,
                "/apis/a.org/v1/claims",
                "404 page not found",
            ),
        ] {
            assert_eq!(plan(method, uri, "*/*"), expected, "{uri}");
        }
    }

    #[test]
    fn variants_differ_only_in_the_query() {
        let uri = "/apis/a.org/v1/namespaces/team-a/claims/b?force=1";
        let request = TestRequest::new(Method::DELETE, uri);
        let remote = RemoteRequest::plan(&request.context()).unwrap().unwrap();
        let path = "/apis/a.org/v1/namespaces/remote-a/claims/b";
        for (uri, query) in [
            (remote.uri(), "?force=1"),
            (
                remote.with_parameter("dryRun", "All").uri(),
                "?force=1&dryRun=All",
            ),
            (remote.object_uri(), ""),
            (remote.own_patch_uri(), "?fieldManager=claimgate"),
        ] {
            assert_eq!(uri.unwrap().to_string(), format!("{path}{query}"));
        }
    }
}
