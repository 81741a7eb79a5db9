//! How many requests and watches there may be at once.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::error::Error;

/// The places for requests and for watches.
pub struct Admission {
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
}

/// A place that is taken, and the gauge that counts it, until this is dropped.
pub struct Admitted {
    _place: OwnedSemaphorePermit,
    gauge: Gauge,
}

impl Admission {
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(limits.requests_in_flight_max)),
            watches: Arc::new(Semaphore::new(limits.watches_max)),
        }
    }

    pub fn request(&self, gauge: Gauge) -> Result<Admitted, Error> {
        let place = Arc::clone(&self.requests).try_acquire_owned();
        let full = Error::TooMany {
            what: "requests",
            key: "requestsInFlightMax",
        };
        Ok(Admitted::new(place.map_err(|_| full)?, gauge))
    }

    pub fn watch(&self, gauge: Gauge) -> Result<Admitted, Error> {
        let place = Arc::clone(&self.watches).try_acquire_owned();
        let full = Error::TooMany {
            what: "watches",
            key: "watchesMax",
        };
        Ok(Admitted::new(place.map_err(|_| full)?, gauge))
    }
}

impl Admitted {
    fn new(place: OwnedSemaphorePermit, gauge: Gauge) -> Self {
        gauge.inc();
        Self {
            _place: place,
            gauge,
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
