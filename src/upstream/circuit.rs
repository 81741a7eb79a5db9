//! A circuit breaker: while a server cannot be reached, requests fail at once, and one dial at a time probes it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;

use super::error::UpstreamError;

/// Pauses between probes. They double with each failure. Half of a pause is random, so that replicas do not all
/// reconnect at the same time.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Whether a server can be reached. All pools of the server share it. It logs the beginning and the end of an outage.
pub(super) struct Circuit {
    /// The name of the server in the log.
    name: String,
    outage: Mutex<Option<Outage>>,
}

/// The time from a failed dial to the next successful one.
struct Outage {
    began: Instant,
    failed_dials: u64,
    /// The failure of the last dial.
    error: UpstreamError,
    pause: Duration,
    probe_at: Instant,
    is_probing: bool,
}

/// The answer to a request during an outage.
pub(super) struct Rejection {
    pub(super) error: UpstreamError,
    /// Whether the caller must dial now, as the probe.
    pub(super) must_probe: bool,
}

impl Circuit {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            outage: Mutex::default(),
        }
    }

    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rejects a request that needs a new connection, if the server cannot be reached.
    pub(super) fn rejection(&self) -> Option<Rejection> {
        let mut outage = self.outage();
        let outage = outage.as_mut()?;
        let must_probe = !outage.is_probing && Instant::now() >= outage.probe_at;
        outage.is_probing |= must_probe;
        Some(Rejection {
            error: outage.error.clone(),
            must_probe,
        })
    }

    /// Records a failed dial. The first one begins an outage.
    pub(super) fn dial_failed(&self, error: UpstreamError) {
        let mut outage = self.outage();
        let outage = outage.get_or_insert_with(|| {
            tracing::warn!(control_plane = %self.name, %error, "cannot connect to the control plane");
            Outage {
                began: Instant::now(),
                failed_dials: 0,
                error: error.clone(),
                pause: PAUSE_MIN,
                probe_at: Instant::now(),
                is_probing: false,
            }
        });
        if outage.is_probing {
            outage.pause = (outage.pause * 2).min(PAUSE_MAX);
        }
        let pause = outage.pause.mul_f64(rand::rng().random_range(0.5..1.0));
        outage.failed_dials += 1;
        outage.error = error;
        outage.probe_at = Instant::now() + pause;
        outage.is_probing = false;
    }

    /// Records a successful dial, which ends an outage.
    pub(super) fn dial_succeeded(&self) {
        let ended = self.outage().take();
        if let Some(outage) = ended {
            tracing::info!(
                control_plane = %self.name,
                failed_dials = outage.failed_dials,
                outage = ?outage.began.elapsed(),
                "connected to the control plane again"
            );
        }
    }

    /// Returns the reason why the server cannot be reached, or `None` if the last dial succeeded.
    pub(super) fn problem(&self) -> Option<String> {
        let outage = self.outage();
        let outage = outage.as_ref()?;
        let seconds = outage.began.elapsed().as_secs();
        Some(format!("no connection for {seconds} s: {}", outage.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> UpstreamError {
        UpstreamError::Connect("connection refused".to_owned())
    }

    #[test]
    fn one_request_of_many_probes_during_an_outage() {
        let circuit = Circuit::new("platform".to_owned());
        assert!(circuit.rejection().is_none());
        circuit.dial_failed(refused());
        let deadline = Instant::now() + PAUSE_MIN;
        let mut probes = 0;
        while probes == 0 || Instant::now() < deadline {
            let rejection = circuit.rejection().unwrap();
            assert_eq!(rejection.error, refused());
            probes += usize::from(rejection.must_probe);
        }
        assert_eq!(probes, 1);
        circuit.dial_failed(refused());
        assert!(!circuit.rejection().unwrap().must_probe, "a pause follows");
        assert!(circuit.problem().unwrap().contains("connection refused"));
        circuit.dial_succeeded();
        assert!(circuit.rejection().is_none() && circuit.problem().is_none());
    }
}
