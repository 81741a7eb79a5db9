//! Server-side apply: which manager owns which field, and what an apply changes.
//!
//! The functions work on objects and schemas, and are independent of HTTP and storage. They follow
//! structured-merge-diff (`merge/update.go`) and apimachinery (`pkg/util/managedfields`). `path` and
//! `field_set` name fields, `field_type` reads the schema, `compare` and `merge` work on objects, and
//! `managed_fields` is the record in an object's metadata.
//!
//! Not implemented: the limit of ten `Update` managers, conversion between versions whose schemas differ, and
//! taking over the fields of client-side apply.

mod compare;
mod field_set;
mod field_type;
mod managed_fields;
mod merge;
mod path;

use serde_json::{Value, json};

pub(crate) use managed_fields::{FieldManager, Operation};
pub(crate) use path::FieldPath;

use super::object;
use compare::{compare, fields_of};
use field_set::FieldSet;
use field_type::{FieldType, object_schema};
use managed_fields::{ManagedFields, Ownership};
use merge::{merge, without};

/// A field that an apply would change although another manager owns it.
#[derive(Clone, Debug)]
pub(crate) struct Conflict {
    pub(crate) manager: FieldManager,
    pub(crate) path: FieldPath,
}

/// The manager of all fields of an object that had no managers before its first apply
/// (`managedfields/internal/fieldmanager.go`).
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Sets the managers of a new object. `given` is the object without defaults: an applier owns
/// only what it sent.
pub(crate) fn record_create(
    schema: &Value,
    given: &Value,
    created: &mut Value,
    manager: &FieldManager,
) {
    let schema = object_schema(schema);
    let root = FieldType::of(&schema);
    let fields = match manager.operation {
        Operation::Apply => fields_of(root, given),
        Operation::Update => compare(root, &json!({}), created).added,
    };
    let mut managed = ManagedFields::default();
    managed.insert(manager.clone(), Ownership::now(&fields));
    managed.write_to(created);
}

/// Sets the managers of `next`, the result of a PUT or PATCH of `current`. They are those of `next` if the
/// client sent valid ones, and otherwise those of `current`. An object without managers stays that way.
pub(crate) fn record_update(
    schema: &Value,
    current: &Value,
    next: &mut Value,
    manager: &FieldManager,
) {
    let asks_for_reset = |object: &Value| {
        let sent = object
            .get("metadata")
            .and_then(|meta| meta.get("managedFields"));
        sent == Some(&json!([{}]))
    };
    let known = ManagedFields::of(next).or_else(|| ManagedFields::of(current));
    let known = known.filter(|_| !asks_for_reset(next));
    let Some(mut managed) = known else {
        object::remove_meta(next, "managedFields");
        return;
    };
    let schema = object_schema(schema);
    let changes = compare(FieldType::of(&schema), current, next);
    let changed = changes.changed();
    let before = managed.take(manager).unwrap_or_default();
    managed.disown(&changed.union(&changes.removed));
    let fields = before.fields.difference(&changes.removed).union(&changed);
    managed.insert(
        manager.clone(),
        before.updated(&fields, !changed.is_empty()),
    );
    managed.write_to(next);
}

/// Applies `config` to `live` as `manager`.
///
/// # Errors
/// The apply changes fields of other managers, and `force` is false.
pub(crate) fn apply(
    schema: &Value,
    live: &Value,
    config: &Value,
    manager: &FieldManager,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let schema = object_schema(schema);
    let root = FieldType::of(&schema);
    let mut managed = ManagedFields::of(live).unwrap_or_else(|| {
        let mut managed = ManagedFields::default();
        let fields = compare(root, &json!({}), live).added;
        let api_version = manager.api_version.clone();
        let nobody = FieldManager::update(BEFORE_FIRST_APPLY, api_version);
        managed.insert(nobody, Ownership::now(&fields));
        managed
    });
    let before = managed.take(manager).unwrap_or_default();
    let fields = fields_of(root, config);
    let merged = merge(root, live, config);
    let owned = managed.all().union(&fields);
    let mut next = prune(root, &merged, &before.fields, &owned);
    let changes = compare(root, live, &next);
    let changed = changes.changed();
    let conflicts = conflicts(&managed, &changed);
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    managed.disown(&changed.union(&changes.removed));
    managed.insert(manager.clone(), before.updated(&fields, *live != next));
    managed.write_to(&mut next);
    Ok(next)
}

/// Removes fields that the manager applied last time and no longer applies, unless another manager owns them.
/// `owned` contains the fields of all managers, including those applied now.
fn prune(root: FieldType<'_>, merged: &Value, last: &FieldSet, owned: &FieldSet) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let last = root.with_declared_parents(last);
    let owned = root.with_declared_parents(owned);
    let fields = |object| root.with_declared_parents(&fields_of(root, object));
    let all = fields(merged);
    let pruned = without(root, merged, &last);
    let with_owned = without(
        root,
        merged,
        &all.difference(&fields(&pruned).union(&owned)),
    );
    // Fields that this manager did not apply stay, even if they have no owner.
    let removed = all.difference(&fields(&with_owned)).intersection(&last);
    without(root, merged, &removed)
}

fn conflicts(managed: &ManagedFields, changed: &FieldSet) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for (manager, owned) in managed.iter() {
        for path in owned.fields.intersection(changed).paths() {
            conflicts.push(Conflict {
                manager: manager.clone(),
                path: path.clone(),
            });
        }
    }
    conflicts
}

#[cfg(test)]
mod tests;
