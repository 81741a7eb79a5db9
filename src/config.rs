//! The configuration: read, checked, and from then on free of contradictions.
//!
//! [`load()`] turns a file and the environment into a [`Config`] or into every problem at once.
//! Nothing in a [`Config`] is missing or names something that does not exist; the certificates and
//! keys behind its paths were readable when it was checked.

mod check;
mod control_plane;
mod files;
mod kubeconfig;
mod load;
mod problem;
mod section;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

pub use self::problem::{Problem, Problems};
use crate::mapping::Namespaces;

/// Reads a configuration from a YAML, TOML or JSON file and from `CLAIMGATE_*` variables, which
/// override the file's scalar keys.
///
/// # Errors
/// Every problem that there is, each with its file, key and a cure.
pub fn load(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Problems> {
    check::check(path, load::load(path, environment)?)
}

#[derive(Clone, Debug)]
pub struct Config {
    /// The app cluster's name on the control plane: a DNS label.
    pub cluster: String,
    pub listen: Listen,
    pub authentication: Authentication,
    /// Groups whose members may come without the aggregator, past the app cluster's RBAC.
    pub direct_groups: BTreeSet<String>,
    /// By name.
    pub control_planes: BTreeMap<String, Arc<ControlPlane>>,
    pub apis: Vec<Api>,
    pub limits: Limits,
    pub admin: Option<SocketAddr>,
    pub shutdown: Shutdown,
    pub log: Log,
}

#[derive(Clone, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub connections_max: usize,
}

/// At least one of the two.
#[derive(Clone, Debug)]
pub struct Authentication {
    pub request_header: Option<RequestHeader>,
    pub client_certificate: Option<ClientCertificate>,
}

/// The front proxy and how it names users.
#[derive(Clone, Debug)]
pub struct RequestHeader {
    pub client_ca: PathBuf,
    /// Common names that the proxy may have; empty for any.
    pub allowed_names: Vec<String>,
    pub username_headers: Vec<HeaderName>,
    pub uid_headers: Vec<HeaderName>,
    pub group_headers: Vec<HeaderName>,
    /// In lower case.
    pub extra_headers_prefix: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct ClientCertificate {
    pub client_ca: PathBuf,
}

#[derive(Clone, Debug)]
pub struct ControlPlane {
    pub name: String,
    pub server: Server,
    pub certificate_authority: CertificateAuthority,
    pub credentials: Credentials,
    /// The name that the server's certificate has to have, if it is not the host.
    pub tls_server_name: Option<String>,
    pub mapping: Namespaces,
    pub compression: Compression,
    pub timeouts: Timeouts,
}

/// An https URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// Empty, or with a slash at its start and none at its end.
    pub path: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateAuthority {
    System,
    File(PathBuf),
    /// PEM.
    Inline(Vec<u8>),
}

#[derive(Clone, Debug)]
pub enum Credentials {
    ClientCertificate {
        certificate: PemSource,
        key: PemSource,
    },
    Token(Secret),
    /// Read again when it changes.
    TokenFile(PathBuf),
}

#[derive(Clone)]
pub enum PemSource {
    File(PathBuf),
    Inline(Vec<u8>),
}

impl PemSource {
    /// The PEM as it is now.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::File(path) => std::fs::read(path),
            Self::Inline(pem) => Ok(pem.clone()),
        }
    }
}

impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Inline(_) => f.write_str("MASKED"),
        }
    }
}

/// A text that is not to be printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MASKED")
    }
}

/// Whether a control plane is asked for gzip.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// If the round trip to it is long.
    Auto,
    Off,
    On,
}

#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From the first packet to HTTP/2's settings.
    pub connect: Duration,
    /// Until the response's headers.
    pub request: Duration,
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct Api {
    pub group: String,
    /// Empty for all that are served.
    pub versions: BTreeSet<String>,
    pub resources: Resources,
    pub control_plane: Arc<ControlPlane>,
    pub read_only: bool,
}

/// Which namespaced resources of a group are exposed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resources {
    All,
    Category(String),
    Named(BTreeSet<String>),
}

#[derive(Clone, Debug)]
pub struct Limits {
    pub watches_max: usize,
    pub requests_in_flight_max: usize,
    pub body_bytes_max: usize,
    pub held_bytes_max: usize,
    pub watch_buffer_bytes_max: usize,
    pub watch_stall_max: Duration,
}

#[derive(Clone, Debug)]
pub struct Shutdown {
    pub delay: Duration,
    pub drain: Duration,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Json,
    Text,
}
