//! The connections of one lane, and the places for streams on them.
//!
//! A request takes a place before it is sent, so that it never waits within h2 for the peer's
//! stream limit. When all are taken one more connection is dialled for every
//! [`Windows::streams_max`](super::Windows) that wait. A dial that fails fails all who wait, and for
//! a while after it all who come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http2::SendRequest;
use rand::RngExt as _;
use tokio::sync::Notify;

use super::connect::Connector;
use super::{Error, Lane, RequestBody, Windows};
use crate::metrics::Metrics;

/// Rest after a failed dial; it doubles with every further failure up to the greatest. Half of it
/// is chance, lest all replicas come back at once.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Connections without a stream that are kept; more are closed as soon as they have none.
const IDLE_KEPT: usize = 1;

/// A connection and how many streams it has.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    /// Of its TCP handshake.
    round_trip: Duration,
    /// What the peer allows now.
    pub(super) peer_streams_max: AtomicUsize,
    /// It is ending, or it gave a request back.
    pub(super) retired: AtomicBool,
    used: AtomicUsize,
}

#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    name: String,
    lane: Lane,
    windows: Windows,
    connector: Arc<Connector>,
    metrics: Metrics,
    state: Mutex<State>,
    /// A place became free, or a dial has ended.
    changed: Notify,
}

#[derive(Default)]
struct State {
    connections: Vec<Arc<Connection>>,
    dialing: usize,
    waiting: usize,
    /// Counts failed dials, so that those who wait notice theirs.
    failures: u64,
    failed: Option<Failed>,
}

struct Failed {
    error: Error,
    again_at: Instant,
    backoff: Duration,
}

/// A stream's place on a connection, until it is dropped.
pub(super) struct Place {
    connection: Arc<Connection>,
    pool: Pool,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<RequestBody>,
        peer_streams_max: usize,
        round_trip: Duration,
    ) -> Self {
        Self {
            sender,
            round_trip,
            peer_streams_max: AtomicUsize::new(peer_streams_max),
            retired: AtomicBool::new(false),
            used: AtomicUsize::new(0),
        }
    }

    fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.sender.is_closed()
    }
}

impl Pool {
    pub(super) fn new(
        name: String,
        lane: Lane,
        connector: Arc<Connector>,
        metrics: Metrics,
    ) -> Self {
        let (state, changed) = (Mutex::default(), Notify::new());
        let windows = lane.windows();
        Self(Arc::new(Shared {
            name,
            lane,
            windows,
            connector,
            metrics,
            state,
            changed,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    pub(super) async fn place(&self) -> Result<Place, Error> {
        let mut failures = None;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(place) = self.take(&mut state) {
                    return Ok(place);
                }
                let seen = *failures.get_or_insert(state.failures);
                if let Some(failed) = &state.failed
                    && (state.failures != seen || Instant::now() < failed.again_at)
                {
                    return Err(failed.error.clone());
                }
                state.waiting += 1;
                self.dial_for_those_who_wait(&mut state);
            }
            let waiting = Waiting(self);
            changed.await;
            drop(waiting);
        }
    }

    /// The busiest connection that has a place, so that idle ones can go.
    fn take(&self, state: &mut State) -> Option<Place> {
        state
            .connections
            .retain(|connection| connection.is_usable());
        let has_place = |connection: &&Arc<Connection>| {
            let max = connection.peer_streams_max.load(Ordering::Relaxed);
            connection.used.load(Ordering::Relaxed) < max.min(self.0.windows.streams_max)
        };
        let connections = state.connections.iter().filter(has_place);
        let connection = connections.max_by_key(|one| one.used.load(Ordering::Relaxed))?;
        connection.used.fetch_add(1, Ordering::Relaxed);
        self.0.metrics.streams(&self.0.name, self.0.lane, 1);
        Some(Place {
            connection: Arc::clone(connection),
            pool: self.clone(),
        })
    }

    fn dial_for_those_who_wait(&self, state: &mut State) {
        if state.waiting > state.dialing * self.0.windows.streams_max {
            state.dialing += 1;
            let pool = self.clone();
            tokio::spawn(async move { pool.dial().await });
        }
    }

    async fn dial(self) {
        let dialled = self.0.connector.connect(self.0.windows).await;
        let (error, driver) = match dialled {
            Ok((connection, driver)) => {
                let mut state = self.state();
                state.dialing -= 1;
                state.failed = None;
                state.connections.push(Arc::clone(&connection));
                drop(state);
                (None, Some((connection, driver)))
            }
            Err(error) => (Some(error), None),
        };
        if let Some(error) = error {
            tracing::warn!(control_plane = %self.0.name, %error, "cannot connect");
            self.0.metrics.upstream_error(&self.0.name, error.reason());
            self.failed(error);
        }
        self.0.changed.notify_waiters();
        if let Some((connection, driver)) = driver {
            let round_trip = connection.round_trip;
            self.0.metrics.round_trip(&self.0.name, round_trip);
            self.0.metrics.connections(&self.0.name, self.0.lane, 1);
            driver.run(Arc::clone(&connection)).await;
            connection.retired.store(true, Ordering::Relaxed);
            self.state()
                .connections
                .retain(|connection| connection.is_usable());
            self.0.metrics.connections(&self.0.name, self.0.lane, -1);
        }
    }

    fn failed(&self, error: Error) {
        let mut state = self.state();
        state.dialing -= 1;
        state.failures += 1;
        let before = state.failed.as_ref().map(|failed| failed.backoff * 2);
        let backoff = before.unwrap_or(BACKOFF_MIN).min(BACKOFF_MAX);
        let again_at = Instant::now() + backoff.mul_f64(rand::rng().random_range(0.5..1.0));
        state.failed = Some(Failed {
            error,
            again_at,
            backoff,
        });
    }

    fn release(&self, connection: &Connection) {
        let mut state = self.state();
        connection.used.fetch_sub(1, Ordering::Relaxed);
        let idle = |one: &Arc<Connection>| one.used.load(Ordering::Relaxed) == 0;
        let mut kept = 0;
        state.connections.retain(|one| {
            kept += usize::from(idle(one));
            one.is_usable() && !(idle(one) && kept > IDLE_KEPT)
        });
        drop(state);
        self.0.metrics.streams(&self.0.name, self.0.lane, -1);
        // One place, but whoever waits first may have gone.
        self.0.changed.notify_waiters();
    }
}

/// Counts one who waits.
struct Waiting<'a>(&'a Pool);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl Place {
    pub(super) fn sender(&self) -> SendRequest<RequestBody> {
        self.connection.sender.clone()
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.connection.round_trip
    }

    /// No further stream is put on the connection.
    pub(super) fn retire(&self) {
        self.connection.retired.store(true, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pool.release(&self.connection);
    }
}
