//! Reads the current metadata of an object on the control plane, and patches it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};

use super::collection_page::CollectionPage;
use crate::error::RequestError;
use crate::proxy::context::RequestContext;
use crate::proxy::dispatch::{self, OwnRequest, UpstreamReply};
use crate::proxy::media::PatchKind;
use crate::proxy::plan::RemoteRequest;
use crate::proxy::response_mapper::ResponseMapper;
use crate::proxy::rules_by_group::RulesByGroup;
use crate::upstream::{RequestBody, ResponseBody};
use claim_mapping::hidden_metadata::CurrentMetadata;
use claim_mapping::response::Shape;
use json_rewrite::Output;

/// The Accept header for metadata only. Failures have no such form, so they are accepted as plain JSON
/// (`apiserver/pkg/endpoints/handlers/responsewriters/writers.go`, `ErrorNegotiated`).
const METADATA: HeaderValue = HeaderValue::from_static(
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
);

const METADATA_LIST: HeaderValue = HeaderValue::from_static(
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
);

/// Number of attempts of a write whose object keeps changing, as many as client-go makes
/// (`client-go/util/retry/util.go`, `DefaultRetry`).
pub(super) const TRIES_MAX: usize = 5;

const MERGE_PATCH: HeaderValue = HeaderValue::from_static("application/merge-patch+json");

/// The current object on the control plane, or the failure to read it.
pub(super) enum CurrentObject {
    Read(CurrentMetadata),
    /// The control plane replied with this failure.
    Failed(Box<UpstreamReply>),
}

impl CurrentObject {
    /// Treats an object that does not exist as one without hidden metadata. A write to it removes
    /// nothing, and the control plane rejects the write after other checks.
    pub(super) fn or_missing(self) -> Self {
        match self {
            Self::Failed(reply) if reply.response.status() == StatusCode::NOT_FOUND => {
                Self::Read(CurrentMetadata::missing())
            }
            object => object,
        }
    }
}

/// Reads and patches objects on claimgate's behalf.
///
/// Each call takes at most the request timeout. The client's request has not been sent yet, so errors
/// are those of a read.
pub(crate) struct ObjectReader {
    mappers: Arc<RulesByGroup<ResponseMapper>>,
}

impl ObjectReader {
    pub(crate) fn new(mappers: Arc<RulesByGroup<ResponseMapper>>) -> Self {
        Self { mappers }
    }

    fn mapper(&self, context: &RequestContext<'_>) -> &ResponseMapper {
        self.mappers.of(&context.request.group)
    }

    /// Reads the request's object.
    pub(super) async fn read(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
    ) -> Result<CurrentObject, RequestError> {
        let own = OwnRequest::get(remote.object_uri()?, METADATA);
        self.exchange(context, remote, own).await
    }

    /// Checks that the request's object, if it exists, is not one of another app cluster or local object. Returns its
    /// metadata, or that of a missing object. Returns `None` if it cannot be read, because then the control plane
    /// decides on the client's request.
    ///
    /// # Errors
    /// The object is another one, or no valid reply arrived.
    pub(super) async fn check_owner(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
    ) -> Result<Option<CurrentMetadata>, RequestError> {
        match self.read(context, remote).await {
            // An apply would create the object, so it must not fail as if it could not.
            Err(RequestError::NotFound { name, .. })
                if context.request_media.is_patch_kind(PatchKind::Apply) =>
            {
                Err(context.name_taken(&name))
            }
            Err(error) => Err(error),
            Ok(read) => Ok(match read.or_missing() {
                CurrentObject::Read(current) => Some(current),
                CurrentObject::Failed(_) => None,
            }),
        }
    }

    /// Returns the request's object if it is another one than `checked` now. The control plane rejected a write that
    /// required the uid of `checked`, perhaps for another reason.
    ///
    /// # Errors
    /// The object belongs to another app cluster or local object, or no valid reply arrived.
    pub(super) async fn replacement(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        checked: &CurrentMetadata,
    ) -> Result<Option<CurrentMetadata>, RequestError> {
        let now = self.check_owner(context, remote).await?;
        Ok(now.filter(|now| now.uid != checked.uid))
    }

    /// Returns whether the request's collection contains an object that the request does not cover. The reply is
    /// mapped while it arrives, and dropped. A failure counts as no: the client's own request will fail too.
    pub(super) async fn collection_has_foreign(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
    ) -> Result<bool, RequestError> {
        let own = OwnRequest::get(remote.list_uri()?, METADATA_LIST);
        let control_plane = context.control_plane;
        let response = dispatch::send_own(context, own).await?;
        if !response.status().is_success() {
            return Ok(false);
        }
        let mut body = response.into_body();
        let mut rewriter = self.mapper(context).rewriter(remote.clone(), Shape::List);
        while let Some(frame) = body.frame().await {
            let group = &context.request.group;
            let frame = frame.map_err(|error| control_plane.unavailable(group, error))?;
            let data = frame.into_data().unwrap_or_default();
            let fed = rewriter.feed(data, &mut Output::default());
            fed.map_err(|error| control_plane.invalid_reply(error))?;
        }
        Ok(rewriter.handler().has_dropped())
    }

    /// Reads a page of the request's collection. The inner error is the control plane's reply if it is a failure.
    pub(super) async fn page(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
    ) -> Result<Result<CollectionPage, UpstreamReply>, RequestError> {
        let own = OwnRequest::get(remote.list_uri()?, METADATA_LIST);
        let control_plane = context.control_plane;
        let response = dispatch::send_own(context, own).await?;
        if !response.status().is_success() {
            return Ok(Err(UpstreamReply::new(response)));
        }
        let whole = self.whole(context, response).await?;
        let mut rewriter = self.mapper(context).rewriter(remote.clone(), Shape::List);
        let mapped = rewriter
            .rewrite_all(whole.clone())
            .map_err(|error| control_plane.invalid_reply(error))?;
        let page = CollectionPage::read(&whole, &mapped);
        page.map(Ok)
            .map_err(|error| control_plane.invalid_reply(error))
    }

    /// Changes the request's object by a merge patch. Returns the changed object.
    pub(super) async fn patch(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        merge_patch: Vec<u8>,
    ) -> Result<CurrentObject, RequestError> {
        let own = OwnRequest {
            method: Method::PATCH,
            uri: remote.own_patch_uri()?,
            accept: METADATA,
            content_type: Some(MERGE_PATCH),
            body: RequestBody::Full(merge_patch.into()),
        };
        self.exchange(context, remote, own).await
    }

    async fn exchange(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        own: OwnRequest,
    ) -> Result<CurrentObject, RequestError> {
        let control_plane = context.control_plane;
        let exchange = async {
            let response = dispatch::send_own(context, own).await?;
            self.object(context, remote, response).await
        };
        let exchanged =
            tokio::time::timeout(control_plane.upstream.request_timeout(), exchange).await;
        exchanged.unwrap_or_else(|_| Err(control_plane.timeout()))
    }

    /// Reads the whole body of a response, up to `limits.maxBufferedSize`.
    async fn whole(
        &self,
        context: &RequestContext<'_>,
        response: Response<ResponseBody>,
    ) -> Result<Bytes, RequestError> {
        let control_plane = context.control_plane;
        let bytes_max = self.mapper(context).buffered_bytes_max;
        let body = Limited::new(response.into_body(), bytes_max);
        let whole = body.collect().await;
        let whole = whole.map_err(|error| match error.is::<LengthLimitError>() {
            true => control_plane.invalid_reply(error),
            false => control_plane.unavailable(&context.request.group, error),
        });
        whole.map(Collected::to_bytes)
    }

    async fn object(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        response: Response<ResponseBody>,
    ) -> Result<CurrentObject, RequestError> {
        if !response.status().is_success() {
            return Ok(CurrentObject::Failed(Box::new(UpstreamReply::new(
                response,
            ))));
        }
        let control_plane = context.control_plane;
        let whole = self.whole(context, response).await?;
        let mapped = self.mapper(context).map_object(&remote.scope, whole);
        let mapped = mapped.map_err(|error| control_plane.invalid_reply(error))?;
        // The object belongs to another app cluster or local object.
        if mapped.json.is_empty() {
            return Err(context.not_found());
        }
        if mapped.is_damaged {
            tracing::warn!(
                control_plane = %control_plane.name,
                namespace = context.request.namespace,
                name = context.request.name,
                "someone changed the labels or annotations claimgate.dev/* of a claim on the control plane; the next \
                 write to the claim restores them"
            );
        }
        let current = CurrentMetadata::read(&mapped.json);
        let mut current = current.map_err(|error| control_plane.invalid_reply(error))?;
        current.is_damaged = mapped.is_damaged;
        Ok(CurrentObject::Read(current))
    }
}
