//! What the controllers copy between the clusters, for each control plane: connection Secrets to the app cluster.
//!
//! The replica that holds the Lease runs them. They begin anew whenever it gets the Lease.

use futures_util::future::join;
use tokio::sync::mpsc;

use crate::catalog::{Catalog, ClaimResource};
use crate::claims::{self, ClaimIndex};
use crate::config::Config;
use crate::connection_secrets::{ConnectionSecrets, CopiedApi};
use crate::proxy::ControlPlane;
use crate::telemetry::metrics::Metrics;
use crate::upstream::kube_client;
use claim_mapping::mapping::Mapping;

/// How many keys of claims may wait for a controller to read them. It reads them at once.
const KEYS_MAX: usize = 256;

/// The copies for one control plane.
pub(crate) struct Copies {
    /// The name of the control plane.
    name: String,
    mapping: Mapping,
    connection: Vec<CopiedApi>,
    app_cluster: kube::Client,
    control_plane: kube::Client,
    catalog: Catalog,
    metrics: Metrics,
}

impl Copies {
    /// Returns `None` if nothing is copied for the control plane.
    pub(crate) fn new(
        config: &Config,
        control_plane: &ControlPlane,
        app_cluster: kube::Client,
        catalog: Catalog,
        metrics: Metrics,
    ) -> Option<Self> {
        let name = &control_plane.name;
        let apis = config.apis.iter();
        let connection: Vec<CopiedApi> = apis
            .filter(|api| api.control_plane.name == *name)
            .filter_map(|api| {
                Some(CopiedApi {
                    group: api.group.clone(),
                    versions: api.versions.clone(),
                    secrets: api.secrets.connection.clone()?,
                    namespaces: api.secrets.namespaces.clone(),
                })
            })
            .collect();
        (!connection.is_empty()).then(|| Self {
            name: name.clone(),
            mapping: control_plane.mapping.clone(),
            connection,
            app_cluster,
            control_plane: kube_client(control_plane.upstream.clone()),
            catalog,
            metrics,
        })
    }

    /// Runs the controllers until it is dropped.
    pub(crate) async fn run(&self) {
        let (sender, keys) = mpsc::channel(KEYS_MAX);
        let index = ClaimIndex::new(vec![sender.clone()]);
        let clients = (self.app_cluster.clone(), self.control_plane.clone());
        let secrets = ConnectionSecrets::new(
            &self.name,
            &self.mapping,
            self.connection.clone(),
            clients,
            index.clone(),
            self.metrics.clone(),
        );
        let follow = claims::follow(
            self.control_plane.clone(),
            self.mapping.clone(),
            index,
            || self.resources(),
        );
        join(follow, secrets.run(keys, sender)).await;
    }

    /// Returns the resources with claims whose Secrets are copied.
    fn resources(&self) -> Vec<ClaimResource> {
        let mut resources = self.catalog.claim_resources(&self.name);
        resources.retain(|resource| {
            let mut apis = self.connection.iter();
            apis.any(|api| api.group == resource.group)
        });
        resources
    }
}
