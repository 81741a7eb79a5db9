//! What Prometheus is told. Labels are bounded: names from the configuration and from the exposed
//! resources, never from a request.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::process;
use crate::rewrite;
use crate::route::Labels;
use crate::translate::response::EventType;
use crate::upstream::Lane;

/// Upper bounds of the duration histogram, in seconds: from an answer out of memory to
/// kube-apiserver's own timeout.
const DURATION_BUCKETS_S: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0,
];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    control_plane: String,
    group: String,
    resource: String,
    verb: &'static str,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DurationLabels {
    control_plane: String,
    group: String,
    resource: String,
    verb: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WatchLabels {
    control_plane: String,
    group: String,
    resource: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LaneLabels {
    control_plane: String,
    lane: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ErrorLabels {
    control_plane: String,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Direction {
    direction: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ControlPlaneLabel {
    control_plane: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WatchEventLabels {
    r#type: &'static str,
}

type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

type Durations = Family<DurationLabels, Histogram, fn() -> Histogram>;

/// All metrics; clones are the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    in_flight: Gauge,
    watches: Family<WatchLabels, Gauge>,
    watch_events: Family<WatchEventLabels, Counter>,
    overflows: Counter,
    bytes: Family<Direction, Counter>,
    replacements: Counter,
    rewrite_errors: Family<Reason, Counter>,
    connections: Family<LaneLabels, Gauge>,
    streams: Family<LaneLabels, Gauge>,
    upstream_errors: Family<ErrorLabels, Counter>,
    retries: Family<Reason, Counter>,
    round_trip: Family<ControlPlaneLabel, Seconds>,
    up: Family<ControlPlaneLabel, Gauge>,
    discovery_age: Family<ControlPlaneLabel, Seconds>,
    authentication_failures: Family<Reason, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS_S);
        let mut metrics = Self {
            registry: Arc::default(),
            requests: Family::default(),
            durations: Durations::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            watches: Family::default(),
            watch_events: Family::default(),
            overflows: Counter::default(),
            bytes: Family::default(),
            replacements: Counter::default(),
            rewrite_errors: Family::default(),
            connections: Family::default(),
            streams: Family::default(),
            upstream_errors: Family::default(),
            retries: Family::default(),
            round_trip: Family::default(),
            up: Family::default(),
            discovery_age: Family::default(),
            authentication_failures: Family::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    fn register(&self) -> Registry {
        let mut all = Registry::default();
        all.register_collector(Box::new(process::Collector));
        let claimgate = all.sub_registry_with_prefix("claimgate");
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            (
                "commit",
                option_env!("CLAIMGATE_COMMIT").unwrap_or("unknown"),
            ),
        ];
        claimgate.register("build", "What is running", Info::new(build));
        let requests = self.requests.clone();
        claimgate.register("requests", "Requests for claims, by outcome", requests);
        let durations = self.durations.clone();
        claimgate.register(
            "request_duration_seconds",
            "Time to the response's headers, watches apart",
            durations,
        );
        claimgate.register("requests_in_flight", "Requests now", self.in_flight.clone());
        claimgate.register("watches", "Watches now", self.watches.clone());
        claimgate.register(
            "watch_events",
            "Watch events relayed",
            self.watch_events.clone(),
        );
        let overflows = self.overflows.clone();
        claimgate.register(
            "watch_buffer_overflows",
            "Watches that had to rest",
            overflows,
        );
        claimgate.register("body_bytes", "Bytes of bodies relayed", self.bytes.clone());
        let replacements = self.replacements.clone();
        claimgate.register(
            "rewrite_replacements",
            "Strings replaced in bodies",
            replacements,
        );
        let errors = self.rewrite_errors.clone();
        claimgate.register(
            "rewrite_errors",
            "Responses that could not be mapped",
            errors,
        );
        self.register_upstream(claimgate);
        let failures = self.authentication_failures.clone();
        claimgate.register(
            "authentication_failures",
            "Requests of nobody known",
            failures,
        );
        all
    }

    fn register_upstream(&self, claimgate: &mut Registry) {
        let connections = self.connections.clone();
        claimgate.register(
            "upstream_connections",
            "Connections to control planes",
            connections,
        );
        claimgate.register("upstream_streams", "Streams on them", self.streams.clone());
        let errors = self.upstream_errors.clone();
        claimgate.register(
            "upstream_errors",
            "Failed exchanges with control planes",
            errors,
        );
        claimgate.register(
            "upstream_retries",
            "Requests sent again",
            self.retries.clone(),
        );
        let round_trip = self.round_trip.clone();
        claimgate.register(
            "upstream_round_trip_seconds",
            "TCP handshake of the last connection, by which compression: auto goes",
            round_trip,
        );
        let up = self.up.clone();
        claimgate.register(
            "control_plane_up",
            "Whether it answered when last asked",
            up,
        );
        let age = self.discovery_age.clone();
        claimgate.register(
            "discovery_age_seconds",
            "Since discovery was last confirmed",
            age,
        );
    }

    /// The text that Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub fn request(&self, labels: &Labels, code: StatusCode, elapsed: Duration) {
        let Labels {
            control_plane,
            group,
            resource,
            verb,
        } = labels.clone();
        if verb != "watch" {
            let labels = DurationLabels {
                control_plane: control_plane.clone(),
                group: group.clone(),
                resource: resource.clone(),
                verb,
            };
            self.durations
                .get_or_create(&labels)
                .observe(elapsed.as_secs_f64());
        }
        let code = code.as_u16();
        let labels = RequestLabels {
            control_plane,
            group,
            resource,
            verb,
            code,
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub fn in_flight(&self) -> Gauge {
        self.in_flight.clone()
    }

    pub fn watches(&self, labels: &Labels) -> Gauge {
        let Labels {
            control_plane,
            group,
            resource,
            ..
        } = labels.clone();
        self.watches.get_or_create_owned(&WatchLabels {
            control_plane,
            group,
            resource,
        })
    }

    pub fn watch_events(&self, event: EventType, count: u64) {
        let r#type = event.name();
        self.watch_events
            .get_or_create(&WatchEventLabels { r#type })
            .inc_by(count);
    }

    pub fn watch_buffer_full(&self) {
        self.overflows.inc();
    }

    /// Bytes of a response's body.
    pub fn sent(&self, bytes: usize) {
        self.count_bytes("sent", bytes);
    }

    /// Bytes of a request's body.
    pub fn received(&self, bytes: usize) {
        self.count_bytes("received", bytes);
    }

    fn count_bytes(&self, direction: &'static str, bytes: usize) {
        self.bytes
            .get_or_create(&Direction { direction })
            .inc_by(bytes as u64);
    }

    pub fn replacements(&self, count: u64) {
        self.replacements.inc_by(count);
    }

    pub fn rewrite_error(&self, error: &rewrite::Error) {
        let reason = match error {
            rewrite::Error::Refused(_) => "refused",
            rewrite::Error::Truncated => "truncated",
            rewrite::Error::HeldTooLarge { .. } | rewrite::Error::ValueTooLong { .. } => "bound",
            _ => "syntax",
        };
        self.rewrite_errors.get_or_create(&Reason { reason }).inc();
    }

    pub fn authentication_failure(&self, reason: &'static str) {
        self.authentication_failures
            .get_or_create(&Reason { reason })
            .inc();
    }

    pub fn connections(&self, control_plane: &str, lane: Lane, delta: i64) {
        self.connections
            .get_or_create(&lane_labels(control_plane, lane))
            .inc_by(delta);
    }

    pub fn streams(&self, control_plane: &str, lane: Lane, delta: i64) {
        self.streams
            .get_or_create(&lane_labels(control_plane, lane))
            .inc_by(delta);
    }

    pub fn upstream_error(&self, control_plane: &str, reason: &'static str) {
        let labels = ErrorLabels {
            control_plane: control_plane.to_owned(),
            reason,
        };
        self.upstream_errors.get_or_create(&labels).inc();
    }

    pub fn upstream_retry(&self, reason: &'static str) {
        self.retries.get_or_create(&Reason { reason }).inc();
    }

    pub fn round_trip(&self, control_plane: &str, round_trip: Duration) {
        let labels = ControlPlaneLabel {
            control_plane: control_plane.to_owned(),
        };
        self.round_trip
            .get_or_create(&labels)
            .set(round_trip.as_secs_f64());
    }

    pub fn control_plane_up(&self, control_plane: &str, up: bool) {
        let labels = ControlPlaneLabel {
            control_plane: control_plane.to_owned(),
        };
        self.up.get_or_create(&labels).set(i64::from(up));
    }

    pub fn discovery_age(&self, control_plane: &str, age: Duration) {
        let labels = ControlPlaneLabel {
            control_plane: control_plane.to_owned(),
        };
        self.discovery_age
            .get_or_create(&labels)
            .set(age.as_secs_f64());
    }
}

fn lane_labels(control_plane: &str, lane: Lane) -> LaneLabels {
    let lane = match lane {
        Lane::Requests => "requests",
        Lane::Watches => "watches",
    };
    LaneLabels {
        control_plane: control_plane.to_owned(),
        lane,
    }
}
