//! Metadata of the Secrets of one cluster that belong to claims.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::mpsc;

use crate::claims::{Key, object_key};
use claim_mapping::mapping::ObjectKey;

/// A Secret that belongs to a claim.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct KnownSecret {
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) claim: Key,
    /// The API group and the kind of the claim.
    pub(super) claim_kind: (String, String),
}

/// Returns what is kept of a Secret, or `None` if it belongs to no claim.
pub(super) type Recognize = fn(&ObjectMeta) -> Option<KnownSecret>;

/// The Secrets of one cluster.
pub(super) struct SecretStore(Mutex<State>);

#[derive(Default)]
struct State {
    secrets: HashMap<ObjectKey, KnownSecret>,
    by_claim: HashMap<Key, BTreeSet<ObjectKey>>,
    /// Watches whose first list is not complete.
    not_listed: usize,
}

impl SecretStore {
    /// Creates an empty store that this number of watches will fill.
    pub(super) fn new(watches: usize) -> Self {
        Self(Mutex::new(State {
            not_listed: watches,
            ..State::default()
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the Secrets of a claim.
    pub(super) fn of(&self, claim: &str) -> Vec<(ObjectKey, KnownSecret)> {
        let state = self.state();
        let keys = state.by_claim.get(claim).into_iter().flatten();
        keys.filter_map(|key| Some((key.clone(), state.secrets.get(key)?.clone())))
            .collect()
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<KnownSecret> {
        self.state().secrets.get(key).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.state().secrets.len()
    }

    /// Returns whether all Secrets are known, so that one that is missing does not exist.
    pub(super) fn is_complete(&self) -> bool {
        self.state().not_listed == 0
    }

    /// Stores a Secret that was written or seen. Returns the claims to which it belonged and belongs.
    pub(super) fn set(&self, key: ObjectKey, secret: KnownSecret) -> Vec<Key> {
        let mut state = self.state();
        let mut claims = state.remove(&key);
        if !claims.contains(&secret.claim) {
            claims.push(Key::clone(&secret.claim));
        }
        let of_claim = state.by_claim.entry(Key::clone(&secret.claim)).or_default();
        of_claim.insert(key.clone());
        state.secrets.insert(key, secret);
        claims
    }

    /// Removes a Secret. Returns the claim to which it belonged.
    pub(super) fn remove(&self, key: &ObjectKey) -> Vec<Key> {
        self.state().remove(key)
    }

    /// Keeps the store equal to the Secrets that a watch returns, and sends the claims of those that change. Never ends.
    /// `covers` returns whether the watch covers a Secret.
    pub(super) async fn follow(
        &self,
        api: Api<PartialObjectMeta<Secret>>,
        config: watcher::Config,
        recognize: Recognize,
        covers: impl Fn(&ObjectKey) -> bool,
        claims: mpsc::Sender<Key>,
    ) {
        let mut is_first_list = true;
        let mut events = Box::pin(watcher(api, config).default_backoff());
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            let changed = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    Vec::new()
                }
                Ok(Event::InitApply(secret)) => {
                    listed.insert(object_key(&secret.metadata));
                    self.apply(&secret.metadata, recognize)
                }
                Ok(Event::InitDone) => {
                    if std::mem::take(&mut is_first_list) {
                        self.state().not_listed -= 1;
                    }
                    self.retain(|key| !covers(key) || listed.contains(key))
                }
                Ok(Event::Apply(secret)) => self.apply(&secret.metadata, recognize),
                Ok(Event::Delete(secret)) => self.remove(&object_key(&secret.metadata)),
                // The watcher logs it and tries again.
                Err(error) => {
                    tracing::debug!(%error, "cannot watch Secrets");
                    Vec::new()
                }
            };
            for claim in changed {
                // The controller has ended if nobody receives.
                let _ = claims.send(claim).await;
            }
        }
    }

    fn apply(&self, metadata: &ObjectMeta, recognize: Recognize) -> Vec<Key> {
        let key = object_key(metadata);
        match recognize(metadata) {
            Some(secret) if self.get(&key).as_ref() == Some(&secret) => Vec::new(),
            Some(secret) => self.set(key, secret),
            None => self.remove(&key),
        }
    }

    fn retain(&self, is_kept: impl Fn(&ObjectKey) -> bool) -> Vec<Key> {
        let mut state = self.state();
        let gone = state.secrets.keys().filter(|key| !is_kept(key));
        let gone: Vec<ObjectKey> = gone.cloned().collect();
        gone.iter().flat_map(|key| state.remove(key)).collect()
    }
}

impl State {
    fn remove(&mut self, key: &ObjectKey) -> Vec<Key> {
        let Some(secret) = self.secrets.remove(key) else {
            return Vec::new();
        };
        if let Some(keys) = self.by_claim.get_mut(&secret.claim) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_claim.remove(&secret.claim);
            }
        }
        vec![secret.claim]
    }
}
