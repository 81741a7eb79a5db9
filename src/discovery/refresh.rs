//! Learns what a control plane serves, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use super::catalog::Catalog;
use super::document::{ApiResource, Exposure, Group, GroupList, Version};
use crate::metrics::Metrics;
use crate::openapi;
use crate::upstream::source::{Fetched, Source};

/// How often a control plane is asked. The aggregator looks once a minute, so this adds little.
pub const REFRESH_EVERY: Duration = Duration::from_secs(10);

/// How often one that could not be asked is asked again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// What is missing has to be missing this long before it goes.
const REMOVE_AFTER: Duration = Duration::from_secs(10);

/// Bytes of a discovery document; a thousand CRDs take about one MiB.
const DISCOVERY_BYTES_MAX: usize = 32 << 20;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Keeps the catalog's part of one control plane current until `stop`.
pub async fn refresh(
    source: Arc<Source>,
    exposure: Exposure,
    catalog: Catalog,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut learner = Learner {
        etag: None,
        missing: BTreeMap::new(),
        exposure,
        catalog,
    };
    let name = source.name().to_owned();
    let mut was_up = None;
    loop {
        let learned = tokio::select! {
            () = stop.cancelled() => return,
            learned = learner.learn(&source) => learned,
        };
        let up = learned.is_ok();
        metrics.control_plane_up(&name, up);
        match &learned {
            Ok(()) if was_up != Some(true) => {
                tracing::info!(control_plane = %name, "the control plane answers");
            }
            Err(error) if was_up != Some(false) => {
                tracing::warn!(control_plane = %name, %error, "the control plane cannot be asked what it serves");
            }
            _ => {}
        }
        was_up = Some(up);
        let pause = if up { REFRESH_EVERY } else { RETRY_EVERY };
        let jitter = pause.mul_f64(rand::rng().random_range(0.9..1.1));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(jitter) => {}
        }
    }
}

struct Learner {
    etag: Option<String>,
    /// Since when resources that are in the catalog are missing, by group, version and name.
    missing: BTreeMap<(String, String, String), Instant>,
    exposure: Exposure,
    catalog: Catalog,
}

impl Learner {
    async fn learn(&mut self, source: &Source) -> Result<(), String> {
        // Whether something is still missing has to be looked at, ETag or not.
        let etag = self.etag.as_deref().filter(|_| self.missing.is_empty());
        match source
            .read("/apis", ACCEPT, etag, DISCOVERY_BYTES_MAX)
            .await?
        {
            Fetched::Unchanged => self.catalog.confirm(source.name()),
            Fetched::Document {
                etag,
                content_type,
                body,
            } => {
                if !content_type.contains("APIGroupDiscoveryList") {
                    return Err(format!(
                        "it serves no aggregated discovery (Kubernetes 1.27 or later does), but {content_type:?}"
                    ));
                }
                let list: GroupList = serde_json::from_slice(&body)
                    .map_err(|error| format!("its discovery cannot be read: {error}"))?;
                let now = list.exposed(&self.exposure).items;
                let groups = self.merge(source, now).await;
                if groups.is_empty() {
                    tracing::warn!(
                        control_plane = source.name(),
                        "it serves nothing that is exposed"
                    );
                }
                self.catalog.set_groups(source.name(), groups);
                self.etag = etag;
            }
        }
        let name = source.name();
        let groups = self.catalog.groups(name).unwrap_or_default();
        let known = self.catalog.openapi(name);
        if let Some(openapi) = openapi::fetch(source, &groups_of(&groups), known).await? {
            self.catalog.set_openapi(name, openapi);
        }
        Ok(())
    }

    /// What is served now, and what was and has not been missing for long: a control plane that is
    /// starting serves less than it will, and the namespace controller would take the absence of a
    /// resource for the absence of its objects.
    async fn merge(&mut self, source: &Source, mut now: Vec<Group>) -> Vec<Group> {
        let before = self.catalog.groups(source.name()).unwrap_or_default();
        let mut missing = BTreeMap::new();
        for (group, version, resource) in resources(&before) {
            let stale = find(&now, &group, &version).is_none_or(Version::is_stale);
            let there = find(&now, &group, &version)
                .is_some_and(|v| v.resources.iter().any(|r| r.resource == resource.resource));
            if there {
                continue;
            }
            let key = (group.clone(), version.clone(), resource.resource.clone());
            let since = self.missing.get(&key).copied().unwrap_or_else(Instant::now);
            let is_stale = stale && find(&now, &group, &version).is_some();
            if !is_stale && since.elapsed() >= REMOVE_AFTER && source.is_ready().await {
                tracing::info!(%group, %version, resource = %key.2, "no longer served");
                continue;
            }
            missing.insert(key, since);
            put_back(&mut now, &group, &version, resource);
        }
        self.missing = missing;
        for group in &mut now {
            group
                .versions
                .retain(|version| !version.resources.is_empty());
            for version in &mut group.versions {
                version.freshness = "Current".to_owned();
            }
        }
        now.retain(|group| !group.versions.is_empty());
        now
    }
}

fn resources(groups: &[Group]) -> Vec<(String, String, ApiResource)> {
    let mut all = Vec::new();
    for group in groups {
        for version in &group.versions {
            for resource in &version.resources {
                let group = group.metadata.name.clone();
                all.push((group, version.version.clone(), resource.clone()));
            }
        }
    }
    all
}

fn find<'a>(groups: &'a [Group], group: &str, version: &str) -> Option<&'a Version> {
    let group = groups.iter().find(|known| known.metadata.name == group)?;
    group.versions.iter().find(|known| known.version == version)
}

fn put_back(groups: &mut Vec<Group>, group: &str, version: &str, resource: ApiResource) {
    let at = groups
        .iter()
        .position(|known| known.metadata.name == group)
        .unwrap_or_else(|| {
            let metadata = super::document::Metadata {
                name: group.to_owned(),
            };
            groups.push(Group {
                metadata,
                versions: Vec::new(),
            });
            groups.len() - 1
        });
    let Some(known) = groups.get_mut(at) else {
        return;
    };
    match known
        .versions
        .iter_mut()
        .find(|known| known.version == version)
    {
        Some(known) => known.resources.push(resource),
        None => known.versions.push(Version {
            version: version.to_owned(),
            resources: vec![resource],
            freshness: "Current".to_owned(),
        }),
    }
}

/// Group-versions with the resources that are exposed of them.
fn groups_of(groups: &[Group]) -> Vec<openapi::Exposed> {
    let mut all = Vec::new();
    for group in groups {
        for version in &group.versions {
            let resources = version
                .resources
                .iter()
                .map(|resource| resource.resource.clone());
            all.push(openapi::Exposed {
                prefix: format!("apis/{}/{}", group.metadata.name, version.version),
                resources: resources.collect(),
            });
        }
    }
    all
}
