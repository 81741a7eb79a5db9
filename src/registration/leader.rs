//! Leader election by a Lease, so that only one replica writes
//! (`client-go/tools/leaderelection/leaderelection.go`).

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::time::Instant;

use crate::config::ServiceConfig;

/// How long a holder that no longer renews the Lease stays the leader.
const DURATION_S: i32 = 15;
const DURATION: Duration = Duration::from_secs(15);

/// Time between two renewals.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_secs(5);

/// One candidate.
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// The Lease of another holder, and when it was first seen like this. Clocks of replicas can differ, so only
    /// this replica's own counts.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Candidate {
    pub(super) fn new(client: kube::Client, service: &ServiceConfig, suffix: &str) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "claimgate".to_owned());
        Self {
            api: Api::namespaced(client, &service.namespace),
            name: format!("{}{suffix}", service.name),
            identity: format!("{host}_{}", uuid::Uuid::new_v4()),
            seen: None,
        }
    }

    /// Takes or renews the Lease if no other replica holds it. Returns whether this replica is the leader.
    ///
    /// # Errors
    /// The Lease cannot be read or written. Then this replica must not write.
    pub(super) async fn is_leader(&mut self) -> Result<bool, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let Some(current) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
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
    pub(super) async fn release(&self) -> Result<(), kube::Error> {
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

/// Another replica was faster if the write conflicts.
fn held(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
