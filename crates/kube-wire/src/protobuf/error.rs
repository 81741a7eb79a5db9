//! Errors of the protobuf encoding.

/// Error: a document cannot be encoded in protobuf.
#[derive(Debug, thiserror::Error)]
pub enum ProtobufError {
    #[error("{kind} of {api_version} has no protobuf encoding here")]
    UnknownKind { api_version: String, kind: String },
    #[error("the JSON does not match its kind: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a timestamp is invalid: {0}")]
    Time(#[from] time::error::Parse),
}
