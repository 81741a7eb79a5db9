//! Fields of the messages in `apimachinery/pkg/apis/meta/v1/generated.proto` that can be encoded.

use super::message::{Field, FieldType};

/// Describes a field that is a value in Go.
const fn required(number: u64, name: &'static str, field_type: FieldType) -> Field {
    Field {
        number,
        name,
        field_type,
        is_required: true,
    }
}

/// Describes a field that is a pointer, a slice or a map in Go.
const fn optional(number: u64, name: &'static str, field_type: FieldType) -> Field {
    Field {
        number,
        name,
        field_type,
        is_required: false,
    }
}

pub(super) const STATUS: &[Field] = &[
    required(1, "metadata", FieldType::Message(LIST_META)),
    required(2, "status", FieldType::Text),
    required(3, "message", FieldType::Text),
    required(4, "reason", FieldType::Text),
    optional(5, "details", FieldType::Message(STATUS_DETAILS)),
    required(6, "code", FieldType::Integer),
];

const STATUS_DETAILS: &[Field] = &[
    required(1, "name", FieldType::Text),
    required(2, "group", FieldType::Text),
    required(3, "kind", FieldType::Text),
    optional(4, "causes", FieldType::Messages(STATUS_CAUSE)),
    required(5, "retryAfterSeconds", FieldType::Integer),
    required(6, "uid", FieldType::Text),
];

const STATUS_CAUSE: &[Field] = &[
    required(1, "reason", FieldType::Text),
    required(2, "message", FieldType::Text),
    required(3, "field", FieldType::Text),
];

const LIST_META: &[Field] = &[
    required(1, "selfLink", FieldType::Text),
    required(2, "resourceVersion", FieldType::Text),
    required(3, "continue", FieldType::Text),
    optional(4, "remainingItemCount", FieldType::Integer),
    optional(5, "shardInfo", FieldType::Message(SHARD_INFO)),
];

const SHARD_INFO: &[Field] = &[required(1, "selector", FieldType::Text)];

pub(super) const PARTIAL_OBJECT_METADATA: &[Field] =
    &[required(1, "metadata", FieldType::Message(OBJECT_META))];

pub(super) const PARTIAL_OBJECT_METADATA_LIST: &[Field] = &[
    required(1, "metadata", FieldType::Message(LIST_META)),
    optional(2, "items", FieldType::Messages(PARTIAL_OBJECT_METADATA)),
];

/// v1beta1 swaps the two field numbers.
pub(super) const PARTIAL_OBJECT_METADATA_LIST_V1BETA1: &[Field] = &[
    optional(1, "items", FieldType::Messages(PARTIAL_OBJECT_METADATA)),
    required(2, "metadata", FieldType::Message(LIST_META)),
];

const OBJECT_META: &[Field] = &[
    required(1, "name", FieldType::Text),
    required(2, "generateName", FieldType::Text),
    required(3, "namespace", FieldType::Text),
    required(4, "selfLink", FieldType::Text),
    required(5, "uid", FieldType::Text),
    required(6, "resourceVersion", FieldType::Text),
    required(7, "generation", FieldType::Integer),
    required(8, "creationTimestamp", FieldType::Time),
    optional(9, "deletionTimestamp", FieldType::Time),
    optional(10, "deletionGracePeriodSeconds", FieldType::Integer),
    optional(11, "labels", FieldType::Map),
    optional(12, "annotations", FieldType::Map),
    optional(13, "ownerReferences", FieldType::Messages(OWNER_REFERENCE)),
    optional(14, "finalizers", FieldType::Texts),
    optional(
        17,
        "managedFields",
        FieldType::Messages(MANAGED_FIELDS_ENTRY),
    ),
];

const OWNER_REFERENCE: &[Field] = &[
    required(1, "kind", FieldType::Text),
    required(3, "name", FieldType::Text),
    required(4, "uid", FieldType::Text),
    required(5, "apiVersion", FieldType::Text),
    optional(6, "controller", FieldType::Boolean),
    optional(7, "blockOwnerDeletion", FieldType::Boolean),
];

const MANAGED_FIELDS_ENTRY: &[Field] = &[
    required(1, "manager", FieldType::Text),
    required(2, "operation", FieldType::Text),
    required(3, "apiVersion", FieldType::Text),
    optional(4, "time", FieldType::Time),
    required(6, "fieldsType", FieldType::Text),
    optional(7, "fieldsV1", FieldType::RawJson),
    required(8, "subresource", FieldType::Text),
];

pub(super) const API_RESOURCE_LIST: &[Field] = &[
    required(1, "groupVersion", FieldType::Text),
    optional(2, "resources", FieldType::Messages(API_RESOURCE)),
];

const API_RESOURCE: &[Field] = &[
    required(1, "name", FieldType::Text),
    required(2, "namespaced", FieldType::Boolean),
    required(3, "kind", FieldType::Text),
    optional(4, "verbs", FieldType::WrappedTexts),
    optional(5, "shortNames", FieldType::Texts),
    required(6, "singularName", FieldType::Text),
    optional(7, "categories", FieldType::Texts),
    required(8, "group", FieldType::Text),
    required(9, "version", FieldType::Text),
    required(10, "storageVersionHash", FieldType::Text),
];
