//! The state that all requests share.

use std::net::SocketAddr;
use std::time::Duration;

use super::faults::Faults;
use super::openapi::Documents;
use super::request::RequestLog;
use super::storage::Store;

pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    pub(crate) bookmark_interval: Duration,
    pub(crate) documents: Documents,
    pub(crate) faults: Faults,
    pub(crate) requests: RequestLog,
    pub(crate) store: Store,
    /// The accepted bearer token.
    pub(crate) token: String,
}
