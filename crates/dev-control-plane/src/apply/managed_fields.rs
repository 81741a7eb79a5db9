//! `metadata.managedFields`: which manager owns which fields (apimachinery
//! `pkg/util/managedfields/internal`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::super::object;
use super::field_set::FieldSet;
use super::path::FieldPath;

/// How a manager writes. Appliers come first in `managedFields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// A client that owns fields, as identified in `managedFields`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FieldManager {
    pub(crate) operation: Operation,
    pub(crate) name: String,
    pub(crate) api_version: String,
    /// The subresource that the manager writes; empty for the object itself.
    pub(crate) subresource: String,
}

/// The fields of one manager, without those that belong to the server, and the time of their last change.
#[derive(Clone, Debug, Default)]
pub(super) struct Ownership {
    pub(super) fields: FieldSet,
    pub(super) time: String,
}

/// All managers of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct ManagedFields(BTreeMap<FieldManager, Ownership>);

/// Fields that belong to the server (apimachinery `managedfields/internal/stripmeta.go`).
const UNOWNED: [&[&str]; 11] = [
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "creationTimestamp"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "resourceVersion"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
];

impl FieldManager {
    /// Returns a manager that writes by POST, PUT or PATCH.
    pub(crate) fn update(name: &str, api_version: String) -> Self {
        Self {
            operation: Operation::Update,
            name: name.to_owned(),
            api_version,
            subresource: String::new(),
        }
    }

    /// Returns the manager as a writer of a subresource.
    #[must_use]
    pub(crate) fn on(mut self, subresource: &str) -> Self {
        subresource.clone_into(&mut self.subresource);
        self
    }

    /// Returns whether both are the same manager. The version of an apply does not matter.
    fn is_same(&self, other: &Self) -> bool {
        (self.operation, &self.name, &self.subresource)
            == (other.operation, &other.name, &other.subresource)
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }
}

/// Formats the manager like conflict messages (`managedfields/internal/conflict.go`).
impl fmt::Display for FieldManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        match self.operation {
            Operation::Apply => Ok(()),
            Operation::Update => write!(f, " using {}", self.api_version),
        }
    }
}

impl ManagedFields {
    /// Parses the managers of an object. Returns `None` if it has none or an entry is malformed.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let entries = object.get("metadata")?.get("managedFields")?.as_array()?;
        let managers: Option<BTreeMap<_, _>> = entries.iter().map(parse).collect();
        managers.filter(|map| !map.is_empty()).map(Self)
    }

    /// Sets the managers in the metadata of `object`.
    pub(super) fn write_to(&self, object: &mut Value) {
        if self.0.is_empty() {
            object::remove_meta(object, "managedFields");
            return;
        }
        let mut entries: Vec<(&FieldManager, &Ownership)> = self.0.iter().collect();
        // Same order as in `managedfields/internal/managedfields.go`.
        entries.sort_by_key(|(manager, owned)| (manager.operation, &owned.time, &manager.name));
        let entries: Vec<Value> = entries.into_iter().map(to_entry).collect();
        object::set_meta(object, "managedFields", entries);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&FieldManager, &Ownership)> {
        self.0.iter()
    }

    /// Returns the fields of all managers.
    pub(super) fn all(&self) -> FieldSet {
        let sets = self.0.values().map(|owned| &owned.fields);
        sets.fold(FieldSet::default(), |all, fields| all.union(fields))
    }

    /// Removes a manager and returns what it owned.
    pub(super) fn take(&mut self, manager: &FieldManager) -> Option<Ownership> {
        let known = self.0.keys().find(|known| known.is_same(manager))?.clone();
        self.0.remove(&known)
    }

    /// Adds a manager, unless it owns nothing.
    pub(super) fn insert(&mut self, manager: FieldManager, owned: Ownership) {
        if !owned.fields.is_empty() {
            self.0.insert(manager, owned);
        }
    }

    /// Removes fields from all managers.
    pub(super) fn disown(&mut self, fields: &FieldSet) {
        for owned in self.0.values_mut() {
            owned.fields = owned.fields.difference(fields);
        }
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }
}

impl Ownership {
    pub(super) fn now(fields: &FieldSet) -> Self {
        let unowned = UNOWNED.into_iter().map(FieldPath::of_fields).collect();
        Self {
            fields: fields.difference(&unowned),
            time: object::now(),
        }
    }

    /// Replaces the fields. The time stays if neither the fields nor the object changes, because an apply that
    /// changes nothing must not be a write.
    pub(super) fn updated(self, fields: &FieldSet, object_changes: bool) -> Self {
        let next = Self::now(fields);
        if object_changes || self.fields != next.fields {
            next
        } else {
            self
        }
    }
}

fn parse(entry: &Value) -> Option<(FieldManager, Ownership)> {
    let text = |field| {
        let value = entry.get(field).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    let manager = FieldManager {
        operation,
        name: text("manager"),
        api_version: text("apiVersion"),
        subresource: text("subresource"),
    };
    let fields = FieldSet::parse(entry.get("fieldsV1")?)?;
    let time = text("time");
    Some((manager, Ownership { fields, time }))
}

fn to_entry((manager, owned): (&FieldManager, &Ownership)) -> Value {
    let mut entry = json!({
        "apiVersion": manager.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned.fields.to_fields_v1(),
        "manager": manager.name,
        "operation": match manager.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        },
        "time": owned.time,
    });
    if let (false, Some(map)) = (manager.subresource.is_empty(), entry.as_object_mut()) {
        map.insert("subresource".to_owned(), json!(manager.subresource));
    }
    entry
}
