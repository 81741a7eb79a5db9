//! Errors of server-side apply, and of the query parameters of patches.

use serde_json::{Value, json};

use super::super::apply::Conflict;
use super::{Cause, StatusError};

impl StatusError {
    /// Returns the error for an apply that would change fields of other managers
    /// (managedfields/internal/conflict.go NewConflictError).
    pub(crate) fn apply_conflict(conflicts: &[Conflict]) -> Self {
        let message = match conflicts {
            [one] => format!("1 conflict: conflict with {}: {}", one.manager, one.path),
            many => {
                let mut lines = Vec::new();
                let mut manager = None;
                for conflict in many {
                    if manager.replace(&conflict.manager) != Some(&conflict.manager) {
                        lines.push(format!("conflicts with {}:", conflict.manager));
                    }
                    lines.push(format!("- {}", conflict.path));
                }
                format!("{} conflicts: {}", many.len(), lines.join("\n"))
            }
        };
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|conflict| {
                json!({"reason": "FieldManagerConflict", "field": conflict.path.to_string(),
                    "message": format!("conflict with {}", conflict.manager)})
            })
            .collect();
        Self {
            details: json!({"causes": causes}),
            ..Self::new(409, "Conflict", format!("Apply failed with {message}"))
        }
    }

    /// Returns the error for an apply of fields that the schema does not declare. kube-apiserver returns 500
    /// without a reason (managedfields/internal/structuredmerge.go).
    pub(crate) fn untyped_apply(object: &str, undeclared: &[String]) -> Self {
        let errors: Vec<String> = undeclared
            .iter()
            .map(|path| format!(".{path}: field not declared in schema"))
            .collect();
        let errors = match errors.as_slice() {
            [one] => one.clone(),
            many => format!("errors:\n  {}", many.join("\n  ")),
        };
        let message = format!("failed to create typed patch object ({object}): {errors}");
        Self::new(500, "", message)
    }

    /// Returns the error for invalid query parameters of a patch.
    pub(crate) fn patch_options(field: &str, reason: &'static str, message: &str) -> Self {
        let cause = Cause {
            field: field.to_owned(),
            reason,
            message: message.to_owned(),
        };
        let (group, kind) = ("meta.k8s.io", "PatchOptions");
        Self::invalid_named("PatchOptions.meta.k8s.io", group, kind, "", &[cause])
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::apply::{FieldManager, FieldPath};
    use super::*;

    #[test]
    fn several_conflicts_are_listed_by_manager() {
        let manager = |name| FieldManager::update(name, "v1".to_owned());
        let conflict = |name, field| Conflict {
            manager: manager(name),
            path: FieldPath::of_fields(&["spec", field]),
        };
        let conflicts = [
            conflict("ada", "a"),
            conflict("ada", "b"),
            conflict("bob", "c"),
        ];
        let error = StatusError::apply_conflict(&conflicts);
        assert_eq!(
            error.message,
            "Apply failed with 3 conflicts: conflicts with \"ada\" using v1:\n- .spec.a\n- .spec.b\n\
             conflicts with \"bob\" using v1:\n- .spec.c"
        );
        assert_eq!(error.details["causes"][2]["field"], ".spec.c");
    }
}
