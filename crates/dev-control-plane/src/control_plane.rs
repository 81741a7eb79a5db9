//! The control plane's API for tests: options, start, credentials, objects and requests.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::api_server::ApiServer;
use super::certificates::{Authority, CertificateError, Identity};
use super::controller;
use super::error::StatusError;
use super::faults::Faults;
use super::in_process::{self, Objects};
use super::openapi::Documents;
use super::request::{RecordedRequest, RequestLog};
use super::resource::Resource;
use super::server;
use super::storage::Store;
use super::tls::{self, TlsSetupError};

/// The settings of a control plane.
#[derive(Clone, Debug)]
pub struct DevControlPlaneOptions {
    /// The address to listen on. Port 0 selects a free port.
    pub address: SocketAddr,
    /// The custom resources to serve. Namespaces are always served.
    pub resources: Vec<Resource>,
    /// The namespaces to create.
    pub namespaces: Vec<String>,
    /// The time until a new object of category `claim` becomes Ready. It becomes Synced after a third of it.
    /// With `None`, only the test sets the status.
    pub ready_after: Option<Duration>,
    pub bookmark_interval: Duration,
    /// Maximum number of events in the log. Older ones are compacted.
    pub events_max: usize,
}

/// A running control plane. Dropping it closes all connections.
pub struct DevControlPlane {
    server: Arc<ApiServer>,
    authority_pem: String,
    client: Identity,
    tasks: Vec<AbortHandle>,
}

/// Starting a control plane failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] TlsSetupError),
}

impl Default for DevControlPlaneOptions {
    /// Returns options with a free loopback port, no custom resources, the namespace `default`, and claims that
    /// become Ready after 3 s.
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            resources: Vec::new(),
            namespaces: vec!["default".to_owned()],
            ready_after: Some(Duration::from_secs(3)),
            // The interval of kube-apiserver's watch cache.
            bookmark_interval: Duration::from_secs(60),
            events_max: 20_000,
        }
    }
}

impl DevControlPlane {
    /// Creates certificates, listens, and serves until the value is dropped. It needs a tokio runtime and the
    /// process-wide cryptography provider of rustls.
    pub async fn start(options: DevControlPlaneOptions) -> Result<Self, LaunchError> {
        let listen = |source| LaunchError::Listen {
            address: options.address,
            source,
        };
        let listener = server::bind(options.address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        // One CA signs the serving and the client certificates, as in clusters made by kubeadm.
        let authority = Authority::new("control-plane-ca")?;
        let serving =
            authority.serving(&["localhost", "kubernetes.default.svc", "127.0.0.1", "::1"])?;
        let client = authority.client("connector", &["connectors"])?;
        let acceptor = tls::acceptor(&serving, &authority.pem())?;
        let server = Arc::new(ApiServer {
            address,
            bookmark_interval: options.bookmark_interval,
            documents: Documents::default(),
            faults: Faults::default(),
            requests: RequestLog::default(),
            store: Store::new(options.resources, options.events_max),
            token: Uuid::new_v4().simple().to_string(),
        });
        let serve = tokio::spawn(server::serve(Arc::clone(&server), listener, acceptor));
        let mut tasks = vec![serve.abort_handle()];
        if let Some(ready_after) = options.ready_after {
            let position = server.store.read(|state| state.log.latest());
            let control = tokio::spawn(controller::run(Arc::clone(&server), position, ready_after));
            tasks.push(control.abort_handle());
        }
        let control_plane = Self {
            server,
            authority_pem: authority.pem(),
            client,
            tasks,
        };
        for namespace in &options.namespaces {
            control_plane.create_namespace(namespace);
        }
        Ok(control_plane)
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Returns the base URL, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.server.address)
    }

    /// Returns the CA of the serving certificate and of the client certificate, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Returns the accepted bearer token.
    pub fn token(&self) -> &str {
        &self.server.token
    }

    /// Returns a client certificate that the control plane accepts.
    pub fn client(&self) -> &Identity {
        &self.client
    }

    /// Returns a kubeconfig with the token and everything else inline. It is JSON, which is valid YAML.
    pub fn kubeconfig(&self) -> String {
        let ca = STANDARD.encode(self.ca_pem());
        let cluster = json!({"server": self.url(), "certificate-authority-data": ca});
        let context = json!({"cluster": "control-plane", "user": "connector"});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "control-plane", "cluster": cluster}],
            "users": [{"name": "connector", "user": {"token": self.token()}}],
            "contexts": [{"name": "control-plane", "context": context}],
            "current-context": "control-plane",
        });
        format!("{config:#}\n")
    }

    /// Creates a namespace unless it exists.
    pub fn create_namespace(&self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let resource = Resource::namespaces();
        // Creation fails if the namespace exists or its name is invalid. Requests in an invalid namespace get a
        // 404.
        let _ = in_process::create(&self.server.store, &resource, "", object);
    }

    /// Deletes a namespace with everything in it, regardless of finalizers.
    pub fn delete_namespace(&self, name: &str) {
        let store = &self.server.store;
        store.write(|state| state.remove_namespace(name));
    }

    /// Returns the objects of a resource by its name `plural.group`, in the version declared first.
    ///
    /// # Errors
    /// The resource is not declared.
    pub fn objects(&self, qualified_name: &str) -> Result<Objects<'_>, StatusError> {
        Objects::of(&self.server.store, qualified_name)
    }

    /// Serves more resources. Each replaces one of the same group, version and plural.
    pub fn add_resources(&self, resources: impl IntoIterator<Item = Resource>) {
        let store = &self.server.store;
        store.write(|state| state.add_resources(resources));
    }

    /// Stops serving a resource. Its objects stay.
    pub fn remove_resource(&self, group: &str, version: &str, plural: &str) {
        let store = &self.server.store;
        store.write(|state| state.remove_resource(group, version, plural));
    }

    /// Returns the newest resourceVersion.
    pub fn resource_version(&self) -> u64 {
        self.server.store.read(|state| state.log.latest())
    }

    /// Deletes all events, so that older resourceVersions and continue tokens expire.
    pub fn compact(&self) {
        self.server.store.compact();
    }

    /// Returns the last 10,000 requests, oldest first, without reviews of rights: clients send these on their own, at any
    /// time.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        let mut requests = self.server.requests.all();
        requests.retain(|request| !request.path.starts_with("/apis/authorization.k8s.io/"));
        requests
    }

    pub fn clear_requests(&self) {
        self.server.requests.clear();
    }

    pub fn faults(&self) -> &Faults {
        &self.server.faults
    }
}

impl Drop for DevControlPlane {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.server.faults.drop_connections();
    }
}
