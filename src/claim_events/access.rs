//! Missing rights, which are logged once.

use std::sync::atomic::{AtomicBool, Ordering};

use kube::runtime::watcher;

use crate::app_cluster::{describe, has_status};
use crate::watch_report;

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
        self.log(has_status(error, 403), &describe(error));
    }

    /// Logs the failure of a watch.
    pub(super) fn watch_failed(&self, error: &watcher::Error) {
        let is_denied = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => has_status(error, 403),
            watcher::Error::WatchError(status) => status.code == 403,
            watcher::Error::NoResourceVersion => false,
        };
        self.log(is_denied, &watch_report::message(error));
    }

    fn log(&self, is_denied: bool, error: &str) {
        let action = &self.action;
        if is_denied && !self.is_denied.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "cannot {action}; {}", self.cure);
        } else {
            tracing::debug!(error, "cannot {action}");
        }
    }
}
