//! What of an object's metadata the app cluster does not see: the control plane's bookkeeping for its
//! garbage collector.
//!
//! A collector deletes what has owners that it can't find, and takes the finalizers `orphan` and
//! `foregroundDeletion` for its own (`pkg/controller/garbagecollector/garbagecollector.go`). So the
//! control plane's owner references and these finalizers leave an object on its way to the app cluster,
//! in an annotation, and an update brings them back from there. The annotation is never stored.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::rewrite::{Addition, RulesBuilder, Tag, Verdict};

/// The annotation; its value is an object of what is hidden, as JSON in a string.
pub const ANNOTATION: &str = "claimgate.dev/hidden";

/// Finalizers by which a garbage collector knows what is left to do
/// (`apimachinery/pkg/apis/meta/v1/types.go`).
const FINALIZERS: [&str; 2] = ["orphan", "foregroundDeletion"];

/// Why owner references are refused.
pub const OWNER_REFERENCES: &str = "owner references to objects of this cluster cannot be kept: the claim lives on \
     the control plane, whose garbage collector would not find its owner and delete it; leave \
     metadata.ownerReferences out, and let the claim own the object instead, or delete the claim yourself";

const UNREADABLE: &str =
    "the annotation claimgate.dev/hidden is not as claimgate wrote it; leave it as it was read";

/// Where in an object [`rules`] point; a tag is the first one plus this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    OwnerReferences,
    Finalizers,
    Annotations,
    Metadata,
}

impl Place {
    const ALL: [Self; 4] = [
        Self::OwnerReferences,
        Self::Finalizers,
        Self::Annotations,
        Self::Metadata,
    ];

    pub(super) fn of(tag: Tag, first: Tag) -> Option<Self> {
        let at = usize::from(tag.checked_sub(first)?);
        Self::ALL.get(at).copied()
    }

    fn tag(self, first: Tag) -> Tag {
        first + self as Tag
    }
}

/// The rules for an object at `path`; they take the annotation out on both ways.
pub(super) fn rules(rules: RulesBuilder, path: &str, first: Tag) -> RulesBuilder {
    let metadata = format!("{path}.metadata");
    let tag = |place: Place| place.tag(first);
    rules
        .value(
            &format!("{metadata}.ownerReferences"),
            tag(Place::OwnerReferences),
        )
        .value(&format!("{metadata}.finalizers"), tag(Place::Finalizers))
        // One that somebody stored would be taken for ours.
        .remove(&format!("{metadata}.annotations[{ANNOTATION:?}]"))
        .end(&format!("{metadata}.annotations"), tag(Place::Annotations))
        .end(&metadata, tag(Place::Metadata))
}

/// What the annotation holds.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_references: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finalizers: Vec<String>,
}

fn text(raw: &[u8]) -> &str {
    std::str::from_utf8(raw).unwrap_or_default()
}

/// Whether JSON can have one of these strings in it; most has none, and need not be parsed.
fn may_name(json: &str, names: [&str; 2]) -> bool {
    json.contains('\\') || names.iter().any(|name| json.contains(name))
}

/// Whether a list is missing, to all intents.
pub(super) fn is_nothing(raw: &[u8]) -> bool {
    let list = serde_json::from_slice::<Option<Vec<IgnoredAny>>>(raw);
    list.is_ok_and(|list| list.unwrap_or_default().is_empty())
}

/// One object on its way to the app cluster.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    content: Content,
    has_annotations: bool,
    /// The whole of its metadata has been read.
    pub(super) is_judged: bool,
}

impl Hidden {
    pub(super) fn value(&mut self, place: Place, raw: &[u8]) -> Verdict<'static> {
        match place {
            Place::OwnerReferences if !is_nothing(raw) => {
                self.content.owner_references = RawValue::from_string(text(raw).to_owned()).ok();
                Verdict::Remove
            }
            Place::Finalizers if may_name(text(raw), FINALIZERS) => {
                let Ok(all) = serde_json::from_slice::<Vec<String>>(raw) else {
                    return Verdict::Keep;
                };
                let is_hidden = |name: &String| FINALIZERS.contains(&name.as_str());
                let (hidden, shown): (Vec<_>, Vec<_>) = all.into_iter().partition(is_hidden);
                if hidden.is_empty() {
                    return Verdict::Keep;
                }
                self.content.finalizers = hidden;
                match json(&shown) {
                    _ if shown.is_empty() => Verdict::Remove,
                    shown => Verdict::Replace(shown.into()),
                }
            }
            _ => Verdict::Keep,
        }
    }

    /// Annotations come before what is hidden, so that they wait for the end of the metadata.
    pub(super) fn end(&mut self, place: Place) -> Addition<'static> {
        if place == Place::Annotations && !self.is_judged {
            self.has_annotations = true;
            return Addition::Later;
        }
        let Content {
            owner_references,
            finalizers,
        } = &self.content;
        if owner_references.is_none() && finalizers.is_empty() {
            return Addition::Nothing;
        }
        let annotation = format!("{}:{}", json(&ANNOTATION), json(&json(&self.content)));
        match place {
            Place::Annotations => Addition::Members(annotation.into()),
            Place::Metadata if !self.has_annotations => {
                Addition::Members(format!("\"annotations\":{{{annotation}}}").into())
            }
            _ => Addition::Nothing,
        }
    }
}

/// One object on its way back.
#[derive(Debug, Default)]
pub(super) struct Restored {
    /// What was hidden comes back: the body is to replace the whole object.
    is_update: bool,
    content: Content,
    /// Finalizers as the client sees them, as they were written; one list, unless keys stand twice.
    finalizers: Vec<Box<RawValue>>,
}

impl Restored {
    pub(super) fn new(is_update: bool) -> Self {
        Self {
            is_update,
            ..Self::default()
        }
    }

    /// The annotation; it never leaves for the control plane.
    pub(super) fn annotation(&mut self, value: &[u8]) -> Verdict<'static> {
        if self.is_update {
            match serde_json::from_slice(value) {
                Ok(content) => self.content = content,
                Err(_) => return Verdict::Fail(UNREADABLE),
            }
        }
        Verdict::Remove
    }

    pub(super) fn value(&mut self, place: Place, raw: &[u8]) -> Verdict<'static> {
        match place {
            // None is what the client sees, and so says nothing about those that there are.
            Place::OwnerReferences if is_nothing(raw) => Verdict::Remove,
            Place::OwnerReferences => Verdict::Fail(OWNER_REFERENCES),
            Place::Finalizers if self.is_update => {
                match RawValue::from_string(text(raw).to_owned()) {
                    Ok(list) => self.finalizers.push(list),
                    Err(_) => return Verdict::Keep,
                }
                Verdict::Remove
            }
            _ => Verdict::Keep,
        }
    }

    /// Brings back what was hidden, and the finalizers with it, at the end of the metadata.
    pub(super) fn end(&mut self, place: Place) -> Addition<'static> {
        if place != Place::Metadata {
            return Addition::Nothing;
        }
        let Content {
            owner_references,
            finalizers: hidden,
        } = std::mem::take(&mut self.content);
        let mut members = Vec::new();
        let mut lists = std::mem::take(&mut self.finalizers);
        if !hidden.is_empty() {
            let shown = lists.pop();
            let names = shown.as_ref().map_or("null", |list| list.get());
            match serde_json::from_str::<Option<Vec<String>>>(names) {
                Ok(names) => {
                    let mut known = HashSet::new();
                    let names = hidden.into_iter().chain(names.unwrap_or_default());
                    let all: Vec<String> =
                        names.filter(|name| known.insert(name.clone())).collect();
                    lists.extend(RawValue::from_string(json(&all)));
                }
                // The control plane will refuse it.
                Err(_) => lists.extend(shown),
            }
        }
        let lists = lists
            .iter()
            .map(|list| format!("\"finalizers\":{}", list.get()));
        members.extend(lists);
        members.extend(owner_references.map(|raw| format!("\"ownerReferences\":{}", raw.get())));
        match members.as_slice() {
            [] => Addition::Nothing,
            members => Addition::Members(Cow::Owned(members.join(","))),
        }
    }
}

/// Never fails on what is serialised here: strings, lists of them, and JSON.
fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
