//! Labels and annotations of claimgate's own in a request, if objects have other names on the control plane.
//!
//! The client's are removed, because it may not set them, and claimgate's are added to every write that could remove
//! them. An apply has them each time, so that its field manager keeps owning them. A merge patch has them if someone
//! changed them on the control plane.

use json_rewrite::Edit;

use crate::hidden_metadata::{CurrentMetadata, WriteEffect};
use crate::json_members::{JsonMembers, member, string_member};
use crate::last_applied::{self, LastAppliedRules};
use crate::object_fields::{HIDDEN_METADATA, LAST_APPLIED};
use crate::origin::{self, KEYS, OriginKey};
use crate::request_scope::{RequestScope, SharedScope};

const UNREADABLE: &str = "metadata.labels or metadata.annotations cannot be read; they must be valid UTF-8, and their \
     keys may not contain lone surrogates";

/// A map in an object's metadata.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MetadataMap {
    Annotations,
    Labels,
}

/// The parts of the metadata that have been read.
#[derive(Debug, Default)]
pub(super) struct OwnMetadata {
    has_annotations: bool,
    has_labels: bool,
    has_uid: bool,
    /// The body removes all labels or annotations, so their current keys are needed.
    pub(super) removes_all: bool,
}

impl OwnMetadata {
    /// Rewrites the client's labels or annotations, given as JSON. Anything but an object and null stays, because the
    /// control plane rejects it. It may be able to read an object that cannot be read here, and would then lose
    /// the origin.
    pub(super) fn map(
        &mut self,
        map: MetadataMap,
        raw: &[u8],
        scope: &SharedScope,
        effect: &WriteEffect,
        annotations: &LastAppliedRules,
    ) -> Edit<'static> {
        match map {
            MetadataMap::Annotations => self.has_annotations = true,
            MetadataMap::Labels => self.has_labels = true,
        }
        if matches!(effect, WriteEffect::Subresource) {
            return Edit::Keep;
        }
        let client = match JsonMembers::read(raw) {
            Ok(client) => client,
            Err(_) if raw.starts_with(b"{") => return Edit::Reject(UNREADABLE),
            Err(_) => return Edit::Keep,
        };
        self.removes_all |= client.is_none() && matches!(effect, WriteEffect::Patch(_));
        let mut members = match (&client, effect) {
            (Some(client), _) => client_members(client, scope, effect, annotations),
            (None, WriteEffect::Patch(None)) => return Edit::Keep,
            // In a merge patch, null for the whole map would remove claimgate's too.
            (None, WriteEffect::Patch(Some(current))) => {
                let keys = match map {
                    MetadataMap::Annotations => current.annotations(),
                    MetadataMap::Labels => current.labels(),
                };
                keys.unwrap_or_default()
                    .iter()
                    .map(|key| member(key, "null"))
                    .collect()
            }
            (None, _) => Vec::new(),
        };
        members.extend(own_members(map, scope, effect));
        Edit::Replace(format!("{{{}}}", members.join(",")).into())
    }

    /// Records that the body has a uid, whatever its value.
    pub(super) fn uid(&mut self) {
        self.has_uid = true;
    }

    /// Returns the uid that the scope requires as a member of the metadata, unless the client requires one itself.
    fn required_uid(&self, scope: &SharedScope, effect: &WriteEffect) -> Option<String> {
        let is_ignored = self.has_uid || matches!(effect, WriteEffect::Subresource);
        let uid = scope.object()?.uid.as_ref().filter(|_| !is_ignored)?;
        Some(string_member("uid", uid))
    }

    /// Returns the members to add at the end of the metadata: the required uid, and the labels and annotations if the
    /// write replaces or applies an object, or patches one that lost them.
    pub(super) fn metadata_end(
        &mut self,
        scope: &SharedScope,
        effect: &WriteEffect,
    ) -> Vec<String> {
        let has = std::mem::take(self);
        let mut added: Vec<String> = has.required_uid(scope, effect).into_iter().collect();
        match effect {
            WriteEffect::Harmless
            | WriteEffect::GenerateName
            | WriteEffect::MoveLastApplied
            | WriteEffect::Update(_) => {}
            WriteEffect::Patch(Some(current)) if current.is_damaged => {}
            WriteEffect::Patch(_) | WriteEffect::Subresource => return added,
        }
        let maps = [
            (has.has_annotations, MetadataMap::Annotations, "annotations"),
            (has.has_labels, MetadataMap::Labels, "labels"),
        ];
        let missing = maps.into_iter().filter(|(has, ..)| !has);
        let json = missing.map(|(_, map, key)| {
            let members = own_members(map, scope, effect);
            (members, key)
        });
        let json = json.filter(|(members, _)| !members.is_empty());
        added.extend(json.map(|(members, key)| member(key, &format!("{{{}}}", members.join(",")))));
        added
    }
}

/// Returns a merge patch that restores the labels and annotations of a damaged object. Returns `None` if objects have no
/// such metadata, or the request names no object.
pub fn restoring_patch(scope: &RequestScope, current: &CurrentMetadata) -> Option<Vec<u8>> {
    let effect = WriteEffect::Patch(Some(current.clone()));
    let members = OwnMetadata::default().metadata_end(scope.shared()?, &effect);
    let patch = format!("{{\"metadata\":{{{}}}}}", members.join(","));
    (!members.is_empty()).then(|| patch.into_bytes())
}

/// Returns the client's members in remote names.
fn client_members(
    client: &JsonMembers<'_>,
    scope: &SharedScope,
    effect: &WriteEffect,
    annotations: &LastAppliedRules,
) -> Vec<String> {
    let is_client = |key: &str| OriginKey::parse(key).is_none() && key != HIDDEN_METADATA;
    let members = client.iter().filter(|(key, _)| is_client(key));
    let to_remote = |(key, value): (&str, &str)| {
        let applied = (key == LAST_APPLIED)
            .then(|| serde_json::from_str::<String>(value).ok())
            .flatten();
        let applied = applied.map(|applied| match effect {
            WriteEffect::MoveLastApplied => {
                last_applied::with_origin(&applied, scope).unwrap_or(applied)
            }
            _ => applied,
        });
        match applied.and_then(|applied| annotations.to_remote(&applied, scope)) {
            Some(applied) => string_member(key, &applied),
            None => member(key, value),
        }
    };
    members.map(to_remote).collect()
}

/// Returns claimgate's own members. There are none if the object's name is unknown; the control plane rejects such a
/// write.
fn own_members(map: MetadataMap, scope: &SharedScope, effect: &WriteEffect) -> Vec<String> {
    let Some(object) = scope.object() else {
        return Vec::new();
    };
    let cluster = scope.mapping().cluster();
    let own = match map {
        MetadataMap::Annotations => origin::annotations(cluster, &object.local).to_vec(),
        MetadataMap::Labels => origin::labels(cluster, &object.local),
    };
    let mut members: Vec<String> = own
        .iter()
        .map(|(key, value)| string_member(key, value))
        .collect();
    // Someone may have added a label for a name that is too long for one.
    if matches!(effect, WriteEffect::Patch(Some(current)) if current.is_damaged) {
        let is_missing = |key: &&str| own.iter().all(|(known, _)| known != key);
        let missing = KEYS.iter().copied().filter(is_missing);
        members.extend(missing.map(|key| member(key, "null")));
    }
    members
}
