//! Leader election by a Lease, so that only one replica runs the controllers
//! (`client-go/tools/leaderelection/leaderelection.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app_cluster::{MANAGED_BY, describe};
use crate::config::ServiceConfig;

/// The end of the name of the Lease, after the name of the Service.
pub(crate) const LEASE_SUFFIX: &str = "-registration";

/// How long a holder that no longer renews the Lease stays the leader.
const DURATION_S: i32 = 15;
const DURATION: Duration = Duration::from_secs(15);

/// Time between two renewals.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);

/// How long the holder stays the leader after its last renewal. Other replicas wait for longer.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// Minimum time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Time between the start of the last attempt to renew and the deadline.
const RENEW_MARGIN: Duration = Duration::from_secs(1);

/// Returns the metadata of a new Lease of a Service's replicas. The label is for `disconnect`, which deletes only objects
/// that claimgate created.
pub(crate) fn lease_metadata(service: &ServiceConfig) -> ObjectMeta {
    let (key, value) = MANAGED_BY;
    ObjectMeta {
        namespace: Some(service.namespace.clone()),
        name: Some(lease_name(service)),
        labels: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])),
        ..ObjectMeta::default()
    }
}

fn lease_name(service: &ServiceConfig) -> String {
    format!("{}{LEASE_SUFFIX}", service.name)
}

/// Takes and renews the Lease, and publishes whether this replica holds it.
pub(crate) struct LeaderElection {
    candidate: Candidate,
    is_leader: watch::Sender<bool>,
}

/// Whether this replica is the leader. Clones share the state.
#[derive(Clone)]
pub(crate) struct Leadership(watch::Receiver<bool>);

impl LeaderElection {
    /// Creates the election among the replicas of a Service.
    pub(crate) fn new(client: kube::Client, service: &ServiceConfig) -> Self {
        Self {
            candidate: Candidate::new(client, service),
            is_leader: watch::Sender::new(false),
        }
    }

    pub(crate) fn leadership(&self) -> Leadership {
        Leadership(self.is_leader.subscribe())
    }

    /// Runs until `stop` is cancelled, and then releases the Lease.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        // Read before the request, because other replicas count from the time when the app cluster processed it.
        let mut renewed_at: Option<Instant> = None;
        let mut was_failing = false;
        loop {
            let begin = Instant::now();
            let until = renewed_at.map_or(begin + RENEW_INTERVAL, |at| {
                (at + RENEW_DEADLINE).min(begin + RENEW_INTERVAL)
            });
            let result = self.renew(until).await;
            match &result {
                Ok(is_held) => renewed_at = is_held.then_some(begin),
                Err(error) if !was_failing => tracing::warn!(
                    error,
                    "cannot take or renew the Lease; without it, the controllers of this replica stop"
                ),
                Err(_) => {}
            }
            if was_failing && result.is_ok() {
                tracing::info!("the Lease can be read and written again");
            }
            was_failing = result.is_err();
            // The next try begins before the deadline, and ends at the deadline at the latest.
            renewed_at = renewed_at.filter(|at| at.elapsed() < RENEW_DEADLINE);
            let is_leader = renewed_at.is_some();
            self.is_leader
                .send_if_modified(|before| std::mem::replace(before, is_leader) != is_leader);
            let last_try = renewed_at.map(|at| at + RENEW_DEADLINE - RENEW_MARGIN);
            let next = begin + RENEW_INTERVAL;
            let next = last_try.map_or(next, |at| at.min(next));
            let next = next.max(Instant::now() + RETRY_INTERVAL);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(next) => {}
            }
        }
        self.is_leader.send_replace(false);
        if let Err(error) = self.candidate.release().await {
            tracing::warn!(%error, "cannot release the Lease; another replica waits until it expires");
        }
    }

    /// Returns whether this replica holds the Lease.
    async fn renew(&mut self, until: Instant) -> Result<bool, String> {
        let renewal = tokio::time::timeout_at(until, self.candidate.is_leader()).await;
        match renewal {
            Ok(result) => result.map_err(|error| describe(&error)),
            Err(_) => Err("the app cluster does not answer in time".to_owned()),
        }
    }
}

impl Leadership {
    pub(crate) fn is_leader(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until this replica is the leader, or no longer is.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The election has ended, and another replica leads.
            std::future::pending().await
        }
    }

    /// Runs a task while this replica is the leader, and drops it when another replica takes over. `task` creates the
    /// task.
    pub(crate) async fn run_while_leader<T: Future<Output = ()>>(mut self, task: impl Fn() -> T) {
        loop {
            if self.is_leader() {
                tokio::select! {
                    () = task() => return,
                    () = self.changed() => {}
                }
            } else {
                self.changed().await;
            }
        }
    }
}

/// One candidate.
struct Candidate {
    api: Api<Lease>,
    name: String,
    /// The metadata of a new Lease.
    metadata: ObjectMeta,
    identity: String,
    /// The Lease of another holder, and the time when this replica first saw it in this state. Clocks of replicas can
    /// differ, so only this replica's clock is used.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Candidate {
    fn new(client: kube::Client, service: &ServiceConfig) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "claimgate".to_owned());
        Self {
            api: Api::namespaced(client, &service.namespace),
            name: lease_name(service),
            metadata: lease_metadata(service),
            identity: format!("{host}_{}", uuid::Uuid::new_v4()),
            seen: None,
        }
    }

    /// Takes or renews the Lease if no other replica holds it. Returns whether this replica is the leader.
    ///
    /// # Errors
    /// The Lease cannot be read or written. Then this replica must not write.
    async fn is_leader(&mut self) -> Result<bool, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let Some(current) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: self.metadata.clone(),
                spec: Some(self.spec(now, None)),
            };
            return held(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = current.spec.clone().unwrap_or_default();
        let is_own = spec.holder_identity.as_ref() == Some(&self.identity);
        if !is_own && self.is_held(&spec) {
            return Ok(false);
        }
        self.seen = None;
        let lease = Lease {
            spec: Some(self.spec(now, Some(spec))),
            ..current
        };
        held(
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await,
        )
    }

    /// Gives the Lease up if this replica holds it, so that another one need not wait until it expires.
    ///
    /// # Errors
    /// The Lease cannot be read or written.
    async fn release(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = None;
        self.api
            .replace(&self.name, &PostParams::default(), &lease)
            .await?;
        Ok(())
    }

    /// Returns whether another holder has renewed the Lease recently.
    fn is_held(&mut self, spec: &LeaseSpec) -> bool {
        if spec.holder_identity.as_ref().is_none_or(String::is_empty) {
            return false;
        }
        match &self.seen {
            Some((known, since)) if known == spec => since.elapsed() < DURATION,
            _ => {
                self.seen = Some((spec.clone(), Instant::now()));
                true
            }
        }
    }

    fn spec(&self, now: MicroTime, before: Option<LeaseSpec>) -> LeaseSpec {
        let before = before.unwrap_or_default();
        let is_own = before.holder_identity.as_ref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or_default();
        LeaseSpec {
            acquire_time: before
                .acquire_time
                .filter(|_| is_own)
                .or_else(|| Some(now.clone())),
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(DURATION_S),
            lease_transitions: Some(if is_own { transitions } else { transitions + 1 }),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }
    }
}

/// Returns false if the write conflicts, because another replica was faster.
fn held(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
