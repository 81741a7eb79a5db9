//! Logs the first of consecutive failures of a watch, and waits before the next attempt.

use std::time::Duration;

use kube::runtime::watcher;

use crate::app_cluster::{describe, has_status};

/// The wait after the first failure. It doubles with each further failure.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Follows the failures of one watch. kube's own backoff starts again with each list, so it is not enough.
pub(crate) struct WatchReport {
    /// What is watched, as in a sentence: `the Secrets of the app cluster`.
    subject: String,
    /// What to do about a missing right.
    cure: Option<&'static str>,
    /// Consecutive failures.
    failures: u32,
    /// Whether one of these failures was a missing right.
    is_denied: bool,
}

impl WatchReport {
    pub(crate) fn new(subject: String) -> Self {
        Self {
            subject,
            cure: None,
            failures: 0,
            is_denied: false,
        }
    }

    /// Sets what to do about a missing right.
    pub(crate) fn with_cure(self, cure: &'static str) -> Self {
        Self {
            cure: Some(cure),
            ..self
        }
    }

    /// Logs the first of consecutive failures and the first missing right, and waits before the next attempt.
    pub(crate) async fn failed(&mut self, error: &watcher::Error) {
        let is_denied = is_denied(error);
        if self.failures == 0 || (is_denied && !self.is_denied) {
            let cure = self.cure.filter(|_| is_denied);
            tracing::warn!(
                error = message(error),
                "cannot watch {}; {}",
                self.subject,
                cure.unwrap_or("claimgate tries again")
            );
        }
        self.is_denied |= is_denied;
        let delay =
            BACKOFF_MIN.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures += 1;
        tokio::time::sleep(delay.min(BACKOFF_MAX)).await;
    }

    /// Records that a list or an event arrived.
    pub(crate) fn succeeded(&mut self) {
        self.is_denied = false;
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("watching {} again", self.subject);
        }
    }
}

/// Returns whether a watch failed because of a missing right.
fn is_denied(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => has_status(error, 403),
        watcher::Error::WatchError(status) => status.code == 403,
        watcher::Error::NoResourceVersion => false,
    }
}

/// Returns the message of a failed watch.
pub(crate) fn message(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => describe(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        error @ watcher::Error::NoResourceVersion => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_until_the_watch_succeeds() {
        let mut report = WatchReport::new("claims".to_owned());
        let mut waits = Vec::new();
        for _ in 0..6 {
            let begin = Instant::now();
            report.failed(&watcher::Error::NoResourceVersion).await;
            waits.push(begin.elapsed().as_millis());
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 5000, 5000]);
        report.succeeded();
        let begin = Instant::now();
        report.failed(&watcher::Error::NoResourceVersion).await;
        assert_eq!(begin.elapsed().as_millis(), 500);
    }
}
