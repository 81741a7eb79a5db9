//! An in-memory control plane: enough of kube-apiserver, over real TLS and HTTP/2, for a first
//! look and for integration tests. It owns its objects, certificates and listener, and knows
//! nothing of claimgate.
//!
//! What it lacks it says: server-side apply and strategic merge patch get 415. There is no
//! protobuf, YAML, gzip, authorization, garbage collection or managedFields.
//!
//! The way of a request: `server` (TLS, authentication, faults) → `handler` (routing) → `read`,
//! `watch`, `write`, `discovery` or `openapi` → `crud` and `storage` → `reply`.

mod body;
mod continue_token;
mod controller;
mod crud;
mod discovery;
mod error;
pub mod faults;
mod handler;
mod negotiate;
mod object;
mod objects;
mod openapi;
pub(crate) mod patch;
mod read;
mod reply;
mod request;
mod resource;
mod scale;
mod schema;
mod selectors;
mod server;
mod storage;
mod table;
mod tls;
mod watch;
mod watch_log;
mod write;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::AbortHandle;
use uuid::Uuid;

pub use error::ApiError;
pub use objects::Objects;
pub use request::RecordedRequest;
pub use resource::{Column, Resource, Scale};

use super::certificates::{Authority, CertificateError, Identity};
use faults::Faults;
use openapi::Documents;
use request::RequestLog;
use storage::Store;

/// How a control plane starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Loopback, and any free port unless one is given.
    pub address: SocketAddr,
    pub resources: Vec<Resource>,
    pub namespaces: Vec<String>,
    /// After this time resources of category `claim` become Ready, and Synced after a third of
    /// it; None: never.
    pub ready_after: Option<Duration>,
    pub bookmark_interval: Duration,
    /// Older events are compacted.
    pub events_max: usize,
}

/// A running control plane; it ends when dropped.
pub struct ControlPlane {
    inner: Arc<Inner>,
    authority_pem: String,
    client: Identity,
    tasks: Vec<AbortHandle>,
}

/// Why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] tls::TlsError),
}

/// What requests share.
pub(crate) struct Inner {
    pub(crate) address: SocketAddr,
    pub(crate) bookmark_interval: Duration,
    pub(crate) documents: Documents,
    pub(crate) faults: Faults,
    pub(crate) requests: RequestLog,
    pub(crate) store: Store,
    pub(crate) token: String,
}

impl Default for Options {
    /// Nothing declared, `default` as the only namespace, claims Ready after 3 s.
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            resources: Vec::new(),
            namespaces: vec!["default".to_owned()],
            ready_after: Some(Duration::from_secs(3)),
            // As kube-apiserver's watch cache.
            bookmark_interval: Duration::from_secs(60),
            events_max: 20_000,
        }
    }
}

impl ControlPlane {
    /// Makes certificates, listens, and serves until dropped. Needs a tokio runtime.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen {
            address: options.address,
            source,
        };
        let listener = server::bind(options.address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let authority = Authority::new("control-plane-ca")?;
        let serving =
            authority.serving(&["localhost", "kubernetes.default.svc", "127.0.0.1", "::1"])?;
        // A CA of its own for clients, as kubeadm's clusters have one for both: either is valid.
        let client = authority.client("connector", &["connectors"])?;
        let acceptor = tls::acceptor(&serving, &authority.pem())?;
        let inner = Arc::new(Inner {
            address,
            bookmark_interval: options.bookmark_interval,
            documents: Documents::default(),
            faults: Faults::default(),
            requests: RequestLog::default(),
            store: Store::new(options.resources, options.events_max),
            token: Uuid::new_v4().simple().to_string(),
        });
        let serve = tokio::spawn(server::serve(Arc::clone(&inner), listener, acceptor));
        let mut tasks = vec![serve.abort_handle()];
        if let Some(ready_after) = options.ready_after {
            let position = inner.store.read(|state| state.log.latest());
            let control = tokio::spawn(controller::run(Arc::clone(&inner), position, ready_after));
            tasks.push(control.abort_handle());
        }
        let control_plane = Self {
            inner,
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
        self.inner.address
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.inner.address)
    }

    /// The CA of the serving certificate and of the client certificate.
    pub fn ca_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The bearer token that is accepted.
    pub fn token(&self) -> &str {
        &self.inner.token
    }

    /// A client certificate that is accepted.
    pub fn client(&self) -> &Identity {
        &self.client
    }

    /// A kubeconfig with everything inline (JSON, which is YAML), with the token as credential.
    pub fn kubeconfig(&self) -> String {
        use base64::Engine;
        let ca = base64::engine::general_purpose::STANDARD.encode(self.ca_pem());
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

    /// Nothing happens if it exists.
    pub fn create_namespace(&self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let resource = Resource::namespaces();
        // The only error is that it exists, or an invalid name, which then shows as not found.
        let _ = self
            .inner
            .store
            .write(|state| crud::create(state, &resource, "", object, false));
    }

    /// With everything in it, finalizers or not.
    pub fn delete_namespace(&self, name: &str) {
        self.inner.store.write(|state| state.remove_namespace(name));
    }

    /// The objects of a resource, `plural.group`, in the first version that was declared.
    ///
    /// # Errors
    /// If there is no such resource.
    pub fn objects(&self, qualified_name: &str) -> Result<Objects<'_>, ApiError> {
        Objects::of(&self.inner.store, qualified_name)
    }

    /// Declares resources while running, each in place of one of the same group, version and
    /// plural.
    pub fn add_resources(&self, resources: impl IntoIterator<Item = Resource>) {
        self.inner
            .store
            .write(|state| state.add_resources(resources));
    }

    /// Stops serving a resource; its objects stay.
    pub fn remove_resource(&self, group: &str, version: &str, plural: &str) {
        self.inner
            .store
            .write(|state| state.remove_resource(group, version, plural));
    }

    /// The newest resourceVersion.
    pub fn resource_version(&self) -> u64 {
        self.inner.store.read(|state| state.log.latest())
    }

    /// Forgets all events: older resourceVersions and continue tokens are Expired.
    pub fn compact(&self) {
        self.inner.store.compact();
    }

    /// What was asked, oldest first; at most the last 10,000.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.inner.requests.all()
    }

    pub fn clear_requests(&self) {
        self.inner.requests.clear();
    }

    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.inner.faults.drop_connections();
    }
}
