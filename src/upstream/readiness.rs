//! Caches the readiness of an API server.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer is used, because the server may forbid many requests.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time for which a server that is not ready counts as starting. An answer that is older does not belong to the same
/// start.
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
    fn after(last: Option<Self>, is_ready: bool, at: Instant) -> Self {
        let last = last.filter(|last| at.saturating_duration_since(last.at) < STARTING_MAX);
        let since = last.and_then(|last| last.not_ready_since);
        Self {
            at,
            not_ready_since: (!is_ready).then(|| since.unwrap_or(at)),
        }
    }

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
        let mut last = self.lock();
        let answer = Answer::after(*last, is_ready, Instant::now());
        *last = Some(answer);
        answer.is_starting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_minute() {
        let first = Answer::after(None, false, Instant::now());
        assert!(first.is_starting());
        let mut answer = first;
        for seconds in [20, 40, 60] {
            let at = first.at + Duration::from_secs(seconds);
            answer = Answer::after(Some(answer), false, at);
            assert_eq!(answer.not_ready_since, Some(first.at));
        }
        // Nobody asked while the server was ready.
        let later = answer.at + STARTING_MAX;
        let second = Answer::after(Some(answer), false, later);
        assert_eq!(second.not_ready_since, Some(later));
        assert_eq!(
            Answer::after(Some(first), true, later).not_ready_since,
            None
        );
    }
}
