//! Keys of claims and of other objects.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use claim_mapping::mapping::ObjectKey;

/// The UID of a claim, which controllers use as the key of their work.
pub(crate) type Key = Arc<str>;

/// Returns the namespace and the name of an object.
pub(crate) fn object_key(metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}
