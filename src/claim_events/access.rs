//! Missing rights, which are logged once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::app_cluster::{describe, has_status};

/// Something that claimgate may lack a right for.
pub(super) struct Access {
    /// As after "cannot".
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
            tracing::info!("claimgate may {} now", self.action);
        }
    }

    /// Logs a failure. A missing right is a warning the first time.
    pub(super) fn failed(&self, error: &kube::Error) {
        let (action, is_denied, error) = (&self.action, has_status(error, 403), describe(error));
        if is_denied && !self.is_denied.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "cannot {action}; {}", self.cure);
        } else {
            tracing::debug!(error, "cannot {action}");
        }
    }
}
