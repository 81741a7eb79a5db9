//! Reads and checks one operation of a JSON patch.

use json_rewrite::Edit;

use super::patch_fields::PatchFields;
use crate::hidden_metadata::{self, OWNER_REFERENCES_REJECTED};
use crate::json_pointer;
use crate::object_fields::{Names, Role};

/// Error message for a JSON patch that copies or moves mapped metadata, or the name of a Secret.
pub const COPIES_MAPPED_METADATA: &str = "a JSON patch may not copy or move a field that claimgate maps (namespace, \
     owner references, finalizers, last-applied annotation, hidden metadata; in a shared mapping also the name, all \
     labels, and names of connection and input Secrets) or a parent of it (for example annotations, metadata, the whole \
     object; in a shared mapping also the spec); use add with a value";

const SETS_HIDDEN_METADATA: &str =
    "the annotation claimgate.dev/hidden is written by claimgate only; remove it from the patch";

/// The members of an operation that have been read. If a member is repeated, the last one counts, as in Go.
#[derive(Debug, Default)]
pub(super) struct Operation {
    op: Vec<u8>,
    path: Option<String>,
    from: Option<String>,
    /// Parts of the value that are non-empty owner references if `path` puts them there.
    owner_lists: Vec<usize>,
}

/// The members of an operation that claimgate reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Member {
    From,
    Op,
    Path,
}

impl Operation {
    /// Records a member's text.
    pub(super) fn read(&mut self, member: Member, text: &[u8]) {
        // Lone surrogates, which are not UTF-8, equal no field's key, neither here nor in Go.
        let pointer = || json_pointer::normalized(&String::from_utf8_lossy(text)).to_owned();
        match member {
            Member::From => self.from = Some(pointer()),
            Member::Op => text.clone_into(&mut self.op),
            Member::Path => self.path = Some(pointer()),
        }
    }

    /// Records a part of the value that may be owner references.
    pub(super) fn read_owner_list(&mut self, part: usize, raw: &[u8]) {
        if !hidden_metadata::is_null_or_empty_list(raw) {
            self.owner_lists.push(part);
        }
    }

    /// Returns the field that a part of the value becomes. Returns `None` without a `path`, because
    /// kube-apiserver rejects such an operation.
    pub(super) fn role(&self, fields: &PatchFields, part: usize) -> Option<Role> {
        fields.role(part, self.path.as_deref()?)
    }

    /// Returns whether a part of the value is the annotation of hidden metadata. Before `path` has been read,
    /// returns whether it may become that annotation.
    pub(super) fn may_set_hidden(&self, fields: &PatchFields, part: usize) -> bool {
        match &self.path {
            Some(path) => fields.role(part, path) == Some(Role::HiddenMetadata),
            None => fields.may_be(part, Role::HiddenMetadata),
        }
    }

    /// Rejects the operation if the members read so far are not allowed. It runs after each member, so the last
    /// member decides.
    pub(super) fn check(&self, fields: &PatchFields) -> Edit<'static> {
        self.rejection(fields).map_or(Edit::Keep, Edit::Reject)
    }

    fn rejection(&self, fields: &PatchFields) -> Option<&'static str> {
        let op = self.op.as_slice();
        let path = self.path.as_deref();
        if matches!(op, b"copy" | b"move") {
            let mut pointers = path.into_iter().chain(self.from.as_deref());
            let touches = pointers.any(|pointer| fields.touches_mapped(pointer));
            return touches.then_some(COPIES_MAPPED_METADATA);
        }
        let path = path?;
        let field = fields.containing(path);
        if matches!(op, b"add" | b"replace") && field == Some(Role::HiddenMetadata) {
            return Some(SETS_HIDDEN_METADATA);
        }
        let owners = Some(Role::OwnerReferences);
        let mut lists = self.owner_lists.iter();
        let has_owners = field == owners || lists.any(|part| fields.role(*part, path) == owners);
        let is_change = !op.is_empty() && op != b"test";
        (is_change && has_owners).then_some(OWNER_REFERENCES_REJECTED)
    }

    pub(super) fn depends_on_hidden(&self, names: Names) -> bool {
        // A copy of a missing member is null, but one from a missing map fails.
        let is_copy = matches!(self.op.as_slice(), b"copy" | b"move");
        let from = self.from.as_deref().filter(|_| is_copy);
        let mut pointers = self.path.as_deref().into_iter().chain(from);
        pointers.any(|pointer| hidden_metadata::depends_on_hidden(pointer, names))
    }

    pub(super) fn sets_resource_version(&self) -> bool {
        let path = self.path.as_deref();
        self.op != b"test" && path.is_some_and(hidden_metadata::sets_resource_version)
    }
}
