//! Learns what a control plane serves, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use super::absent::{Absent, find};
use super::catalog::Catalog;
use super::document::{Exposure, Group, GroupList, ResourceList};
use crate::metrics::Metrics;
use crate::openapi;
use crate::upstream::source::{Fetched, Source};

/// How often a control plane is asked. The aggregator looks once a minute, so this adds little.
pub const REFRESH_EVERY: Duration = Duration::from_secs(10);

/// How often one that could not be asked is asked again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

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
    let mut learner = Learner::new(exposure, catalog);
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
    absent: Absent,
    exposure: Exposure,
    catalog: Catalog,
}

impl Learner {
    fn new(exposure: Exposure, catalog: Catalog) -> Self {
        Self {
            etag: None,
            absent: Absent::default(),
            exposure,
            catalog,
        }
    }

    async fn learn(&mut self, source: &Source) -> Result<(), String> {
        // Whether something is still missing has to be looked at, ETag or not.
        let etag = self.etag.as_deref().filter(|_| self.absent.is_empty());
        let before = self.catalog.groups(source.name()).unwrap_or_default();
        let mut groups = match source
            .read("/apis", ACCEPT, etag, DISCOVERY_BYTES_MAX)
            .await?
        {
            Fetched::Unchanged => before.clone(),
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
                let at = Instant::now();
                // Only asked when it matters.
                let ready = self.absent.is_any_due(at) && source.is_ready().await;
                self.etag = etag;
                let groups = self.absent.merge(&before, now, ready, at);
                if groups.is_empty() {
                    tracing::warn!(
                        control_plane = source.name(),
                        "it serves nothing that is exposed"
                    );
                }
                groups
            }
        };
        // Each time, for no ETag says whether another version is stored now.
        add_listed(source, &before, &mut groups).await;
        let name = source.name();
        let exposed = groups_of(&groups);
        self.catalog.set_groups(name, groups);
        let known = self.catalog.openapi(name);
        let fetched = openapi::fetch(source, &exposed, known).await;
        let learned = fetched.map(|changed| {
            if let Some(openapi) = changed {
                self.catalog.set_openapi(name, openapi);
            }
        });
        self.catalog.asked_openapi(name);
        learned
    }
}

/// Adds what only `/apis/G/V` tells. Of what could not be had the known stays.
async fn add_listed(source: &Source, before: &[Group], groups: &mut [Group]) {
    for group in groups {
        let name = &group.metadata.name;
        for version in &mut group.versions {
            let path = format!("/apis/{name}/{}", version.version);
            let read = source.read(&path, "application/json", None, DISCOVERY_BYTES_MAX);
            let listed = match read.await {
                Ok(Fetched::Document { body, .. }) => {
                    serde_json::from_slice::<ResourceList>(&body).map_err(|error| error.to_string())
                }
                Ok(Fetched::Unchanged) => Err("nothing came".to_owned()),
                Err(error) => Err(error),
            };
            version.listed = listed.map_or_else(
                |error| {
                    tracing::debug!(control_plane = source.name(), %path, %error, "not listed");
                    let known = find(before, name, &version.version);
                    known.map(|known| known.listed.clone()).unwrap_or_default()
                },
                |list| list.resources,
            );
        }
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

#[cfg(test)]
mod tests;
