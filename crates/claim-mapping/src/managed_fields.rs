//! Removes the origin from managed fields.

use std::ops::Range;

use json_rewrite::Edit;
use serde_json::value::RawValue;

use crate::json_members::JsonMembers;
use crate::origin::{self, OriginKey};

/// Error: managed fields do not have the form that kube-apiserver writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct UnreadableFields;

const METADATA: &str = "f:metadata";

/// What precedes the managed fields of metadata, as kube-apiserver writes it. The comma shows that the first quote begins a
/// key.
const BEFORE_METADATA: &str = r#","fieldsV1":{"f:metadata":"#;

/// The key of the managed fields of metadata, as kube-apiserver writes it.
const METADATA_KEY: &str = r#""f:metadata":"#;

/// Removes the origin from the managed fields of objects.
#[derive(Debug, Default)]
pub(crate) struct ManagedFields {
    last: OriginOfMetadata,
    /// The parts of the current managed fields that are removed. Their memory is used again for the next object.
    parts: Vec<Range<usize>>,
}

/// The origin in the managed fields of metadata that were read last. The objects of a list mostly have the same, and
/// comparing them takes less time than reading them.
#[derive(Debug, Default)]
struct OriginOfMetadata {
    /// The managed fields of metadata: `{"f:labels":{"f:KEY":{}, ...}, ...}`
    /// (`structured-merge-diff/fieldpath/serialize.go`).
    raw: String,
    /// The position in `raw` at which the origin was found.
    found: usize,
    removed: Removed,
}

#[derive(Debug)]
enum Removed {
    /// A client that sees no origin sees no managed fields of metadata.
    All,
    Parts(Vec<Range<usize>>),
}

impl Default for Removed {
    fn default() -> Self {
        Self::Parts(Vec::new())
    }
}

impl ManagedFields {
    /// Removes the origin from a list of managed fields: `[{"fieldsV1":{"f:metadata":{...}, ...}, ...}, ...]`.
    pub(crate) fn rewrite(&mut self, raw: &[u8]) -> Result<Edit<'_>, UnreadableFields> {
        let Some(found) = origin::find(raw) else {
            return Ok(Edit::Keep);
        };
        self.parts.clear();
        if self.find_compact(raw, found).is_none() {
            self.parts = parts_of_any_form(raw)?;
        }
        Ok(Edit::RemoveParts(&self.parts))
    }

    /// Finds the parts to remove, given the position of the first text that may be a part of the origin. Returns `None` if the
    /// managed fields do not have the form that kube-apiserver writes, without white space, or if such a text is outside of
    /// the managed fields of metadata.
    fn find_compact(&mut self, raw: &[u8], first: usize) -> Option<()> {
        let mut next = Some(first);
        let mut done = 0;
        while let Some(found) = next {
            let begin = self.last.read(raw, done, found)?;
            let mut end = begin + self.last.raw.len();
            match &self.last.removed {
                Removed::Parts(parts) => {
                    let parts = parts.iter().map(|it| begin + it.start..begin + it.end);
                    self.parts.extend(parts);
                }
                Removed::All => {
                    end += usize::from(raw.get(end) == Some(&b','));
                    self.parts.push(begin - METADATA_KEY.len()..end);
                }
            }
            done = end;
            next = origin::find(raw.get(done..)?).map(|at| done + at);
        }
        Some(())
    }
}

impl OriginOfMetadata {
    /// Reads the managed fields of metadata around the position `found`, not before the position `from`. Returns where they
    /// begin.
    fn read(&mut self, raw: &[u8], from: usize, found: usize) -> Option<usize> {
        let same = found.checked_sub(self.found);
        // No JSON object is the beginning of another.
        if let Some(begin) = same.filter(|begin| *begin >= from && !self.raw.is_empty())
            && let Some((before, metadata)) = raw.split_at_checked(begin)
            && before.ends_with(BEFORE_METADATA.as_bytes())
            && metadata.starts_with(self.raw.as_bytes())
        {
            return Some(begin);
        }
        let text = std::str::from_utf8(raw).ok()?;
        let before = text.get(from..found)?.rfind(BEFORE_METADATA)?;
        let begin = from + before + BEFORE_METADATA.len();
        let (maps, after) = JsonMembers::read_compact(text.get(begin..)?)?;
        let metadata = text.get(begin..text.len() - after.len())?;
        if begin + metadata.len() <= found {
            return None;
        }
        self.removed = origin_parts(metadata, &maps).ok()?;
        metadata.clone_into(&mut self.raw);
        self.found = found - begin;
        Some(begin)
    }
}

/// Returns the parts of managed fields of any form that contain the origin.
fn parts_of_any_form(raw: &[u8]) -> Result<Vec<Range<usize>>, UnreadableFields> {
    let text = std::str::from_utf8(raw).map_err(|_error| UnreadableFields)?;
    let entries: Vec<&RawValue> = serde_json::from_str(text).map_err(|_error| UnreadableFields)?;
    let mut all = Vec::new();
    for entry in entries {
        for (_, fields) in read(entry.get())?
            .iter()
            .filter(|(key, _)| *key == "fieldsV1")
        {
            let fields = read(fields)?;
            let mut parts = Vec::new();
            for (_, metadata) in fields.iter().filter(|(key, _)| *key == METADATA) {
                let begin = metadata.as_ptr().addr() - text.as_ptr().addr();
                match origin_parts(metadata, &read(metadata)?)? {
                    Removed::Parts(own) => {
                        parts.extend(own.iter().map(|it| begin + it.start..begin + it.end));
                    }
                    Removed::All => {
                        parts = fields.parts(text, |key| key == METADATA);
                        break;
                    }
                }
            }
            all.extend(parts);
        }
    }
    Ok(all)
}

/// Returns which parts of the managed fields of metadata contain the origin. `maps` was read from `metadata`.
fn origin_parts(metadata: &str, maps: &JsonMembers<'_>) -> Result<Removed, UnreadableFields> {
    let mut parts = Vec::new();
    let mut removed = Vec::new();
    for (key, fields) in maps
        .iter()
        .filter(|(key, _)| ["f:annotations", "f:labels"].contains(key))
    {
        let fields = read(fields)?;
        let is_origin = |key: &str| key.strip_prefix("f:").and_then(OriginKey::parse).is_some();
        let own = fields.parts(metadata, is_origin);
        // A dot stands for the map itself, which a client that sees no member of it does not see either.
        let is_bare = fields.iter().all(|(key, _)| key == "." || is_origin(key));
        match is_bare && !own.is_empty() {
            true => removed.push(key),
            false => parts.extend(own),
        }
    }
    if !removed.is_empty() && maps.iter().all(|(key, _)| removed.contains(&key)) {
        return Ok(Removed::All);
    }
    parts.extend(maps.parts(metadata, |key| removed.contains(&key)));
    parts.sort_by_key(|part| part.start);
    Ok(Removed::Parts(parts))
}

/// Reads an object, or null.
fn read(json: &str) -> Result<JsonMembers<'_>, UnreadableFields> {
    if let Some((members, "")) = JsonMembers::read_compact(json) {
        return Ok(members);
    }
    let members = JsonMembers::read(json.as_bytes()).map_err(|_error| UnreadableFields)?;
    Ok(members.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a list of managed fields without the origin, in the form that kube-apiserver writes and in any form.
    fn both_forms(managed: &str) -> [String; 2] {
        let mut fields = ManagedFields::default();
        let rewritten = match fields.rewrite(managed.as_bytes()) {
            Ok(Edit::Keep) => managed.to_owned(),
            Ok(Edit::RemoveParts(parts)) => without(managed, parts),
            _ => "unreadable".to_owned(),
        };
        let parts = parts_of_any_form(managed.as_bytes()).unwrap();
        [rewritten, without(managed, &parts)]
    }

    fn without(text: &str, parts: &[Range<usize>]) -> String {
        let mut text = text.to_owned();
        for part in parts.iter().rev() {
            text.drain(part.clone());
        }
        text
    }

    #[test]
    fn origin_is_removed_from_managed_fields() {
        for (managed, expected) in [
            (r#"{"f:labels":{"f:a":{}}}"#, "kept"),
            (
                r#"{"f:annotations":{"f:claimgate.dev/name":{}},"f:labels":{".":{},"f:claimgate.dev/name":{}}}"#,
                "removed",
            ),
            (
                r#"{"f:annotations":{"f:a":{}},"f:finalizers":{".":{}},"f:labels":{"f:claimgate.dev/name":{}}}"#,
                r#"{"f:annotations":{"f:a":{}},"f:finalizers":{".":{}}}"#,
            ),
            (
                "{\n  \"f:labels\": {\n    \"f:claimgate.dev/name\": {}\n  },\n  \"f:x\": {}\n}",
                "{\n  \"f:x\": {}\n}",
            ),
            (
                r#"{"f:finalizers":{"v:\"x\"":{}},"f:labels":{"f:claimgate.dev/name":{}}}"#,
                r#"{"f:finalizers":{"v:\"x\"":{}}}"#,
            ),
            (
                r#"{"f:labels":{"f:claimgate.dev/name":{},"f:claimgate.dev/other":{}},"f:x":{"f:y":{}}}"#,
                r#"{"f:labels":{"f:claimgate.dev/other":{}},"f:x":{"f:y":{}}}"#,
            ),
            (
                r#"{"f:labels":{".":{},"f:a":{},"f:claimgate.dev/name":{}}}"#,
                r#"{"f:labels":{".":{},"f:a":{}}}"#,
            ),
        ] {
            let list = |metadata: &str| {
                let member = if metadata == "removed" {
                    String::new()
                } else {
                    format!(r#""f:metadata":{metadata},"#)
                };
                let entry =
                    format!(r#"{{"fieldsType":"FieldsV1","fieldsV1":{{{member}"f:spec":{{}}}}}}"#);
                let other =
                    r#"{"fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{}},"manager":"m"}"#;
                format!("[{entry},{other},{entry}]")
            };
            let expected = match expected {
                "kept" => managed,
                expected => expected,
            };
            let expected = list(expected);
            assert_eq!(
                both_forms(&list(managed)),
                [expected.as_str(), expected.as_str()]
            );
        }
    }

    #[test]
    fn origin_outside_of_compact_metadata_is_found() {
        for (managed, expected) in [
            (
                r#"[{"fieldsV1":{"f:metadata":{"f:labels":{"f:claimgate.dev/name":{}}}}}]"#,
                r#"[{"fieldsV1":{}}]"#,
            ),
            (
                r#"[{"a":1,"fieldsV1":{"f:metadata":{"f:labels":{"f:claimgate.dev/name":{}}}}}]"#,
                r#"[{"a":1,"fieldsV1":{}}]"#,
            ),
            (
                r#"[{"a":1,"fieldsV1":{"f:metadata": {"f:labels":{"f:claimgate.dev/name":{}}},"f:a":{}}}]"#,
                r#"[{"a":1,"fieldsV1":{"f:a":{}}}]"#,
            ),
            (
                r#"[{"a":1,"fieldsV1":{"f:a":{},"f:metadata":{"f:labels":{"f:claimgate.dev/name":{}}}}}]"#,
                r#"[{"a":1,"fieldsV1":{"f:a":{}}}]"#,
            ),
            (
                r#"[{"a":1,"fieldsV1":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:claimgate.dev/name":{}}}}]"#,
                r#"[{"a":1,"fieldsV1":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:claimgate.dev/name":{}}}}]"#,
            ),
            (
                "[\n {\n  \"fieldsV1\": {\n   \"f:metadata\": {\n    \"f:labels\": {\n     \"f:a\": {},\n     \"f:claimgate.dev/name\": {}\n    }\n   }\n  }\n }\n]",
                "[\n {\n  \"fieldsV1\": {\n   \"f:metadata\": {\n    \"f:labels\": {\n     \"f:a\": {}\n    }\n   }\n  }\n }\n]",
            ),
        ] {
            assert_eq!(both_forms(managed), [expected, expected]);
        }
    }

    #[test]
    fn unreadable_managed_fields_are_an_error() {
        for managed in [
            &br#"[{"a":1,"fieldsV1":{"f:metadata":claimgate.dev/name}}]"#[..],
            br#"{"f:metadata":{"f:labels":{"f:claimgate.dev/name":{}}}}"#,
            b"[{\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\"f:claimgate.dev/\xff\":{}}}}}]",
        ] {
            let edit = ManagedFields::default().rewrite(managed).err();
            assert_eq!(edit, Some(UnreadableFields));
        }
    }
}
