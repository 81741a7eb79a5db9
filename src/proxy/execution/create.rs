//! Creates objects that have other names on the control plane.
//!
//! The remote name depends on the name in the body, so the whole body is read first. If the client lets the server
//! generate the name, claimgate generates it, because the control plane does not know which local names are taken.

use http::StatusCode;
use rand::RngExt;

use super::current_object::ObjectReader;
use crate::error::RequestError;
use crate::proxy::client_body::ClientBody;
use crate::proxy::context::RequestContext;
use crate::proxy::dispatch::{self, UpstreamReply};
use crate::proxy::outbound::{BodyReader, WholeBody};
use crate::proxy::plan::RemoteRequest;
use claim_mapping::hidden_metadata::WriteEffect;
use claim_mapping::request::CreatedName;

/// Number of attempts to find a generated name that is not taken
/// (`apiserver/pkg/registry/generic/registry/store.go`, `maxNameGenerationCreateAttempts`).
const NAMES_TRIED_MAX: usize = 8;

/// Limit in bytes of a generated name, and the characters that are appended to its prefix
/// (`apiserver/pkg/storage/names/generate.go`).
const GENERATED_BYTES_MAX: usize = 63;
const RANDOM_CHARACTERS: usize = 5;

/// Characters that form no words (`apimachinery/pkg/util/rand/rand.go`).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A request that creates an object, with its body.
pub(super) struct CreateCall<'a> {
    bodies: &'a BodyReader,
    objects: &'a ObjectReader,
    context: &'a RequestContext<'a>,
    remote: &'a RemoteRequest,
    body: WholeBody,
}

impl<'a> CreateCall<'a> {
    /// Reads the whole body.
    ///
    /// # Errors
    /// The body is too long, was interrupted, or cannot be read.
    pub(super) async fn read(
        bodies: &'a BodyReader,
        objects: &'a ObjectReader,
        context: &'a RequestContext<'a>,
        remote: &'a RemoteRequest,
        incoming: ClientBody,
    ) -> Result<Self, RequestError> {
        let body = bodies.read_as_json(context, remote, incoming).await?;
        Ok(Self {
            bodies,
            objects,
            context,
            remote,
            body,
        })
    }

    /// Sends the request. The reply has the scope of the created object.
    ///
    /// # Errors
    /// The body is invalid, or no reply arrived.
    pub(super) async fn execute(self) -> Result<UpstreamReply, RequestError> {
        let prefix = match CreatedName::read(&self.body.json) {
            CreatedName::Given(name) => {
                return self.send(&name, WriteEffect::Harmless).await;
            }
            CreatedName::Missing => {
                return self.send_named(self.remote, WriteEffect::Harmless).await;
            }
            CreatedName::Generated(prefix) => prefix,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let reply = self
                .send(&generated_name(&prefix), WriteEffect::GenerateName)
                .await?;
            let is_taken = reply.response.status() == StatusCode::CONFLICT;
            if !is_taken || tries == NAMES_TRIED_MAX {
                return Ok(reply);
            }
        }
    }

    async fn send(&self, name: &str, effect: WriteEffect) -> Result<UpstreamReply, RequestError> {
        let remote = self.remote.with_object(name);
        let is_generated = matches!(effect, WriteEffect::GenerateName);
        let reply = self.send_named(&remote, effect).await?;
        if !is_generated && reply.response.status() == StatusCode::CONFLICT {
            self.check_owner(name, &remote).await?;
        }
        Ok(reply)
    }

    async fn send_named(
        &self,
        remote: &RemoteRequest,
        effect: WriteEffect,
    ) -> Result<UpstreamReply, RequestError> {
        let body = self
            .bodies
            .rewrite(self.context, remote, effect, &self.body)?;
        let reply = dispatch::send(self.context, remote, body).await?;
        Ok(UpstreamReply {
            object_scope: Some(remote.scope.clone()),
            ..reply
        })
    }

    /// Returns an error if another local object has the remote name, because the message that the object exists would
    /// be wrong.
    async fn check_owner(&self, name: &str, remote: &RemoteRequest) -> Result<(), RequestError> {
        let named = remote.member(name);
        match self.objects.read(self.context, &named).await {
            Err(RequestError::NotFound { .. }) => Err(self.context.name_taken(name)),
            // The control plane's reply stands.
            _ => Ok(()),
        }
    }
}

/// Returns a prefix with random characters, cut as Kubernetes does.
fn generated_name(prefix: &str) -> String {
    let max = GENERATED_BYTES_MAX - RANDOM_CHARACTERS;
    let prefix = prefix.get(..max).unwrap_or(prefix);
    let mut random = rand::rng();
    let mut name = prefix.to_owned();
    for _ in 0..RANDOM_CHARACTERS {
        let index = random.random_range(0..ALPHABET.len());
        name.extend(ALPHABET.get(index).copied().map(char::from));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_have_kubernetes_form() {
        for (prefix, begin) in [("a-", "a-".to_owned()), (&"a".repeat(70), "a".repeat(58))] {
            let name = generated_name(prefix);
            let random = name.strip_prefix(&begin).unwrap();
            assert_eq!(random.len(), RANDOM_CHARACTERS);
            assert!(random.bytes().all(|c| ALPHABET.contains(&c)), "{name}");
        }
        assert_ne!(generated_name("a"), generated_name("a"));
    }
}
