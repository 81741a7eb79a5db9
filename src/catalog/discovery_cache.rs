//! Saves discovery and OpenAPI of a control plane across restarts of the daemon.
//!
//! Without the saved documents, the APIServices would become unavailable after a restart during an outage, and no
//! namespace could be deleted. Claims and credentials are never saved.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::discovery::{Group, ResourceListEntry, ResourceVerbs};
use super::openapi::OpenApi;
use claim_mapping::mapping::NameLimit;

/// The version of the format. Increase it if the fields of [`Content`] change.
const FORMAT: u32 = 1;

/// Stores one document for each control plane.
pub trait DocumentStore: Send + Sync {
    /// Reads the document of a control plane. Returns `None` if the store lacks it.
    fn read<'a>(&'a self, control_plane: &'a str)
    -> BoxFuture<'a, Result<Option<Vec<u8>>, String>>;

    fn write<'a>(
        &'a self,
        control_plane: &'a str,
        document: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// Where the documents of one control plane are saved, and the configuration that they belong to.
#[derive(Clone)]
pub struct DiscoveryCache {
    pub store: Arc<dyn DocumentStore>,
    /// The address of the control plane. Nothing that was saved for another address is used.
    pub server: String,
    /// The exposed APIs. Documents with another value are not used.
    pub exposure: String,
}

/// The saved data of a control plane.
#[derive(Default)]
pub(super) struct Saved {
    /// The verbs that discovery offered, also with other APIs in the configuration. Without them, a kind that claimgate can
    /// no longer list would be left out, and namespaces would be deleted while their claims exist.
    pub(super) offered_before: ResourceVerbs,
    pub(super) documents: Option<SavedDiscovery>,
}

/// The saved documents of a control plane.
pub(super) struct SavedDiscovery {
    pub(super) saved_at: SystemTime,
    pub(super) groups: Vec<Group>,
    pub(super) openapi: OpenApi,
}

#[derive(Deserialize, Serialize)]
struct Content {
    format: u32,
    server: String,
    exposure: String,
    /// Seconds since 1970.
    saved_at: u64,
    groups: Vec<Group>,
    /// Fields that the discovery documents lack, by `GROUP/VERSION`.
    details: BTreeMap<String, Details>,
    openapi: OpenApi,
    /// The verbs that discovery offered.
    offered_before: ResourceVerbs,
}

#[derive(Deserialize, Serialize)]
struct Details {
    list_entries: Vec<ResourceListEntry>,
    /// The limits of names in bytes, by resource.
    name_limits: BTreeMap<String, usize>,
}

impl DiscoveryCache {
    /// Reads the saved data of a control plane. It has no documents if none are saved, if they are damaged, or if they belong
    /// to another configuration.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn load(&self, control_plane: &str) -> Result<Saved, String> {
        let Some(document) = self.store.read(control_plane).await? else {
            return Ok(Saved::default());
        };
        let content = match decode(&document) {
            Ok(content) => content,
            Err(problem) => {
                tracing::warn!(
                    control_plane,
                    problem,
                    "the saved discovery is damaged; claimgate ignores it"
                );
                return Ok(Saved::default());
            }
        };
        if !self.is_own(&content) {
            return Ok(Saved::default());
        }
        Ok(Saved {
            offered_before: content.offered_before.clone(),
            documents: (content.exposure == self.exposure).then(|| content.into_saved()),
        })
    }

    fn is_own(&self, content: &Content) -> bool {
        content.format == FORMAT && content.server == self.server
    }

    /// Saves the documents of a control plane, with the verbs that other replicas have offered. Writes nothing if the
    /// saved documents are equal.
    ///
    /// # Errors
    /// The document cannot be written.
    pub(super) async fn save(
        &self,
        control_plane: &str,
        documents: SavedDiscovery,
        offered_before: ResourceVerbs,
    ) -> Result<(), String> {
        let saved_at = documents.saved_at.duration_since(UNIX_EPOCH);
        let mut content = Content {
            format: FORMAT,
            server: self.server.clone(),
            exposure: self.exposure.clone(),
            saved_at: saved_at.map_or(0, |time| time.as_secs()),
            details: details(&documents.groups),
            groups: documents.groups,
            openapi: documents.openapi,
            offered_before,
        };
        let saved = self.saved(control_plane).await;
        if let Some(saved) = &saved {
            content.offered_before.add(&saved.offered_before);
        }
        let document = encode(&content)?;
        if let Some(mut saved) = saved {
            saved.saved_at = content.saved_at;
            if document == encode(&saved)? {
                return Ok(());
            }
        }
        self.store.write(control_plane, document).await
    }

    /// Returns the saved data, if it is usable.
    async fn saved(&self, control_plane: &str) -> Option<Content> {
        let document = self.store.read(control_plane).await.ok()??;
        let content = decode(&document).ok()?;
        self.is_own(&content).then_some(content)
    }
}

impl Content {
    fn into_saved(mut self) -> SavedDiscovery {
        for group in &mut self.groups {
            for version in &mut group.versions {
                let key = key(&group.metadata.name, &version.version);
                let Some(details) = self.details.remove(&key) else {
                    continue;
                };
                version.list_entries = details.list_entries;
                for resource in &mut version.resources {
                    let limit = details.name_limits.get(&resource.resource);
                    let limit = limit.and_then(|limit| NameLimit::new(*limit).ok());
                    resource.name_limit = limit.unwrap_or_default();
                }
            }
        }
        SavedDiscovery {
            saved_at: UNIX_EPOCH + Duration::from_secs(self.saved_at),
            groups: self.groups,
            openapi: self.openapi,
        }
    }
}

fn key(group: &str, version: &str) -> String {
    format!("{group}/{version}")
}

fn details(groups: &[Group]) -> BTreeMap<String, Details> {
    let mut all = BTreeMap::new();
    for group in groups {
        for version in &group.versions {
            let limits = version.resources.iter().map(|resource| {
                let limit = resource.name_limit.bytes_max();
                (resource.resource.clone(), limit)
            });
            let details = Details {
                list_entries: version.list_entries.clone(),
                name_limits: limits.collect(),
            };
            all.insert(key(&group.metadata.name, &version.version), details);
        }
    }
    all
}

/// Returns the SHA-256 of the content in hexadecimal, a line feed, and the content in JSON.
fn encode(content: &Content) -> Result<Vec<u8>, String> {
    let json = serde_json::to_vec(content).map_err(|error| error.to_string())?;
    let mut document = checksum(&json).into_bytes();
    document.push(b'\n');
    document.extend(json);
    Ok(document)
}

fn decode(document: &[u8]) -> Result<Content, String> {
    let end = document.iter().position(|byte| *byte == b'\n');
    let parts = end.and_then(|end| document.split_at_checked(end));
    let (known, json) = parts.ok_or("it has no checksum")?;
    let json = json.trim_ascii_start();
    if known != checksum(json).as_bytes() {
        return Err("its checksum is wrong".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
