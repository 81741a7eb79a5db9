//! What a deletion asks for, read as kube-apiserver reads it.

use serde_json::Value;

use crate::request_info::Query;
use crate::translate::hidden::{Cascade, Current};

/// What is looked at of `DeleteOptions` (`apimachinery/pkg/apis/meta/v1/types.go`).
#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    /// What the app cluster's collector has to be told; nothing of options that will be refused.
    pub(super) cascade: Option<Cascade>,
    pub(super) is_dry_run: bool,
    uid: Option<String>,
    pub(super) version: Option<String>,
}

impl Options {
    /// From a body in JSON. What is of another type than it has to be the control plane refuses.
    pub(super) fn of_body(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let condition = |name| body.get("preconditions")?.get(name).and_then(text);
        let given = |name| body.get(name).filter(|value| !value.is_null());
        Self {
            cascade: cascade(
                given("orphanDependents").map(|value| *value == Value::Bool(true)),
                given("propagationPolicy").map(|value| value.as_str().unwrap_or_default()),
            ),
            is_dry_run: given("dryRun").is_some_and(|value| *value != Value::Array(Vec::new())),
            uid: condition("uid"),
            version: condition("resourceVersion"),
        }
    }

    /// From the query, which counts if there is no body (`apimachinery/pkg/apis/meta/v1/conversion.go`,
    /// `Convert_url_Values_To_v1_DeleteOptions`).
    pub(super) fn of_query(query: &Query) -> Self {
        let condition = |name| query.get(name).filter(|value| !value.is_empty());
        let is_true = |value: &str| value != "0" && !value.eq_ignore_ascii_case("false");
        Self {
            cascade: cascade(
                query.get("orphanDependents").map(is_true),
                query.get("propagationPolicy"),
            ),
            is_dry_run: query.get("dryRun").is_some(),
            uid: condition("uid").map(str::to_owned),
            version: condition("resourceVersion").map(str::to_owned),
        }
    }

    /// Whether the deletion is meant for the object as it was read; otherwise it will be refused.
    pub(super) fn are_about(&self, current: &Current) -> bool {
        let is_met =
            |asked: &Option<String>, is: &str| asked.as_deref().is_none_or(|asked| asked == is);
        is_met(&self.uid, &current.uid) && is_met(&self.version, &current.version)
    }
}

/// As kube-apiserver has it; it refuses both at once.
fn cascade(orphans: Option<bool>, policy: Option<&str>) -> Option<Cascade> {
    match (orphans, policy) {
        (Some(true), None) | (None, Some("Orphan")) => Some(Cascade::Orphan),
        (None, Some("Foreground")) => Some(Cascade::Foreground),
        _ => None,
    }
}
