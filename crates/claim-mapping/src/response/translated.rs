//! The object that is being read, if objects have other names on the control plane.
//!
//! Its name, its namespace and its origin can come in any order, so all names wait until its metadata has been read.
//! Then the origin decides whether the object is one of this app cluster, and which local names it has.

use json_rewrite::Edit;

use super::row_object::RowObject;
use crate::object_names::ObjectNames;
use crate::origin::{Origin, OriginKey, Value};
use crate::request_scope::SharedScope;

/// The parts of an object that have been read. Their memory is used again for the next object.
#[derive(Debug, Default)]
pub(crate) struct TranslatedObject {
    name: Value,
    namespace: Value,
    origin: Origin,
    /// A name is repeated, so it is unknown which of them counts.
    is_ambiguous: bool,
    names: ObjectNames,
    /// The object is complete, and the request covers it.
    is_covered: bool,
    /// The labels or annotations of the origin are incomplete or wrong.
    pub(super) is_damaged: bool,
}

impl TranslatedObject {
    /// Starts with another object.
    pub(super) fn clear(&mut self) {
        self.name.clear();
        self.namespace.clear();
        self.origin.clear();
        self.is_ambiguous = false;
        self.is_covered = false;
        self.is_damaged = false;
    }

    pub(crate) fn read_name(&mut self, value: &[u8]) {
        self.is_ambiguous |= self.name.get().is_some();
        self.name.set(value);
    }

    pub(crate) fn read_namespace(&mut self, value: &[u8]) {
        self.is_ambiguous |= self.namespace.get().is_some();
        self.namespace.set(value);
    }

    /// Reads an annotation of the origin, which the client does not see.
    pub(crate) fn annotation(&mut self, key: OriginKey, value: &[u8]) -> Edit<'static> {
        self.origin.annotations.set(key, value);
        Edit::Remove
    }

    /// Reads a label of the origin, which the client does not see.
    pub(crate) fn label(&mut self, key: OriginKey, value: &[u8]) -> Edit<'static> {
        self.origin.labels.set(key, value);
        Edit::Remove
    }

    /// Reads the object of a row that is not sent to the client.
    pub(super) fn read_row(&mut self, row: &RowObject) {
        self.read_name(row.name().as_bytes());
        self.read_namespace(row.namespace().as_bytes());
        for (key, value) in row.labels() {
            if let Some(key) = OriginKey::parse(key) {
                self.origin.labels.set(key, value.as_bytes());
            }
        }
        for (key, value) in row.annotations() {
            if let Some(key) = OriginKey::parse(key) {
                self.origin.annotations.set(key, value.as_bytes());
            }
        }
    }

    /// Decides about the object once its metadata has been read. Returns whether the request covers it.
    pub(crate) fn complete(&mut self, scope: &SharedScope) -> bool {
        let (Some(name), Some(namespace), false) =
            (self.name.get(), self.namespace.get(), self.is_ambiguous)
        else {
            return false;
        };
        let ObjectNames { local, remote } = &mut self.names;
        name.clone_into(&mut remote.name);
        namespace.clone_into(&mut remote.namespace);
        self.is_covered = scope.find_local(namespace, name, &self.origin, local);
        let cluster = scope.mapping().cluster();
        self.is_damaged = self.is_covered && !self.origin.is_intact(cluster, local);
        self.is_covered
    }

    /// Returns the names, once the object is complete and covered.
    pub(crate) fn names(&self) -> Option<&ObjectNames> {
        self.is_covered.then_some(&self.names)
    }
}
