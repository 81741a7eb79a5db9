//! Sends patches.
//!
//! A patch may replace lists, and with them hidden metadata, or test it. Only reading the patch shows this. Then
//! claimgate completes the patch with the hidden metadata of the object that was read, and requires the version of this
//! object. On a conflict, claimgate reads the object and completes the patch again. A patch of the status cannot change
//! metadata, so it needs no version.
//!
//! If someone changed claimgate's labels or annotations of the object, the patch restores them.
//!
//! In a shared namespace, the patch requires the uid of the object whose owner was checked. If the object was replaced,
//! the control plane rejects the patch, with 409 or with 422 (`ValidateObjectMetaAccessorUpdate`, an immutable field).
//! claimgate then checks the new object and sends the patch again. The control plane ignores the uid in a merge patch of a
//! subresource, so these are sent elsewhere and without it. kubectl's server-side apply goes without it too:
//! kube-apiserver copies the applied object to the last-applied annotation
//! (`apimachinery/pkg/util/managedfields/internal/lastappliedupdater.go`), where clients would see the uid.

use http::StatusCode;

use super::current_object::{CurrentObject, ObjectReader, TRIES_MAX};
use super::denial;
use crate::error::RequestError;
use crate::proxy::client_body::ClientBody;
use crate::proxy::context::RequestContext;
use crate::proxy::dispatch::{self, UpstreamReply};
use crate::proxy::media::{PatchKind, RequestMedia};
use crate::proxy::outbound::{BodyReader, RewrittenPatch, WholeBody};
use crate::proxy::plan::RemoteRequest;
use claim_mapping::hidden_metadata::{CurrentMetadata, WriteEffect};
use claim_mapping::request::restoring_patch;
use kube_wire::request_info::Verb;

/// The field manager of kubectl that owns the last-applied annotation
/// (`kubectl/pkg/cmd/apply/apply.go`, `lastAppliedAnnotationFieldManager`).
const LAST_APPLIED_MANAGER: &str = "kubectl-last-applied";

/// The field manager of kubectl's server-side apply (`kubectl/pkg/cmd/apply/apply.go`, `fieldManagerServerSideApply`).
const KUBECTL_MANAGER: &str = "kubectl";

/// A patch whose body was read.
pub(super) struct PatchCall<'a> {
    bodies: &'a BodyReader,
    objects: &'a ObjectReader,
    context: &'a RequestContext<'a>,
    remote: &'a RemoteRequest,
    patch: WholeBody,
}

impl<'a> PatchCall<'a> {
    /// Returns whether the request is a patch of an object, or a JSON patch of a subresource.
    pub(super) fn handles(context: &RequestContext<'_>) -> bool {
        let request = context.request;
        let is_json = context.request_media.is_patch_kind(PatchKind::Json);
        let is_handled = request.subresource.is_none() || is_json;
        request.verb == Verb::Patch && request.name.is_some() && is_handled
    }

    /// Reads the whole patch.
    ///
    /// # Errors
    /// The body is too long or was interrupted.
    pub(super) async fn read(
        bodies: &'a BodyReader,
        objects: &'a ObjectReader,
        context: &'a RequestContext<'a>,
        remote: &'a RemoteRequest,
        incoming: ClientBody,
    ) -> Result<Self, RequestError> {
        let patch = bodies.read_as_json(context, remote, incoming).await?;
        Ok(Self {
            bodies,
            objects,
            context,
            remote,
            patch,
        })
    }

    /// Sends the patch. `current` is the object, if it was read before.
    ///
    /// # Errors
    /// The patch is invalid, or a reply did not arrive or is invalid.
    pub(super) async fn execute(
        self,
        mut current: Option<CurrentMetadata>,
    ) -> Result<UpstreamReply, RequestError> {
        if self.is_apply() {
            self.restore(&mut current).await?;
        }
        let mut tries = 0;
        loop {
            if let Some(patch) = self.rewrite(current.as_ref())? {
                tries += 1;
                let reply = dispatch::send(self.context, self.remote, patch.body).await?;
                let is_outdated =
                    reply.response.status() == StatusCode::CONFLICT && patch.is_versioned;
                if tries == TRIES_MAX {
                    return Ok(reply);
                }
                if !is_outdated {
                    match self.replacement(current.as_ref(), &reply).await? {
                        None => return Ok(reply),
                        replacement => current = replacement,
                    }
                    continue;
                }
            }
            let read = self.objects.read(self.context, self.remote).await?;
            current = match read.or_missing() {
                CurrentObject::Read(current) => Some(current),
                CurrentObject::Failed(read) => {
                    return Ok(denial::explain(self.context, self.remote, *read).await);
                }
            };
        }
    }

    /// Restores a damaged object by a patch of claimgate's own. The apply would conflict with the field manager that
    /// damaged it. If the patch fails, the apply shows why.
    async fn restore(&self, current: &mut Option<CurrentMetadata>) -> Result<(), RequestError> {
        let is_dry_run = self.remote.query().get("dryRun").is_some();
        let damaged = current.as_ref().filter(|current| current.is_damaged);
        let Some(damaged) = damaged.filter(|_| !is_dry_run) else {
            return Ok(());
        };
        let scope = self.remote.scope.clone().with_uid(&damaged.uid);
        if let Some(patch) = restoring_patch(&scope, damaged)
            && let CurrentObject::Read(restored) =
                self.objects.patch(self.context, self.remote, patch).await?
        {
            *current = Some(restored);
        }
        Ok(())
    }

    /// Returns the patch for the current object, or `None` if it must be known.
    fn rewrite(
        &self,
        current: Option<&CurrentMetadata>,
    ) -> Result<Option<RewrittenPatch>, RequestError> {
        let scope = self.remote.scope.clone();
        let checked = current.filter(|current| !current.uid.is_empty() && !self.is_kubectl_apply());
        let scope = match checked {
            Some(current) => scope.with_uid(&current.uid),
            None => scope,
        };
        let remote = self.remote.clone().with_scope(scope);
        self.bodies
            .rewrite_patch(self.context, &remote, self.effect(current), &self.patch)
    }

    fn is_apply(&self) -> bool {
        self.context.request_media.is_patch_kind(PatchKind::Apply)
    }

    fn is_kubectl_apply(&self) -> bool {
        self.is_apply() && self.remote.query().get("fieldManager") == Some(KUBECTL_MANAGER)
    }

    fn effect(&self, current: Option<&CurrentMetadata>) -> WriteEffect {
        let RequestContext {
            request,
            request_media,
            ..
        } = self.context;
        match (request.subresource.as_deref(), request_media) {
            // A JSON patch can test metadata, which a Scale lacks.
            (Some("status"), _) => WriteEffect::Patch(current.cloned()),
            (Some(_), _) => WriteEffect::Subresource,
            (None, RequestMedia::Patch(patch)) if patch.may_replace_lists => {
                WriteEffect::Patch(current.cloned())
            }
            _ if self.remote.query().get("fieldManager") == Some(LAST_APPLIED_MANAGER) => {
                WriteEffect::MoveLastApplied
            }
            _ => WriteEffect::Harmless,
        }
    }

    /// Returns the object that replaced the one whose uid a rejected patch required.
    async fn replacement(
        &self,
        current: Option<&CurrentMetadata>,
        reply: &UpstreamReply,
    ) -> Result<Option<CurrentMetadata>, RequestError> {
        let is_rejected = matches!(
            reply.response.status(),
            StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY
        );
        match current.filter(|_| is_rejected && self.remote.scope.translates_names()) {
            Some(checked) => {
                let objects = self.objects;
                objects
                    .replacement(self.context, self.remote, checked)
                    .await
            }
            None => Ok(None),
        }
    }
}
