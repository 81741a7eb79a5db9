//! Logs each new cause of failures and the end of the failures, and counts all results.

use super::error::SecretError;
use crate::telemetry::metrics::Metrics;

pub(super) struct FailureReport {
    controller: &'static str,
    metrics: Metrics,
    /// The cause that was logged last, until the end of the failures.
    cause: Option<String>,
}

impl FailureReport {
    /// `controller` is its name in metrics and logs.
    pub(super) fn new(controller: &'static str, metrics: Metrics) -> Self {
        Self {
            controller,
            metrics,
            cause: None,
        }
    }

    pub(super) fn record(&mut self, result: &Result<(), SecretError>) {
        let controller = self.controller;
        self.metrics.controller_sync(controller, result.is_ok());
        let cause = result.as_ref().err().map(ToString::to_string);
        match (&cause, &self.cause) {
            (Some(error), known) if known.as_ref() != Some(error) => {
                tracing::warn!(controller, %error, "a Secret of the app cluster is not up to date; claimgate tries again");
            }
            (None, Some(_)) => tracing::info!(controller, "the Secret is up to date again"),
            _ => {}
        }
        self.cause = cause;
    }
}
