//! All claims of a control plane, by UID.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::claim::Claim;
use crate::catalog::ClaimResource;
use crate::object_key::Key;
use crate::owned_objects::OwnedObjects;
use claim_mapping::mapping::ObjectKey;

/// Time until all claims are synced again. It doubles each time, up to the maximum.
const RESYNC_FIRST: Duration = Duration::from_secs(5);
const RESYNC_MAX: Duration = Duration::from_secs(300);

/// A claim as other objects on the control plane refer to it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct RemoteClaim {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) key: ObjectKey,
}

impl RemoteClaim {
    fn of(claim: &Claim) -> Self {
        Self {
            group: claim.resource.group.clone(),
            kind: claim.resource.kind.clone(),
            key: claim.remote.clone(),
        }
    }
}

/// The claims of a control plane. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct ClaimIndex {
    state: Arc<Mutex<State>>,
    /// Channels to the controllers that process each change.
    followers: Vec<mpsc::Sender<Key>>,
}

#[derive(Default)]
struct State {
    claims: HashMap<Key, Arc<Claim>>,
    /// UIDs of objects that have lost their local names. They may be claims.
    unnamed: HashSet<String>,
    by_remote: HashMap<RemoteClaim, Key>,
    /// Whether the first list is complete, by resource and remote namespace.
    listed: BTreeMap<(Arc<ClaimResource>, String), bool>,
}

impl ClaimIndex {
    /// Creates an empty index, which sends the keys of changed claims to the followers.
    pub(crate) fn new(followers: Vec<mpsc::Sender<Key>>) -> Self {
        Self {
            state: Arc::default(),
            followers,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, uid: &str) -> Option<Arc<Claim>> {
        self.state().claims.get(uid).cloned()
    }

    /// Returns the claims in a local namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        let state = self.state();
        let claims = state.claims.iter();
        claims
            .filter(|(_, claim)| claim.local.namespace == namespace)
            .map(|(key, _)| Arc::clone(key))
            .collect()
    }

    pub(crate) fn find(&self, remote: &RemoteClaim) -> Option<Arc<Claim>> {
        let state = self.state();
        state.claims.get(state.by_remote.get(remote)?).cloned()
    }

    /// Returns whether a claim of this kind certainly does not exist. All claims of the kind must be known.
    pub(crate) fn lacks(&self, uid: &str, group: &str, kind: &str) -> bool {
        let state = self.state();
        if state.claims.contains_key(uid) || state.unnamed.contains(uid) {
            return false;
        }
        let mut lists = state
            .listed
            .iter()
            .filter(|((resource, _), _)| resource.group == group && resource.kind == kind)
            .map(|(_, is_listed)| *is_listed)
            .peekable();
        lists.peek().is_some() && lists.all(|is_listed| is_listed)
    }

    /// Begins to follow a resource in a remote namespace.
    pub(super) fn begin(&self, resource: &Arc<ClaimResource>, namespace: &str) {
        let key = (Arc::clone(resource), namespace.to_owned());
        self.state().listed.insert(key, false);
    }

    /// Forgets a resource that is no longer followed.
    pub(super) fn forget(&self, resource: &Arc<ClaimResource>, namespace: &str) {
        let mut state = self.state();
        let key = (Arc::clone(resource), namespace.to_owned());
        state.listed.remove(&key);
        let forgotten = state.claims.iter();
        let forgotten = forgotten.filter(|(_, claim)| is_of(claim, resource, namespace));
        let forgotten: Vec<Key> = forgotten.map(|(uid, _)| Arc::clone(uid)).collect();
        for uid in &forgotten {
            state.remove(uid);
        }
    }

    pub(super) async fn set(&self, claim: Claim) {
        let key: Key = claim.uid.as_str().into();
        {
            let mut state = self.state();
            state.unnamed.remove(&*key);
            state.insert(Arc::clone(&key), claim);
        }
        self.notify(&key).await;
    }

    /// Records an object without local names. If it is stored as a claim, the claim stays.
    pub(super) fn set_unnamed(&self, uid: String) {
        let mut state = self.state();
        if !state.claims.contains_key(&*uid) {
            state.unnamed.insert(uid);
        }
    }

    pub(super) async fn remove(&self, uid: &str) {
        let removed = {
            let mut state = self.state();
            state.unnamed.remove(uid);
            state.remove(uid)
        };
        if let Some(key) = removed {
            self.notify(&key).await;
        }
    }

    /// Removes the claims that a complete list does not contain.
    pub(super) async fn finish_list(
        &self,
        resource: &Arc<ClaimResource>,
        namespace: &str,
        found: &HashSet<String>,
    ) {
        let gone: Vec<Key> = {
            let mut state = self.state();
            let key = (Arc::clone(resource), namespace.to_owned());
            state.listed.insert(key, true);
            let gone = state.claims.iter().filter(|(uid, claim)| {
                is_of(claim, resource, namespace) && !found.contains(&***uid)
            });
            let gone: Vec<Key> = gone.map(|(uid, _)| Arc::clone(uid)).collect();
            for uid in &gone {
                state.remove(uid);
            }
            gone
        };
        for key in &gone {
            self.notify(key).await;
        }
    }

    /// Sends the keys of all claims, and of the claims of all copies, again and again. Some work is possible only after
    /// all objects are known. Calls `prune` before each round. Runs until it is dropped.
    pub(crate) async fn resync(
        &self,
        copies: &OwnedObjects,
        follower: &mpsc::Sender<Key>,
        prune: impl Fn(),
    ) {
        let mut delay = RESYNC_FIRST;
        loop {
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RESYNC_MAX);
            prune();
            let mut keys: HashSet<Key> = self.state().claims.keys().cloned().collect();
            keys.extend(copies.claims());
            for key in keys {
                // A follower that has ended needs no more keys.
                let _ = follower.send(key).await;
            }
        }
    }

    async fn notify(&self, key: &Key) {
        for follower in &self.followers {
            // A follower that has ended needs no more keys.
            let _ = follower.send(Arc::clone(key)).await;
        }
    }
}

impl State {
    fn insert(&mut self, key: Key, claim: Claim) {
        self.by_remote
            .insert(RemoteClaim::of(&claim), Arc::clone(&key));
        self.claims.insert(key, Arc::new(claim));
    }

    /// Removes a claim. Another one may have its name now.
    fn remove(&mut self, uid: &str) -> Option<Key> {
        let (key, claim) = self.claims.remove_entry(uid)?;
        let remote = RemoteClaim::of(&claim);
        if self.by_remote.get(&remote) == Some(&key) {
            self.by_remote.remove(&remote);
        }
        Some(key)
    }
}

fn is_of(claim: &Claim, resource: &Arc<ClaimResource>, namespace: &str) -> bool {
    claim.resource == *resource && claim.remote.namespace == namespace
}
