//! The reasons why a request got no response, and whether the server may have processed it.

use std::error::Error as _;

/// Whether the server processed a failed request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    NotProcessed,
    Unknown,
}

/// A request without a response. Displays as a phrase, for example `connection refused`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UpstreamError {
    #[error("no connection within {seconds} s")]
    ConnectTimeout { seconds: u64 },
    #[error("the server allowed no further stream within {seconds} s")]
    NoStream { seconds: u64 },
    #[error("the name of the server cannot be resolved: {0}")]
    Resolve(String),
    #[error("{0}")]
    Connect(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the server does not support HTTP/2: {0}")]
    Protocol(String),
    /// The server reset the stream with REFUSED_STREAM, or the request was never sent.
    #[error("the server closed the connection before it processed the request")]
    Unprocessed,
    /// A GOAWAY with NO_ERROR. The server still processes earlier streams, but no later ones.
    #[error("the server is closing the connection")]
    GoAway,
    #[error("the server stopped responding on the connection")]
    PingTimeout,
    #[error("the connection failed: {0}")]
    ConnectionFailed(String),
    #[error("no response within {seconds} s")]
    ResponseTimeout { seconds: u64 },
    /// The server never got the end of the body, so it did not process the request.
    #[error("the server accepted no data of the request body for {seconds} s")]
    RequestBodyStalled { seconds: u64 },
    #[error("the request body was aborted")]
    RequestBodyAborted,
    #[error("the request is invalid: {0}")]
    InvalidRequest(String),
}

impl UpstreamError {
    /// Returns the value of the metric label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::NoStream { .. } => "no_stream",
            Self::Resolve(_) => "resolve",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Protocol(_) => "protocol",
            Self::Unprocessed => "unprocessed",
            Self::GoAway => "goaway",
            Self::PingTimeout => "silent",
            Self::ConnectionFailed(_) => "broken",
            Self::ResponseTimeout { .. } => "timeout",
            Self::RequestBodyStalled { .. } => "request_body_stalled",
            Self::RequestBodyAborted => "request_body",
            Self::InvalidRequest(_) => "request",
        }
    }

    pub fn outcome(&self) -> Outcome {
        match self {
            Self::GoAway
            | Self::PingTimeout
            | Self::ConnectionFailed(_)
            | Self::ResponseTimeout { .. }
            | Self::RequestBodyAborted => Outcome::Unknown,
            Self::ConnectTimeout { .. }
            | Self::NoStream { .. }
            | Self::RequestBodyStalled { .. }
            | Self::Resolve(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Protocol(_)
            | Self::Unprocessed
            | Self::InvalidRequest(_) => Outcome::NotProcessed,
        }
    }

    /// Returns whether the request timeout has expired, which includes the time to connect.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::ResponseTimeout { .. })
    }

    /// Returns whether the error shows that the server does not work, although it accepted the connection.
    pub(super) fn is_from_server(&self) -> bool {
        match self {
            Self::Unprocessed
            | Self::GoAway
            | Self::PingTimeout
            | Self::ConnectionFailed(_)
            | Self::ResponseTimeout { .. }
            | Self::RequestBodyStalled { .. } => true,
            Self::ConnectTimeout { .. }
            | Self::NoStream { .. }
            | Self::Resolve(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Protocol(_)
            | Self::RequestBodyAborted
            | Self::InvalidRequest(_) => false,
        }
    }

    /// Returns whether the request may be sent again. A write may only if the server certainly did not
    /// process it. After a GOAWAY that is unknown, because hyper does not report the number of the
    /// last processed stream.
    pub(super) fn may_retry(&self, is_read: bool) -> bool {
        match self {
            Self::Unprocessed => true,
            Self::GoAway => is_read,
            _ => false,
        }
    }

    /// Returns whether the connection must not get further streams.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::GoAway | Self::PingTimeout | Self::ConnectionFailed(_) | Self::Unprocessed
        )
    }

    /// Classifies an error of a request. `was_returned` means that hyper returned the request unsent.
    pub(super) fn from_hyper(error: &hyper::Error, was_returned: bool) -> Self {
        if was_returned {
            return Self::Unprocessed;
        }
        if error.is_user() || error.is_body_write_aborted() {
            return Self::RequestBodyAborted;
        }
        if error.is_timeout() {
            return Self::PingTimeout;
        }
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(h2) = cause.downcast_ref::<h2::Error>() {
                return Self::from_h2(h2);
            }
            if let Some(inner) = cause
                .downcast_ref::<hyper::Error>()
                .filter(|e| e.is_timeout())
            {
                tracing::debug!(%inner, "a connection timed out");
                return Self::PingTimeout;
            }
            source = cause.source();
        }
        Self::ConnectionFailed(error.to_string())
    }

    fn from_h2(error: &h2::Error) -> Self {
        match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) if error.is_remote() => Self::Unprocessed,
            Some(h2::Reason::NO_ERROR) if error.is_go_away() && error.is_remote() => Self::GoAway,
            _ => Self::ConnectionFailed(error.to_string()),
        }
    }
}
