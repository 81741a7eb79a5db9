//! The address of an API server and the settings for its connections.

use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;

use super::gzip_policy::GzipPolicy;

/// An API server. It speaks HTTP/2 over TLS.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The name in logs and metric labels.
    pub name: String,
    /// A DNS name or an IP address, without the brackets of IPv6.
    pub host: String,
    pub port: u16,
    /// Prefix of every path. Empty, or with a slash at its start and none at its end.
    pub path_prefix: String,
    /// The name in the server's certificate, if it is not the host.
    pub tls_server_name: Option<String>,
    /// The CA certificates; `None` for those of the system.
    pub certificate_authority: Option<PemSource>,
    pub gzip: GzipPolicy,
    pub timeouts: Timeouts,
}

#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Maximum time from the name lookup to the end of the HTTP/2 handshake.
    pub connect: Duration,
    /// Maximum time from sending a request to the headers of its response.
    pub request: Duration,
    /// Maximum time during which the server accepts no data of a request body.
    pub request_body_stall: Duration,
    /// Interval of HTTP/2 PINGs.
    pub ping_interval: Duration,
    /// Maximum time from a PING to its acknowledgement.
    pub ping_timeout: Duration,
}

/// PEM text, read for each connection, so that a rotated file takes effect with the next one.
#[derive(Clone)]
pub enum PemSource {
    File(PathBuf),
    Inline(Vec<u8>),
}

impl Endpoint {
    /// Returns the host and port of a URI.
    ///
    /// # Errors
    /// The host is not valid in a URI.
    pub(super) fn authority(&self) -> Result<Authority, String> {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let authority = format!("{host}:{}", self.port);
        authority
            .parse()
            .map_err(|_| format!("{authority:?} is not a valid host and port"))
    }
}

impl PemSource {
    pub(super) fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::File(path) => std::fs::read(path),
            Self::Inline(pem) => Ok(pem.clone()),
        }
    }
}

/// Masks inline text, which may be a private key.
impl std::fmt::Debug for PemSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Inline(_) => f.write_str("MASKED"),
        }
    }
}
