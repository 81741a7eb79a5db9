//! Finalizers of the app cluster's garbage collector.
//!
//! They have the names of the control plane's, which are hidden, so on the control plane they are stored
//! under names of their own, and its collector leaves them alone. One that a client writes under its
//! stored name is the same.

use super::{FINALIZERS, FOREGROUND, ORPHAN, json, may_name};

/// What stands before a finalizer's name where it is stored.
const STORED: &str = "claimgate.dev/";

/// A finalizer as the control plane stores it, if the app cluster's collector knows it by this name.
pub(in crate::translate) fn stored(local: &str) -> Option<String> {
    let is_known = FINALIZERS.contains(&local);
    is_known.then(|| format!("{STORED}{local}"))
}

/// A finalizer as the app cluster's collector knows it, if it is stored by this name.
pub(super) fn local(stored: &str) -> Option<&str> {
    let local = stored.strip_prefix(STORED)?;
    FINALIZERS.contains(&local).then_some(local)
}

/// A list of finalizers as the control plane stores it; `None` if that is the same, or if it is one that
/// the control plane will refuse in its own words: no list of names, or both of the collector's
/// (`apimachinery/pkg/api/validation/objectmeta.go`, `ValidateFinalizers`).
pub(super) fn stored_list(list: &str) -> Option<String> {
    if !may_name(list, FINALIZERS) {
        return None;
    }
    let mut names: Vec<String> = serde_json::from_str(list).ok()?;
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(ORPHAN) && has(FOREGROUND) {
        return None;
    }
    rename(&mut names, stored).then(|| json(&names))
}

/// Gives names their others, if they have any; whether one had.
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

/// What the app cluster's collector does about what a claim owns before the claim goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cascade {
    /// It takes the owner references off.
    Orphan,
    /// It deletes it and waits.
    Foreground,
}

impl Cascade {
    /// The finalizer by which it knows, as the control plane stores it.
    pub(super) fn finalizer(self) -> String {
        let local = match self {
            Self::Orphan => ORPHAN,
            Self::Foreground => FOREGROUND,
        };
        format!("{STORED}{local}")
    }
}
