//! Decides when the documents of a control plane are saved, and when the saved ones are served.

use std::time::{Duration, SystemTime};

use super::discovery_cache::{DiscoveryCache, SavedDiscovery};
use super::store::Catalog;

/// Time for a read or a write of the store. Otherwise, an app cluster that does not answer would stop the refresh.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// The saved documents of one control plane, and whether they are current.
pub(super) struct SavedCopy {
    cache: DiscoveryCache,
    /// Whether the cache was read. It is read only once.
    is_loaded: bool,
    /// The documents that were saved before the restart.
    before_restart: Option<SavedDiscovery>,
    /// Whether the catalog differs from the saved documents.
    pub(super) must_save: bool,
    has_save_failed: bool,
}

impl SavedCopy {
    pub(super) fn new(cache: DiscoveryCache) -> Self {
        Self {
            cache,
            is_loaded: false,
            before_restart: None,
            must_save: false,
            has_save_failed: false,
        }
    }

    /// Reads the documents that were saved before the restart, once.
    pub(super) async fn load(&mut self, name: &str, catalog: &Catalog) {
        if self.is_loaded {
            return;
        }
        let loaded = tokio::time::timeout(STORE_TIMEOUT, self.cache.load(name)).await;
        match loaded.unwrap_or_else(|_| Err(no_answer())) {
            Ok(saved) => {
                catalog.add_offered_before(name, &saved.offered_before);
                self.before_restart = saved.documents;
                self.is_loaded = true;
            }
            Err(error) => {
                tracing::debug!(
                    control_plane = name,
                    error,
                    "cannot read the saved discovery"
                );
            }
        }
    }

    /// Serves the documents that were saved before the restart. Returns whether there are any.
    pub(super) fn restore(&mut self, name: &str, catalog: &Catalog) -> bool {
        let Some(saved) = self.before_restart.take() else {
            return false;
        };
        let age = saved.saved_at.elapsed().unwrap_or_default();
        tracing::warn!(
            control_plane = name,
            saved_seconds_ago = age.as_secs(),
            "the control plane cannot be reached; claimgate serves the discovery and OpenAPI that it saved before the restart"
        );
        catalog.restore(name, saved, age);
        true
    }

    /// Saves the documents of the catalog if they have changed. Saves nothing before the saved documents were loaded,
    /// because the verbs that were offered before would be lost.
    pub(super) async fn save(&mut self, name: &str, catalog: &Catalog) {
        let Some(groups) = catalog.groups(name) else {
            return;
        };
        if !self.must_save || !self.is_loaded {
            return;
        }
        let documents = SavedDiscovery {
            saved_at: SystemTime::now(),
            groups,
            openapi: catalog.openapi(name),
        };
        let offered_before = catalog.offered_before(name);
        let save = self.cache.save(name, documents, offered_before);
        let saved = tokio::time::timeout(STORE_TIMEOUT, save).await;
        let saved = saved.unwrap_or_else(|_| Err(no_answer()));
        if let (Err(error), false) = (&saved, self.has_save_failed) {
            tracing::warn!(
                control_plane = name,
                error,
                "cannot save discovery; after a restart during an outage, the APIs would be unavailable"
            );
        }
        self.has_save_failed = saved.is_err();
        self.must_save = saved.is_err();
    }
}

fn no_answer() -> String {
    format!("no answer after {} s", STORE_TIMEOUT.as_secs())
}
