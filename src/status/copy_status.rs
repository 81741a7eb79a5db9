//! The state of what the controllers copy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// What one controller copies for one claim.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// As in metrics.
    pub controller: String,
    /// The kind of the claim.
    pub kind: String,
    /// `NAMESPACE/NAME` of the claim in the app cluster.
    pub claim: String,
    /// The names in the app cluster of what is copied.
    pub objects: Vec<String>,
    /// When the copies were last found or made equal to their sources, in RFC 3339. Absent if they never were.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_sync: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// The copies of all controllers, by controller and UID of the claim. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CopyStatus(Arc<Mutex<BTreeMap<(&'static str, String), Copy>>>);

impl CopyStatus {
    fn copies(&self) -> MutexGuard<'_, BTreeMap<(&'static str, String), Copy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the copies for a claim equal their sources. Without copies, the claim is not listed.
    pub fn synced(
        &self,
        controller: &'static str,
        uid: &str,
        (kind, claim): (&str, &str),
        objects: Vec<String>,
    ) {
        if objects.is_empty() {
            return self.forget(controller, uid);
        }
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let copy = Copy {
            controller: controller.to_owned(),
            kind: kind.to_owned(),
            claim: claim.to_owned(),
            objects,
            last_sync: Some(now.to_string()),
            problem: None,
        };
        self.copies().insert((controller, uid.to_owned()), copy);
    }

    /// Records why something cannot be copied for a claim.
    pub fn failed(
        &self,
        controller: &'static str,
        uid: &str,
        (kind, claim): (&str, &str),
        problem: String,
    ) {
        let mut copies = self.copies();
        let copy = copies
            .entry((controller, uid.to_owned()))
            .or_insert_with(|| Copy {
                controller: controller.to_owned(),
                kind: kind.to_owned(),
                claim: claim.to_owned(),
                objects: Vec::new(),
                last_sync: None,
                problem: None,
            });
        copy.problem = Some(problem);
    }

    /// Forgets a claim that is gone.
    pub fn forget(&self, controller: &'static str, uid: &str) {
        self.copies().remove(&(controller, uid.to_owned()));
    }

    /// Forgets everything, when another replica takes over.
    pub fn clear(&self) {
        self.copies().clear();
    }

    pub fn list(&self) -> Vec<Copy> {
        self.copies().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_time_of_the_last_success() {
        let status = CopyStatus::default();
        let claim = ("Queue", "default/orders");
        status.synced("a", "1", claim, vec!["conn".to_owned()]);
        status.failed("a", "1", claim, "rejected".to_owned());
        status.failed("a", "2", claim, "taken".to_owned());
        let copies = status.list();
        assert!(copies[0].last_sync.is_some() && copies[1].last_sync.is_none());
        assert_eq!(copies[0].problem.as_deref(), Some("rejected"));
        status.synced("a", "1", claim, Vec::new());
        status.forget("a", "2");
        assert!(status.list().is_empty());
    }
}
