//! Records what the controllers copy for one control plane, in the status and in metrics.

use std::time::SystemTime;

use super::copy_status::{Copy, CopyKey, CopyStatus, State};
use crate::telemetry::metrics::CopyMetrics;

/// The reason for temporary failures, which are only logged.
const REQUEST_FAILED: &str = "RequestFailed";

/// The reason why something cannot be copied for a claim.
#[derive(Clone, Debug)]
pub struct CopyFailure {
    /// In CamelCase, from a fixed list. `None` if a request failed.
    pub reason: Option<&'static str>,
    pub message: String,
}

/// Records the copies for one control plane. Clones share them.
#[derive(Clone)]
pub struct CopyRecorder {
    control_plane: String,
    status: CopyStatus,
    metrics: CopyMetrics,
}

impl CopyRecorder {
    pub fn new(control_plane: &str, status: CopyStatus, metrics: CopyMetrics) -> Self {
        Self {
            control_plane: control_plane.to_owned(),
            status,
            metrics,
        }
    }

    fn key(&self, controller: &'static str, uid: &str) -> CopyKey {
        (self.control_plane.clone(), controller, uid.to_owned())
    }

    /// Records that the copies for a claim equal their sources. Without copies, the claim is not listed.
    pub fn synced(
        &self,
        controller: &'static str,
        uid: &str,
        (kind, claim): (&str, &str),
        objects: Vec<String>,
    ) {
        self.metrics.synced(&self.control_plane, controller);
        if objects.is_empty() {
            return self.forget(controller, uid);
        }
        let copy = Copy {
            control_plane: self.control_plane.clone(),
            controller: controller.to_owned(),
            kind: kind.to_owned(),
            claim: claim.to_owned(),
            objects,
            last_sync: Some(now()),
            problem: None,
            reason: None,
        };
        let key = self.key(controller, uid);
        let before = self.status.state().copies.insert(key, copy);
        self.count(controller, before.as_ref(), None);
    }

    /// Records why something cannot be copied for a claim.
    pub fn failed(
        &self,
        controller: &'static str,
        uid: &str,
        (kind, claim): (&str, &str),
        failure: CopyFailure,
    ) {
        let reason = failure.reason.unwrap_or(REQUEST_FAILED);
        let mut state = self.status.state();
        let copy = state.copies.entry(self.key(controller, uid));
        let copy = copy.or_insert_with(|| Copy {
            control_plane: self.control_plane.clone(),
            controller: controller.to_owned(),
            kind: kind.to_owned(),
            claim: claim.to_owned(),
            objects: Vec::new(),
            last_sync: None,
            problem: None,
            reason: None,
        });
        self.count(controller, Some(copy), Some(reason));
        copy.problem = Some(failure.message);
        copy.reason = Some(reason.to_owned());
    }

    /// Forgets a claim that is gone.
    pub fn forget(&self, controller: &'static str, uid: &str) {
        let before = self
            .status
            .state()
            .copies
            .remove(&self.key(controller, uid));
        self.count(controller, before.as_ref(), None);
    }

    /// Updates the number of problems of a controller, when the reason of a copy changes from `before` to `reason`.
    fn count(&self, controller: &'static str, before: Option<&Copy>, reason: Option<&str>) {
        let before = before.and_then(|copy| copy.reason.as_deref());
        if before == reason {
            return;
        }
        for (reason, change) in [(before, -1), (reason, 1)] {
            if let Some(reason) = reason {
                self.metrics
                    .problems(&self.control_plane, controller, reason, change);
            }
        }
    }

    /// Records that an event was copied.
    pub fn event_copied(&self, controller: &'static str) {
        self.metrics.synced(&self.control_plane, controller);
        let mut state = self.status.state();
        let events = state.events.entry(self.control_plane.clone()).or_default();
        events.last_copy = Some(now());
    }

    /// Records an event that is not copied.
    pub fn event_dropped(&self, reason: &'static str) {
        self.metrics.event_dropped(&self.control_plane, reason);
        let mut state = self.status.state();
        let events = state.events.entry(self.control_plane.clone()).or_default();
        *events.dropped.entry(reason).or_default() += 1;
    }

    /// Records whether `action` works, or the problem. `action` completes a sentence that begins with "cannot".
    pub fn events_checked(&self, action: &str, problem: Option<&str>) {
        let mut state = self.status.state();
        let events = state.events.entry(self.control_plane.clone()).or_default();
        match problem {
            Some(problem) => {
                let problem = format!("cannot {action}: {problem}");
                events.problems.insert(action.to_owned(), problem);
            }
            None => drop(events.problems.remove(action)),
        }
    }

    /// Forgets everything about the control plane, when another replica takes over.
    pub fn clear(&self) {
        let State { copies, events } = &mut *self.status.state();
        events.remove(&self.control_plane);
        copies.retain(|(control_plane, controller, _), copy| {
            let is_other = *control_plane != self.control_plane;
            if !is_other {
                self.count(controller, Some(copy), None);
            }
            is_other
        });
    }
}

/// Returns the time in RFC 3339.
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    const CLAIM: (&str, &str) = ("Queue", "default/orders");

    fn failure(reason: &'static str) -> CopyFailure {
        CopyFailure {
            reason: Some(reason),
            message: "rejected".to_owned(),
        }
    }

    #[test]
    fn a_failure_keeps_the_time_of_the_last_success() {
        let status = CopyStatus::default();
        let recorder = CopyRecorder::new("platform", status.clone(), CopyMetrics::default());
        recorder.synced("a", "1", CLAIM, vec!["conn".to_owned()]);
        recorder.failed("a", "1", CLAIM, failure("Rejected"));
        recorder.failed("a", "2", CLAIM, failure("Rejected"));
        let copies = status.list();
        assert!(copies[0].last_sync.is_some() && copies[1].last_sync.is_none());
        assert_eq!(copies[0].problem.as_deref(), Some("rejected"));
        recorder.synced("a", "1", CLAIM, Vec::new());
        recorder.forget("a", "2");
        assert!(status.list().is_empty());
    }

    #[test]
    fn problems_are_counted_by_reason_and_control_plane() {
        let (status, metrics) = (CopyStatus::default(), Metrics::new());
        let one = CopyRecorder::new("one", status.clone(), metrics.copies.clone());
        let two = CopyRecorder::new("two", status.clone(), metrics.copies.clone());
        let count = |control_plane: &str, reason: &str| {
            let line = format!(
                "claimgate_copy_problems{{control_plane=\"{control_plane}\",controller=\"a\",reason=\"{reason}\"}} "
            );
            let text = metrics.encode();
            let rest = text.split(&line).nth(1)?;
            Some(rest.lines().next()?.to_owned())
        };
        one.failed("a", "1", CLAIM, failure("SameName"));
        one.failed("a", "1", CLAIM, failure("SameName"));
        one.failed("a", "2", CLAIM, failure("SameName"));
        two.failed("a", "1", CLAIM, failure("SameName"));
        assert_eq!(count("one", "SameName").as_deref(), Some("2"));
        one.failed(
            "a",
            "1",
            CLAIM,
            CopyFailure {
                reason: None,
                message: String::new(),
            },
        );
        assert_eq!(count("one", "SameName").as_deref(), Some("1"));
        assert_eq!(count("one", "RequestFailed").as_deref(), Some("1"));
        two.event_dropped("rate");
        one.clear();
        assert_eq!(count("one", "SameName").as_deref(), Some("0"));
        assert_eq!(count("two", "SameName").as_deref(), Some("1"));
        assert_eq!(status.list().len(), 1);
        assert_eq!(status.events()[0].dropped["rate"], 1);
        two.synced("a", "1", CLAIM, vec!["conn".to_owned()]);
        assert_eq!(count("two", "SameName").as_deref(), Some("0"));
    }

    #[test]
    fn problem_of_events_ends_when_the_action_succeeds() {
        let status = CopyStatus::default();
        let recorder = CopyRecorder::new("platform", status.clone(), CopyMetrics::default());
        recorder.events_checked("write events", Some("forbidden"));
        assert_eq!(
            status.events()[0].problems,
            ["cannot write events: forbidden"]
        );
        recorder.events_checked("write events", None);
        recorder.event_copied("claim-events");
        let events = &status.events()[0];
        assert!(events.problems.is_empty() && events.last_copy.is_some());
    }
}
