//! Counts, limits and buffers the bytes of a request body as they arrive.

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use crate::error::RequestError;
use crate::telemetry::metrics::Metrics;

/// The part of a body that was received so far.
pub(super) struct Received {
    bytes: usize,
    bytes_max: usize,
    /// The received bytes; `None` once a part of them was sent.
    buffer: Option<Vec<u8>>,
    metrics: Metrics,
}

impl Received {
    pub(super) fn new(bytes_max: usize, metrics: Metrics) -> Self {
        Self {
            bytes: 0,
            bytes_max,
            buffer: Some(Vec::new()),
            metrics,
        }
    }

    /// Counts a frame and returns its data, which is empty for trailers.
    ///
    /// # Errors
    /// The body was interrupted or is too long.
    pub(super) fn take<E>(
        &mut self,
        frame: Result<Frame<Bytes>, E>,
    ) -> Result<Bytes, RequestError> {
        let frame = frame.map_err(|_| {
            RequestError::BadRequest(
                "the request body was interrupted, or nothing of it arrived for too long; send the request again"
                    .into(),
            )
        })?;
        let data = frame.into_data().unwrap_or_default();
        self.metrics.received(data.len());
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > self.bytes_max {
            return Err(RequestError::BodyTooLarge {
                max: self.bytes_max,
            });
        }
        if let Some(buffer) = &mut self.buffer {
            buffer.extend_from_slice(&data);
        }
        Ok(data)
    }

    /// Reads the rest of a body and returns all of it.
    ///
    /// # Errors
    /// The body was interrupted or is too long.
    pub(super) async fn read_to_end<B>(mut self, mut incoming: B) -> Result<Vec<u8>, RequestError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        while let Some(frame) = incoming.frame().await {
            self.take(frame)?;
        }
        Ok(self.into_buffer())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Returns the received bytes, or `None` once a part of them was sent.
    pub(super) fn buffer(&self) -> Option<&[u8]> {
        self.buffer.as_deref()
    }

    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer.unwrap_or_default()
    }

    /// Frees the buffer and keeps counting.
    pub(super) fn stop_buffering(&mut self) {
        self.buffer = None;
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn body_longer_than_limit_is_rejected() {
        for (max, is_read) in [(5, true), (4, false)] {
            let received = Received::new(max, Metrics::new());
            let body = Full::new(Bytes::from_static(b"12345"));
            match received.read_to_end(body).await {
                Ok(bytes) => assert!(is_read && bytes == b"12345"),
                Err(error) => {
                    assert!(!is_read);
                    assert!(matches!(error, RequestError::BodyTooLarge { max: 4 }));
                }
            }
        }
    }
}
