//! Reports outages of control planes as events of the APIServices that they degrade.

use std::collections::BTreeMap;

use kube::runtime::events::{Event, EventType};

use super::events::ApiServiceEvents;
use kube_wire::group_version::GroupVersion;

/// Writes an event when an API becomes degraded, and when it recovers.
pub(super) struct OutageReport {
    events: ApiServiceEvents,
    /// The degraded group-versions and their control planes.
    reported: BTreeMap<GroupVersion, String>,
}

impl OutageReport {
    pub(super) fn new(events: ApiServiceEvents) -> Self {
        Self {
            events,
            reported: BTreeMap::new(),
        }
    }

    /// Reports what has changed since the last time.
    pub(super) async fn report(&mut self, degraded: &BTreeMap<GroupVersion, String>) {
        for (group_version, control_plane) in degraded {
            if !self.reported.contains_key(group_version) {
                let note = format!(
                    "control plane {control_plane:?} cannot be reached; discovery lists the resources without the verb watch until it returns"
                );
                self.publish(group_version, EventType::Warning, "Degraded", note)
                    .await;
            }
        }
        for (group_version, control_plane) in &self.reported {
            if !degraded.contains_key(group_version) {
                let note = format!("control plane {control_plane:?} can be reached again");
                self.publish(group_version, EventType::Normal, "Recovered", note)
                    .await;
            }
        }
        self.reported = degraded.clone();
    }

    async fn publish(
        &self,
        group_version: &GroupVersion,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Discover".to_owned(),
            secondary: None,
        };
        self.events.publish(group_version, &event).await;
    }
}
