//! Finalizers of garbage collectors.
//!
//! Each cluster's collector uses the finalizers `orphan` and `foregroundDeletion`
//! (`apimachinery/pkg/apis/meta/v1/types.go`). Those of the control plane's collector are hidden. Those of the
//! app cluster's collector are stored under other names, so that the control plane's collector ignores them. A
//! client can also write the stored name, with the same effect.

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Prefix of the names under which the control plane stores the app cluster's finalizers.
const STORED_PREFIX: &str = "claimgate.dev/";

/// Returns whether a finalizer is one of a garbage collector.
pub(super) fn is_collector_finalizer(name: &str) -> bool {
    [ORPHAN, FOREGROUND].contains(&name)
}

/// Returns the name under which the control plane stores a finalizer of the app cluster's collector. Returns
/// `None` for any other finalizer, which keeps its name.
pub(crate) fn stored(local: &str) -> Option<String> {
    is_collector_finalizer(local).then(|| format!("{STORED_PREFIX}{local}"))
}

/// Returns the name that the app cluster's collector knows. Returns `None` for any finalizer outside of that
/// collector.
pub(super) fn local(stored: &str) -> Option<&str> {
    let local = stored.strip_prefix(STORED_PREFIX)?;
    is_collector_finalizer(local).then_some(local)
}

/// Returns whether a list of finalizers may contain one that is renamed or hidden. Most lists contain none, and
/// need not be parsed. A backslash may escape a letter of such a name.
pub(super) fn may_contain_collector_finalizer(json: &str) -> bool {
    json.contains('\\') || json.contains(ORPHAN) || json.contains(FOREGROUND)
}

/// Returns a list of finalizers as the control plane stores it, or `None` if the list does not change.
///
/// Lists that kube-apiserver rejects do not change: a list with anything but strings, and a list with both of
/// the collectors' names (`apimachinery/pkg/api/validation/objectmeta.go`, `ValidateFinalizers`).
pub(super) fn stored_list(json: &str) -> Option<Vec<String>> {
    if !may_contain_collector_finalizer(json) {
        return None;
    }
    let mut names: Vec<String> = serde_json::from_str(json).ok()?;
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(ORPHAN) && has(FOREGROUND) {
        return None;
    }
    rename(&mut names, stored).then_some(names)
}

/// Replaces each name for which `other` returns another one. Returns whether any name changed.
pub(super) fn rename(names: &mut [String], other: impl Fn(&str) -> Option<String>) -> bool {
    let mut has_changed = false;
    for name in names {
        if let Some(other) = other(name) {
            *name = other;
            has_changed = true;
        }
    }
    has_changed
}

/// What the app cluster's garbage collector does with a claim's dependents before the claim is deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PropagationPolicy {
    /// It removes their owner references.
    Orphan,
    /// It deletes them, and waits until they are gone.
    Foreground,
}

impl PropagationPolicy {
    /// Returns the finalizer that requests the policy, under the name that the control plane stores.
    pub(super) fn finalizer(self) -> String {
        let local = match self {
            Self::Orphan => ORPHAN,
            Self::Foreground => FOREGROUND,
        };
        format!("{STORED_PREFIX}{local}")
    }
}
