//! The report that `claimgate status` shows: JSON at `/status` of the admin listener.

mod copy_recorder;
mod copy_status;

use serde::{Deserialize, Serialize};

pub use self::copy_recorder::{CopyFailure, CopyRecorder};
pub use self::copy_status::{Copy, CopyStatus, EventCopies};

/// The path on the admin listener.
pub const PATH: &str = "/status";

/// The state of a daemon.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The version of claimgate.
    pub version: String,
    /// Whether this replica is the leader. Absent if there is no election.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub is_leader: Option<bool>,
    pub control_planes: Vec<ControlPlaneStatus>,
    pub apis: Vec<ApiStatus>,
    /// APIs that are not registered in the app cluster, and why. Only the leader knows.
    pub registration_problems: Vec<String>,
    /// The copies that the leader makes for each claim.
    pub copies: Vec<Copy>,
    /// The state of the copied events.
    #[serde(default)]
    pub events: Vec<EventCopies>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneStatus {
    pub name: String,
    /// Whether the last attempt to read discovery and OpenAPI succeeded.
    pub is_reachable: bool,
    /// Whether discovery lists the resources without `watch`, because the outage has lasted for `outage.degradeAfter`.
    #[serde(default)]
    pub is_degraded: bool,
    /// The rights that claimgate lacks, such as `list queues.example.org in all namespaces`.
    #[serde(default)]
    pub missing_rights: Vec<String>,
    /// The problem of the control plane. Completes a sentence that begins with its name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
    /// Time since discovery was last confirmed. Absent before the first time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub discovery_age_seconds: Option<u64>,
}

/// The resources of one group-version.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiStatus {
    pub group_version: String,
    pub control_plane: String,
    /// Whether discovery lists the resources without `watch`, because of an outage.
    #[serde(default)]
    pub is_degraded: bool,
    /// As in paths.
    pub resources: Vec<String>,
}

impl StatusReport {
    /// Returns all problems, one line each.
    pub fn problems(&self) -> Vec<String> {
        let control_planes = self.control_planes.iter().filter_map(|it| {
            let unreachable = (!it.is_reachable).then_some("cannot be reached");
            let problem = it.problem.as_deref().or(unreachable)?;
            Some(format!("the control plane {:?} {problem}", it.name))
        });
        let rights = self.control_planes.iter().flat_map(|it| {
            let rights = it.missing_rights.iter();
            rights.map(|right| {
                format!(
                    "claimgate lacks the right to {right} of the control plane {:?}; grant the rights of config/rbac/control-plane.yaml",
                    it.name
                )
            })
        });
        let registrations = self.registration_problems.iter().cloned();
        let copies = self.copies.iter().filter_map(|copy| {
            let problem = copy.problem.as_ref()?;
            Some(format!("{} {}: {problem}", copy.kind, copy.claim))
        });
        let events = self.events.iter().flat_map(|it| {
            let problems = it.problems.iter();
            problems.map(|problem| format!("events of {:?}: {problem}", it.control_plane))
        });
        let problems = control_planes.chain(rights).chain(registrations);
        problems.chain(copies).chain(events).collect()
    }
}
