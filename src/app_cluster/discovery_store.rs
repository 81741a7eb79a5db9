//! Keeps the discovery documents of control planes in a ConfigMap of the app cluster.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::errors::{describe, has_status};
use crate::config::ServiceConfig;

/// The end of the name of the ConfigMap, after the name of the Service. The installation creates the ConfigMap, so
/// claimgate needs rights only on this name, and an uninstallation deletes it.
pub(crate) const DISCOVERY_SUFFIX: &str = "-discovery";

/// Largest size in bytes of a compressed document. kube-apiserver limits a ConfigMap with all documents to 1 MiB
/// (`pkg/apis/core/validation/validation.go`, MaxSecretSize).
const COMPRESSED_BYTES_MAX: usize = 900 << 10;

/// Largest size in bytes of a document after decompression.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// The documents of all control planes. Each is compressed and has a separate key.
#[derive(Clone)]
pub(crate) struct DiscoveryStore {
    api: Api<ConfigMap>,
    name: String,
}

impl DiscoveryStore {
    /// Creates the store, in the namespace of the Service.
    pub(crate) fn new(client: kube::Client, service: &ServiceConfig) -> Self {
        Self {
            api: Api::namespaced(client, &service.namespace),
            name: format!("{}{DISCOVERY_SUFFIX}", service.name),
        }
    }

    /// Reads the document of a control plane. Returns `None` if the ConfigMap lacks it.
    ///
    /// # Errors
    /// The ConfigMap cannot be read, or the document cannot be decompressed.
    pub(crate) async fn read(&self, control_plane: &str) -> Result<Option<Vec<u8>>, String> {
        let found = self.api.get_opt(&self.name).await;
        let found = found.map_err(|error| self.problem("read", &error))?;
        let data = found.and_then(|object| object.binary_data);
        let compressed = data.and_then(|mut data| data.remove(&key(control_plane)));
        let Some(ByteString(compressed)) = compressed else {
            return Ok(None);
        };
        let mut document = Vec::new();
        let mut decoder = GzDecoder::new(compressed.as_slice()).take(DOCUMENT_BYTES_MAX);
        let read = decoder.read_to_end(&mut document);
        read.map_err(|error| format!("ConfigMap {}: {error}", self.name))?;
        Ok(Some(document))
    }

    /// Writes the document of a control plane.
    ///
    /// # Errors
    /// The document is too large, or the ConfigMap does not exist or cannot be written.
    pub(crate) async fn write(&self, control_plane: &str, document: &[u8]) -> Result<(), String> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let written = encoder.write_all(document);
        let compressed = written.and_then(|()| encoder.finish());
        let compressed = compressed.map_err(|error| error.to_string())?;
        if compressed.len() > COMPRESSED_BYTES_MAX {
            return Err(format!(
                "the compressed documents have {} bytes, which is too much for the ConfigMap {}; set stateDirectory",
                compressed.len(),
                self.name
            ));
        }
        let data = BTreeMap::from([(key(control_plane), ByteString(compressed))]);
        let patch = Patch::Merge(json!({"binaryData": data}));
        let parameters = PatchParams {
            field_manager: Some("claimgate".to_owned()),
            ..PatchParams::default()
        };
        let patched = self.api.patch(&self.name, &parameters, &patch);
        match patched.await {
            Ok(_) => Ok(()),
            Err(error) if has_status(&error, 404) => Err(format!(
                "the ConfigMap {} does not exist; create it without data",
                self.name
            )),
            Err(error) => Err(self.problem("write", &error)),
        }
    }

    fn problem(&self, what: &str, error: &kube::Error) -> String {
        format!("cannot {what} ConfigMap {}: {}", self.name, describe(error))
    }
}

/// Names of control planes are DNS labels.
fn key(control_plane: &str) -> String {
    format!("{control_plane}.json.gz")
}
