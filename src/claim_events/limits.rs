//! Limits the rate of copies, as client-go's recorder does (`client-go/tools/record/events_cache.go`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::object_key::Key;

/// The rate limit for one claim: a burst, and then one copy per interval.
const CLAIM: Rate = Rate {
    burst: 25.0,
    interval: Duration::from_secs(300),
};

/// The rate limit for all claims of a control plane together.
const ALL: Rate = Rate {
    burst: 100.0,
    interval: Duration::from_millis(50),
};

struct Rate {
    burst: f64,
    interval: Duration,
}

/// The limits for one control plane.
#[derive(Default)]
pub(super) struct Limits(Mutex<State>);

#[derive(Default)]
struct State {
    claims: HashMap<Key, Bucket>,
    all: Option<Bucket>,
}

impl Limits {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a copy of this claim may be written.
    pub(super) fn take(&self, claim: &str) -> bool {
        let mut state = self.state();
        let bucket = state.claims.entry(claim.into());
        bucket.or_insert_with(|| Bucket::full(&CLAIM)).take(&CLAIM)
    }

    /// Waits until a copy of any claim may be written.
    pub(super) async fn wait(&self) {
        while !self
            .state()
            .all
            .get_or_insert_with(|| Bucket::full(&ALL))
            .take(&ALL)
        {
            tokio::time::sleep(ALL.interval).await;
        }
    }

    /// Forgets a claim that is gone.
    pub(super) fn forget(&self, claim: &str) {
        self.state().claims.remove(claim);
    }
}

/// A token bucket.
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn full(rate: &Rate) -> Self {
        Self {
            tokens: rate.burst,
            filled_at: Instant::now(),
        }
    }

    fn take(&mut self, rate: &Rate) -> bool {
        let now = Instant::now();
        let new = (now - self.filled_at).div_duration_f64(rate.interval);
        self.tokens = rate.burst.min(self.tokens + new);
        self.filled_at = now;
        let has_token = self.tokens >= 1.0;
        if has_token {
            self.tokens -= 1.0;
        }
        has_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_claim_has_a_burst_and_then_one_copy_per_interval() {
        let limits = Limits::default();
        let taken = |claim| (0..100).filter(|_| limits.take(claim)).count();
        assert_eq!(taken("a"), 25);
        assert_eq!(taken("b"), 25);
        tokio::time::advance(Duration::from_secs(299)).await;
        assert_eq!(taken("a"), 0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(taken("a"), 1);
        limits.forget("a");
        assert_eq!(taken("a"), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn copies_of_all_claims_are_delayed() {
        let (limits, begin) = (Limits::default(), Instant::now());
        for _ in 0..120 {
            limits.wait().await;
        }
        let elapsed = begin.elapsed().as_millis();
        assert!((900..=1200).contains(&elapsed), "{elapsed}");
    }
}
