//! Bodies on their way to the control plane.

mod copies;

use bytes::Bytes;

use crate::rewrite::{Addition, Fate, Handler, RuleError, Rules, Tag, Verdict};

use super::hidden::collector;
use super::hidden::json_patch::{self, FINALIZERS, METADATA, OWNERS, ROOT, pointer};
use super::hidden::restored::Restored;
use super::hidden::{self, ANNOTATION, Effect, OWNER_REFERENCES, Place};
use super::{LAST_APPLIED, ObjectTags, Scope, applied_rules, object_rules};

const NAMESPACE: Tag = 1;
const APPLIED_NAMESPACE: Tag = 2;
const PATH: Tag = 3;
const FROM: Tag = 4;
const OPERATION: Tag = 5;
/// An operation's value, by how deep in it the object's namespace would stand.
const VALUE: Tag = 6;
const VALUE_NAMESPACE: Tag = 7;
const VALUE_METADATA_NAMESPACE: Tag = 8;
const VALUE_ANNOTATION: Tag = 9;
const VALUE_ANNOTATIONS_ANNOTATION: Tag = 10;
const VALUE_METADATA_ANNOTATION: Tag = 11;
const VERSION: Tag = 12;
/// Owner references in an operation's value.
const VALUE_OWNERS: Tag = 13;
const VALUE_METADATA_OWNERS: Tag = 14;
/// The annotation of what is hidden, in an operation's value.
const VALUE_HIDDEN: Tag = 15;
const VALUE_ANNOTATIONS_HIDDEN: Tag = 16;
const VALUE_METADATA_HIDDEN: Tag = 17;
/// Finalizers in an operation's value: its elements, or by how deep in it the list would stand.
const VALUE_FINALIZER: Tag = 18;
const VALUE_METADATA_FINALIZER: Tag = 19;
const VALUE_OBJECT_FINALIZER: Tag = 30;
/// The first of the tags for what is hidden of an object.
const HIDDEN: Tag = 20;

/// The namespace and the last-applied annotation as members of `metadata`, in a JSON patch's terms.
const POINTER_NAMESPACE: &str = "/metadata/namespace";
const POINTER_HIDDEN: &str = "/metadata/annotations/claimgate.dev~1hidden";
const POINTER_ANNOTATIONS: &str = "/metadata/annotations";
const POINTER_LABELS: &str = "/metadata/labels";
const POINTER_ANNOTATION: &str =
    "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// The message of kube-apiserver (`apiserver/pkg/registry/rest/meta.go`).
const MISMATCH: &str =
    "the namespace of the provided object does not match the namespace sent on the request";

/// What may not be copied within the object, for in it is the remote name.
const HOLD_NAMESPACE: [&str; 4] = [ROOT, METADATA, POINTER_ANNOTATIONS, POINTER_ANNOTATION];

const COPIES_NAMESPACE: &str = "a JSON patch may not copy or move the object's last-applied annotation, its \
     annotations, its metadata or the whole object, nor a namespace that it has changed: the copy would \
     hold the control plane's name of the namespace; use add with a value";

const COPIES_ODDLY: &str = "a JSON patch that copies or moves the object's namespace may hold nothing odd, such as \
     members that are unknown or there twice, broken characters or more than 100 levels, nor as many operations \
     as there can be: claimgate puts in operations of its own, which would be counted; use add with a value";

const COPIES_METADATA: &str = "a JSON patch may not copy or move anything to the object's namespace, its \
     annotations, its metadata or the whole object: claimgate maps names there as they come; use add with a value";

const COPIES_FINALIZER: &str = "a JSON patch may not copy or move to metadata.finalizers what is no finalizer: \
     claimgate maps names there as they come; use add with a value";

const SETS_HIDDEN: &str =
    "the annotation claimgate.dev/hidden is claimgate's own and cannot be set";

/// The rules for request bodies, compiled once.
pub struct RequestRules {
    /// Objects, merge patches and apply patches.
    pub object: Rules,
    pub json_patch: Rules,
    applied: Rules,
}

impl RequestRules {
    pub fn compile() -> Result<Self, RuleError> {
        let applied = applied_rules(APPLIED_NAMESPACE)?;
        let tags = ObjectTags {
            namespace: NAMESPACE,
            hidden: HIDDEN,
        };
        let object = object_rules(Rules::builder(), "$", tags, &applied)
            .value("$.metadata.resourceVersion", VERSION)
            .build()?;
        let annotation = format!("[{LAST_APPLIED:?}]");
        let json_patch = Rules::builder()
            .item("$[*]", "$[*]", 0)
            .string("$[*].op", OPERATION)
            .string("$[*].path", PATH)
            .string("$[*].from", FROM)
            .value("$[*].value.ownerReferences", VALUE_OWNERS)
            .value("$[*].value.metadata.ownerReferences", VALUE_METADATA_OWNERS)
            .string(&format!("$[*].value[{ANNOTATION:?}]"), VALUE_HIDDEN)
            .string(
                &format!("$[*].value.annotations[{ANNOTATION:?}]"),
                VALUE_ANNOTATIONS_HIDDEN,
            )
            .string(
                &format!("$[*].value.metadata.annotations[{ANNOTATION:?}]"),
                VALUE_METADATA_HIDDEN,
            )
            .string("$[*].value[*]", VALUE_FINALIZER)
            .string("$[*].value.finalizers[*]", VALUE_METADATA_FINALIZER)
            .string("$[*].value.metadata.finalizers[*]", VALUE_OBJECT_FINALIZER)
            .string("$[*].value", VALUE)
            .string("$[*].value.namespace", VALUE_NAMESPACE)
            .string("$[*].value.metadata.namespace", VALUE_METADATA_NAMESPACE)
            .string(&format!("$[*].value{annotation}"), VALUE_ANNOTATION)
            .string(
                &format!("$[*].value.annotations{annotation}"),
                VALUE_ANNOTATIONS_ANNOTATION,
            )
            .string(
                &format!("$[*].value.metadata.annotations{annotation}"),
                VALUE_METADATA_ANNOTATION,
            )
            .build()?;
        Ok(Self {
            object,
            json_patch,
            applied,
        })
    }

    /// The handler for one body of a request on an object in `scope`.
    pub fn handler(&self, scope: Scope, effect: Effect) -> RequestHandler {
        RequestHandler {
            scope,
            applied: self.applied.clone(),
            operation: Operation::default(),
            copies_namespace: false,
            restored: Restored::new(effect),
        }
    }
}

/// Maps the local namespace to the remote one where the object names its own.
pub struct RequestHandler {
    scope: Scope,
    applied: Rules,
    operation: Operation,
    /// An operation takes the namespace for another place.
    copies_namespace: bool,
    restored: Restored,
}

/// One operation of a JSON patch, as far as it was read.
#[derive(Default)]
struct Operation {
    op: Vec<u8>,
    path: Option<String>,
    from: Option<String>,
    /// Pointers at which its value would have to be put to bring owner references.
    owners_at: Vec<&'static str>,
    /// One before it has changed the namespace, perhaps by itself.
    is_after_change: bool,
}

impl Operation {
    /// Takes the member in hand out of the value, if that is put there or nobody knows yet where.
    fn without_if_at(&self, at: &str) -> Verdict<'static> {
        let elsewhere = self.path.as_deref().is_some_and(|path| path != at);
        if elsewhere {
            Verdict::Keep
        } else {
            Verdict::Remove
        }
    }

    fn verdict(&self) -> Verdict<'static> {
        self.refused().map_or(Verdict::Keep, Verdict::Fail)
    }

    /// Why it may not pass, from what was read of it; the last part to come decides.
    fn refused(&self) -> Option<&'static str> {
        let op = self.op.as_slice();
        let from = self.from.as_deref();
        let path = self.path.as_deref();
        let copies = matches!(op, b"copy" | b"move");
        let holds = |from| match from {
            POINTER_NAMESPACE => self.is_after_change,
            from => HOLD_NAMESPACE.contains(&from),
        };
        if copies && from.is_some_and(holds) {
            return Some(COPIES_NAMESPACE);
        }
        // What is copied was not seen as metadata when it came. Labels may become annotations: no value of
        // theirs is an object as it was applied last, and no stored annotation is shown as what is hidden.
        let may_hide = match path {
            Some(ROOT | METADATA) => true,
            Some(POINTER_ANNOTATIONS) => from.is_some_and(|from| from != POINTER_LABELS),
            Some(POINTER_NAMESPACE) => from.is_some_and(|from| from != POINTER_NAMESPACE),
            _ => false,
        };
        if copies && may_hide {
            return Some(COPIES_METADATA);
        }
        let is_finalizer = |pointer: &str| json_patch::is_within(pointer, FINALIZERS);
        if copies && path.is_some_and(is_finalizer) && from.is_some_and(|from| !is_finalizer(from))
        {
            return Some(COPIES_FINALIZER);
        }
        let is_value = matches!(op, b"add" | b"replace") || copies;
        if is_value && path == Some(POINTER_HIDDEN) {
            return Some(SETS_HIDDEN);
        }
        let is_owner = |pointer: &str| json_patch::is_within(pointer, OWNERS);
        let changes = !op.is_empty() && op != b"test";
        let owners = path.is_some_and(|path| is_owner(path) || self.owners_at.contains(&path));
        let moves = copies && from.is_some_and(is_owner);
        (changes && owners || moves).then_some(OWNER_REFERENCES)
    }

    fn copies_namespace(&self) -> bool {
        let copies = matches!(self.op.as_slice(), b"copy" | b"move");
        copies && self.from.as_deref() == Some(POINTER_NAMESPACE)
    }

    fn changes_namespace(&self) -> bool {
        let path = self.path.as_deref();
        let is_there = matches!(path, Some(ROOT | METADATA | POINTER_NAMESPACE));
        is_there && self.op != b"test" || self.op == b"move" && self.copies_namespace()
    }

    fn is_partial(&self) -> bool {
        let mut pointers = self.path.iter().chain(&self.from);
        pointers.any(|pointer| json_patch::is_partial(pointer))
    }

    fn names_version(&self) -> bool {
        let path = self.path.as_deref();
        self.op != b"test" && path.is_some_and(json_patch::names_version)
    }
}

fn at(text: &[u8]) -> String {
    pointer(&String::from_utf8_lossy(text)).to_owned()
}

impl RequestHandler {
    /// Whether what the patch would change can't be told without the object as it is now.
    pub fn needs_current(&self) -> bool {
        self.restored.needs_current()
    }

    /// Whether the patch says itself of which version of the object it is meant to be.
    pub fn names_version(&self) -> bool {
        self.restored.names_version
    }

    /// A JSON patch that was mapped whole, with what it takes for copies of the namespace to hold its
    /// local name.
    ///
    /// # Errors
    /// It can't be had unnoticed, and this is why the patch is refused.
    pub fn with_local_copies(&self, mapped: Bytes) -> Result<Bytes, &'static str> {
        match &self.scope {
            _ if !self.copies_namespace => Ok(mapped),
            Scope::One { local, remote } => {
                let completed = copies::completed(&mapped, local, remote);
                completed.map(Bytes::from).ok_or(COPIES_ODDLY)
            }
            Scope::Only { .. } | Scope::Mapped(_) => Err(COPIES_NAMESPACE),
        }
    }

    /// A name that is not the request's own goes on as one that the control plane refuses too, so
    /// that the answer is its own: never may it become the remote name by being left alone.
    fn namespace(&self, value: &[u8]) -> Verdict<'_> {
        let Ok(value) = std::str::from_utf8(value) else {
            return Verdict::Fail(MISMATCH);
        };
        match self.scope.to_remote(value) {
            Some(remote) => Verdict::Replace(remote.into()),
            None if self.scope.to_local(value).is_some() => Verdict::Fail(MISMATCH),
            None => Verdict::Keep,
        }
    }

    fn finalizer(value: &[u8]) -> Verdict<'static> {
        let local = std::str::from_utf8(value).unwrap_or_default();
        let stored = collector::stored(local);
        stored.map_or(Verdict::Keep, |stored| Verdict::Replace(stored.into()))
    }

    fn applied_namespace(&self, value: &[u8]) -> Verdict<'_> {
        let remote = std::str::from_utf8(value)
            .ok()
            .and_then(|value| self.scope.to_remote(value));
        remote.map_or(Verdict::Keep, |remote| Verdict::Replace(remote.into()))
    }
}

impl Handler for RequestHandler {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Verdict<'_> {
        match tag {
            NAMESPACE => return self.namespace(value),
            APPLIED_NAMESPACE => return self.applied_namespace(value),
            VALUE_HIDDEN => return self.operation.without_if_at(POINTER_ANNOTATIONS),
            VALUE_ANNOTATIONS_HIDDEN => return self.operation.without_if_at(METADATA),
            VALUE_METADATA_HIDDEN => return self.operation.without_if_at(ROOT),
            OPERATION => value.clone_into(&mut self.operation.op),
            PATH => self.operation.path = Some(at(value)),
            FROM => self.operation.from = Some(at(value)),
            _ => return Verdict::Later,
        }
        self.operation.verdict()
    }

    fn value(&mut self, tag: Tag, raw: &[u8]) -> Verdict<'_> {
        let at = match tag {
            VALUE_OWNERS => METADATA,
            VALUE_METADATA_OWNERS => ROOT,
            VERSION => {
                self.restored.version();
                return Verdict::Keep;
            }
            tag => {
                let place = Place::of(tag, HIDDEN);
                return place.map_or(Verdict::Keep, |place| self.restored.value(place, raw));
            }
        };
        if !hidden::is_nothing(raw) {
            self.operation.owners_at.push(at);
        }
        self.operation.verdict()
    }

    fn end(&mut self, tag: Tag) -> Addition<'_> {
        let place = Place::of(tag, HIDDEN);
        place.map_or(Addition::Nothing, |place| self.restored.end(place))
    }

    fn open(&mut self, _item: Tag) {
        let before = std::mem::take(&mut self.operation);
        self.operation.is_after_change = before.is_after_change || before.changes_namespace();
    }

    fn judge(&mut self, _item: Tag) -> Fate {
        self.copies_namespace |= self.operation.copies_namespace();
        self.restored.is_partial |= self.operation.is_partial();
        self.restored.names_version |= self.operation.names_version();
        Fate::Keep
    }

    fn resolve(&mut self, tag: Tag, value: &[u8]) -> Verdict<'_> {
        let path = self.operation.path.as_deref().unwrap_or_default();
        match (tag, path) {
            (VALUE, POINTER_NAMESPACE)
            | (VALUE_NAMESPACE, METADATA)
            | (VALUE_METADATA_NAMESPACE, ROOT) => self.namespace(value),
            (VALUE, POINTER_ANNOTATION)
            | (VALUE_ANNOTATION, POINTER_ANNOTATIONS)
            | (VALUE_ANNOTATIONS_ANNOTATION, METADATA)
            | (VALUE_METADATA_ANNOTATION, ROOT) => Verdict::Inside(self.applied.clone()),
            (VALUE_FINALIZER, FINALIZERS)
            | (VALUE_METADATA_FINALIZER, METADATA)
            | (VALUE_OBJECT_FINALIZER, ROOT) => Self::finalizer(value),
            (VALUE, path) if json_patch::is_finalizer(path) => Self::finalizer(value),
            _ => Verdict::Keep,
        }
    }
}

#[cfg(test)]
mod tests;
