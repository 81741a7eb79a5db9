//! The state of the copies of all controllers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// The copies that one controller makes for one claim.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// The name of the control plane.
    pub control_plane: String,
    /// The name of the controller in metrics.
    pub controller: String,
    /// The kind of the claim.
    pub kind: String,
    /// `NAMESPACE/NAME` of the claim in the app cluster.
    pub claim: String,
    /// The names of the copied objects in the app cluster.
    pub objects: Vec<String>,
    /// The time of the last successful sync, in RFC 3339. Absent if no sync succeeded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_sync: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
    /// The reason of the problem, as in metrics.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// The events about claims of one control plane.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventCopies {
    /// The name of the control plane.
    pub control_plane: String,
    /// The time when an event was last copied, in RFC 3339. Absent if no event was copied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_copy: Option<String>,
    /// Events that were not copied, by reason as in metrics.
    pub dropped: BTreeMap<String, u64>,
    /// The current problems with reading or writing events.
    pub problems: Vec<String>,
}

/// The copies of all controllers. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CopyStatus(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) copies: BTreeMap<CopyKey, Copy>,
    /// By control plane.
    pub(super) events: BTreeMap<String, EventState>,
}

/// The control plane, the controller, and the UID of the claim.
pub(super) type CopyKey = (String, &'static str, String);

#[derive(Debug, Default)]
pub(super) struct EventState {
    pub(super) last_copy: Option<String>,
    pub(super) dropped: BTreeMap<&'static str, u64>,
    /// The problems, by the action that fails.
    pub(super) problems: BTreeMap<String, String>,
}

impl CopyStatus {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn list(&self) -> Vec<Copy> {
        self.state().copies.values().cloned().collect()
    }

    pub fn events(&self) -> Vec<EventCopies> {
        let state = self.state();
        let events = state.events.iter();
        let events = events.map(|(control_plane, state)| EventCopies {
            control_plane: control_plane.clone(),
            last_copy: state.last_copy.clone(),
            dropped: state
                .dropped
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect(),
            problems: state.problems.values().cloned().collect(),
        });
        events.collect()
    }
}
