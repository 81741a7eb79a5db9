//! The namespaces of the app cluster: which exist, and which are being deleted.
//!
//! A watch keeps a [`NamespaceStore`] up to date, and [`LocalNamespaces`] reads it. The rules are those of the admission
//! plugin NamespaceLifecycle (`apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go`): a namespace that the
//! watch has not seen may be new, so it is looked up before it counts as missing.
//!
//! For each namespace, the store keeps only its name and whether it is being deleted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::telemetry::metrics::Metrics;

/// Time that a create waits for the first list of namespaces.
const FIRST_LIST_WAIT: Duration = Duration::from_secs(2);

/// Time in which the watch may report a new namespace before claimgate looks it up (`missingNamespaceWait`).
const MISSING_WAIT: Duration = Duration::from_millis(50);

/// Limit of one lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The phase of a namespace that exists. A namespace is Terminating exactly if it has a `deletionTimestamp`
/// (`pkg/apis/core/validation`, `ValidateNamespaceStatusUpdate`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    Active,
    Terminating,
}

/// What claimgate knows about a namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NamespaceState {
    Active,
    Missing,
    Terminating,
    /// claimgate cannot read the namespaces of the app cluster.
    Unknown,
}

impl From<Phase> for NamespaceState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Active => Self::Active,
            Phase::Terminating => Self::Terminating,
        }
    }
}

/// The reason why namespaces cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The app cluster rejects the credentials, or they lack a right.
    #[error("{0}")]
    Denied(String),
    /// The app cluster does not answer, or it failed.
    #[error("{0}")]
    Unavailable(String),
}

impl NamespaceError {
    /// Returns the label of metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// Reads one namespace from the API of the app cluster. Returns `None` if it does not exist.
pub type Lookup =
    dyn Fn(String) -> BoxFuture<'static, Result<Option<Phase>, NamespaceError>> + Send + Sync;

/// What the watch has seen.
enum Contents {
    /// The first list has not been answered.
    Starting,
    Unreadable(NamespaceError),
    Listed(HashMap<Box<str>, Phase>),
}

impl Contents {
    fn phase(&self, name: &str) -> Option<Phase> {
        match self {
            Self::Listed(phases) => phases.get(name).copied(),
            Self::Starting | Self::Unreadable(_) => None,
        }
    }

    /// Returns why the contents are not known.
    fn error(&self) -> Option<NamespaceError> {
        match self {
            Self::Starting => {
                let why = "the first list of namespaces is not complete";
                Some(NamespaceError::Unavailable(why.to_owned()))
            }
            Self::Unreadable(error) => Some(error.clone()),
            Self::Listed(_) => None,
        }
    }
}

/// The namespaces that the watch has seen.
pub struct NamespaceStore(watch::Sender<Contents>);

impl NamespaceStore {
    pub fn new() -> Self {
        Self(watch::Sender::new(Contents::Starting))
    }

    /// Replaces the contents by a complete list.
    pub fn replace(&self, phases: HashMap<Box<str>, Phase>) {
        self.0.send_replace(Contents::Listed(phases));
    }

    /// Records a namespace that was created or changed.
    pub fn set(&self, name: &str, phase: Phase) {
        self.0.send_modify(|contents| {
            if let Contents::Listed(phases) = contents {
                phases.insert(name.into(), phase);
            }
        });
    }

    /// Records that a namespace was deleted.
    pub fn remove(&self, name: &str) {
        self.0.send_modify(|contents| {
            if let Contents::Listed(phases) = contents {
                phases.remove(name);
            }
        });
    }

    /// Records that the namespaces could not be read. A list stays valid while the app cluster is unavailable, but
    /// not without the right to read it. Returns whether a list remains.
    pub fn fail(&self, error: NamespaceError) -> bool {
        let is_unavailable = matches!(error, NamespaceError::Unavailable(_));
        self.0.send_if_modified(|contents| {
            let is_kept = is_unavailable && matches!(contents, Contents::Listed(_));
            if !is_kept {
                *contents = Contents::Unreadable(error);
            }
            !is_kept
        });
        matches!(*self.0.borrow(), Contents::Listed(_))
    }
}

impl Default for NamespaceStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Answers whether a namespace exists in the app cluster. The default has no access to the app cluster.
#[derive(Clone, Default)]
pub struct LocalNamespaces(Option<Arc<Access>>);

struct Access {
    contents: watch::Receiver<Contents>,
    lookup: Box<Lookup>,
    metrics: Metrics,
}

impl LocalNamespaces {
    pub fn new(store: &NamespaceStore, lookup: Box<Lookup>, metrics: Metrics) -> Self {
        Self(Some(Arc::new(Access {
            contents: store.0.subscribe(),
            lookup,
            metrics,
        })))
    }

    /// Returns the state of a namespace.
    ///
    /// # Errors
    /// The watch has not seen the namespace, and the lookup failed. In this case, kube-apiserver rejects a create too.
    pub async fn state(&self, name: &str) -> Result<NamespaceState, NamespaceError> {
        match &self.0 {
            Some(access) => access.state(name).await,
            None => Ok(NamespaceState::Unknown),
        }
    }
}

impl Access {
    async fn state(&self, name: &str) -> Result<NamespaceState, NamespaceError> {
        let mut contents = self.contents.clone();
        let has_answer = |contents: &Contents| !matches!(contents, Contents::Starting);
        let _ = timeout(FIRST_LIST_WAIT, contents.wait_for(has_answer)).await;
        let unreadable = contents.borrow().error();
        if let Some(error) = unreadable {
            self.metrics.namespace_check_failure(error.reason());
            return Ok(NamespaceState::Unknown);
        }
        let has_name = |contents: &Contents| contents.phase(name).is_some();
        let _ = timeout(MISSING_WAIT, contents.wait_for(has_name)).await;
        let seen = contents.borrow().phase(name);
        match seen {
            Some(phase) => Ok(phase.into()),
            None => self.look_up(name).await,
        }
    }

    async fn look_up(&self, name: &str) -> Result<NamespaceState, NamespaceError> {
        let lookup = timeout(LOOKUP_TIMEOUT, (self.lookup)(name.to_owned())).await;
        let found = lookup.unwrap_or_else(|_| {
            let why = format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs());
            Err(NamespaceError::Unavailable(why))
        });
        let error = match found {
            Ok(phase) => return Ok(phase.map_or(NamespaceState::Missing, NamespaceState::from)),
            Err(error) => error,
        };
        self.metrics.namespace_check_failure(error.reason());
        match error {
            NamespaceError::Denied(_) => Ok(NamespaceState::Unknown),
            NamespaceError::Unavailable(_) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Result<Option<Phase>, NamespaceError>;

    fn namespaces(store: &NamespaceStore, found: Found) -> LocalNamespaces {
        let lookup = move |_| -> BoxFuture<'static, Found> {
            let found = found.clone();
            Box::pin(async { found })
        };
        LocalNamespaces::new(store, Box::new(lookup), Metrics::new())
    }

    fn listed() -> NamespaceStore {
        let store = NamespaceStore::new();
        let phases = [("a", Phase::Active), ("b", Phase::Terminating)];
        store.replace(phases.map(|(name, phase)| (name.into(), phase)).into());
        store
    }

    fn unavailable() -> NamespaceError {
        NamespaceError::Unavailable("connection refused".to_owned())
    }

    fn denied() -> NamespaceError {
        NamespaceError::Denied("may not get".to_owned())
    }

    fn failures(namespaces: &LocalNamespaces) -> String {
        let text = namespaces.0.as_ref().unwrap().metrics.encode();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("claimgate_namespace_check_failures_total"));
        lines.collect()
    }

    #[tokio::test]
    async fn states_are_unknown_without_access() {
        let state = LocalNamespaces::default().state("a").await;
        assert_eq!(state.unwrap(), NamespaceState::Unknown);
    }

    #[tokio::test]
    async fn seen_namespaces_are_not_looked_up() {
        let namespaces = namespaces(&listed(), Err(unavailable()));
        for (name, expected) in [
            ("a", NamespaceState::Active),
            ("b", NamespaceState::Terminating),
        ] {
            assert_eq!(namespaces.state(name).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn lookup_decides_about_namespaces_that_the_watch_has_not_seen() {
        for (found, expected) in [
            (None, NamespaceState::Missing),
            (Some(Phase::Active), NamespaceState::Active),
            (Some(Phase::Terminating), NamespaceState::Terminating),
        ] {
            let namespaces = namespaces(&listed(), Ok(found));
            assert_eq!(namespaces.state("new").await.unwrap(), expected);
            assert_eq!(failures(&namespaces), "");
        }
    }

    #[tokio::test]
    async fn namespace_that_the_watch_reports_in_time_is_not_looked_up() {
        let store = listed();
        let namespaces = namespaces(&store, Ok(None));
        let (state, ()) = tokio::join!(namespaces.state("new"), async {
            store.set("new", Phase::Active);
        });
        assert_eq!(state.unwrap(), NamespaceState::Active);
        store.remove("new");
        let state = namespaces.state("new").await;
        assert_eq!(state.unwrap(), NamespaceState::Missing);
    }

    #[tokio::test]
    async fn failed_lookup_is_an_error_and_counted() {
        let namespaces = namespaces(&listed(), Err(unavailable()));
        assert!(namespaces.state("new").await.is_err());
        let counted = "claimgate_namespace_check_failures_total{reason=\"unavailable\"} 1";
        assert_eq!(failures(&namespaces), counted);
    }

    #[tokio::test]
    async fn states_are_unknown_without_the_right_to_read_them() {
        let store = listed();
        let without_get = namespaces(&store, Err(denied()));
        let state = without_get.state("new").await;
        assert_eq!(state.unwrap(), NamespaceState::Unknown);

        store.fail(denied());
        let without_list = namespaces(&store, Ok(None));
        let state = without_list.state("a").await;
        assert_eq!(state.unwrap(), NamespaceState::Unknown);
        let counted = "claimgate_namespace_check_failures_total{reason=\"denied\"} 1";
        assert_eq!(failures(&without_list), counted);
    }

    #[tokio::test]
    async fn unavailable_app_cluster_keeps_a_list_but_blocks_nothing_without_one() {
        let (known, unknown) = (listed(), NamespaceStore::new());
        assert!(known.fail(unavailable()));
        assert!(!unknown.fail(unavailable()));
        for (store, expected) in [
            (&known, NamespaceState::Terminating),
            (&unknown, NamespaceState::Unknown),
        ] {
            let state = namespaces(store, Ok(None)).state("b").await;
            assert_eq!(state.unwrap(), expected);
        }
    }
}
