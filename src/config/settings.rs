//! The checked configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use tracing_subscriber::filter::Targets;

use super::copies::SecretsConfig;
use super::events::EventsConfig;
use claim_mapping::ReferencePaths;
use claim_mapping::mapping::Mapping;
use kube_wire::group_version::GroupVersion;

#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the app cluster on the control planes: a DNS label.
    pub cluster: String,
    pub listen: Listen,
    pub authentication: Authentication,
    /// Groups whose members may call claimgate directly, without the RBAC of the app cluster.
    pub direct_groups: BTreeSet<String>,
    /// The valid control planes by name.
    pub control_planes: BTreeMap<String, Arc<ControlPlaneConfig>>,
    pub apis: Vec<ApiConfig>,
    /// The fields of claims that name Secrets and ConfigMaps, by API group.
    pub references: BTreeMap<String, ReferencePaths>,
    pub app_cluster: AppClusterConfig,
    /// `None` if claimgate registers no APIServices.
    pub register: Option<Register>,
    pub outage: OutageConfig,
    /// The folder in which the daemon saves discovery and the places of claims across restarts. `None` if it is not
    /// configured.
    pub state_directory: Option<PathBuf>,
    pub limits: LimitsConfig,
    /// `None` disables the admin listener.
    pub admin: Option<SocketAddr>,
    pub shutdown: Shutdown,
    pub log: Log,
}

#[derive(Clone, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    pub certificate: ServingCertificateConfig,
    pub max_connections: usize,
}

/// Where the serving certificate comes from.
#[derive(Clone, Debug)]
pub enum ServingCertificateConfig {
    Files {
        certificate: PathBuf,
        key: PathBuf,
        /// The CA of the certificate, which registered APIServices contain.
        authority: Option<PathBuf>,
    },
    SelfManaged(SelfManaged),
}

/// The daemon creates and renews the certificate.
#[derive(Clone, Debug)]
pub struct SelfManaged {
    /// The name of a Secret in the namespace of the Service.
    pub secret: String,
    /// The lifetime of a new certificate.
    pub lifetime: Duration,
}

/// The ways in which clients authenticate. At least one is present.
#[derive(Clone, Debug)]
pub struct Authentication {
    pub request_header: Option<FrontProxyConfig>,
    pub client_certificate: Option<ClientCertificate>,
}

/// Settings for outages of a control plane.
#[derive(Clone, Copy, Debug)]
pub struct OutageConfig {
    /// How long a control plane must be unreachable before discovery lists its resources without `watch`.
    pub degrade_after: Duration,
}

impl Config {
    /// Returns whether claimgate cannot run without the API of the app cluster.
    pub fn needs_app_cluster(&self) -> bool {
        // Self-managed certificates and token Secrets need `register`, which names their namespace.
        self.register.is_some() || self.authentication.is_front_proxy_from_cluster()
    }
}

impl Authentication {
    pub fn is_front_proxy_from_cluster(&self) -> bool {
        matches!(self.request_header, Some(FrontProxyConfig::FromCluster))
    }
}

/// The source of the description of the front proxy.
#[derive(Clone, Debug)]
pub enum FrontProxyConfig {
    File {
        client_ca: PathBuf,
        headers: RequestHeader,
    },
    /// The app cluster publishes it.
    FromCluster,
}

/// The identity of the front proxy, and the headers in which it passes the user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestHeader {
    /// Common names that the certificate of the front proxy may have. Empty means any name.
    pub allowed_names: Vec<String>,
    pub username_headers: Vec<HeaderName>,
    pub uid_headers: Vec<HeaderName>,
    pub group_headers: Vec<HeaderName>,
    /// Prefixes in lower case.
    pub extra_headers_prefix: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct ClientCertificate {
    pub client_ca: PathBuf,
}

#[derive(Clone, Debug)]
pub struct ControlPlaneConfig {
    pub name: String,
    pub server: ServerAddress,
    pub certificate_authority: CertificateAuthority,
    pub credentials: CredentialsConfig,
    /// The name that the certificate of the server must have, if it differs from the host.
    pub tls_server_name: Option<String>,
    pub mapping: Mapping,
    pub compression: Compression,
    pub limits: ControlPlaneLimits,
    pub timeouts: TimeoutsConfig,
}

/// The limits of one control plane, within those of the daemon.
#[derive(Clone, Copy, Debug)]
pub struct ControlPlaneLimits {
    pub max_requests_in_flight: usize,
    pub max_watches: usize,
}

impl ControlPlaneLimits {
    /// Returns the number of requests in flight that one user may have.
    pub fn max_of_user(&self) -> usize {
        (self.max_requests_in_flight / 2).max(1)
    }

    /// Returns the number of lists among the requests in flight.
    pub fn max_lists(&self) -> usize {
        (self.max_requests_in_flight * 3 / 4).max(1)
    }
}

/// The parts of an https URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerAddress {
    /// An IPv6 address has no brackets here.
    pub host: String,
    pub port: u16,
    /// Empty, or a path that starts with a slash and does not end with one.
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
pub enum CredentialsConfig {
    ClientCertificate {
        certificate: PemConfig,
        key: PemConfig,
    },
    Token(Secret),
    /// The file is read again when it changes.
    TokenFile(PathBuf),
    /// The name of a Secret in the namespace of the daemon's Service.
    TokenSecret(String),
}

#[derive(Clone)]
pub enum PemConfig {
    File(PathBuf),
    Inline(Vec<u8>),
}

impl PemConfig {
    /// Returns the current PEM text.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::File(path) => std::fs::read(path),
            Self::Inline(pem) => Ok(pem.clone()),
        }
    }
}

impl fmt::Debug for PemConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Inline(_) => f.write_str("MASKED"),
        }
    }
}

/// A secret string. Its `Debug` output is masked.
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

/// Whether claimgate requests gzip from a control plane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Requests gzip if the measured round trip to the control plane is long.
    Auto,
    Off,
    On,
}

#[derive(Clone, Debug)]
pub struct TimeoutsConfig {
    /// From the name lookup to the end of the HTTP/2 handshake.
    pub connect: Duration,
    /// From sending a request to the headers of its response.
    pub request: Duration,
    /// Maximum time during which a request body may make no progress.
    pub request_body_stall: Duration,
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct ApiConfig {
    pub group: String,
    /// The exposed versions. Empty means all versions that the control plane serves.
    pub versions: BTreeSet<String>,
    pub resources: Resources,
    pub control_plane: Arc<ControlPlaneConfig>,
    pub read_only: bool,
    pub secrets: SecretsConfig,
    pub events: EventsConfig,
}

/// The namespaced resources of a group that are exposed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resources {
    All,
    Category(String),
    Named(BTreeSet<String>),
}

/// Sizes are in bytes.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    pub max_watches: usize,
    pub max_requests_in_flight: usize,
    pub max_request_body_size: usize,
    pub max_buffered_size: usize,
    pub watch_buffer_size: usize,
    pub watch_write_timeout: Duration,
}

/// How to reach the API of the app cluster.
#[derive(Clone, Debug)]
pub struct AppClusterConfig {
    /// `None` for the ServiceAccount of the pod, if there is one.
    pub kubeconfig: Option<PathBuf>,
}

/// The APIServices that claimgate creates in the app cluster.
#[derive(Clone, Debug)]
pub struct Register {
    /// The Service through which kube-apiserver reaches this daemon.
    pub service: ServiceConfig,
    /// The ClusterRole that owns the APIServices, so that they are deleted with it.
    pub cluster_role: Option<String>,
    /// `None` if claimgate itself writes the CA into the APIServices.
    pub ca_injection: Option<CaInjection>,
    pub priority: Priority,
    /// Group-versions whose APIServices claimgate takes over from others.
    pub adopt: BTreeSet<GroupVersion>,
}

/// Where the CA injector of cert-manager reads the CA that it writes into the APIServices. The names are in the namespace
/// of the Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CaInjection {
    /// In the Secret of a Certificate.
    Certificate(String),
    /// In a Secret.
    Secret(String),
}

/// The order of the APIServices among the groups and versions of the app cluster. Larger numbers come first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Priority {
    pub group_minimum: i32,
    pub version: i32,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceConfig {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

impl ServiceConfig {
    /// Returns the name that kube-apiserver expects in the certificate.
    pub fn dns_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

#[derive(Clone, Debug)]
pub struct Shutdown {
    pub delay: Duration,
    pub drain: Duration,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub level: Targets,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Json,
    Text,
}
