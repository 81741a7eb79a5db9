//! Deletes the claims of a collection one by one.
//!
//! In a shared namespace, an object that is not a claim of this app cluster can have the labels of a claim. The control
//! plane would delete it with the collection. So claimgate lists the collection, and deletes only the objects that are
//! claims of the request. Each deletion requires the uid that was listed.
//!
//! kube-apiserver does the same for every object of a collection, and ignores those that no longer exist
//! (`apiserver/pkg/registry/generic/registry/store.go`, `DeleteCollection`).

use http::{HeaderValue, Method, StatusCode};

use super::collection_page::{CollectionPage, ListedClaim};
use super::current_object::ObjectReader;
use super::delete_options::{Preconditions, ReceivedOptions};
use crate::error::RequestError;
use crate::proxy::context::RequestContext;
use crate::proxy::dispatch::{self, OwnRequest, UpstreamReply};
use crate::proxy::plan::RemoteRequest;

/// Number of objects in a page of the list. A page is buffered, up to `limits.maxBufferedSize`.
const PAGE_ITEMS: &str = "50";

/// Number of foreign objects that a log line names.
const NAMES_LOGGED_MAX: usize = 5;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A collection that contains objects that the request does not cover.
pub(super) struct MixedCollection<'a> {
    pub(super) objects: &'a ObjectReader,
    pub(super) context: &'a RequestContext<'a>,
    pub(super) remote: &'a RemoteRequest,
    pub(super) options: &'a ReceivedOptions,
}

impl MixedCollection<'_> {
    /// Deletes the claims. The reply lists those that still exist, for example because they have finalizers.
    ///
    /// # Errors
    /// A reply did not arrive or is invalid.
    pub(super) async fn delete(self) -> Result<UpstreamReply, RequestError> {
        let is_limited = self.remote.query().get("limit").is_some();
        let mut list = match is_limited {
            true => self.remote.clone(),
            false => self.remote.with_parameter("limit", PAGE_ITEMS),
        };
        loop {
            let page = match self.objects.page(self.context, &list).await? {
                Ok(page) => page,
                Err(failed) => return Ok(failed),
            };
            self.warn_of_foreign(&page);
            for claim in &page.claims {
                if let Some(failed) = self.delete_claim(claim).await? {
                    return Ok(failed);
                }
            }
            match page.next {
                Some(token) if !is_limited => list = list.with_parameter("continue", &token),
                _ => return self.list_remaining().await,
            }
        }
    }

    fn warn_of_foreign(&self, page: &CollectionPage) {
        if page.foreign.is_empty() {
            return;
        }
        let names: Vec<_> = page.foreign.iter().take(NAMES_LOGGED_MAX).collect();
        tracing::warn!(
            control_plane = %self.context.control_plane.name,
            namespace = self.context.request.namespace,
            remote_namespace = self.remote.scope.request_namespace(),
            remote_names = ?names,
            count = page.foreign.len(),
            "objects on the control plane have the labels claimgate.dev/* of claims but are none; they are not deleted \
             with the claims of the namespace; remove the labels"
        );
    }

    /// Deletes one claim. Returns the reply if the deletion failed.
    async fn delete_claim(
        &self,
        claim: &ListedClaim,
    ) -> Result<Option<UpstreamReply>, RequestError> {
        let context = self.context;
        let preconditions = Preconditions {
            uid: Some(&claim.uid),
            version: None,
        };
        let remote = self.remote.at_remote_name(&claim.remote_name);
        let (remote, outbound) = self.options.outbound(context, &remote, preconditions);
        let own = OwnRequest {
            method: Method::DELETE,
            uri: remote.uri()?,
            accept: JSON,
            content_type: outbound.content_type,
            body: outbound.body,
        };
        let response = dispatch::send_own(context, own).await?;
        let is_gone = match response.status() {
            StatusCode::NOT_FOUND => true,
            // Another object has the name now.
            StatusCode::CONFLICT => !self.options.options.has_preconditions(),
            status => status.is_success(),
        };
        Ok((!is_gone).then(|| UpstreamReply {
            object_scope: Some(remote.scope.with_object(&claim.name)),
            ..UpstreamReply::new(response)
        }))
    }

    async fn list_remaining(&self) -> Result<UpstreamReply, RequestError> {
        let own = OwnRequest::get(self.remote.list_uri()?, self.context.accept.header()?);
        let response = dispatch::send_own(self.context, own).await?;
        Ok(UpstreamReply::new(response))
    }
}
