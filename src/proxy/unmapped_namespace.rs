//! Replies for a local namespace that is not mapped to a remote one.
//!
//! The namespace controller lists and deletes the objects of every group and version in a deleted
//! namespace. Any reply other than 200, 404 or 405 would block the deletion. Informers on such a
//! namespace have to sync, so a watch contains the requested bookmarks and nothing else.
//!
//! A request for one object fails with 403. The namespace may have been mapped before, and its claims
//! still exist. A 404 would prove to the app cluster's garbage collector that they are gone, and it would
//! delete the objects that they own.

mod documents;
mod empty_watch;
mod list_options;

use http::Response;
use http::header::CONTENT_TYPE;
use tokio_util::sync::CancellationToken;

use self::empty_watch::EmptyWatch;
use super::context::RequestContext;
use super::reply::ReplySerializer;
use crate::body::ReplyBody;
use crate::error::RequestError;
use kube_wire::request_info::Verb;
use kube_wire::status;

/// Replies to requests for namespaces that are not mapped.
pub(super) struct UnmappedNamespace {
    serializer: ReplySerializer,
    /// Ends watches once it is cancelled.
    draining: CancellationToken,
}

impl UnmappedNamespace {
    pub(super) fn new(serializer: ReplySerializer, draining: CancellationToken) -> Self {
        Self {
            serializer,
            draining,
        }
    }

    /// Returns an empty list or an empty watch.
    ///
    /// # Errors
    /// [`RequestError::NamespaceNotMapped`] for a single object and for a write.
    pub(super) async fn reply(
        &self,
        context: &RequestContext<'_>,
    ) -> Result<Response<ReplyBody>, RequestError> {
        let json = self.json(context)?;
        let serializer = context.accept.serializer();
        let (body, content_type) = if context.request.verb == Verb::Watch {
            let body = self.serializer.convert_watch(serializer, json)?;
            (body, serializer.stream_type())
        } else {
            let control_plane = context.control_plane;
            let body = self.serializer.convert(control_plane, serializer, json);
            (body.await?, serializer.content_type())
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        Ok(response)
    }

    fn json(&self, context: &RequestContext<'_>) -> Result<ReplyBody, RequestError> {
        let RequestContext { kind, query, .. } = context;
        let form = context.accept.form();
        if context.request.name.is_some() {
            return Err(context.namespace_not_mapped());
        }
        match context.request.verb {
            Verb::List | Verb::DeleteCollection => {
                list_options::validate(query, false)?;
                let is_indented = status::is_pretty(context.parts);
                let list = documents::list(kind, form, is_indented);
                Ok(ReplyBody::whole(list))
            }
            Verb::Watch => {
                list_options::validate(query, true)?;
                let watch = EmptyWatch::new(kind, form, query, self.draining.clone());
                Ok(ReplyBody::streamed(watch))
            }
            Verb::Get
            | Verb::Create
            | Verb::Update
            | Verb::Patch
            | Verb::Delete
            | Verb::Proxy
            | Verb::Unknown => Err(context.namespace_not_mapped()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::header::ACCEPT;
    use http_body_util::BodyExt;

    use super::*;
    use crate::proxy::conversion::Conversions;
    use crate::proxy::testing::TestRequest;

    async fn reply(
        method: Method,
        uri: &str,
        accept: &'static str,
    ) -> Result<String, RequestError> {
        let request = TestRequest::new(method, uri).header(ACCEPT, accept);
        let serializer = ReplySerializer::new(Conversions::new(), 1 << 10);
        let stage = UnmappedNamespace::new(serializer, CancellationToken::new());
        let response = stage.reply(&request.context()).await?;
        let content_type = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let first = bytes::Buf::copy_to_bytes(&mut { first }, 12);
        Ok(format!("{content_type}: {}", first.escape_ascii()))
    }

    #[tokio::test]
    async fn reads_of_collections_are_empty() {
        const CLAIMS: &str = "/apis/a.org/v1/namespaces/other/claims";
        let watch = format!(
            "{CLAIMS}?watch=1&allowWatchBookmarks=1&sendInitialEvents=1\
             &resourceVersionMatch=NotOlderThan"
        );
        for (method, uri, accept, expected) in [
            (
                Method::GET,
                CLAIMS,
                "*/*",
                r#"application/json: {\"apiVersion"#,
            ),
            (
                Method::DELETE,
                CLAIMS,
                "application/yaml",
                "application/yaml: apiVersion: ",
            ),
            (
                Method::GET,
                &watch,
                "*/*",
                r#"application/json: {\"type\":\"BOO"#,
            ),
        ] {
            let reply = reply(method, uri, accept).await;
            assert_eq!(reply.unwrap(), expected, "{uri}");
        }
    }

    #[tokio::test]
    async fn requests_for_one_object_and_writes_fail() {
        const CLAIM: &str = "/apis/a.org/v1/namespaces/other/claims/a";
        for (method, uri) in [
            (Method::GET, CLAIM),
            (Method::HEAD, CLAIM),
            (
                Method::GET,
                "/apis/a.org/v1/namespaces/other/claims/a/status",
            ),
            (
                Method::GET,
                "/apis/a.org/v1/watch/namespaces/other/claims/a",
            ),
            (Method::PUT, CLAIM),
            (Method::DELETE, CLAIM),
            (Method::POST, "/apis/a.org/v1/namespaces/other/claims"),
        ] {
            let reply = reply(method.clone(), uri, "*/*").await;
            assert!(
                matches!(reply, Err(RequestError::NamespaceNotMapped { .. })),
                "{method} {uri}: {reply:?}"
            );
        }
    }
}
