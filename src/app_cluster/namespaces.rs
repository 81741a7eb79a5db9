//! Watches the metadata of the app cluster's namespaces.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio_util::sync::CancellationToken;

use crate::namespaces::{LocalNamespaces, Lookup, NamespaceError, NamespaceStore, Phase};
use crate::telemetry::metrics::Metrics;

/// Time until claimgate tries again to list namespaces that it could not list.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

type NamespaceMetadata = PartialObjectMeta<Namespace>;

/// Keeps a [`NamespaceStore`] equal to the namespaces of the app cluster.
pub(crate) struct NamespaceWatch {
    api: Api<NamespaceMetadata>,
    store: NamespaceStore,
    /// Whether it was logged that the namespaces cannot be read.
    is_reported: bool,
}

impl NamespaceWatch {
    /// Creates the watch, and the [`LocalNamespaces`] that answer from it.
    pub(crate) fn new(client: kube::Client, metrics: Metrics) -> (Self, LocalNamespaces) {
        let api: Api<NamespaceMetadata> = Api::all(client);
        let store = NamespaceStore::new();
        let namespaces = LocalNamespaces::new(&store, lookup(api.clone()), metrics);
        let watch = Self {
            api,
            store,
            is_reported: false,
        };
        (watch, namespaces)
    }

    /// Runs until `stop` is cancelled.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                self.follow().await;
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        })
        .await;
    }

    /// Watches until the app cluster denies it.
    async fn follow(&mut self) {
        // The watcher logs each denied list.
        let readable = self.api.list(&ListParams::default().limit(1)).await;
        if let Err(error) = readable {
            return self.fail(namespace_error(&error));
        }
        let events = watcher(self.api.clone(), watcher::Config::default());
        let mut events = Box::pin(events.default_backoff());
        let mut listed = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.insert(name(&object).into(), phase(&object));
                }
                Ok(Event::InitDone) => {
                    self.store.replace(std::mem::take(&mut listed));
                    if std::mem::take(&mut self.is_reported) {
                        tracing::info!("the namespaces of the app cluster can be read again");
                    }
                }
                Ok(Event::Apply(object)) => self.store.set(name(&object), phase(&object)),
                Ok(Event::Delete(object)) => self.store.remove(name(&object)),
                Err(error) => {
                    let error = watch_error(&error);
                    let is_denied = matches!(error, NamespaceError::Denied(_));
                    self.fail(error);
                    if is_denied {
                        return;
                    }
                }
            }
        }
    }

    /// Records a failure, and logs the first one after which the namespaces are unknown.
    fn fail(&mut self, error: NamespaceError) {
        let is_known = self.store.fail(error.clone());
        if is_known || self.is_reported {
            return;
        }
        self.is_reported = true;
        match error {
            NamespaceError::Denied(why) => tracing::warn!(
                error = why,
                "creates in missing namespaces are not rejected: claimgate needs the rights get, list and watch on \
                 namespaces of the app cluster; apply config/rbac/namespaces.yaml"
            ),
            NamespaceError::Unavailable(why) => tracing::warn!(
                error = why,
                "creates in missing namespaces are not rejected: the app cluster does not list its namespaces; \
                 claimgate tries again"
            ),
        }
    }
}

/// Returns a function that reads one namespace.
fn lookup(api: Api<NamespaceMetadata>) -> Box<Lookup> {
    Box::new(move |name| {
        let api = api.clone();
        Box::pin(async move {
            match api.get_opt(&name).await {
                Ok(object) => Ok(object.as_ref().map(phase)),
                Err(error) => Err(namespace_error(&error)),
            }
        })
    })
}

fn name(object: &NamespaceMetadata) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

fn phase(object: &NamespaceMetadata) -> Phase {
    match object.metadata.deletion_timestamp {
        Some(_) => Phase::Terminating,
        None => Phase::Active,
    }
}

fn namespace_error(error: &kube::Error) -> NamespaceError {
    match error {
        kube::Error::Api(status) => api_error(status.code, &status.message),
        error => NamespaceError::Unavailable(error.to_string()),
    }
}

fn watch_error(error: &watcher::Error) -> NamespaceError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => namespace_error(error),
        watcher::Error::WatchError(status) => api_error(status.code, &status.message),
        error @ watcher::Error::NoResourceVersion => NamespaceError::Unavailable(error.to_string()),
    }
}

fn api_error(code: u16, message: &str) -> NamespaceError {
    match code {
        401 | 403 => NamespaceError::Denied(message.to_owned()),
        _ => NamespaceError::Unavailable(message.to_owned()),
    }
}
