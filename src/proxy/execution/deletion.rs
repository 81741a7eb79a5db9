//! Sends deletions, and sets the finalizers for the app cluster's garbage collector before them.
//!
//! `propagationPolicy: Orphan` and `Foreground` also apply to the objects in the app cluster that the
//! claim owns. The garbage collector there acts on a finalizer. For local objects, kube-apiserver sets
//! it during the deletion (`apiserver/pkg/registry/generic/registry/store.go`,
//! `deletionFinalizersForGarbageCollection`). The control plane sets finalizers only for its own
//! collector. So claimgate sets the app cluster's finalizer first, by a patch at the version that was
//! read, and then sends the deletion as received. If the deletion is rejected, claimgate removes the
//! finalizer again.
//!
//! A claim that is already being deleted accepts no new finalizers
//! (`apimachinery/pkg/api/validation`, `ValidateNoNewFinalizers`). `Foreground` does not
//! need one then: the collector deletes the owned objects once the claim is gone. With `Orphan`, the
//! collector would delete objects that should stay, so the deletion is rejected. For the same reason
//! `Orphan` is rejected for collections.

use http::StatusCode;

use super::collection::MixedCollection;
use super::current_object::{CurrentObject, ObjectReader, TRIES_MAX};
use super::delete_options::{Preconditions, ReceivedOptions};
use super::denial;
use crate::error::RequestError;
use crate::proxy::client_body::ClientBody;
use crate::proxy::context::RequestContext;
use crate::proxy::dispatch::{self, UpstreamReply};
use crate::proxy::outbound::BodyReader;
use crate::proxy::plan::RemoteRequest;
use claim_mapping::hidden_metadata::{CurrentMetadata, PropagationPolicy};
use kube_wire::request_info::Verb;

/// A deletion whose body was read.
pub(super) struct DeleteCall<'a> {
    objects: &'a ObjectReader,
    context: &'a RequestContext<'a>,
    remote: &'a RemoteRequest,
    received: ReceivedOptions,
}

impl<'a> DeleteCall<'a> {
    /// Reads the options of the deletion.
    ///
    /// # Errors
    /// The body is too long, was interrupted, or cannot be read.
    pub(super) async fn read(
        bodies: &BodyReader,
        objects: &'a ObjectReader,
        context: &'a RequestContext<'a>,
        remote: &'a RemoteRequest,
        incoming: ClientBody,
    ) -> Result<Self, RequestError> {
        Ok(Self {
            objects,
            context,
            remote,
            received: ReceivedOptions::read(bodies, context, remote, incoming).await?,
        })
    }

    /// Sends the deletion, and sets the finalizer for the app cluster's garbage collector before
    /// it. `checked` is the object whose owner was checked. If another object replaced it, the deletion is repeated.
    ///
    /// # Errors
    /// Dependents cannot be orphaned, or a reply did not arrive or is invalid.
    pub(super) async fn execute(
        self,
        mut checked: Option<CurrentMetadata>,
    ) -> Result<UpstreamReply, RequestError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let reply = self.attempt(checked.as_ref()).await?;
            let is_conflict = reply.response.status() == StatusCode::CONFLICT;
            let Some(before) = checked.filter(|_| is_conflict && tries < TRIES_MAX) else {
                return Ok(reply);
            };
            let (context, remote) = (self.context, self.remote);
            checked = match self.objects.replacement(context, remote, &before).await? {
                None => return Ok(reply),
                replacement => replacement,
            };
        }
    }

    async fn attempt(
        &self,
        checked: Option<&CurrentMetadata>,
    ) -> Result<UpstreamReply, RequestError> {
        let is_collection = self.context.request.verb != Verb::Delete;
        match self.received.options.cascade {
            Some(PropagationPolicy::Orphan) if is_collection => Err(RequestError::OrphanCollection),
            Some(cascade) if !is_collection && !self.received.options.is_dry_run => {
                self.delete_with_finalizer(cascade).await
            }
            _ if is_collection && self.remote.scope.translates_names() => {
                self.delete_own_collection().await
            }
            _ => self.send(self.preconditions(checked)).await,
        }
    }

    /// Returns the preconditions for an object that was read. In a table, the name of an object is enough.
    fn preconditions<'b>(&self, current: Option<&'b CurrentMetadata>) -> Preconditions<'b> {
        let current = current.filter(|current| !current.uid.is_empty());
        let current = current.filter(|_| self.remote.scope.translates_names());
        Preconditions {
            uid: current.map(|current| current.uid.as_str()),
            version: None,
        }
    }

    /// Deletes a collection in a namespace that may contain objects of others. The selector excludes them, unless
    /// they carry this cluster's labels.
    async fn delete_own_collection(&self) -> Result<UpstreamReply, RequestError> {
        let listed = self
            .objects
            .collection_has_foreign(self.context, self.remote);
        if !listed.await? {
            return self.send(Preconditions::default()).await;
        }
        let collection = MixedCollection {
            objects: self.objects,
            context: self.context,
            remote: self.remote,
            options: &self.received,
        };
        collection.delete().await
    }

    async fn delete_with_finalizer(
        &self,
        cascade: PropagationPolicy,
    ) -> Result<UpstreamReply, RequestError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let current = match self.objects.read(self.context, self.remote).await? {
                CurrentObject::Read(current) if self.received.options.match_object(&current) => {
                    current
                }
                CurrentObject::Failed(read) if read.response.status() != StatusCode::NOT_FOUND => {
                    return Ok(denial::explain(self.context, self.remote, *read).await);
                }
                // The control plane rejects the deletion.
                _ => return self.send(Preconditions::default()).await,
            };
            let preconditions = self.preconditions(Some(&current));
            let Some(finalizers) = current.finalizers_for(cascade) else {
                return self.send(preconditions).await;
            };
            if current.is_being_deleted {
                return match cascade {
                    PropagationPolicy::Orphan => Err(self.context.orphan_after_deletion()),
                    PropagationPolicy::Foreground => self.send(preconditions).await,
                };
            }
            let patch = current.finalizers_patch(&finalizers);
            match self.objects.patch(self.context, self.remote, patch).await? {
                CurrentObject::Read(marked) => {
                    return self.delete_or_restore(&current, &marked).await;
                }
                CurrentObject::Failed(reply)
                    if reply.response.status() == StatusCode::CONFLICT && tries < TRIES_MAX => {}
                CurrentObject::Failed(reply) => {
                    return Ok(denial::explain(self.context, self.remote, *reply).await);
                }
            }
        }
    }

    /// Sends the deletion of an object that now has the finalizer. If the deletion is rejected, restores
    /// the previous finalizers. Otherwise a later deletion would follow the policy of this one.
    async fn delete_or_restore(
        &self,
        before: &CurrentMetadata,
        marked: &CurrentMetadata,
    ) -> Result<UpstreamReply, RequestError> {
        let version = self.received.options.version.as_ref();
        let reply = self.send(Preconditions {
            version: version.map(|_| marked.resource_version.as_str()),
            ..self.preconditions(Some(marked))
        });
        let reply = reply.await?;
        // After a server error, the deletion may still take place.
        if reply.response.status().is_client_error() {
            let patch = marked.finalizers_patch(&before.stored_finalizers());
            let restored = self.objects.patch(self.context, self.remote, patch).await;
            if !matches!(restored, Ok(CurrentObject::Read(_))) {
                tracing::warn!(
                    control_plane = %self.context.control_plane.name,
                    namespace = self.context.request.namespace,
                    name = self.context.request.name,
                    "cannot remove the finalizer of a rejected deletion; a later deletion will act on it"
                );
            }
        }
        Ok(reply)
    }

    async fn send(&self, preconditions: Preconditions<'_>) -> Result<UpstreamReply, RequestError> {
        let (remote, body) = self
            .received
            .outbound(self.context, self.remote, preconditions);
        dispatch::send(self.context, &remote, body).await
    }
}
