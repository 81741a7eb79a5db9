//! Reports group-versions that a CRD or another API server of the app cluster serves: in the log, as events of their
//! APIServices, in a metric, and in `/readyz?verbose`.

use std::collections::BTreeSet;

use kube::runtime::events::{Event, EventType};
use tokio::sync::watch;

use super::events::ApiServiceEvents;
use super::plan::{Conflict, Owner};
use crate::telemetry::metrics::Metrics;

const CURE: &str = "remove it there, or add it to register.adopt";

pub(super) struct ConflictReport {
    events: ApiServiceEvents,
    metrics: Metrics,
    reported: BTreeSet<Conflict>,
    problems: watch::Sender<Vec<String>>,
}

impl ConflictReport {
    pub(super) fn new(events: ApiServiceEvents, metrics: Metrics) -> Self {
        Self {
            events,
            metrics,
            reported: BTreeSet::new(),
            problems: watch::Sender::new(Vec::new()),
        }
    }

    /// Returns one line for each conflict.
    pub(super) fn problems(&self) -> watch::Receiver<Vec<String>> {
        self.problems.subscribe()
    }

    /// Reports new conflicts once, and counts all.
    pub(super) async fn report(&mut self, conflicts: &[Conflict]) {
        let conflicts: BTreeSet<Conflict> = conflicts.iter().cloned().collect();
        for conflict in conflicts.difference(&self.reported) {
            tracing::warn!("{}", problem(conflict));
            let event = event(conflict);
            self.events.publish(&conflict.group_version, &event).await;
        }
        self.metrics.registration_conflicts(conflicts.len());
        self.problems
            .send_replace(conflicts.iter().map(problem).collect());
        self.reported = conflicts;
    }
}

fn problem(conflict: &Conflict) -> String {
    let owner = match &conflict.owner {
        Owner::Local => "a CRD of the app cluster".to_owned(),
        Owner::Service(name) => format!("the Service {name} of the app cluster"),
    };
    format!(
        "{} is not registered: {owner} serves it; {CURE}",
        conflict.group_version
    )
}

fn event(conflict: &Conflict) -> Event {
    Event {
        type_: EventType::Warning,
        reason: "NotRegistered".to_owned(),
        note: Some(problem(conflict)),
        action: "Register".to_owned(),
        secondary: None,
    }
}
