//! Failures that tests inject: prepared responses, truncated bodies, requests and connections that
//! hang, and a closed listener.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::request::RecordedRequest;

/// The effect of a rule on a matching request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Returns this response without handling the request.
    Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
    },
    /// Handles the request, but sends only the first bytes of the response body.
    CutBody { after_bytes: usize, then: AfterCut },
    /// Handles the request after a pause.
    Delay(Duration),
    /// Handles the request once this token is cancelled.
    Until(CancellationToken),
    /// Neither handles the request nor sends a response.
    Hang,
    /// Resets the stream with REFUSED_STREAM without handling the request.
    Refuse,
    /// Handles the request and closes the connection: a write of unknown outcome.
    HandleAndDrop,
}

/// How a truncated body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCut {
    /// The body ends like a complete one.
    End,
    /// The stream ends with RST_STREAM, or HTTP/1.1 closes the connection.
    Reset,
    /// The body never ends, and no more bytes follow.
    Silence,
}

/// What happens to new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    Accepting,
    /// The kernel accepts connections, but the server does not.
    Ignoring,
    /// The listener is closed, so the kernel rejects them.
    Refusing,
}

/// HTTP/2 settings that limit the clients of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    pub streams_max: u32,
    /// Flow-control window of each request body in bytes.
    pub stream_window_bytes: u32,
}

impl Default for Http2Limits {
    /// Returns those of kube-apiserver (apiserver pkg/server/secure_serving.go).
    fn default() -> Self {
        Self {
            streams_max: 100,
            stream_window_bytes: 256 << 10,
        }
    }
}

/// The injected faults of one control plane.
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    http2: Mutex<Http2Limits>,
    listening: watch::Sender<Listening>,
    /// The state that the listener has reached, which follows `listening`.
    pub(crate) listener: watch::Sender<Listening>,
    pub(crate) gate: Arc<Gate>,
    connections: Mutex<HashMap<u64, Connection>>,
    accepted: AtomicU64,
}

struct Rule {
    matches: Box<dyn Fn(&RecordedRequest) -> bool + Send + Sync>,
    fault: Fault,
    times_left: usize,
}

struct Connection {
    abort: AbortHandle,
    goaway: CancellationToken,
}

/// Pauses all reads and writes while closed.
#[derive(Default)]
pub(crate) struct Gate {
    closed: Mutex<Option<Vec<Waker>>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rules: Mutex::default(),
            http2: Mutex::default(),
            listening: watch::Sender::new(Listening::Accepting),
            listener: watch::Sender::new(Listening::Accepting),
            gate: Arc::default(),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
        }
    }
}

impl Faults {
    /// Applies `fault` to every matching request until [`Faults::clear`]. The first matching rule
    /// wins.
    pub fn add(
        &self,
        matches: impl Fn(&RecordedRequest) -> bool + Send + Sync + 'static,
        fault: Fault,
    ) {
        self.add_times(usize::MAX, matches, fault);
    }

    /// Applies `fault` to the next `times` matching requests.
    pub fn add_times(
        &self,
        times: usize,
        matches: impl Fn(&RecordedRequest) -> bool + Send + Sync + 'static,
        fault: Fault,
    ) {
        let rule = Rule {
            matches: Box::new(matches),
            fault,
            times_left: times,
        };
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(rule);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Sets what happens to new connections, and waits until the listener has done so. Open connections stay
    /// open.
    pub async fn listen(&self, listening: Listening) {
        let mut listener = self.listener.subscribe();
        self.listening.send_replace(listening);
        // The channel cannot close: its sender is in self.
        let _ = listener.wait_for(|now| *now == listening).await;
    }

    /// Sets the HTTP/2 limits of further connections.
    pub fn limit_http2(&self, limits: Http2Limits) {
        *self.http2.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    pub(crate) fn http2(&self) -> Http2Limits {
        *self.http2.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops reading and writing on all connections, PING included, until [`Faults::thaw`].
    pub fn freeze(&self) {
        self.gate.close();
    }

    pub fn thaw(&self) {
        self.gate.open();
    }

    /// Closes all connections at once.
    pub fn drop_connections(&self) {
        for connection in self.lock_connections().values() {
            connection.abort.abort();
        }
    }

    /// Sends GOAWAY on all HTTP/2 connections, which close after their open streams.
    pub fn goaway(&self) {
        for connection in self.lock_connections().values() {
            connection.goaway.cancel();
        }
    }

    /// Returns the number of open connections.
    pub fn connections_open(&self) -> usize {
        self.lock_connections().len()
    }

    /// Returns the number of connections since the start.
    pub fn connections_accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self, request: &RecordedRequest) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules
            .iter_mut()
            .find(|rule| rule.times_left > 0 && (rule.matches)(request))?;
        rule.times_left -= 1;
        Some(rule.fault.clone())
    }

    pub(crate) fn listening(&self) -> watch::Receiver<Listening> {
        self.listening.subscribe()
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn opened(&self, id: u64, abort: AbortHandle, goaway: CancellationToken) {
        let finished = abort.is_finished();
        self.lock_connections().insert(
            id,
            Connection {
                abort: abort.clone(),
                goaway,
            },
        );
        // The task can end before it is registered here.
        if finished || abort.is_finished() {
            self.closed(id);
        }
    }

    pub(crate) fn closed(&self, id: u64) {
        self.lock_connections().remove(&id);
    }

    pub(crate) fn drop_connection(&self, id: u64) {
        if let Some(connection) = self.lock_connections().get(&id) {
            connection.abort.abort();
        }
    }

    pub(crate) fn goaway_on(&self, id: u64) {
        if let Some(connection) = self.lock_connections().get(&id) {
            connection.goaway.cancel();
        }
    }

    fn lock_connections(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Connection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    fn close(&self) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.get_or_insert_default();
    }

    fn open(&self) {
        let wakers = self
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Returns ready while the gate is open.
    pub(crate) fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        match closed.as_mut() {
            None => Poll::Ready(()),
            Some(wakers) => {
                wakers.push(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
