//! One stored object.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::error::to_json;
use super::resource::Resource;

/// A stored object and its JSON, with sorted keys and no newline.
#[derive(Debug)]
pub(crate) struct StoredObject {
    pub(crate) value: Value,
    pub(crate) json: Bytes,
}

impl StoredObject {
    pub(crate) fn new(value: Value) -> Self {
        let json = Bytes::from(to_json(&value));
        Self { value, json }
    }

    /// Returns the object in the version of `resource`. Versions differ only in `apiVersion`.
    pub(crate) fn in_version(self: &Arc<Self>, resource: &Resource) -> Arc<Self> {
        let api_version = resource.api_version();
        if self.value.get("apiVersion").and_then(Value::as_str) == Some(api_version.as_str()) {
            return Arc::clone(self);
        }
        let mut value = self.value.clone();
        if let Some(map) = value.as_object_mut() {
            map.insert("apiVersion".to_owned(), api_version.into());
        }
        Arc::new(Self::new(value))
    }
}
