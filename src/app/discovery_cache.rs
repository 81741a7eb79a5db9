//! The stores that keep discovery across restarts.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::catalog::{DiscoveryCache, DocumentStore, Exposure};
use crate::config::ControlPlaneConfig;
use crate::state_directory::StateDirectory;

/// Keeps documents as files of the state directory.
struct Files(StateDirectory);

impl DocumentStore for Files {
    fn read<'a>(
        &'a self,
        control_plane: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        let (directory, name) = (self.0.clone(), file_name(control_plane));
        Box::pin(in_thread(move || directory.read(&name)))
    }

    fn write<'a>(
        &'a self,
        control_plane: &'a str,
        document: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), String>> {
        let (directory, name) = (self.0.clone(), file_name(control_plane));
        Box::pin(in_thread(move || directory.write(&name, &document)))
    }
}

/// Names of control planes are DNS labels.
fn file_name(control_plane: &str) -> String {
    format!("discovery-{control_plane}.json")
}

/// Runs a function that blocks.
async fn in_thread<T: Send + 'static>(
    function: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let result = tokio::task::spawn_blocking(function).await;
    let result = result.map_err(|error| error.to_string())?;
    result.map_err(|error| error.to_string())
}

/// Returns the store in the state directory.
pub(super) fn files(directory: StateDirectory) -> Arc<dyn DocumentStore> {
    Arc::new(Files(directory))
}

/// Returns the cache of a control plane.
pub(super) fn of(
    store: Arc<dyn DocumentStore>,
    settings: &ControlPlaneConfig,
    exposure: &Exposure,
) -> DiscoveryCache {
    let server = &settings.server;
    DiscoveryCache {
        store,
        server: format!("{}:{}{}", server.host, server.port, server.path),
        exposure: format!("{exposure:?}"),
    }
}
