//! Why a request got no response, and whether it may have been carried out all the same.

use std::error::Error as _;

/// What is known of a request that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The control plane certainly did nothing.
    NotProcessed,
    Unknown,
}

/// Displays as a phrase for people, such as `connection refused`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("no connection within {seconds} s")]
    ConnectTimeout { seconds: u64 },
    #[error("its name cannot be resolved: {0}")]
    Resolve(String),
    #[error("{0}")]
    Connect(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("it does not speak HTTP/2: {0}")]
    Protocol(String),
    /// A stream that the peer says it did not look at: REFUSED_STREAM, or never sent.
    #[error("it closed the connection before it took the request")]
    Unprocessed,
    /// GOAWAY without an error, which spares earlier streams and gives back later ones.
    #[error("it is closing its connections")]
    Goaway,
    #[error("the connection fell silent")]
    Silent,
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("no answer within {seconds} s")]
    Timeout { seconds: u64 },
    #[error("the request's body broke off")]
    RequestBody,
    #[error("the request cannot be sent: {0}")]
    Request(String),
}

impl Error {
    /// Value of the metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::Resolve(_) => "resolve",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Protocol(_) => "protocol",
            Self::Unprocessed => "unprocessed",
            Self::Goaway => "goaway",
            Self::Silent => "silent",
            Self::Broken(_) => "broken",
            Self::Timeout { .. } => "timeout",
            Self::RequestBody => "request_body",
            Self::Request(_) => "request",
        }
    }

    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Goaway
            | Self::Silent
            | Self::Broken(_)
            | Self::Timeout { .. }
            | Self::RequestBody => Outcome::Unknown,
            _ => Outcome::NotProcessed,
        }
    }

    /// A write is sent again only if it was certainly not looked at; after a GOAWAY alone that is
    /// not known here, for the last stream's number does not reach us.
    pub(super) fn may_be_sent_again(&self, is_read: bool) -> bool {
        match self {
            Self::Unprocessed => true,
            Self::Goaway => is_read,
            _ => false,
        }
    }

    /// Whether no further stream should be put on the connection.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::Goaway | Self::Silent | Self::Broken(_) | Self::Unprocessed
        )
    }

    /// `unsent`: hyper gave the request back, untouched.
    pub(super) fn of_request(error: &hyper::Error, unsent: bool) -> Self {
        if unsent {
            return Self::Unprocessed;
        }
        if error.is_user() || error.is_body_write_aborted() {
            return Self::RequestBody;
        }
        if error.is_timeout() {
            return Self::Silent;
        }
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(h2) = cause.downcast_ref::<h2::Error>() {
                return Self::of_h2(h2);
            }
            if let Some(inner) = cause
                .downcast_ref::<hyper::Error>()
                .filter(|e| e.is_timeout())
            {
                tracing::debug!(%inner, "a connection timed out");
                return Self::Silent;
            }
            source = cause.source();
        }
        Self::Broken(error.to_string())
    }

    fn of_h2(error: &h2::Error) -> Self {
        match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) if error.is_remote() => Self::Unprocessed,
            Some(h2::Reason::NO_ERROR) if error.is_go_away() && error.is_remote() => Self::Goaway,
            _ => Self::Broken(error.to_string()),
        }
    }
}
