//! The connections of one class, and the permits for streams on them.
//!
//! A request acquires a permit before it is sent, so it never waits inside h2 for the server's
//! stream limit. If no permit is free, the pool dials one more connection for every
//! [`ConnectionLimits::streams_max`] waiting requests. A failed dial fails all waiting requests,
//! and new ones until the backoff ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http2::SendRequest;
use rand::RngExt as _;
use tokio::sync::Notify;

use super::connect::Connector;
use super::connection::Connection;
use super::connection_class::{ConnectionClass, ConnectionLimits};
use super::error::UpstreamError;
use super::request_body::RequestBody;
use crate::telemetry::metrics::Metrics;

/// Backoff after failed dials. It doubles with each failure. Half of it is random, so that replicas
/// do not all reconnect at the same time.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Number of connections without streams that stay open. Further ones close when their last stream ends.
const IDLE_CONNECTIONS_MAX: usize = 1;

#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    name: String,
    class: ConnectionClass,
    limits: ConnectionLimits,
    connector: Arc<Connector>,
    metrics: Metrics,
    state: Mutex<PoolState>,
    /// Notified when a stream or a dial has ended.
    changed: Notify,
}

#[derive(Default)]
struct PoolState {
    connections: Vec<Arc<Connection>>,
    /// Number of dials in progress.
    dialing: usize,
    /// Number of requests that wait for a permit.
    waiting: usize,
    /// Number of failed dials so far. A waiting request fails when the number changes.
    failures: u64,
    /// The last dial, if it failed.
    last_failure: Option<DialFailure>,
}

struct DialFailure {
    error: UpstreamError,
    retry_at: Instant,
    backoff: Duration,
}

/// Permission for one stream on a connection. Dropping it returns the permission.
pub(super) struct StreamPermit {
    connection: Arc<Connection>,
    pool: Pool,
}

impl Pool {
    pub(super) fn new(
        name: String,
        class: ConnectionClass,
        connector: Arc<Connector>,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Inner {
            name,
            class,
            limits: class.limits(),
            connector,
            metrics,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// A dial failed while the request waited, or the backoff of the last failed dial has not
    /// ended.
    pub(super) async fn acquire(&self) -> Result<StreamPermit, UpstreamError> {
        let mut failures_before = None;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Registers before the state is read, so that no notification is missed.
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(permit) = self.try_acquire(&mut state) {
                    return Ok(permit);
                }
                let before = *failures_before.get_or_insert(state.failures);
                if let Some(failure) = &state.last_failure
                    && (state.failures != before || Instant::now() < failure.retry_at)
                {
                    return Err(failure.error.clone());
                }
                state.waiting += 1;
                self.dial_if_needed(&mut state);
            }
            let waiting = WaitingGuard(self);
            changed.await;
            drop(waiting);
        }
    }

    /// Takes a permit of the busiest connection that has one, so that the others become idle and
    /// can close.
    fn try_acquire(&self, state: &mut PoolState) -> Option<StreamPermit> {
        state
            .connections
            .retain(|connection| connection.is_usable());
        let has_permit = |connection: &&Arc<Connection>| {
            let max = connection
                .server_streams_max()
                .min(self.0.limits.streams_max);
            connection.streams() < max
        };
        let connections = state.connections.iter().filter(has_permit);
        let connection = connections.max_by_key(|connection| connection.streams())?;
        connection.add_stream();
        self.count_streams(1);
        Some(StreamPermit {
            connection: Arc::clone(connection),
            pool: self.clone(),
        })
    }

    fn dial_if_needed(&self, state: &mut PoolState) {
        if state.waiting > state.dialing * self.0.limits.streams_max {
            state.dialing += 1;
            let pool = self.clone();
            tokio::spawn(async move { pool.dial().await });
        }
    }

    /// Opens a connection and drives it until it ends.
    async fn dial(self) {
        let (connection, driver) = match self.0.connector.connect(self.0.limits).await {
            Ok(connected) => connected,
            Err(error) => return self.dial_failed(error),
        };
        self.dial_succeeded(connection);
        driver.run().await;
        self.state()
            .connections
            .retain(|connection| connection.is_usable());
        self.count_connections(-1);
    }

    fn dial_succeeded(&self, connection: Connection) {
        let round_trip = connection.round_trip();
        let mut state = self.state();
        state.dialing -= 1;
        state.last_failure = None;
        state.connections.push(Arc::new(connection));
        drop(state);
        self.0.changed.notify_waiters();
        self.0.metrics.round_trip(&self.0.name, round_trip);
        self.count_connections(1);
    }

    fn dial_failed(&self, error: UpstreamError) {
        tracing::warn!(control_plane = %self.0.name, %error, "cannot connect to the control plane");
        self.0.metrics.upstream_error(&self.0.name, error.reason());
        let mut state = self.state();
        state.dialing -= 1;
        state.failures += 1;
        let last_failure = state.last_failure.as_ref();
        let doubled = last_failure.map(|failure| failure.backoff * 2);
        let backoff = doubled.unwrap_or(BACKOFF_MIN).min(BACKOFF_MAX);
        let retry_at = Instant::now() + backoff.mul_f64(rand::rng().random_range(0.5..1.0));
        state.last_failure = Some(DialFailure {
            error,
            retry_at,
            backoff,
        });
        drop(state);
        self.0.changed.notify_waiters();
    }

    fn release(&self, connection: &Connection) {
        let mut state = self.state();
        connection.remove_stream();
        let mut idle = 0;
        state.connections.retain(|connection| {
            let is_idle = connection.streams() == 0;
            idle += usize::from(is_idle);
            connection.is_usable() && !(is_idle && idle > IDLE_CONNECTIONS_MAX)
        });
        drop(state);
        self.count_streams(-1);
        // Wakes all, because the request that waits first may have been cancelled.
        self.0.changed.notify_waiters();
    }

    fn count_connections(&self, delta: i64) {
        let class = self.0.class.as_str();
        self.0.metrics.connections(&self.0.name, class, delta);
    }

    fn count_streams(&self, delta: i64) {
        let class = self.0.class.as_str();
        self.0.metrics.streams(&self.0.name, class, delta);
    }
}

/// Counts a waiting request until it is dropped, which includes the cancellation of the request.
struct WaitingGuard<'a>(&'a Pool);

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl StreamPermit {
    pub(super) fn sender(&self) -> SendRequest<RequestBody> {
        self.connection.sender()
    }

    /// Duration of the connection's TCP handshake.
    pub(super) fn round_trip(&self) -> Duration {
        self.connection.round_trip()
    }

    /// Prevents further streams on the connection.
    pub(super) fn retire_connection(&self) {
        self.connection.retire();
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.pool.release(&self.connection);
    }
}
