//! Switches that make the control plane misbehave: answers of the test's own, bodies broken off,
//! requests and connections that hang, a listener that is gone.

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

/// What happens to a request that a rule matches.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answered with this, nothing else happens.
    Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
    },
    /// Handled, but only the first bytes of the answer's body go out.
    CutBody { after_bytes: usize, then: AfterCut },
    /// Handled after a pause.
    Delay(Duration),
    /// Handled once this is cancelled.
    Until(CancellationToken),
    /// Never answered, not even headers, and not handled.
    Hang,
    /// Given back with REFUSED_STREAM, and not handled.
    Refuse,
    /// Handled, and then the connection breaks: a write of unknown outcome.
    HandleAndDrop,
}

/// How a body ends that a fault breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCut {
    /// As if it were complete.
    End,
    /// RST_STREAM, or the connection's end in HTTP/1.1.
    Reset,
    /// Not at all.
    Silence,
}

/// What becomes of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    Accepting,
    /// The kernel takes them, nobody answers.
    Ignoring,
    /// Refused.
    Refusing,
}

/// The switches of one control plane.
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    listening: watch::Sender<Listening>,
    /// What the listener has come to; follows `listening`.
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

/// While closed, no connection reads or writes.
#[derive(Default)]
pub(crate) struct Gate {
    closed: Mutex<Option<Vec<Waker>>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rules: Mutex::default(),
            listening: watch::Sender::new(Listening::Accepting),
            listener: watch::Sender::new(Listening::Accepting),
            gate: Arc::default(),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
        }
    }
}

impl Faults {
    /// Lets `fault` befall every request that matches, until [`Faults::clear`]. The first rule
    /// that matches counts.
    pub fn add(
        &self,
        matches: impl Fn(&RecordedRequest) -> bool + Send + Sync + 'static,
        fault: Fault,
    ) {
        self.add_times(usize::MAX, matches, fault);
    }

    /// The same for the next `times` requests that match.
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

    /// Forgets all rules.
    pub fn clear(&self) {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Sets what becomes of new connections; returns when it is so. Open ones stay.
    pub async fn listen(&self, listening: Listening) {
        let mut listener = self.listener.subscribe();
        self.listening.send_replace(listening);
        // The sender lives in self.
        let _ = listener.wait_for(|now| *now == listening).await;
    }

    /// Falls silent: nothing is read or written on any connection, PING included, until
    /// [`Faults::thaw`].
    pub fn freeze(&self) {
        self.gate.close();
    }

    pub fn thaw(&self) {
        self.gate.open();
    }

    /// Breaks all connections off.
    pub fn drop_connections(&self) {
        for connection in self.lock_connections().values() {
            connection.abort.abort();
        }
    }

    /// Sends GOAWAY on all HTTP/2 connections and closes them after the streams in flight.
    pub fn goaway(&self) {
        for connection in self.lock_connections().values() {
            connection.goaway.cancel();
        }
    }

    /// How many connections are open.
    pub fn connections_open(&self) -> usize {
        self.lock_connections().len()
    }

    /// How many connections there have been.
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
        // The task may have ended before it was entered here.
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

    /// Ready while open.
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
