//! The connections of one class, and the permits for streams on them.
//!
//! A request acquires a permit before it is sent, so it never waits inside h2 for the server's
//! stream limit. If no permit is free, the pool dials one more connection for every
//! [`ConnectionLimits::streams_max`] waiting requests. A failed dial fails all waiting requests, and
//! opens the [`Circuit`], which fails further ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use tokio::sync::Notify;

use super::circuit::Circuit;
use super::connect::Connector;
use super::connection::Connection;
use super::connection_class::{ConnectionClass, ConnectionLimits};
use super::error::UpstreamError;
use super::sent_body::SentBody;
use crate::telemetry::metrics::Metrics;

/// How much longer a request waits than a dial may take, because the failure of the dial says more.
const DIAL_MARGIN: Duration = Duration::from_millis(100);

/// Number of connections without streams that stay open. Further ones close when their last stream ends.
const IDLE_CONNECTIONS_MAX: usize = 1;

#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    name: String,
    class: ConnectionClass,
    limits: ConnectionLimits,
    connector: Arc<Connector>,
    circuit: Arc<Circuit>,
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
    /// The failure of the last failed dial.
    last_failure: Option<UpstreamError>,
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
        circuit: Arc<Circuit>,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Inner {
            name,
            class,
            limits: class.limits(),
            connector,
            circuit,
            metrics,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit, at most for the connect timeout.
    ///
    /// # Errors
    /// The server cannot be reached, a dial failed while the request waited, or the server allows no further stream.
    pub(super) async fn acquire(&self) -> Result<StreamPermit, UpstreamError> {
        if let Some(permit) = self.try_acquire(&mut self.state()) {
            return Ok(permit);
        }
        let limit = self.0.connector.timeout();
        let waited = tokio::time::timeout(limit + DIAL_MARGIN, self.wait_for_permit()).await;
        waited.unwrap_or(Err(UpstreamError::NoStream {
            seconds: limit.as_secs(),
        }))
    }

    async fn wait_for_permit(&self) -> Result<StreamPermit, UpstreamError> {
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
                if let Some(error) = &state.last_failure
                    && state.failures != before
                {
                    return Err(error.clone());
                }
                // An open connection soon has a free stream.
                if state.connections.is_empty()
                    && let Some(rejection) = self.0.circuit.rejection()
                {
                    if rejection.must_probe {
                        self.spawn_dial(&mut state);
                    }
                    return Err(rejection.error);
                }
                state.waiting += 1;
                self.dial_if_needed(&mut state);
            }
            let waiting = WaitingGuard(self);
            changed.await;
            drop(waiting);
        }
    }

    /// Returns whether a connection is open.
    pub(super) fn is_connected(&self) -> bool {
        let state = self.state();
        state.connections.iter().any(|known| known.is_usable())
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
            self.spawn_dial(state);
        }
    }

    fn spawn_dial(&self, state: &mut PoolState) {
        state.dialing += 1;
        let pool = self.clone();
        tokio::spawn(async move { pool.dial().await });
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
        state.connections.push(Arc::new(connection));
        drop(state);
        self.0.circuit.dial_succeeded();
        self.0.changed.notify_waiters();
        self.0.metrics.round_trip(&self.0.name, round_trip);
        self.count_connections(1);
    }

    fn dial_failed(&self, error: UpstreamError) {
        self.0.metrics.upstream_error(&self.0.name, error.reason());
        self.0.circuit.dial_failed(error.clone());
        let mut state = self.state();
        state.dialing -= 1;
        state.failures += 1;
        state.last_failure = Some(error);
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
    pub(super) fn sender(&self) -> SendRequest<SentBody> {
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
