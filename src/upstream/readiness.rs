//! Caches the readiness of an API server.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer is used, because the server may forbid many requests.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time for which a server that is not ready counts as starting.
pub const STARTING_MAX: Duration = Duration::from_secs(60);

/// The last answer of `/readyz`.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<Answer>>);

#[derive(Clone, Copy)]
struct Answer {
    at: Instant,
    /// The time since which the server reports that it is not ready.
    not_ready_since: Option<Instant>,
}

impl Answer {
    fn is_starting(self) -> bool {
        let since = self.not_ready_since;
        since.is_some_and(|since| since.elapsed() < STARTING_MAX)
    }
}

impl Readiness {
    fn lock(&self) -> MutexGuard<'_, Option<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the server is starting, or `None` if the last answer is too old.
    pub(super) fn is_starting(&self) -> Option<bool> {
        let answer = (*self.lock())?;
        (answer.at.elapsed() < CHECK_INTERVAL).then(|| answer.is_starting())
    }

    /// Records an answer. Returns whether the server is starting.
    pub(super) fn record(&self, is_ready: bool) -> bool {
        let now = Instant::now();
        let mut last = self.lock();
        let before = last.and_then(|last| last.not_ready_since);
        let answer = Answer {
            at: now,
            not_ready_since: (!is_ready).then(|| before.unwrap_or(now)),
        };
        *last = Some(answer);
        answer.is_starting()
    }
}
