//! The media types of request bodies, which decide how bodies are read.

use http::HeaderMap;

use super::content_type::{is_json_type, media_type};
use crate::error::RequestError;
use kube_wire::accept::{PROTOBUF, SUPPORTED_MEDIA_TYPES, YAML};
use kube_wire::request_info::Verb;

/// The media types in the rejection of a protobuf body: [`SUPPORTED_MEDIA_TYPES`] without protobuf.
const NOT_PROTOBUF: &str = "application/json, application/yaml";

/// The media types of [`PATCH_TYPES`], for the rejection of other patches.
const PATCH_MEDIA_TYPES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// The patch types of custom resources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Apply,
}

/// One kind of patch and how its body is read.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct PatchType {
    pub(crate) kind: PatchKind,
    media_type: &'static str,
    /// Whether the control plane reads the body as YAML or as JSON.
    is_yaml: bool,
    /// Whether the body is always buffered whole, or only if the patch may need completion.
    is_always_buffered: bool,
    /// Whether the patch may replace whole lists, and with them hidden metadata.
    pub(crate) may_replace_lists: bool,
}

/// All kinds of patch, in the order of [`PATCH_MEDIA_TYPES`].
static PATCH_TYPES: [PatchType; 3] = [
    PatchType {
        kind: PatchKind::Json,
        media_type: "application/json-patch+json",
        is_yaml: false,
        // Each operation is buffered anyway.
        is_always_buffered: true,
        may_replace_lists: true,
    },
    PatchType {
        kind: PatchKind::Merge,
        media_type: "application/merge-patch+json",
        is_yaml: false,
        is_always_buffered: false,
        may_replace_lists: true,
    },
    PatchType {
        kind: PatchKind::Apply,
        media_type: "application/apply-patch+yaml",
        is_yaml: true,
        is_always_buffered: true,
        // The control plane merges by field manager.
        may_replace_lists: false,
    },
];

/// How the body of a request is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RequestMedia {
    /// Nothing in the body is mapped: DeleteOptions, or no body.
    Opaque,
    JsonObject,
    /// An object that is converted to JSON before it is sent.
    YamlObject,
    Patch(&'static PatchType),
}

impl RequestMedia {
    /// Returns how the body of a request is read.
    ///
    /// # Errors
    /// [`RequestError::UnsupportedMediaType`] if the body cannot be mapped. Protobuf is rejected
    /// too, because it would make kube-apiserver's custom resource handler panic.
    pub(crate) fn parse(verb: Verb, headers: &HeaderMap) -> Result<Self, RequestError> {
        let media_type = media_type(headers);
        match verb {
            Verb::Create | Verb::Update => Self::of_object(media_type.as_deref()),
            Verb::Patch => {
                let mut kinds = PATCH_TYPES.iter();
                let patch = kinds.find(|patch| Some(patch.media_type) == media_type.as_deref());
                patch
                    .map(Self::Patch)
                    .ok_or(RequestError::UnsupportedMediaType(PATCH_MEDIA_TYPES))
            }
            _ => Ok(Self::Opaque),
        }
    }

    fn of_object(media_type: Option<&str>) -> Result<Self, RequestError> {
        match media_type {
            json if is_json_type(json) => Ok(Self::JsonObject),
            Some(YAML) => Ok(Self::YamlObject),
            Some(PROTOBUF) => Err(RequestError::UnsupportedMediaType(NOT_PROTOBUF)),
            _ => Err(RequestError::UnsupportedMediaType(SUPPORTED_MEDIA_TYPES)),
        }
    }

    /// Returns whether the body is read as YAML.
    pub(crate) fn is_yaml(self) -> bool {
        match self {
            Self::YamlObject => true,
            Self::Patch(patch) => patch.is_yaml,
            Self::Opaque | Self::JsonObject => false,
        }
    }

    /// Returns whether the body is buffered whole, whatever its length.
    pub(crate) fn is_always_buffered(self) -> bool {
        matches!(self, Self::Patch(patch) if patch.is_always_buffered)
    }

    pub(crate) fn is_patch_kind(self, kind: PatchKind) -> bool {
        matches!(self, Self::Patch(patch) if patch.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn parse(verb: Verb, media_type: &'static str) -> Result<RequestMedia, RequestError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        RequestMedia::parse(verb, &headers)
    }

    #[test]
    fn bodies_are_read_by_verb_and_media_type() {
        assert_eq!(
            parse(Verb::Create, "application/json; charset=utf-8").unwrap(),
            RequestMedia::JsonObject
        );
        assert_eq!(
            parse(Verb::Update, "application/yaml").unwrap(),
            RequestMedia::YamlObject
        );
        assert_eq!(
            parse(Verb::Delete, "application/json").unwrap(),
            RequestMedia::Opaque
        );
        for (media_type, kind) in [
            ("application/json-patch+json", PatchKind::Json),
            ("application/merge-patch+json", PatchKind::Merge),
            (
                "Application/Apply-Patch+YAML; charset=utf-8",
                PatchKind::Apply,
            ),
        ] {
            let media = parse(Verb::Patch, media_type).unwrap();
            assert!(media.is_patch_kind(kind), "{media_type}");
        }
    }

    #[test]
    fn bodies_that_cannot_be_mapped_are_rejected() {
        for (verb, value) in [
            (Verb::Create, "application/vnd.kubernetes.protobuf"),
            (Verb::Update, "application/cbor"),
            (Verb::Patch, "application/strategic-merge-patch+json"),
            (Verb::Patch, "application/json"),
        ] {
            assert!(
                matches!(
                    parse(verb, value),
                    Err(RequestError::UnsupportedMediaType(_))
                ),
                "{value}"
            );
        }
    }

    #[test]
    fn rejection_names_every_patch_type() {
        let media_types = PATCH_TYPES.each_ref().map(|patch| patch.media_type);
        assert_eq!(media_types.join(", "), PATCH_MEDIA_TYPES);
    }
}
