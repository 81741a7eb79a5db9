//! Limits on concurrent requests and watches.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::LimitsConfig;
use crate::error::RequestError;

/// The permits for requests and for watches.
pub struct Admission {
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
}

/// A permit for one request or watch. It counts towards the limit and the gauge until it is dropped.
pub struct RequestPermit {
    _permit: OwnedSemaphorePermit,
    gauge: Gauge,
}

impl Admission {
    pub fn new(limits: &LimitsConfig) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(limits.max_requests_in_flight)),
            watches: Arc::new(Semaphore::new(limits.max_watches)),
        }
    }

    /// Returns a permit for a request other than a watch.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] if `limits.maxRequestsInFlight` is reached.
    pub fn request(&self, gauge: Gauge) -> Result<RequestPermit, RequestError> {
        acquire(&self.requests, gauge).ok_or(RequestError::TooMany {
            what: "requests",
            key: "maxRequestsInFlight",
        })
    }

    /// Returns a permit for a watch.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] if `limits.maxWatches` is reached.
    pub fn watch(&self, gauge: Gauge) -> Result<RequestPermit, RequestError> {
        acquire(&self.watches, gauge).ok_or(RequestError::TooMany {
            what: "watches",
            key: "maxWatches",
        })
    }
}

fn acquire(permits: &Arc<Semaphore>, gauge: Gauge) -> Option<RequestPermit> {
    let permit = Arc::clone(permits).try_acquire_owned().ok()?;
    gauge.inc();
    Some(RequestPermit {
        _permit: permit,
        gauge,
    })
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
