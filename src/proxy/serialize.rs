//! Answers in YAML and protobuf, written from the mapped JSON, and where conversions are run.
//!
//! Such an answer is held whole, up to `heldBytesMax`; of a watch one event at a time.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::Proxy;
use super::compress::Whole;
use super::media::STREAMED;
use super::protobuf_watch::ProtobufWatch;
use crate::accept::Serializer;
use crate::body::ReplyBody;
use crate::error::Error;
use crate::status;

/// Conversions at once: a body of many short values takes some 25 times its bytes, and a processor to
/// itself.
pub(super) const CONVERSIONS_MAX: usize = 2;

impl Proxy {
    /// A watch in JSON, in what is wanted. That there is none in YAML comes behind all else that may be
    /// wrong with it (`apiserver/pkg/endpoints/handlers/watch.go`, `serveWatchHandler`).
    pub(super) fn written_by_event(
        &self,
        serializer: Serializer,
        body: ReplyBody,
    ) -> Result<ReplyBody, Error> {
        match serializer {
            Serializer::Json => Ok(body),
            Serializer::Yaml => Err(Error::NotAcceptable(STREAMED)),
            Serializer::Protobuf => {
                let max = self.limits.held_bytes_max;
                let conversions = Arc::clone(&self.conversions);
                let watch = ProtobufWatch::new(body, max, conversions);
                Ok(ReplyBody::streamed(watch))
            }
        }
    }

    /// Another answer in JSON, in what is wanted.
    pub(super) async fn written(
        &self,
        serializer: Serializer,
        control_plane: &str,
        mut body: ReplyBody,
    ) -> Result<ReplyBody, Error> {
        if serializer == Serializer::Json {
            return Ok(body);
        }
        let max = self.limits.held_bytes_max;
        let mut held = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|broken| Error::BadAnswer {
                control_plane: control_plane.to_owned(),
                why: broken.to_string(),
            })?;
            if let Ok(data) = frame.into_data() {
                held.put(data);
            }
            if held.len() > max {
                let media_type = serializer.media_type();
                return Err(Error::TooLongFor { media_type, max });
            }
        }
        let written = self.convert(move || serializer.write(&held)).await?;
        let written = written.map_err(|error| Error::Unwritable(error.to_string()))?;
        Ok(ReplyBody::streamed(Whole {
            bytes: Some(written.into()),
            _body: body,
        }))
    }

    /// The answer to who is refused.
    pub async fn refused(&self, error: &Error, media: status::Media) -> Response<Bytes> {
        if media.serializer == Serializer::Json {
            return error.response(media);
        }
        // What is quoted may be as long as a body.
        let quoting = error.clone();
        let converted = self.convert(move || quoting.response(media)).await;
        converted.unwrap_or_else(|error| error.response(status::Media::JSON))
    }

    pub(super) async fn convert<T: Send + 'static>(
        &self,
        conversion: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        convert(&self.conversions, conversion).await
    }
}

/// Runs a conversion where it keeps no other request waiting.
pub(super) async fn convert<T: Send + 'static>(
    places: &Semaphore,
    conversion: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let failed = |why: &dyn fmt::Display| Error::Internal(format!("conversion: {why}"));
    let _place = places.acquire().await.map_err(|e| failed(&e))?;
    let converted = tokio::task::spawn_blocking(conversion).await;
    converted.map_err(|error| failed(&error))
}
