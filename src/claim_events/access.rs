//! Logs each missing right once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::app_cluster::{describe, has_status};

/// An action for which claimgate may lack a right.
pub(super) struct Access {
    /// Completes a sentence that begins with "cannot".
    action: String,
    cure: &'static str,
    is_denied: AtomicBool,
}

impl Access {
    pub(super) fn new(action: String, cure: &'static str) -> Self {
        Self {
            action,
            cure,
            is_denied: AtomicBool::new(false),
        }
    }

    pub(super) fn succeeded(&self) {
        if self.is_denied.swap(false, Ordering::Relaxed) {
            tracing::info!("claimgate can {} again", self.action);
        }
    }

    /// Logs a failure: the first missing right as a warning, everything else at the level debug.
    pub(super) fn failed(&self, error: &kube::Error) {
        let (action, is_denied, error) = (&self.action, has_status(error, 403), describe(error));
        if is_denied && !self.is_denied.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "cannot {action}; {}", self.cure);
        } else {
            tracing::debug!(error, "cannot {action}");
        }
    }
}
