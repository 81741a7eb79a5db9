//! One object, or a patch of one, on its way back.

use crate::rewrite::{Addition, Verdict};

use super::collector::stored_list;
use super::{Current, OWNER_REFERENCES, Place, is_nothing, json, text};

/// What a body does to its object, as far as something of that may be hidden.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Nothing is lost by it: it makes an object, field managers merge it, or it is about a
    /// subresource, which leaves metadata alone
    /// (`apiextensions-apiserver/pkg/registry/customresource`).
    Harmless,
    /// It replaces the object, of which this is hidden.
    Update(Current),
    /// A patch, which may replace whole lists. Whether it does, it has to be read for; then it is
    /// completed with what is hidden.
    Patch(Option<Current>),
}

/// Puts back what is hidden.
#[derive(Debug)]
pub(in crate::translate) struct Restored {
    effect: Effect,
    /// The body says something of finalizers that may not be all that there are.
    pub(in crate::translate) is_partial: bool,
    /// The patch says of which version it is meant to be.
    pub(in crate::translate) names_version: bool,
    /// What was seen of the metadata in hand.
    has_finalizers: bool,
    has_version: bool,
}

impl Restored {
    pub(in crate::translate) fn new(effect: Effect) -> Self {
        Self {
            effect,
            is_partial: false,
            names_version: false,
            has_finalizers: false,
            has_version: false,
        }
    }

    /// Whether what the patch would change can't be told from it alone.
    pub(in crate::translate) fn needs_current(&self) -> bool {
        self.is_partial && matches!(self.effect, Effect::Patch(None))
    }

    fn current(&self) -> Option<&Current> {
        match &self.effect {
            Effect::Update(current) | Effect::Patch(Some(current)) => Some(current),
            Effect::Harmless | Effect::Patch(None) => None,
        }
    }

    /// The object's `resourceVersion`, whatever it is.
    pub(in crate::translate) fn version(&mut self) {
        self.has_version = true;
        self.names_version = true;
    }

    pub(in crate::translate) fn value(&mut self, place: Place, raw: &[u8]) -> Verdict<'static> {
        match place {
            // None is what the client sees, and so says nothing about those that there are.
            Place::OwnerReferences if is_nothing(raw) => Verdict::Remove,
            Place::OwnerReferences => Verdict::Fail(OWNER_REFERENCES),
            Place::Finalizers => {
                self.is_partial = true;
                self.has_finalizers = true;
                let stored = stored_list(text(raw));
                let list = stored.as_deref().unwrap_or_else(|| text(raw));
                let whole = self.current().and_then(|now| now.with_hidden(list));
                whole
                    .or(stored)
                    .map_or(Verdict::Keep, |list| Verdict::Replace(list.into()))
            }
            _ => Verdict::Keep,
        }
    }

    /// Adds at the end of the metadata what the client left out, since it did not see it, and to a patch
    /// of no version that which it was completed from.
    pub(in crate::translate) fn end(&mut self, place: Place) -> Addition<'static> {
        if place != Place::Metadata {
            return Addition::Nothing;
        }
        let has_finalizers = std::mem::take(&mut self.has_finalizers);
        let has_version = std::mem::take(&mut self.has_version);
        let mut members = Vec::new();
        match &self.effect {
            Effect::Update(now) => {
                let hidden = now.with_hidden("null").filter(|_| !has_finalizers);
                members.extend(hidden.map(|list| format!("\"finalizers\":{list}")));
                let owners = now.hidden.owner_references.as_ref();
                members.extend(owners.map(|list| format!("\"ownerReferences\":{}", list.get())));
            }
            Effect::Patch(Some(now)) if !has_version => {
                members.push(format!("\"resourceVersion\":{}", json(&now.version)));
            }
            Effect::Patch(_) | Effect::Harmless => {}
        }
        if members.is_empty() {
            Addition::Nothing
        } else {
            Addition::Members(members.join(",").into())
        }
    }
}
