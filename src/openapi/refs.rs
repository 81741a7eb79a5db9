//! References between definitions.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The names behind `$ref`s in a value that begin with `prefix`, such as `#/definitions/`.
pub(super) fn names(value: &Value, prefix: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(target) if key == "$ref" => {
                        into.extend(target.strip_prefix(prefix).map(str::to_owned));
                    }
                    member => names(member, prefix, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, prefix, into)),
        _ => {}
    }
}

/// The definitions that are reached from a set of names, and the names of which there is none.
pub(super) fn reached(
    from: BTreeSet<String>,
    definitions: &Map<String, Value>,
    prefix: &str,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut reached, mut missing) = (BTreeSet::new(), BTreeSet::new());
    let mut next: Vec<String> = from.into_iter().collect();
    while let Some(name) = next.pop() {
        match definitions.get(&name) {
            _ if reached.contains(&name) => {}
            Some(definition) => {
                let mut further = BTreeSet::new();
                names(definition, prefix, &mut further);
                next.extend(further);
                reached.insert(name);
            }
            None => {
                missing.insert(name);
            }
        }
    }
    (reached, missing)
}
