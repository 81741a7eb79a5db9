//! Executes a planned request on the control plane: reads the object if a write needs it, reads the
//! body, and sends the request.
//!
//! An update replaces its object, and some patches replace lists in it. Clients do not see hidden
//! metadata (`claim_mapping::hidden_metadata`), so such a write would remove it. Therefore claimgate
//! reads the object's metadata first, and adds the hidden metadata to the write.
//!
//! If the object changes in between, the precondition of the write fails:
//! - An update always has a precondition: a custom resource cannot be updated without
//!   `resourceVersion` (`apiextensions-apiserver/pkg/registry/customresource/strategy.go`).
//! - A patch gets the version that was read, unless it already contains a version. On a conflict,
//!   claimgate reads the object and completes the patch again.
//! - An object that does not exist has no hidden metadata. An update cannot create a custom resource.
//!
//! claimgate reads the object after the request arrived. So a version that the client received earlier
//! is either the version that was read, or it conflicts. A client that guesses the version of a later
//! change can overwrite metadata that this change hides.
//!
//! In a shared namespace, claimgate reads the object before most other writes too, because it may belong to another
//! app cluster or local object (`needs_owner_check`). Patches and deletions then require the uid that was read.

mod collection;
mod collection_page;
mod create;
mod current_object;
mod delete_options;
mod deletion;
mod denial;
mod patch;
mod rejected_create;

use self::create::CreateCall;
use self::current_object::CurrentObject;
use self::deletion::DeleteCall;
use self::patch::PatchCall;
use super::client_body::ClientBody;
use super::context::RequestContext;
use super::dispatch::{self, UpstreamReply};
use super::namespace_lifecycle::Obstacle;
use super::outbound::BodyReader;
use super::plan::RemoteRequest;
use crate::error::RequestError;
use claim_mapping::hidden_metadata::WriteEffect;
use kube_wire::request_info::Verb;

pub(super) use self::current_object::ObjectReader;

/// Returns whether claimgate must read whose object a request names before it sends the request. On the control
/// plane, someone else may have given the name to another object.
///
/// A reply that contains the object is checked when it arrives, but a Scale lacks the labels and annotations, and a reply
/// to HEAD has no body. An update reads the object anyway.
fn needs_owner_check(context: &RequestContext<'_>) -> bool {
    let request = context.request;
    let subresource = request.subresource.as_deref();
    let is_needed = match request.verb {
        Verb::Get => subresource == Some("scale") || context.is_head(),
        Verb::List | Verb::Watch => false,
        Verb::Update => subresource.is_some(),
        _ => true,
    };
    is_needed && request.name.is_some()
}

/// Executes requests.
pub(super) struct Executor {
    bodies: BodyReader,
    objects: ObjectReader,
}

impl Executor {
    pub(super) fn new(bodies: BodyReader, objects: ObjectReader) -> Self {
        Self { bodies, objects }
    }

    /// Returns the control plane's reply to the request, or to the read that had to precede it.
    ///
    /// # Errors
    /// The obstacle forbids the request, the body is invalid, or a reply did not arrive or is invalid.
    pub(super) async fn execute(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        obstacle: Option<Obstacle>,
        incoming: ClientBody,
    ) -> Result<UpstreamReply, RequestError> {
        let request = context.request;
        let incoming = match obstacle {
            Some(obstacle) => {
                let (bodies, objects) = (&self.bodies, &self.objects);
                rejected_create::reject(bodies, objects, context, remote, &obstacle, incoming)
                    .await?
            }
            None => incoming,
        };
        let current = match remote.scope.translates_names() && needs_owner_check(context) {
            true => self.objects.check_owner(context, remote).await?,
            false => None,
        };
        let effect = match request.verb {
            _ if PatchCall::handles(context) => {
                let (bodies, objects) = (&self.bodies, &self.objects);
                let call = PatchCall::read(bodies, objects, context, remote, incoming).await?;
                return call.execute(current).await;
            }
            _ if request.subresource.is_some() => WriteEffect::Subresource,
            Verb::Delete | Verb::DeleteCollection => {
                let (bodies, objects) = (&self.bodies, &self.objects);
                let call = DeleteCall::read(bodies, objects, context, remote, incoming).await?;
                return call.execute(current).await;
            }
            Verb::Create if remote.scope.translates_names() => {
                let (bodies, objects) = (&self.bodies, &self.objects);
                let call = CreateCall::read(bodies, objects, context, remote, incoming).await?;
                return call.execute().await;
            }
            _ if request.name.is_none() => WriteEffect::Harmless,
            Verb::Update => match self.objects.read(context, remote).await?.or_missing() {
                CurrentObject::Read(current) => WriteEffect::Update(current),
                CurrentObject::Failed(read) => {
                    return Ok(denial::explain(context, remote, *read).await);
                }
            },
            _ => WriteEffect::Harmless,
        };
        let body = self.bodies.read(context, remote, effect, incoming).await?;
        dispatch::send(context, remote, body).await
    }
}
