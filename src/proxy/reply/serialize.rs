//! Converts replies from mapped JSON to YAML and protobuf.
//!
//! A converted reply is buffered whole, up to `limits.maxBufferedSize`. Of a watch, only one event is
//! buffered at a time.

use bytes::Bytes;
use http::Response;

use super::protobuf_watch::ProtobufWatch;
use crate::body::{Buffered, ReplyBody};
use crate::error::RequestError;
use crate::proxy::control_plane::ControlPlane;
use crate::proxy::conversion::Conversions;
use kube_wire::accept::Serializer;
use kube_wire::status;

/// The media types of a watch, for the rejection of other types.
const WATCH_MEDIA_TYPES: &str =
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Converts replies to what the client accepts.
#[derive(Clone)]
pub(crate) struct ReplySerializer {
    conversions: Conversions,
    /// `limits.maxBufferedSize`
    buffered_bytes_max: usize,
}

impl ReplySerializer {
    pub(crate) fn new(conversions: Conversions, buffered_bytes_max: usize) -> Self {
        Self {
            conversions,
            buffered_bytes_max,
        }
    }

    /// Converts a watch in JSON, event by event.
    ///
    /// # Errors
    /// [`RequestError::NotAcceptable`] for YAML. kube-apiserver reports it after all other errors
    /// (`apiserver/pkg/endpoints/handlers/watch.go`, `serveWatchHandler`).
    pub(crate) fn convert_watch(
        &self,
        serializer: Serializer,
        body: ReplyBody,
    ) -> Result<ReplyBody, RequestError> {
        match serializer {
            Serializer::Json => Ok(body),
            Serializer::Yaml => Err(RequestError::NotAcceptable(WATCH_MEDIA_TYPES)),
            Serializer::Protobuf => {
                let conversions = self.conversions.clone();
                let watch = ProtobufWatch::new(body, self.buffered_bytes_max, conversions);
                Ok(ReplyBody::streamed(watch))
            }
        }
    }

    /// Converts a reply in JSON other than a watch.
    ///
    /// # Errors
    /// The body was interrupted, is too long or cannot be converted.
    pub(crate) async fn convert(
        &self,
        control_plane: &ControlPlane,
        serializer: Serializer,
        mut body: ReplyBody,
    ) -> Result<ReplyBody, RequestError> {
        if serializer == Serializer::Json {
            return Ok(body);
        }
        let max = self.buffered_bytes_max;
        let buffered = body.buffer(max).await;
        let json = match buffered.map_err(|broken| control_plane.invalid_reply(broken))? {
            Buffered::Whole(json) => json,
            Buffered::Prefix(_) => {
                let media_type = serializer.media_type();
                return Err(RequestError::ResponseTooLarge { media_type, max });
            }
        };
        let converted = self
            .conversions
            .run(move || serializer.encode(&json))
            .await?;
        let converted =
            converted.map_err(|error| RequestError::ConversionFailed(error.to_string()))?;
        Ok(body.replaced_by(converted.into()))
    }

    /// Returns the response for an error.
    pub(crate) async fn error_response(
        &self,
        error: &RequestError,
        format: status::ResponseFormat,
    ) -> Response<Bytes> {
        if format.serializer == Serializer::Json {
            return error.response(format);
        }
        // The message may quote a whole body, so it is converted on another thread.
        let quoting = error.clone();
        let converted = self.conversions.run(move || quoting.response(format)).await;
        converted.unwrap_or_else(|error| error.response(status::ResponseFormat::JSON))
    }
}
