//! Kubernetes' protobuf format for the types of `meta/v1`.
//!
//! [`from_json`] and [`event_from_json`] encode a `Status`, an `APIResourceList` or the metadata of
//! objects. Custom resources have no other form in protobuf. [`delete_options()`] decodes the
//! options of a deletion.
//!
//! A document is a `runtime.Unknown` after a magic number
//! (`apimachinery/pkg/runtime/serializer/protobuf/protobuf.go`). The encoding equals that of the
//! generated Go code to the byte (`apimachinery/pkg/apis/meta/v1/generated.proto`). Fields are in the
//! order of their numbers. Fields that are values in Go, not pointers, are encoded even if they are
//! empty or 0.

mod delete_options;
mod error;
mod message;
mod meta;
mod wire;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::delete_options::{GroupNotSupported, delete_options};
pub use self::error::ProtobufError;
use self::message::message;
use self::wire::{MAGIC, put_bytes};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

#[derive(Deserialize)]
struct WatchEvent<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Encodes a JSON document.
///
/// # Errors
/// The kind is unknown, or the document does not match its kind.
pub fn from_json(json: &[u8]) -> Result<Vec<u8>, ProtobufError> {
    document(serde_json::from_slice(json)?)
}

/// Encodes a watch event. The event itself has no magic number; its object is a document.
///
/// # Errors
/// Same as [`from_json`].
pub fn event_from_json(json: &[u8]) -> Result<Vec<u8>, ProtobufError> {
    let WatchEvent { event_type, object } = serde_json::from_slice(json)?;
    let mut raw_extension = Vec::new();
    put_bytes(&mut raw_extension, 1, &document(object)?);
    let mut out = Vec::new();
    put_bytes(&mut out, 1, event_type.as_bytes());
    put_bytes(&mut out, 2, &raw_extension);
    Ok(out)
}

fn document(document: &RawValue) -> Result<Vec<u8>, ProtobufError> {
    let TypeMeta { api_version, kind } = serde_json::from_str(document.get())?;
    let fields = match (api_version.as_str(), kind.as_str()) {
        ("v1", "Status") => meta::STATUS,
        ("v1", "APIResourceList") => meta::API_RESOURCE_LIST,
        ("meta.k8s.io/v1" | "meta.k8s.io/v1beta1", "PartialObjectMetadata") => {
            meta::PARTIAL_OBJECT_METADATA
        }
        ("meta.k8s.io/v1", "PartialObjectMetadataList") => meta::PARTIAL_OBJECT_METADATA_LIST,
        ("meta.k8s.io/v1beta1", "PartialObjectMetadataList") => {
            meta::PARTIAL_OBJECT_METADATA_LIST_V1BETA1
        }
        _ => return Err(ProtobufError::UnknownKind { api_version, kind }),
    };
    let mut type_meta = Vec::new();
    put_bytes(&mut type_meta, 1, api_version.as_bytes());
    put_bytes(&mut type_meta, 2, kind.as_bytes());
    let mut out = MAGIC.to_vec();
    put_bytes(&mut out, 1, &type_meta);
    put_bytes(&mut out, 2, &message(fields, document)?);
    // contentEncoding and contentType, both empty.
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    Ok(out)
}
