//! Metrics of the copies. No label names a claim, so the number of time series is small.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{CopyControllerLabels, CopyLabels, CopyProblemLabels, DroppedEventLabels};

/// The metrics of copies. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CopyMetrics {
    secrets: Family<CopyLabels, Gauge>,
    last_sync: Family<CopyControllerLabels, Gauge>,
    problems: Family<CopyProblemLabels, Gauge>,
    dropped_events: Family<DroppedEventLabels, Counter>,
}

impl CopyMetrics {
    pub(super) fn register(&self, to: &mut Registry) {
        to.register(
            "copied_secrets",
            "Copies of connection Secrets in the app cluster, and claims whose Secret cannot be copied",
            self.secrets.clone(),
        );
        to.register(
            "copy_last_sync_timestamp_seconds",
            "Time of the last successful sync of a claim, or of the last copied event",
            self.last_sync.clone(),
        );
        to.register(
            "copy_problems",
            "Claims for which something cannot be copied",
            self.problems.clone(),
        );
        to.register(
            "dropped_claim_events",
            "Events about claims that were not copied to the app cluster",
            self.dropped_events.clone(),
        );
    }

    /// Sets the number of copies, and of claims whose Secret cannot be copied.
    pub fn secrets(&self, control_plane: &str, copied: usize, failed: usize) {
        for (state, count) in [("copied", copied), ("failed", failed)] {
            let labels = CopyLabels {
                control_plane: control_plane.to_owned(),
                state,
            };
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.secrets.get_or_create(&labels).set(count);
        }
    }

    /// Records a successful sync of a claim, or that an event was copied.
    pub fn synced(&self, control_plane: &str, controller: &'static str) {
        let labels = CopyControllerLabels {
            control_plane: control_plane.to_owned(),
            controller,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        self.last_sync.get_or_create(&labels).set(now);
    }

    /// Changes the number of claims for which a controller cannot copy something.
    pub fn problems(
        &self,
        control_plane: &str,
        controller: &'static str,
        reason: &str,
        change: i64,
    ) {
        let labels = CopyProblemLabels {
            control_plane: control_plane.to_owned(),
            controller,
            reason: reason.to_owned(),
        };
        self.problems.get_or_create(&labels).inc_by(change);
    }

    /// Counts an event that is not copied to the app cluster.
    pub fn event_dropped(&self, control_plane: &str, reason: &'static str) {
        let labels = DroppedEventLabels {
            control_plane: control_plane.to_owned(),
            reason,
        };
        self.dropped_events.get_or_create(&labels).inc();
    }
}
