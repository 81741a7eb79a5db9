//! References between definitions.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Collects the targets of all `$ref`s in a value that begin with `prefix`, for example
/// `#/definitions/`. The names have no prefix.
pub(super) fn collect_names(value: &Value, prefix: &str, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(target) if key == "$ref" => {
                        names.extend(target.strip_prefix(prefix).map(str::to_owned));
                    }
                    member => collect_names(member, prefix, names),
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_names(item, prefix, names)),
        _ => {}
    }
}

/// The definitions that are needed, directly or through other definitions.
pub(super) struct Reachable {
    pub(super) found: BTreeSet<String>,
    /// Referenced names without a definition.
    pub(super) missing: BTreeSet<String>,
}

/// Follows references from a set of names.
pub(super) fn reachable(
    from: BTreeSet<String>,
    definitions: &Map<String, Value>,
    prefix: &str,
) -> Reachable {
    let (mut found, mut missing) = (BTreeSet::new(), BTreeSet::new());
    let mut next: Vec<String> = from.into_iter().collect();
    while let Some(name) = next.pop() {
        match definitions.get(&name) {
            _ if found.contains(&name) => {}
            Some(definition) => {
                let mut names = BTreeSet::new();
                collect_names(definition, prefix, &mut names);
                next.extend(names);
                found.insert(name);
            }
            None => {
                missing.insert(name);
            }
        }
    }
    Reachable { found, missing }
}
