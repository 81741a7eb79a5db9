//! Hidden metadata of the object that a request writes.

use json_rewrite::{Addition, Edit};

use super::finalizers::stored_list;
use super::{
    CurrentMetadata, OWNER_REFERENCES_REJECTED, is_null_or_empty_list, json_list, json_string,
};

/// Error message for a body whose finalizers are not valid UTF-8.
const FINALIZERS_NOT_UTF8: &str = "metadata.finalizers is not valid UTF-8";

/// Which hidden metadata a write can lose.
#[derive(Clone, Debug)]
pub enum WriteEffect {
    /// Nothing: the write creates an object, or field managers merge it.
    Harmless,
    /// Nothing: the write creates an object whose name claimgate generates, so the body gets the name.
    GenerateName,
    /// Nothing: kubectl gives the last-applied annotation, as it was read, to another field manager.
    MoveLastApplied,
    /// Nothing: the write is to a subresource, which does not change metadata
    /// (`apiextensions-apiserver/pkg/registry/customresource`).
    Subresource,
    /// All of it: the write replaces an object that has this metadata.
    Update(CurrentMetadata),
    /// Possibly whole lists: the write is a patch. Only reading the patch shows whether it replaces them. If it
    /// does, it needs the object's current metadata, and claimgate rewrites it again if the metadata is not known.
    Patch(Option<CurrentMetadata>),
}

/// Adds hidden metadata to the body of a write.
#[derive(Debug)]
pub(crate) struct RequestMetadata {
    effect: WriteEffect,
    /// The body sets or tests finalizers or owner references, some of which may be hidden from the client, or removes
    /// all labels or annotations.
    pub(crate) depends_on_hidden: bool,
    /// The body sets the resourceVersion that it requires.
    pub(crate) sets_resource_version: bool,
    /// The metadata that is being read has finalizers.
    has_finalizers: bool,
    /// The metadata that is being read has a resourceVersion.
    has_resource_version: bool,
}

impl RequestMetadata {
    pub(crate) fn new(effect: WriteEffect) -> Self {
        Self {
            effect,
            depends_on_hidden: false,
            sets_resource_version: false,
            has_finalizers: false,
            has_resource_version: false,
        }
    }

    /// Returns whether the body must be rewritten again with the object's current metadata.
    pub(crate) fn needs_current(&self) -> bool {
        self.depends_on_hidden && matches!(self.effect, WriteEffect::Patch(None))
    }

    pub(crate) fn effect(&self) -> &WriteEffect {
        &self.effect
    }

    /// Returns whether claimgate generates the object's name.
    pub(crate) fn generates_name(&self) -> bool {
        matches!(self.effect, WriteEffect::GenerateName)
    }

    /// Records that the body has a `resourceVersion`, whatever its value.
    pub(crate) fn resource_version(&mut self) {
        self.has_resource_version = true;
        self.sets_resource_version = true;
    }

    /// Decides whether a body's owner references are removed or rejected.
    pub(crate) fn owner_references(&self, raw: &[u8]) -> Edit<'static> {
        // The client sees no owner references, so an empty list does not ask to remove the hidden
        // ones. kube-apiserver ignores the owner references of a subresource, so they can be removed
        // there.
        if is_null_or_empty_list(raw) || matches!(self.effect, WriteEffect::Subresource) {
            Edit::Remove
        } else {
            Edit::Reject(OWNER_REFERENCES_REJECTED)
        }
    }

    /// Decides how a body's finalizers are written: unchanged, or renamed and with the hidden ones added.
    pub(crate) fn finalizers(&mut self, raw: &[u8]) -> Edit<'static> {
        self.depends_on_hidden = true;
        self.has_finalizers = true;
        // Go would decode such a list, so forwarding it without the hidden finalizers would lose them.
        let Ok(list) = std::str::from_utf8(raw) else {
            return Edit::Reject(FINALIZERS_NOT_UTF8);
        };
        let stored = stored_list(list).map(|names| json_list(&names));
        let list = stored.as_deref().unwrap_or(list);
        let whole = self.current().and_then(|now| now.with_hidden(list));
        whole
            .or(stored)
            .map_or(Edit::Keep, |list| Edit::Replace(list.into()))
    }

    /// Returns the members to add at the end of the metadata. An update gets the hidden lists that the client
    /// left out. A patch that depends on hidden metadata gets the resourceVersion of the object from which it was
    /// completed, unless it sets one. `members` come first.
    pub(crate) fn metadata_end(&mut self, mut members: Vec<String>) -> Addition<'static> {
        let has_finalizers = std::mem::take(&mut self.has_finalizers);
        let has_resource_version = std::mem::take(&mut self.has_resource_version);
        match &self.effect {
            WriteEffect::Update(now) => {
                let finalizers = &now.hidden.finalizers;
                if !has_finalizers && !finalizers.is_empty() {
                    members.push(format!("\"finalizers\":{}", json_list(finalizers)));
                }
                let owners = now.hidden.owner_references.as_ref();
                members.extend(owners.map(|list| format!("\"ownerReferences\":{}", list.get())));
            }
            WriteEffect::Patch(Some(now)) if self.depends_on_hidden && !has_resource_version => {
                let version = json_string(&now.resource_version);
                members.push(format!("\"resourceVersion\":{version}"));
            }
            WriteEffect::Patch(_)
            | WriteEffect::GenerateName
            | WriteEffect::Harmless
            | WriteEffect::MoveLastApplied
            | WriteEffect::Subresource => {}
        }
        if members.is_empty() {
            Addition::Nothing
        } else {
            Addition::Members(members.join(",").into())
        }
    }

    fn current(&self) -> Option<&CurrentMetadata> {
        match &self.effect {
            WriteEffect::Update(current) | WriteEffect::Patch(Some(current)) => Some(current),
            WriteEffect::GenerateName
            | WriteEffect::Harmless
            | WriteEffect::MoveLastApplied
            | WriteEffect::Subresource
            | WriteEffect::Patch(None) => None,
        }
    }
}
