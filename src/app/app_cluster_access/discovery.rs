//! Saves discovery in the app cluster across restarts.

use futures_util::future::BoxFuture;

use crate::app_cluster::DiscoveryStore;
use crate::catalog::DocumentStore;

impl DocumentStore for DiscoveryStore {
    fn read<'a>(
        &'a self,
        control_plane: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        Box::pin(self.read(control_plane))
    }

    fn write<'a>(
        &'a self,
        control_plane: &'a str,
        document: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.write(control_plane, &document).await })
    }
}
