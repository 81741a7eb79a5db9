//! Request bodies in YAML: buffered whole and converted to JSON, which is then rewritten.
//!
//! A body that cannot be read here is never sent as received, because it would not be mapped.

mod messages;

use bytes::Bytes;
use http::HeaderValue;

use self::messages::Expected;
use super::outbound_body::OutboundBody;
use super::rewriter::is_json;
use crate::error::RequestError;
use crate::proxy::context::RequestContext;
use crate::proxy::conversion::Conversions;
use crate::proxy::media::{self, PatchKind, RequestMedia};
use crate::proxy::plan::RemoteRequest;
use claim_mapping::quoted_prefix::{QUOTED_BYTES_MAX, QuotedPrefix};
use kube_wire::yaml;

/// A whole body as JSON, before it is rewritten.
pub(crate) struct WholeBody {
    pub(crate) json: Bytes,
    /// The beginning of the body as received, which a message may quote.
    quoted: Bytes,
    content_type: Option<HeaderValue>,
    /// Warnings for the client.
    warnings: Vec<HeaderValue>,
}

impl WholeBody {
    /// Creates a body from JSON as received.
    pub(super) fn json(json: Bytes) -> Self {
        Self {
            quoted: json.clone(),
            json,
            content_type: None,
            warnings: Vec::new(),
        }
    }

    /// Returns the body to send, given the rewritten JSON.
    pub(super) fn outbound(&self, rewritten: Bytes) -> OutboundBody {
        let quoted_prefix = QuotedPrefix::new(&self.quoted, &rewritten);
        OutboundBody {
            content_type: self.content_type.clone(),
            warnings: self.warnings.clone(),
            ..OutboundBody::whole(rewritten, quoted_prefix)
        }
    }
}

/// Converts YAML to JSON on another thread.
pub(crate) struct YamlConverter {
    conversions: Conversions,
    json_bytes_max: usize,
}

impl YamlConverter {
    pub(super) fn new(conversions: Conversions, json_bytes_max: usize) -> Self {
        Self {
            conversions,
            json_bytes_max,
        }
    }

    /// Converts any document.
    ///
    /// # Errors
    /// The outer error is about the conversion itself, the inner one about the YAML.
    pub(crate) async fn convert(
        &self,
        yaml: Bytes,
    ) -> Result<Result<yaml::Converted, yaml::YamlError>, RequestError> {
        let max = self.json_bytes_max;
        self.conversions
            .run(move || yaml::to_json(&yaml, max))
            .await
    }

    /// Converts the whole body of a create, an update or an apply patch.
    ///
    /// # Errors
    /// The body is too long as JSON, or invalid.
    pub(super) async fn read(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        body: Bytes,
    ) -> Result<WholeBody, RequestError> {
        let media = context.request_media;
        let is_apply = media.is_patch_kind(PatchKind::Apply);
        // Copied, so that the body can be freed once it is converted.
        let quoted = Bytes::copy_from_slice(body.get(..=QUOTED_BYTES_MAX).unwrap_or(&body));
        // JSON is sent byte for byte; the control plane reads it as YAML itself.
        if is_apply && is_json(&body) {
            return Ok(WholeBody {
                quoted,
                ..WholeBody::json(body)
            });
        }
        let expected = Expected::new(context, remote.field_validation());
        let (json, warnings) = self.convert_object(&expected, body).await?;
        // An apply patch keeps its media type, because JSON is YAML.
        let is_json_now = media == RequestMedia::YamlObject;
        Ok(WholeBody {
            json,
            quoted,
            content_type: is_json_now.then(|| media::converted_to_json(&context.parts.headers)),
            warnings,
        })
    }

    /// Returns an object as JSON, and the warnings for the client.
    async fn convert_object(
        &self,
        expected: &Expected<'_>,
        body: Bytes,
    ) -> Result<(Bytes, Vec<HeaderValue>), RequestError> {
        let converted = self.convert(body.clone()).await?;
        let yaml::Converted { json, duplicates } = converted.map_err(|error| match error {
            yaml::YamlError::TooLong { max } => RequestError::BodyTooLarge { max },
            error => expected.unreadable(&body, &error.to_string()),
        })?;
        expected.check_kind(&json, &body)?;
        let warnings = match expected.field_validation {
            "Strict" if !duplicates.is_empty() => {
                return Err(expected.strictly_rejected(&json, &duplicates));
            }
            "" | "Warn" => messages::warnings(&duplicates),
            _ => Vec::new(),
        };
        Ok((json.into(), warnings))
    }
}
