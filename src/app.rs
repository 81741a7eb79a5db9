//! The daemon: builds its parts from the configuration, runs them, and drains them.
//!
//! [`App::bind`] reads the files that the configuration names and opens the listeners. [`App::run`]
//! serves until the stop signal, and then drains: `/readyz` fails at once, new connections are rejected
//! after `shutdown.delay`, watches end between two events and other requests finish within
//! `shutdown.drain`.

#[cfg(feature = "app-cluster")]
mod app_cluster_access;
#[cfg(not(feature = "app-cluster"))]
#[path = "app/no_app_cluster_access.rs"]
mod app_cluster_access;
mod control_plane;
mod control_planes;
mod discovery_cache;
pub mod online;
mod start_error;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::app_cluster_access::{AppClusterAccess, AppClusterTasks};
use self::control_planes::ControlPlanes;
pub use self::start_error::StartError;
use crate::authn::Authenticator;
use crate::catalog::{self, Catalog, Exposure, RefreshOptions};
use crate::config::{Config, ControlPlaneConfig, ServingCertificateConfig, Shutdown};
use crate::proxy::Proxy;
use crate::proxy::admission::Admission;
use crate::router::{AccessControl, Router};
use crate::server::accept::AcceptLoop;
use crate::server::admin;
use crate::server::http::HttpServer;
use crate::signals::StopSignal;
use crate::state_directory::StateDirectory;
use crate::telemetry::metrics::{Metrics, RequestLabels};
use crate::tls::watched::{self, Reload};
use crate::tls::{self, ServingCertificate};
use crate::upstream::DocumentClient;
use crate::websocket::WatchLimits;

/// Maximum delay of the process's end while the Lease is released.
const RELEASE_MAX: Duration = Duration::from_secs(2);

/// The daemon, with open listeners.
pub struct App {
    listener: TcpListener,
    admin: Option<TcpListener>,
    server: HttpServer,
    metrics: Metrics,
    documents: Vec<(Arc<DocumentClient>, RefreshOptions)>,
    reloads: Vec<Arc<dyn Reload>>,
    max_connections: usize,
    app_cluster: AppClusterTasks,
    shutdown: Shutdown,
    stop: StopSignal,
}

impl App {
    /// Reads certificates and credentials, and opens the listeners.
    pub async fn bind(config: Config, stop: StopSignal) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let draining = CancellationToken::new();
        let authenticator = Authenticator::load(&config.authentication)?;
        let app_cluster = AppClusterAccess::open(&config, &metrics).await?;
        let app_cluster = app_cluster.with_certificate(&config, &metrics).await?;
        let certificate = serving_certificate(&config, &app_cluster)?;
        let mut reloads = authenticator.watched();
        reloads.extend(certificate.watched());
        let control_planes = ControlPlanes::load(&config, &app_cluster, &metrics)?;
        reloads.extend(control_planes.watched.iter().cloned());

        let catalog = Catalog::new(control_planes.exposures());
        let documents = refreshes(&config, control_planes.documents, &app_cluster);
        let app_cluster = app_cluster
            .prepare(
                &config,
                &control_planes.by_name,
                &catalog,
                authenticator.front_proxy(),
                &metrics,
            )
            .await?;
        reloads.extend(app_cluster.watched());
        let router = Router {
            access: AccessControl {
                authenticator,
                direct_groups: config.direct_groups,
                metrics: metrics.clone(),
            },
            catalog,
            control_planes: control_planes.by_name,
            proxy: Proxy::new(
                &config.limits,
                &config.references,
                app_cluster.namespaces(),
                metrics.clone(),
                draining.clone(),
            )?,
            admission: Admission::new(&config.limits),
            metrics: metrics.clone(),
            stopping: stop.graceful.clone(),
            registration_problems: app_cluster.registration_problems(),
            copies: app_cluster.copy_status(),
            is_leader: app_cluster.is_leader(),
        };
        let server = HttpServer {
            acceptor: TlsAcceptor::from(Arc::new(tls::server_config(certificate)?)),
            router: Arc::new(router),
            websocket_limits: WatchLimits {
                event_bytes_max: config.limits.max_buffered_size,
                write_timeout: config.limits.watch_write_timeout,
            },
            draining,
        };
        Ok(Self {
            listener: bind_listener(config.listen.address).await?,
            admin: match config.admin {
                Some(address) => Some(bind_listener(address).await?),
                None => None,
            },
            server,
            metrics,
            documents,
            reloads,
            max_connections: config.listen.max_connections,
            app_cluster,
            shutdown: config.shutdown,
            stop,
        })
    }

    /// The address of the main listener, with the real port if the configuration has port 0.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The address of the admin listener, or `None` if it is off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// Returns a function that checks what `/readyz` checks, also while the daemon runs.
    pub fn readiness(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let router = Arc::clone(&self.server.router);
        move || router.readiness().is_ready()
    }

    /// Serves until the stop signal and until all requests are drained.
    pub async fn run(self) {
        let ended = CancellationToken::new();
        self.start_background_tasks(&ended);
        // Another replica should lead as soon as this one stops.
        let control_planes = &self.server.router.control_planes;
        let election = self
            .app_cluster
            .start(control_planes, &self.stop.graceful, &ended);
        if let Some(listener) = self.admin {
            let reports = reports(&self.server.router, self.metrics);
            tokio::spawn(admin::serve(listener, reports, ended.clone()));
        }
        let draining = self.server.draining.clone();
        let connections = TaskTracker::new();
        let accept = AcceptLoop {
            listener: self.listener,
            max_connections: self.max_connections,
            tasks: connections.clone(),
            stop: draining.clone(),
        };
        let server = self.server;
        let accepting = tokio::spawn(accept.run(move |stream| server.clone().serve(stream)));

        self.stop.graceful.cancelled().await;
        tracing::info!(delay = ?self.shutdown.delay, drain = ?self.shutdown.drain, "stopping");
        tokio::select! {
            () = tokio::time::sleep(self.shutdown.delay) => {}
            () = self.stop.immediate.cancelled() => {}
        }
        draining.cancel();
        drain(accepting, connections, &self.shutdown, &self.stop).await;
        if let Some(election) = election {
            // The election only releases its Lease now. The wait is limited, because the app cluster may be
            // unavailable.
            let _ = tokio::time::timeout(RELEASE_MAX, election).await;
        }
        ended.cancel();
    }

    /// Starts the refresh of discovery and the reload of files.
    fn start_background_tasks(&self, stop: &CancellationToken) {
        for (documents, options) in &self.documents {
            tokio::spawn(catalog::refresh(
                Arc::clone(documents),
                options.clone(),
                self.server.router.catalog.clone(),
                self.metrics.clone(),
                stop.clone(),
            ));
        }
        let reload = watched::reload_periodically(self.reloads.clone(), stop.clone());
        tokio::spawn(reload);
    }
}

/// Returns the tasks that keep the documents of each control plane current.
fn refreshes(
    config: &Config,
    documents: Vec<(Arc<DocumentClient>, Exposure)>,
    app_cluster: &AppClusterAccess,
) -> Vec<(Arc<DocumentClient>, RefreshOptions)> {
    let store = StateDirectory::of(config).map(discovery_cache::files);
    let store = store.or_else(|| app_cluster.discovery_store(config));
    let with_options = documents.into_iter().map(|(client, exposure)| {
        let settings = config.control_planes.get(client.name());
        let cache = store.clone().zip(settings);
        let options = RefreshOptions {
            cache: cache.map(|(store, settings)| discovery_cache::of(store, settings, &exposure)),
            degrade_after: config.outage.degrade_after,
            namespaces: settings.map(namespaces).unwrap_or_default(),
            exposure,
        };
        (client, options)
    });
    with_options.collect()
}

/// Returns the remote namespaces of a control plane.
fn namespaces(settings: &Arc<ControlPlaneConfig>) -> Vec<String> {
    let namespaces = settings.mapping.remote_namespaces().into_iter();
    namespaces.map(str::to_owned).collect()
}

/// Waits until all connections are closed, the drain time is over, or the second signal comes.
async fn drain(
    accepting: JoinHandle<()>,
    connections: TaskTracker,
    shutdown: &Shutdown,
    stop: &StopSignal,
) {
    // The loop ends with the token. A panic in it was reported when it happened.
    let _ = accepting.await;
    connections.close();
    tokio::select! {
        () = connections.wait() => tracing::info!("all requests are finished"),
        () = tokio::time::sleep(shutdown.drain) => {
            tracing::warn!(connections = connections.len(), "closing connections: the drain time is over");
        }
        () = stop.immediate.cancelled() => tracing::warn!("closing connections: second stop signal"),
    }
}

fn reports(router: &Arc<Router>, metrics: Metrics) -> admin::Reports {
    let (readiness, status) = (Arc::clone(router), Arc::clone(router));
    let router = Arc::clone(router);
    admin::Reports {
        status: Arc::new(move || status.status()),
        readiness: Arc::new(move || readiness.readiness()),
        metrics: Arc::new(move || {
            for (name, control_plane) in &router.control_planes {
                let is_degraded = control_plane.upstream.degradation().is_some();
                metrics.control_plane_degraded(name, is_degraded);
                if let Some(age) = router.catalog.age(name) {
                    metrics.discovery_age(name, age);
                }
            }
            let apis = router.catalog.api_status();
            metrics.apis_degraded(
                apis.iter()
                    .map(|api| (&*api.control_plane, &*api.group_version, api.is_degraded)),
            );
            metrics.missing_rights(missing_rights(&router).into_iter());
            metrics.encode()
        }),
    }
}

fn missing_rights(router: &Router) -> Vec<RequestLabels> {
    let mut all = Vec::new();
    for name in router.control_planes.keys() {
        let rights = router.catalog.missing_rights(name).into_iter();
        all.extend(rights.map(|right| RequestLabels {
            control_plane: name.clone(),
            group: right.group,
            resource: right.resource,
            verb: right.verb,
        }));
    }
    all
}

/// Returns the certificate of the configured files or of the Secret.
fn serving_certificate(
    config: &Config,
    app_cluster: &AppClusterAccess,
) -> Result<ServingCertificate, StartError> {
    match &config.listen.certificate {
        ServingCertificateConfig::Files {
            certificate, key, ..
        } => Ok(ServingCertificate::load(certificate, key)?),
        ServingCertificateConfig::SelfManaged(_) => {
            let certificate = app_cluster.certificate();
            certificate.ok_or(StartError::NoCertificate)
        }
    }
}

async fn bind_listener(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen { address, error })
}
