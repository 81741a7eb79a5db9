//! What of an object's metadata the app cluster does not see: the control plane's bookkeeping for its
//! garbage collector.
//!
//! A collector deletes what has owners that it can't find, and takes the finalizers `orphan` and
//! `foregroundDeletion` for its own (`pkg/controller/garbagecollector/garbagecollector.go`). So the
//! control plane's owner references and these finalizers leave an object on its way to the app cluster,
//! and an annotation tells of them. It is for people to read: what comes back in it is dropped, for
//! it could be another object's, and a write that would lose what is hidden is completed from the
//! object as the control plane has it ([`Current`]). The app cluster's collector has finalizers of its own
//! by the same names, stored under others (`collector`).

pub(super) mod collector;
mod current;
pub(super) mod json_patch;
pub(super) mod restored;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::collector::Cascade;
pub use self::current::Current;
pub use self::restored::Effect;
use crate::rewrite::{Addition, RulesBuilder, Tag, Verdict};

/// The annotation; its value is an object of what is hidden, as JSON in a string.
pub const ANNOTATION: &str = "claimgate.dev/hidden";

/// Finalizers by which a garbage collector knows what is left to do
/// (`apimachinery/pkg/apis/meta/v1/types.go`).
const FINALIZERS: [&str; 2] = [ORPHAN, FOREGROUND];
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Why owner references are refused.
pub const OWNER_REFERENCES: &str = "owner references to objects of this cluster cannot be kept: the claim lives on \
     the control plane, whose garbage collector would not find its owner and delete it; leave \
     metadata.ownerReferences out, and let the claim own the object instead, or delete the claim yourself";

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
        // One that a client wrote, or that somebody stored, would be taken for ours.
        .remove(&format!("{metadata}.annotations[{ANNOTATION:?}]"))
        .end(&format!("{metadata}.annotations"), tag(Place::Annotations))
        .end(&metadata, tag(Place::Metadata))
}

/// What the annotation holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
                let (hidden, mut shown): (Vec<_>, Vec<_>) = all.into_iter().partition(is_hidden);
                let local = |name: &str| collector::local(name).map(str::to_owned);
                let has_changed = collector::rename(&mut shown, local);
                if hidden.is_empty() && !has_changed {
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

/// Never fails on what is serialised here: strings, lists of them, and JSON.
fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
