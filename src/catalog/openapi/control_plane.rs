//! The OpenAPI documents of one control plane.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::group_version::ExposedGroupVersion;
use super::v2::{self, OpenApiV2};
use super::v3;
use crate::upstream::{DocumentClient, FetchError};

/// The reduced OpenAPI documents of one control plane.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct OpenApi {
    /// The resources that the documents were reduced to.
    exposed: Vec<ExposedGroupVersion>,
    pub(super) v2: Option<OpenApiV2>,
    /// Documents by the prefix of their group-version. Each has its URL in the control plane's index,
    /// which contains a hash of the document.
    pub(super) v3: BTreeMap<String, (String, Arc<Value>)>,
    /// Whether the index of v3 was read at least once.
    has_v3_index: bool,
}

impl OpenApi {
    /// Returns whether v2 and v3 were read at least once.
    pub(crate) fn is_synced(&self) -> bool {
        self.v2.is_some() && self.has_v3_index
    }

    /// Reads what has changed on the control plane. Returns `None` if nothing has changed.
    ///
    /// # Errors
    /// A document cannot be read or is invalid.
    pub(crate) async fn updated(
        mut self,
        client: &DocumentClient,
        exposed: &[ExposedGroupVersion],
    ) -> Result<Option<Self>, FetchError> {
        let is_exposure_changed = self.exposed != exposed;
        let etag = self.v2.as_ref().and_then(OpenApiV2::etag);
        let etag = etag.filter(|_| !is_exposure_changed);
        let v2 = v2::fetch(client, exposed, etag).await?;
        let mut is_changed = is_exposure_changed || v2.is_some() || !self.has_v3_index;
        self.v2 = v2.or(self.v2);
        is_changed |= v3::update(client, exposed, &mut self.v3, is_exposure_changed).await?;
        self.has_v3_index = true;
        self.exposed = exposed.to_vec();
        Ok(is_changed.then_some(self))
    }
}
