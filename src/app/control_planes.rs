//! Creates the clients of all configured control planes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::app_cluster_access::AppClusterAccess;
use super::control_plane::{control_plane, credentials, exposure};
use super::start_error::StartError;
use crate::catalog::Exposure;
use crate::config::Config;
use crate::proxy::ControlPlane;
use crate::telemetry::metrics::Metrics;
use crate::tls::watched::Reload;
use crate::upstream::DocumentClient;

/// The control planes that `apis` refers to.
#[derive(Default)]
pub(super) struct ControlPlanes {
    pub(super) by_name: BTreeMap<String, ControlPlane>,
    /// The client that reads the documents of each control plane, and the APIs to expose.
    pub(super) documents: Vec<(Arc<DocumentClient>, Exposure)>,
    /// Credential files, to be reloaded when they change.
    pub(super) watched: Vec<Arc<dyn Reload>>,
}

impl ControlPlanes {
    /// Reads the credentials of all control planes. Clients connect with their first request.
    ///
    /// # Errors
    /// The credentials or the certificate authority of a control plane are unusable.
    pub(super) fn load(
        config: &Config,
        app_cluster: &AppClusterAccess,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let mut all = Self::default();
        for (name, settings) in &config.control_planes {
            let exposure = exposure(name, config);
            if exposure.apis.is_empty() {
                tracing::warn!(control_plane = %name, "unused control plane: no entry of apis refers to it");
                continue;
            }
            let invalid = |problem| StartError::ControlPlane {
                name: name.clone(),
                problem,
            };
            let credentials = match app_cluster.credentials(name) {
                Some(credentials) => credentials,
                None => credentials(&settings.credentials).map_err(invalid)?,
            };
            all.watched.extend(credentials.watched());
            let control_plane = control_plane(settings, credentials, metrics).map_err(invalid)?;
            let documents = DocumentClient::new(control_plane.upstream.clone());
            all.documents.push((Arc::new(documents), exposure));
            all.by_name.insert(name.clone(), control_plane);
        }
        Ok(all)
    }

    pub(super) fn exposures(&self) -> Vec<Exposure> {
        let exposures = self.documents.iter().map(|(_, exposure)| exposure.clone());
        exposures.collect()
    }
}
