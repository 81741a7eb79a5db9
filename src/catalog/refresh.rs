//! Keeps the catalog current: periodically reads discovery and OpenAPI of a control plane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use super::discovery::{
    Group, GroupList, RemovalDelay, ResourceList, exposed_groups, find_version, not_exposed,
};
use super::discovery_cache::DiscoveryCache;
use super::exposure::Exposure;
use super::name_limits::NameLimits;
use super::openapi::ExposedGroupVersion;
use super::outage::OutageDetector;
use super::rights::{MissingRight, Rights};
use super::rights_reader::RightsReader;
use super::saved_copy::SavedCopy;
use super::store::Catalog;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{DocumentClient, DocumentFetch, FetchError, FetchedDocument};

/// Interval between reads. The aggregator reads once a minute, so this adds little delay.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// Interval after a failed read.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Largest size in bytes of a discovery document. A thousand CRDs take about 1 MiB.
pub(super) const DISCOVERY_BYTES_MAX: usize = 32 << 20;

/// Time for a read of discovery, which API servers keep in memory.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// Time for all reads but that of OpenAPI. With a thousand resources over a slow link, these are many.
const SERVED_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) const DISCOVERY_PATH: &str = "/apis";

pub(super) const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// What [`refresh()`] does with one control plane.
#[derive(Clone)]
pub struct RefreshOptions {
    pub exposure: Exposure,
    /// How long the control plane must be unreachable before its resources are offered without `watch`.
    pub degrade_after: Duration,
    /// The mapped namespaces of the control plane.
    pub namespaces: Vec<String>,
    /// The cache that saves discovery across restarts.
    pub cache: Option<DiscoveryCache>,
}

/// Keeps one control plane's part of the catalog current until `stop` is cancelled.
pub async fn refresh(
    client: Arc<DocumentClient>,
    options: RefreshOptions,
    catalog: Catalog,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut refresher = Refresher::new(options, catalog);
    let name = client.name().to_owned();
    let mut was_up = None;
    loop {
        let refresh = async {
            refresher.load(&name).await;
            refresher.refresh(&client).await
        };
        let refreshed = tokio::select! {
            () = stop.cancelled() => return,
            refreshed = refresh => refreshed,
        };
        if refreshed.is_err() && refresher.must_restore(&name) {
            refresher.restore(&name);
        }
        let is_up = refreshed.is_ok();
        metrics.control_plane_up(&name, is_up);
        refresher.catalog.set_reachable(&name, is_up);
        match &refreshed {
            Ok(()) if was_up != Some(true) => {
                tracing::info!(control_plane = %name, "the control plane is available");
            }
            Err(error) if was_up != Some(false) => {
                tracing::warn!(
                    control_plane = %name,
                    %error,
                    "cannot read discovery and OpenAPI of the control plane"
                );
            }
            _ => {}
        }
        was_up = Some(is_up);
        let interval = if is_up && refresher.outage.is_available() {
            REFRESH_INTERVAL
        } else {
            RETRY_INTERVAL
        };
        let pause = interval.mul_f64(rand::rng().random_range(0.9..1.1));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Reads the documents of one control plane into the catalog.
struct Refresher {
    etag: Option<String>,
    removal_delay: RemovalDelay,
    exposure: Exposure,
    name_limits: NameLimits,
    rights: RightsReader,
    outage: OutageDetector,
    saved: Option<SavedCopy>,
    catalog: Catalog,
}

impl Refresher {
    fn new(options: RefreshOptions, catalog: Catalog) -> Self {
        Self {
            etag: None,
            removal_delay: RemovalDelay::default(),
            exposure: options.exposure,
            name_limits: NameLimits::default(),
            rights: RightsReader::new(options.namespaces),
            outage: OutageDetector::new(options.degrade_after),
            saved: options.cache.map(SavedCopy::new),
            catalog,
        }
    }

    async fn refresh(&mut self, client: &DocumentClient) -> Result<(), FetchError> {
        let name = client.name();
        let before = self.catalog.groups(name);
        let served = self.served(client, before.as_deref().unwrap_or_default());
        let served = tokio::time::timeout(SERVED_TIMEOUT, served).await;
        let served = served.unwrap_or_else(|_| Err(incomplete(SERVED_TIMEOUT)));
        if served.is_err() {
            // Otherwise an unchanged document would look like one without resources.
            self.etag = None;
        }
        // Before the first sync, nothing is offered that could become degraded.
        if before.is_some() {
            // API servers answer discovery from memory while etcd is down, and lists then fail.
            let is_healthy = served.is_ok() && !has_failed(client).await;
            self.outage.observe(is_healthy, Instant::now());
            self.report_outage(name);
        }
        let (groups, rights) = served?;
        self.report_rights(name, &rights);
        let exposed = group_versions(&groups);
        let mut is_changed = self.catalog.set_groups(name, groups, rights);
        let updated = self.catalog.openapi(name).updated(client, &exposed).await;
        let result = updated.map(|changed| {
            if let Some(openapi) = changed {
                self.catalog.set_openapi(name, openapi);
                is_changed = true;
            }
        });
        self.catalog.set_openapi_tried(name);
        if let Some(saved) = &mut self.saved {
            saved.must_save |= is_changed;
            saved.save(name, &self.catalog).await;
        }
        result
    }

    async fn load(&mut self, name: &str) {
        if let Some(saved) = &mut self.saved {
            saved.load(name, &self.catalog).await;
        }
    }

    /// Returns whether a failed refresh leaves nothing to serve. While only the loss of rights must be confirmed, the control
    /// plane answers, and the next refresh succeeds.
    fn must_restore(&self, name: &str) -> bool {
        !self.catalog.is_synced(name) && !self.rights.is_confirming_loss()
    }

    /// Serves the documents that were saved before the restart, as in an outage.
    fn restore(&mut self, name: &str) {
        if let Some(saved) = &mut self.saved
            && saved.restore(name, &self.catalog)
        {
            self.outage.begin_outage();
        }
    }

    fn report_outage(&self, name: &str) {
        let is_degraded = self.outage.is_outage();
        if is_degraded != self.catalog.is_degraded(name) {
            match is_degraded {
                true => tracing::warn!(
                    control_plane = name,
                    "discovery now lists the resources of the control plane without the verb watch, so that controllers of the app cluster ignore them"
                ),
                false => tracing::info!(
                    control_plane = name,
                    "discovery lists the resources of the control plane with all verbs again"
                ),
            }
        }
        self.catalog.set_degraded(name, is_degraded);
    }

    /// Logs newly missing rights, and rights that are no longer missing.
    fn report_rights(&self, name: &str, rights: &Rights) {
        let (before, now) = (self.catalog.missing_rights(name), rights.missing());
        for (scope, verbs) in by_scope(now.difference(&before)) {
            tracing::warn!(
                control_plane = name,
                cure = "grant the rights of config/rbac/control-plane.yaml to its user on the control plane",
                "claimgate lacks the right to {} {scope}; discovery does not list these verbs",
                verbs.join(", ")
            );
        }
        for (scope, verbs) in by_scope(before.difference(&now)) {
            tracing::info!(
                control_plane = name,
                "claimgate now has the right to {} {scope}",
                verbs.join(", ")
            );
        }
    }

    /// Reads the exposed APIs that the control plane serves, and the rights on them.
    async fn served(
        &mut self,
        client: &DocumentClient,
        before: &[Group],
    ) -> Result<(Vec<Group>, Rights), FetchError> {
        let mut groups = self.groups(client, before).await?;
        // Read on every refresh, because a changed storage version changes no ETag.
        add_list_entries(client, before, &mut groups).await;
        let name = client.name();
        if self.exposure.translates_names {
            let removed = self.name_limits.apply(client, &mut groups).await?;
            if !removed.is_empty() {
                // So that a resource returns once its limit has changed, which does not change discovery.
                self.etag = None;
                self.catalog.add_not_exposed(name, removed);
            }
        }
        let are_rights_stale = self.catalog.are_rights_stale(name);
        self.catalog.set_rights_stale(name, false);
        let rights = self.rights.read(client, &groups, are_rights_stale).await;
        let rights = rights.map_err(|error| FetchError::Body {
            path: error.path.to_owned(),
            problem: error.problem,
        })?;
        Ok((groups, rights))
    }

    /// Reads aggregated discovery. Returns the exposed groups, including resources that must not be
    /// removed yet.
    async fn groups(
        &mut self,
        client: &DocumentClient,
        before: &[Group],
    ) -> Result<Vec<Group>, FetchError> {
        // While resources are missing, an unchanged document matters too.
        let etag = self
            .etag
            .as_deref()
            .filter(|_| self.removal_delay.is_empty());
        let read = client.read(DISCOVERY_PATH, ACCEPT, etag, DISCOVERY_BYTES_MAX);
        let fetched = tokio::time::timeout(DISCOVERY_TIMEOUT, read).await;
        let fetched = fetched.unwrap_or_else(|_| Err(incomplete(DISCOVERY_TIMEOUT)))?;
        let DocumentFetch::Document(FetchedDocument {
            etag,
            content_type,
            body,
        }) = fetched
        else {
            return Ok(before.to_vec());
        };
        if !content_type.contains("APIGroupDiscoveryList") {
            let problem = format!(
                "{content_type:?} is not aggregated discovery; Kubernetes 1.27 or later is required"
            );
            return Err(FetchError::invalid(DISCOVERY_PATH, problem));
        }
        let list: GroupList = serde_json::from_slice(&body)
            .map_err(|error| FetchError::invalid(DISCOVERY_PATH, error))?;
        self.catalog
            .set_not_exposed(client.name(), not_exposed(&list, &self.exposure));
        let served = exposed_groups(list, &self.exposure);
        let now = Instant::now();
        // Readiness matters only if a resource can be removed.
        let is_ready = self.removal_delay.is_any_due(now) && client.is_ready().await;
        self.etag = etag;
        let groups = self.removal_delay.merge(before, served, is_ready, now);
        if groups.is_empty() {
            tracing::warn!(
                control_plane = client.name(),
                "the control plane serves none of the exposed resources"
            );
        }
        Ok(groups)
    }
}

/// Returns whether the control plane reports a failure, or does not say in time.
async fn has_failed(client: &DocumentClient) -> bool {
    let reports = tokio::time::timeout(DISCOVERY_TIMEOUT, client.reports_failure());
    reports.await.unwrap_or(true)
}

fn incomplete(timeout: Duration) -> FetchError {
    FetchError::Body {
        path: DISCOVERY_PATH.to_owned(),
        problem: format!("not complete after {} s", timeout.as_secs()),
    }
}

/// Returns the verbs of rights on each resource in each scope.
fn by_scope<'a>(
    rights: impl Iterator<Item = &'a MissingRight>,
) -> BTreeMap<String, Vec<&'static str>> {
    let mut all: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for right in rights {
        let scope = format!("{}.{} {}", right.resource, right.group, right.scope);
        all.entry(scope).or_default().push(right.verb);
    }
    all
}

/// Adds the entries of `/apis/G/V` to each version. If they cannot be read, the previous ones stay.
async fn add_list_entries(client: &DocumentClient, before: &[Group], groups: &mut [Group]) {
    for group in groups {
        let name = &group.metadata.name;
        for version in &mut group.versions {
            let path = format!("/apis/{name}/{}", version.version);
            version.list_entries = match resource_list(client, &path).await {
                Ok(list) => list.resources,
                Err(error) => {
                    tracing::debug!(control_plane = client.name(), %error, "cannot read a resource list");
                    let known = find_version(before, name, &version.version);
                    known
                        .map(|known| known.list_entries.clone())
                        .unwrap_or_default()
                }
            };
        }
    }
}

async fn resource_list(client: &DocumentClient, path: &str) -> Result<ResourceList, FetchError> {
    let fetched = client
        .read(path, "application/json", None, DISCOVERY_BYTES_MAX)
        .await?;
    let DocumentFetch::Document(FetchedDocument { body, .. }) = fetched else {
        return Err(FetchError::invalid(path, "304 without a condition"));
    };
    serde_json::from_slice(&body).map_err(|error| FetchError::invalid(path, error))
}

/// Returns the group-versions with their resources.
fn group_versions(groups: &[Group]) -> Vec<ExposedGroupVersion> {
    let mut all = Vec::new();
    for group in groups {
        for version in &group.versions {
            let resources = version.resources.iter();
            let resources: BTreeSet<_> = resources
                .map(|resource| resource.resource.clone())
                .collect();
            all.push(ExposedGroupVersion {
                prefix: format!("apis/{}/{}", group.metadata.name, version.version),
                resources,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests;
