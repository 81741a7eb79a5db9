//! Logs the first failure and the end of a series of failures, and counts all.

use super::error::SecretError;
use crate::telemetry::metrics::Metrics;

pub(super) struct FailureReport {
    controller: &'static str,
    metrics: Metrics,
    is_failing: bool,
}

impl FailureReport {
    /// `controller` is its name in metrics and logs.
    pub(super) fn new(controller: &'static str, metrics: Metrics) -> Self {
        Self {
            controller,
            metrics,
            is_failing: false,
        }
    }

    pub(super) fn record(&mut self, result: &Result<(), SecretError>) {
        let controller = self.controller;
        self.metrics.controller_sync(controller, result.is_ok());
        match result {
            Err(error) if !self.is_failing => {
                tracing::warn!(controller, %error, "a Secret of the app cluster is not up to date; claimgate tries again");
            }
            Ok(()) if self.is_failing => {
                tracing::info!(controller, "the Secret is up to date again");
            }
            _ => {}
        }
        self.is_failing = result.is_err();
    }
}
