//! Decides when a control plane is in an outage, from the reads of its discovery.

use std::time::{Duration, Instant};

/// Time for which every read must succeed before an outage ends. Otherwise, an unstable control plane would change
/// discovery again and again, and clients discover all kinds after each change.
const RECOVER_AFTER: Duration = Duration::from_secs(5);

/// Follows the reads of one control plane.
pub(super) struct OutageDetector {
    /// How long reads must fail before an outage begins.
    degrade_after: Duration,
    state: State,
}

enum State {
    Available,
    /// Reads fail since this time.
    Failing(Instant),
    Outage,
    /// In an outage, but reads succeed since this time.
    Recovering(Instant),
}

impl OutageDetector {
    pub(super) fn new(degrade_after: Duration) -> Self {
        Self {
            degrade_after,
            state: State::Available,
        }
    }

    /// Begins an outage immediately.
    pub(super) fn begin_outage(&mut self) {
        self.state = State::Outage;
    }

    /// Records the result of a read.
    pub(super) fn observe(&mut self, has_succeeded: bool, at: Instant) {
        self.state = match (&self.state, has_succeeded) {
            (State::Available | State::Failing(_), true) => State::Available,
            (State::Available, false) => self.failing_since(at, at),
            (State::Failing(since), false) => self.failing_since(*since, at),
            (State::Outage, true) => State::Recovering(at),
            (State::Outage | State::Recovering(_), false) => State::Outage,
            (State::Recovering(since), true) if is_over(*since, at, RECOVER_AFTER) => {
                State::Available
            }
            (State::Recovering(since), true) => State::Recovering(*since),
        };
    }

    fn failing_since(&self, since: Instant, at: Instant) -> State {
        match is_over(since, at, self.degrade_after) {
            true => State::Outage,
            false => State::Failing(since),
        }
    }

    /// Returns whether the last read succeeded, and no outage has to end first.
    pub(super) fn is_available(&self) -> bool {
        matches!(self.state, State::Available)
    }

    /// Returns whether the control plane is in an outage.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self.state, State::Outage | State::Recovering(_))
    }
}

fn is_over(since: Instant, at: Instant, time: Duration) -> bool {
    at.saturating_duration_since(since) >= time
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns after which of the reads, one each second, the control plane is in an outage: `-` for a read that
    /// failed, `+` for one that succeeded.
    fn outages(degrade_after_s: u64, reads: &str) -> String {
        let begin = Instant::now();
        let mut detector = OutageDetector::new(Duration::from_secs(degrade_after_s));
        let reads = (0..).zip(reads.chars()).map(|(second, read)| {
            detector.observe(read == '+', begin + Duration::from_secs(second));
            if detector.is_outage() { 'x' } else { '.' }
        });
        reads.collect()
    }

    #[test]
    fn outage_begins_after_failures_and_ends_after_successes() {
        assert_eq!(outages(3, "+---+---"), "........");
        assert_eq!(outages(3, "+-----++++++++"), "....xxxxxxx...");
        assert_eq!(outages(3, "----+++-++++++"), "...xxxxxxxxxx.");
        assert_eq!(outages(0, "+-"), ".x");
    }
}
