//! Metrics for Prometheus.

mod copies;
mod labels;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use json_rewrite::RewriteError;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use self::copies::CopyMetrics;
pub use self::labels::RequestLabels;
use self::labels::{
    ApiLabels, ConnectionLabels, ControlPlaneLabels, ControllerLabels, DirectionLabels,
    EventLabels, QueueLabels, ReasonLabels, ResourceLabels, ResponseLabels, UpstreamErrorLabels,
};
use super::process_metrics::ProcessMetrics;

/// Upper bounds of the duration histogram in seconds: from a response that is served from memory to
/// kube-apiserver's own timeout.
const DURATION_BUCKETS_S: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0,
];

/// A gauge in seconds.
type Seconds = Gauge<f64, AtomicU64>;

type Durations = Family<RequestLabels, Histogram, fn() -> Histogram>;

/// All metrics. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<ResponseLabels, Counter>,
    durations: Durations,
    in_flight: Family<ControlPlaneLabels, Gauge>,
    watches: Family<ResourceLabels, Gauge>,
    watch_events: Family<EventLabels, Counter>,
    buffer_overflows: Counter,
    body_bytes: Family<DirectionLabels, Counter>,
    replacements: Counter,
    rewrite_errors: Family<ReasonLabels, Counter>,
    damaged_objects: Counter,
    connections: Family<ConnectionLabels, Gauge>,
    streams: Family<ConnectionLabels, Gauge>,
    upstream_errors: Family<UpstreamErrorLabels, Counter>,
    upstream_retries: Family<ReasonLabels, Counter>,
    round_trip: Family<ControlPlaneLabels, Seconds>,
    control_plane_up: Family<ControlPlaneLabels, Gauge>,
    control_plane_degraded: Family<ControlPlaneLabels, Gauge>,
    discovery_age: Family<ControlPlaneLabels, Seconds>,
    authentication_failures: Family<ReasonLabels, Counter>,
    controller_syncs: Family<ControllerLabels, Counter>,
    controller_queue_length: Family<QueueLabels, Gauge>,
    pub copies: CopyMetrics,
    api_degraded: Family<ApiLabels, Gauge>,
    missing_rights: Family<RequestLabels, Gauge>,
    registration_conflicts: Gauge,
    namespace_check_failures: Family<ReasonLabels, Counter>,
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
            in_flight: Family::default(),
            watches: Family::default(),
            watch_events: Family::default(),
            buffer_overflows: Counter::default(),
            body_bytes: Family::default(),
            replacements: Counter::default(),
            rewrite_errors: Family::default(),
            damaged_objects: Counter::default(),
            connections: Family::default(),
            streams: Family::default(),
            upstream_errors: Family::default(),
            upstream_retries: Family::default(),
            round_trip: Family::default(),
            control_plane_up: Family::default(),
            control_plane_degraded: Family::default(),
            discovery_age: Family::default(),
            authentication_failures: Family::default(),
            controller_syncs: Family::default(),
            controller_queue_length: Family::default(),
            copies: CopyMetrics::default(),
            api_degraded: Family::default(),
            missing_rights: Family::default(),
            registration_conflicts: Gauge::default(),
            namespace_check_failures: Family::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    fn register(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessMetrics));
        let claimgate = registry.sub_registry_with_prefix("claimgate");
        let commit = option_env!("CLAIMGATE_COMMIT").unwrap_or("unknown");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION")), ("commit", commit)]);
        claimgate.register("build", "Version and commit of the binary", build);
        self.register_serving(claimgate);
        self.register_upstream(claimgate);
        self.register_controllers(claimgate);
        registry
    }

    fn register_serving(&self, to: &mut Registry) {
        to.register(
            "requests",
            "Requests that got a response; a watch is counted when its response starts",
            self.requests.clone(),
        );
        to.register(
            "request_duration_seconds",
            "Time from a request's headers to its response's headers, without watches",
            self.durations.clone(),
        );
        to.register(
            "requests_in_flight",
            "Current requests for claims, without watches",
            self.in_flight.clone(),
        );
        to.register("watches", "Open watches", self.watches.clone());
        to.register(
            "watch_events",
            "Watch events sent to clients",
            self.watch_events.clone(),
        );
        to.register(
            "watch_buffer_overflows",
            "How often a watch paused because its client read too slowly and the buffer was full",
            self.buffer_overflows.clone(),
        );
        to.register(
            "body_bytes",
            "Bytes of request bodies received and of response bodies sent",
            self.body_bytes.clone(),
        );
        to.register(
            "rewrite_replacements",
            "Strings replaced in bodies",
            self.replacements.clone(),
        );
        to.register(
            "rewrite_errors",
            "Responses whose body could not be rewritten",
            self.rewrite_errors.clone(),
        );
        to.register(
            "damaged_objects",
            "Objects in responses whose claimgate.dev labels or annotations were changed on the control plane",
            self.damaged_objects.clone(),
        );
        to.register(
            "authentication_failures",
            "Requests rejected because authentication failed",
            self.authentication_failures.clone(),
        );
    }

    fn register_upstream(&self, to: &mut Registry) {
        to.register(
            "upstream_connections",
            "Open connections to control planes",
            self.connections.clone(),
        );
        to.register(
            "upstream_streams",
            "Open streams on connections to control planes",
            self.streams.clone(),
        );
        to.register(
            "upstream_errors",
            "Failed requests to control planes",
            self.upstream_errors.clone(),
        );
        to.register(
            "upstream_retries",
            "Requests sent to a control plane a second time",
            self.upstream_retries.clone(),
        );
        to.register(
            "upstream_round_trip_seconds",
            "Duration of the TCP handshake of the last connection; compression: auto uses it",
            self.round_trip.clone(),
        );
        to.register(
            "control_plane_up",
            "1 if the last attempt to read discovery and OpenAPI of the control plane succeeded, else 0",
            self.control_plane_up.clone(),
        );
        to.register(
            "control_plane_degraded",
            "1 if the control plane can be reached but none of the last requests succeeded, else 0",
            self.control_plane_degraded.clone(),
        );
        to.register(
            "discovery_age_seconds",
            "Time since discovery was last confirmed",
            self.discovery_age.clone(),
        );
        to.register(
            "api_degraded",
            "1 if discovery lists the group-version without watch because of an outage, else 0",
            self.api_degraded.clone(),
        );
        to.register(
            "missing_rights",
            "Scopes in which claimgate lacks the right to use a verb that the control plane serves",
            self.missing_rights.clone(),
        );
    }

    fn register_controllers(&self, to: &mut Registry) {
        to.register(
            "controller_syncs",
            "Syncs of a controller, in which it compares objects with their desired state",
            self.controller_syncs.clone(),
        );
        to.register(
            "controller_queue_length",
            "Claims or events that wait in the queue of a controller or are being processed",
            self.controller_queue_length.clone(),
        );
        self.copies.register(to);
        to.register(
            "registration_conflicts",
            "Offered group-versions that a CRD or another API server of the app cluster serves",
            self.registration_conflicts.clone(),
        );
        to.register(
            "namespace_check_failures",
            "Requests that can create a claim and whose namespace could not be checked",
            self.namespace_check_failures.clone(),
        );
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts a request once the headers of its response are known. `elapsed` is not recorded for watches.
    pub fn request(&self, labels: RequestLabels, code: StatusCode, elapsed: Duration) {
        if labels.verb != "watch" {
            self.durations
                .get_or_create(&labels)
                .observe(elapsed.as_secs_f64());
        }
        let labels = ResponseLabels {
            request: labels,
            code: code.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Returns the gauge of requests in flight to a control plane.
    pub fn in_flight(&self, control_plane: &str) -> Gauge {
        self.in_flight
            .get_or_create_owned(&ControlPlaneLabels::new(control_plane))
    }

    /// Returns the gauge of open watches of a resource.
    pub fn watches(&self, labels: &RequestLabels) -> Gauge {
        self.watches.get_or_create_owned(&ResourceLabels {
            control_plane: labels.control_plane.clone(),
            group: labels.group.clone(),
            resource: labels.resource.clone(),
        })
    }

    /// Counts events by the value of their `type` field, such as `ADDED`.
    pub fn watch_events(&self, r#type: &'static str, count: u64) {
        self.watch_events
            .get_or_create(&EventLabels { r#type })
            .inc_by(count);
    }

    pub fn watch_buffer_full(&self) {
        self.buffer_overflows.inc();
    }

    /// Counts bytes of a response's body.
    pub fn sent(&self, bytes: usize) {
        self.count_bytes("sent", bytes);
    }

    /// Counts bytes of a request's body.
    pub fn received(&self, bytes: usize) {
        self.count_bytes("received", bytes);
    }

    fn count_bytes(&self, direction: &'static str, bytes: usize) {
        self.body_bytes
            .get_or_create(&DirectionLabels { direction })
            .inc_by(bytes as u64);
    }

    pub fn replacements(&self, count: u64) {
        self.replacements.inc_by(count);
    }

    /// Counts objects whose own labels or annotations were changed on the control plane, and logs them.
    pub fn damaged_objects(&self, count: u64) {
        if count > 0 {
            self.damaged_objects.inc_by(count);
            tracing::warn!(
                count,
                "objects on the control plane have lost claimgate.dev labels or annotations; the next update or \
                 server-side apply of each restores them"
            );
        }
    }

    pub fn rewrite_error(&self, error: &RewriteError) {
        let reason = match error {
            RewriteError::Rejected(_) => "rejected",
            RewriteError::Truncated => "truncated",
            RewriteError::BufferLimit { .. } | RewriteError::StringTooLong { .. } => "limit",
            _ => "syntax",
        };
        self.rewrite_errors
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    pub fn authentication_failure(&self, reason: &'static str) {
        self.authentication_failures
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// Adds `delta` to the open connections of a class, such as `watches`.
    pub fn connections(&self, control_plane: &str, class: &'static str, delta: i64) {
        self.connections
            .get_or_create(&ConnectionLabels::new(control_plane, class))
            .inc_by(delta);
    }

    /// Adds `delta` to the open streams of a class of connections.
    pub fn streams(&self, control_plane: &str, class: &'static str, delta: i64) {
        self.streams
            .get_or_create(&ConnectionLabels::new(control_plane, class))
            .inc_by(delta);
    }

    pub fn upstream_error(&self, control_plane: &str, reason: &'static str) {
        let labels = UpstreamErrorLabels {
            control_plane: control_plane.to_owned(),
            reason,
        };
        self.upstream_errors.get_or_create(&labels).inc();
    }

    pub fn upstream_retry(&self, reason: &'static str) {
        self.upstream_retries
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    pub fn round_trip(&self, control_plane: &str, round_trip: Duration) {
        self.round_trip
            .get_or_create(&ControlPlaneLabels::new(control_plane))
            .set(round_trip.as_secs_f64());
    }

    pub fn control_plane_up(&self, control_plane: &str, up: bool) {
        self.control_plane_up
            .get_or_create(&ControlPlaneLabels::new(control_plane))
            .set(i64::from(up));
    }

    pub fn control_plane_degraded(&self, control_plane: &str, is_degraded: bool) {
        self.control_plane_degraded
            .get_or_create(&ControlPlaneLabels::new(control_plane))
            .set(i64::from(is_degraded));
    }

    /// Counts a sync of a controller.
    pub fn controller_sync(&self, controller: &'static str, is_ok: bool) {
        let result = if is_ok { "success" } else { "error" };
        self.controller_syncs
            .get_or_create(&ControllerLabels { controller, result })
            .inc();
    }

    /// Returns the gauge of the keys that wait in the queue of a controller or are being processed.
    pub fn controller_queue(&self, controller: &'static str) -> Gauge {
        self.controller_queue_length
            .get_or_create_owned(&QueueLabels { controller })
    }

    /// Sets whether each group-version is degraded, and removes all other time series. An item is the control plane,
    /// `GROUP/VERSION`, and whether it is degraded.
    pub fn apis_degraded<'a>(&self, apis: impl Iterator<Item = (&'a str, &'a str, bool)>) {
        self.api_degraded.clear();
        for (control_plane, group_version, is_degraded) in apis {
            let labels = ApiLabels::new(control_plane, group_version);
            let gauge = self.api_degraded.get_or_create_owned(&labels);
            gauge.set(i64::from(is_degraded));
        }
    }

    /// Counts the scopes in which each right is missing, and removes all other time series.
    pub fn missing_rights(&self, rights: impl Iterator<Item = RequestLabels>) {
        self.missing_rights.clear();
        for labels in rights {
            self.missing_rights.get_or_create(&labels).inc();
        }
    }

    pub fn registration_conflicts(&self, count: usize) {
        self.registration_conflicts
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a request that can create a claim and whose namespace could not be checked.
    pub fn namespace_check_failure(&self, reason: &'static str) {
        self.namespace_check_failures
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    pub fn discovery_age(&self, control_plane: &str, age: Duration) {
        self.discovery_age
            .get_or_create(&ControlPlaneLabels::new(control_plane))
            .set(age.as_secs_f64());
    }
}
