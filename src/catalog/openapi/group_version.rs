//! A group-version and the paths of its exposed resources.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ExposedGroupVersion {
    /// `apis/G/V`.
    pub(crate) prefix: String,
    /// The plural names of exposed resources.
    pub(crate) resources: BTreeSet<String>,
}

impl ExposedGroupVersion {
    /// Returns whether a path of OpenAPI belongs to an exposed resource, for example
    /// `/apis/G/V/namespaces/{namespace}/R/{name}`, or to the group-version itself.
    pub(super) fn has_path(&self, path: &str) -> bool {
        let path = path.trim_start_matches('/');
        let Some(rest) = path.strip_prefix(self.prefix.as_str()) else {
            return false;
        };
        let Some(rest) = rest.strip_prefix('/') else {
            return rest.is_empty();
        };
        let rest = rest.strip_prefix("watch/").unwrap_or(rest);
        let rest = rest.strip_prefix("namespaces/{namespace}/").unwrap_or(rest);
        let resource = rest.split('/').next().unwrap_or_default();
        resource.is_empty() || self.resources.contains(resource)
    }
}
