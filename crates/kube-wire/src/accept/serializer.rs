//! The serializers of kube-apiserver and their media types.

use http::HeaderValue;
use serde::Serialize;

use crate::{protobuf, yaml};

pub const JSON: &str = "application/json";
pub const YAML: &str = "application/yaml";
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PROTOBUF_STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// Media types of objects and lists, as kube-apiserver lists them in the error for any other media type
/// (`apiextensions-apiserver/pkg/apiserver/customresource_handler.go`).
pub const SUPPORTED_MEDIA_TYPES: &str =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// Maximum length of a YAML response, in bytes. It is several times the length of the longest buffered JSON.
const YAML_BYTES_MAX: usize = 64 << 20;

/// The format of a response. All responses are encoded from JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Serializer {
    Json,
    Protobuf,
    Yaml,
}

/// Error: a serializer cannot encode a document.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error(transparent)]
    Protobuf(#[from] protobuf::ProtobufError),
    /// kube-apiserver fails with the same message.
    #[error(transparent)]
    Yaml(#[from] yaml::YamlError),
}

impl Serializer {
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(self.media_type())
    }

    /// Returns the Content-Type of a watch (`apiserver/pkg/endpoints/handlers/watch.go`, `serveWatchHandler`).
    pub fn stream_type(self) -> HeaderValue {
        match self {
            Self::Protobuf => HeaderValue::from_static(PROTOBUF_STREAM),
            Self::Json | Self::Yaml => self.content_type(),
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF,
            Self::Yaml => YAML,
        }
    }

    /// Encodes a JSON document.
    ///
    /// # Errors
    /// The format cannot express the document.
    pub fn encode(self, json: &[u8]) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Json => Ok(json.to_vec()),
            Self::Protobuf => Ok(protobuf::from_json(json)?),
            Self::Yaml => Ok(yaml::from_json(json, YAML_BYTES_MAX)?.into_bytes()),
        }
    }
}

/// Returns a value as JSON. Like kube-apiserver, ends compact JSON with a newline, and indented JSON without
/// one.
///
/// # Panics
/// If the type cannot be serialized at all, for example because its maps have keys that are not strings. No
/// value of a serializable type panics.
pub fn json(value: &impl Serialize, is_indented: bool) -> String {
    let json = if is_indented {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value).map(|json| json + "\n")
    };
    json.expect("the type of the value can be serialized")
}
