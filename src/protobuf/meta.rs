//! The messages of `apimachinery/pkg/apis/meta/v1/generated.proto` that are written.

use super::{Field, Kind};

const fn always(number: u64, name: &'static str, kind: Kind) -> Field {
    Field {
        number,
        name,
        kind,
        is_always: true,
    }
}

const fn if_any(number: u64, name: &'static str, kind: Kind) -> Field {
    Field {
        number,
        name,
        kind,
        is_always: false,
    }
}

pub(super) const STATUS: &[Field] = &[
    always(1, "metadata", Kind::Message(LIST_META)),
    always(2, "status", Kind::Text),
    always(3, "message", Kind::Text),
    always(4, "reason", Kind::Text),
    if_any(5, "details", Kind::Message(STATUS_DETAILS)),
    always(6, "code", Kind::Integer),
];

const STATUS_DETAILS: &[Field] = &[
    always(1, "name", Kind::Text),
    always(2, "group", Kind::Text),
    always(3, "kind", Kind::Text),
    if_any(4, "causes", Kind::Messages(STATUS_CAUSE)),
    always(5, "retryAfterSeconds", Kind::Integer),
    always(6, "uid", Kind::Text),
];

const STATUS_CAUSE: &[Field] = &[
    always(1, "reason", Kind::Text),
    always(2, "message", Kind::Text),
    always(3, "field", Kind::Text),
];

const LIST_META: &[Field] = &[
    always(1, "selfLink", Kind::Text),
    always(2, "resourceVersion", Kind::Text),
    always(3, "continue", Kind::Text),
    if_any(4, "remainingItemCount", Kind::Integer),
    if_any(5, "shardInfo", Kind::Message(SHARD_INFO)),
];

const SHARD_INFO: &[Field] = &[always(1, "selector", Kind::Text)];

pub(super) const PARTIAL_OBJECT_METADATA: &[Field] =
    &[always(1, "metadata", Kind::Message(OBJECT_META))];

pub(super) const PARTIAL_OBJECT_METADATA_LIST: &[Field] = &[
    always(1, "metadata", Kind::Message(LIST_META)),
    if_any(2, "items", Kind::Messages(PARTIAL_OBJECT_METADATA)),
];

/// In v1beta1 the two have each other's numbers.
pub(super) const PARTIAL_OBJECT_METADATA_LIST_V1BETA1: &[Field] = &[
    if_any(1, "items", Kind::Messages(PARTIAL_OBJECT_METADATA)),
    always(2, "metadata", Kind::Message(LIST_META)),
];

const OBJECT_META: &[Field] = &[
    always(1, "name", Kind::Text),
    always(2, "generateName", Kind::Text),
    always(3, "namespace", Kind::Text),
    always(4, "selfLink", Kind::Text),
    always(5, "uid", Kind::Text),
    always(6, "resourceVersion", Kind::Text),
    always(7, "generation", Kind::Integer),
    always(8, "creationTimestamp", Kind::Time),
    if_any(9, "deletionTimestamp", Kind::Time),
    if_any(10, "deletionGracePeriodSeconds", Kind::Integer),
    if_any(11, "labels", Kind::Map),
    if_any(12, "annotations", Kind::Map),
    if_any(13, "ownerReferences", Kind::Messages(OWNER_REFERENCE)),
    if_any(14, "finalizers", Kind::Texts),
    if_any(17, "managedFields", Kind::Messages(MANAGED_FIELDS_ENTRY)),
];

const OWNER_REFERENCE: &[Field] = &[
    always(1, "kind", Kind::Text),
    always(3, "name", Kind::Text),
    always(4, "uid", Kind::Text),
    always(5, "apiVersion", Kind::Text),
    if_any(6, "controller", Kind::Boolean),
    if_any(7, "blockOwnerDeletion", Kind::Boolean),
];

const MANAGED_FIELDS_ENTRY: &[Field] = &[
    always(1, "manager", Kind::Text),
    always(2, "operation", Kind::Text),
    always(3, "apiVersion", Kind::Text),
    if_any(4, "time", Kind::Time),
    always(6, "fieldsType", Kind::Text),
    if_any(7, "fieldsV1", Kind::Raw),
    always(8, "subresource", Kind::Text),
];

pub(super) const API_RESOURCE_LIST: &[Field] = &[
    always(1, "groupVersion", Kind::Text),
    if_any(2, "resources", Kind::Messages(API_RESOURCE)),
];

const API_RESOURCE: &[Field] = &[
    always(1, "name", Kind::Text),
    always(2, "namespaced", Kind::Boolean),
    always(3, "kind", Kind::Text),
    if_any(4, "verbs", Kind::WrappedTexts),
    if_any(5, "shortNames", Kind::Texts),
    always(6, "singularName", Kind::Text),
    if_any(7, "categories", Kind::Texts),
    always(8, "group", Kind::Text),
    always(9, "version", Kind::Text),
    always(10, "storageVersionHash", Kind::Text),
];
