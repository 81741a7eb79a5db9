//! A client for one API server: connections, streams, retries and failures.
//!
//! [`Upstream::send`] takes a request and returns the response once its headers arrive. The
//! response body occupies a stream of the connection until it ends. The client knows an
//! [`Endpoint`] and [`Credentials`], but no namespaces or mappings.
//!
//! claimgate has its own connection pool, because hyper-util's client keeps only one HTTP/2 connection for each host.
//! kube-apiserver allows 100 streams on a connection, so the 101st watch would wait forever. Watches and other requests
//! use separate connections ([`ConnectionClass`]). The flow-control window of a connection is at least the sum of the
//! windows of its streams. So a reader that stalls never blocks another one.

mod access_review;
mod bad_responses;
mod circuit;
mod client;
mod connect;
mod connection;
mod connection_class;
mod content_encoding;
mod credentials;
mod document_client;
mod endpoint;
mod error;
mod gunzip;
mod gzip_policy;
#[cfg(feature = "app-cluster")]
mod kube_client;
mod pool;
mod post_json;
mod readiness;
mod request_body;
mod response_body;
mod sent_body;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

pub use self::access_review::is_allowed;
pub use self::client::Upstream;
pub use self::connection_class::ConnectionClass;
pub use self::credentials::{Credentials, TokenCell};
pub use self::document_client::{DocumentClient, DocumentFetch, FetchError, FetchedDocument};
pub use self::endpoint::{Endpoint, PemSource, Timeouts};
pub use self::error::{Outcome, UpstreamError};
pub use self::gzip_policy::GzipPolicy;
#[cfg(feature = "app-cluster")]
pub use self::kube_client::kube_client;
pub use self::post_json::post_json;
pub use self::readiness::STARTING_MAX;
pub use self::request_body::RequestBody;
pub use self::response_body::{BodyError, ResponseBody};
