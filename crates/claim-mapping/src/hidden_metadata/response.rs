//! Hidden metadata of one object in a response.

use json_rewrite::{Addition, Edit};
use serde_json::value::RawValue;

use super::{ANNOTATION, HiddenMetadata, finalizers, json_list, json_string};

/// Error: owner references or finalizers do not have the form that kube-apiserver writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct UnreadableMetadata;

/// Removes hidden metadata from an object, and adds the annotation that shows it.
#[derive(Debug, Default)]
pub(crate) struct ResponseMetadata {
    hidden: HiddenMetadata,
    has_annotations: bool,
    /// All of the object's metadata has been read.
    is_complete: bool,
}

impl ResponseMetadata {
    /// Removes owner references, and records them for the annotation.
    pub(crate) fn owner_references(
        &mut self,
        raw: &[u8],
    ) -> Result<Edit<'static>, UnreadableMetadata> {
        if super::is_null_or_empty_list(raw) {
            return Ok(Edit::Keep);
        }
        self.hidden.owner_references = Some(owned(text(raw)?)?);
        Ok(Edit::Remove)
    }

    /// Removes the finalizers of the control plane's collector, and renames those of the app cluster's.
    pub(crate) fn finalizers(&mut self, raw: &[u8]) -> Result<Edit<'static>, UnreadableMetadata> {
        let list = text(raw)?;
        if !finalizers::may_contain_collector_finalizer(list) {
            return Ok(Edit::Keep);
        }
        let all: Vec<String> = serde_json::from_str(list).map_err(|_error| UnreadableMetadata)?;
        let is_hidden = |name: &String| finalizers::is_collector_finalizer(name);
        let (hidden, mut shown): (Vec<_>, Vec<_>) = all.into_iter().partition(is_hidden);
        let local = |name: &str| finalizers::local(name).map(str::to_owned);
        let has_changed = finalizers::rename(&mut shown, local);
        if hidden.is_empty() && !has_changed {
            return Ok(Edit::Keep);
        }
        self.hidden.finalizers = hidden;
        Ok(if shown.is_empty() {
            Edit::Remove
        } else {
            Edit::Replace(json_list(&shown).into())
        })
    }

    /// Returns the members to add at the end of the annotations. Finalizers and owner references follow the
    /// annotations, so the answer is deferred until all of the metadata has been read.
    pub(crate) fn annotations_end(&mut self) -> Addition<'static> {
        if !self.is_complete {
            self.has_annotations = true;
            return Addition::Defer;
        }
        let annotation = self.annotation();
        annotation.map_or(Addition::Nothing, |member| Addition::Members(member.into()))
    }

    /// Returns the members to add at the end of the metadata: the annotations, if the object has none of its
    /// own.
    pub(crate) fn metadata_end(&self) -> Addition<'static> {
        let annotation = self.annotation().filter(|_| !self.has_annotations);
        annotation.map_or(Addition::Nothing, |member| {
            Addition::Members(format!("\"annotations\":{{{member}}}").into())
        })
    }

    /// Records that all of the metadata has been read.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Returns the annotation as a JSON member, or `None` if nothing is hidden.
    fn annotation(&self) -> Option<String> {
        if self.hidden.is_empty() {
            return None;
        }
        let [key, value] = [ANNOTATION, &self.hidden.json()].map(json_string);
        Some(format!("{key}:{value}"))
    }
}

fn text(raw: &[u8]) -> Result<&str, UnreadableMetadata> {
    std::str::from_utf8(raw).map_err(|_error| UnreadableMetadata)
}

fn owned(json: &str) -> Result<Box<RawValue>, UnreadableMetadata> {
    RawValue::from_string(json.to_owned()).map_err(|_error| UnreadableMetadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_metadata_is_an_error() {
        let mut metadata = ResponseMetadata::default();
        for raw in [&b"[\"\xff\"]"[..], b"[1,,2]", b"[\"a\""] {
            let edit = metadata.owner_references(raw);
            assert!(matches!(edit, Err(UnreadableMetadata)));
        }
        for raw in [&b"[\"orphan\",\"\xff\"]"[..], b"[\"orphan\",5]"] {
            let edit = metadata.finalizers(raw);
            assert!(matches!(edit, Err(UnreadableMetadata)));
        }
    }
}
