//! Decides whether a request asks the server for gzip.

use std::time::Duration;

use super::connection_class::ConnectionClass;

/// Shortest round trip at which gzip makes responses faster.
///
/// A round trip carries one stream window of the class `Requests`, 1 MiB. kube-apiserver compresses
/// about 200 MB/s on one core, so within 5 ms it sends as much as it could compress. Below
/// 5 ms, gzip cannot make a response faster, and it costs the server 5 s of CPU time per GB. Above 5 ms, the
/// window limits the response, and it carries at least 8 times as much data with gzip.
const LONG_ROUND_TRIP: Duration = Duration::from_millis(5);

/// The policy for requesting gzip.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GzipPolicy {
    /// Ask for gzip if the round trip is long.
    Auto,
    Off,
    On,
}

impl GzipPolicy {
    /// Returns whether a request asks for gzip. Watches never do: their events are small and come one at a
    /// time, so gzip would only delay them.
    pub(super) fn asks_for_gzip(self, class: ConnectionClass, round_trip: Duration) -> bool {
        let is_wanted = match self {
            Self::Auto => round_trip >= LONG_ROUND_TRIP,
            Self::Off => false,
            Self::On => true,
        };
        is_wanted && class == ConnectionClass::Requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_ask_for_gzip_on_long_links_and_watches_never() {
        let (short, long) = (LONG_ROUND_TRIP - Duration::from_nanos(1), LONG_ROUND_TRIP);
        for (policy, round_trip, expected) in [
            (GzipPolicy::Auto, Duration::ZERO, false),
            (GzipPolicy::Auto, short, false),
            (GzipPolicy::Auto, long, true),
            (GzipPolicy::Off, long, false),
            (GzipPolicy::On, short, true),
        ] {
            let asks = policy.asks_for_gzip(ConnectionClass::Requests, round_trip);
            assert_eq!(asks, expected, "{policy:?} at {round_trip:?}");
            assert!(!policy.asks_for_gzip(ConnectionClass::Watches, round_trip));
        }
    }
}
