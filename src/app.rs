//! The daemon put together, and its way from start to end.
//!
//! [`App::bind`] reads what the configuration names and opens the listeners, [`App::run`] serves
//! until it is told to stop and then drains: not ready at once, no new connections after
//! `shutdown.delay`, watches ended at an event boundary and unary requests finished within
//! `shutdown.drain`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authn::Authenticator;
use crate::config::{self, Config, Shutdown};
use crate::discovery::{self, Catalog};
use crate::metrics::Metrics;
use crate::proxy::admission::Admission;
use crate::proxy::{ControlPlane, Proxy};
use crate::route::Router;
use crate::tls::watched::{self, LoadError, Reload};
use crate::tls::{self, ServingCertificate};
use crate::upstream::Upstream;
use crate::upstream::credentials::Credentials;
use crate::upstream::source::Source;
use crate::{admin, listen, serve, websocket};

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {error}")]
    Listen {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("control plane {name:?}: {problem}")]
    ControlPlane { name: String, problem: String },
    #[error("TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    #[error("rewrite rules: {0}")]
    Rules(#[from] crate::rewrite::RuleError),
}

/// How the daemon is told to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Drain and end.
    pub gently: CancellationToken,
    /// End at once.
    pub at_once: CancellationToken,
}

/// Bound and ready to run.
pub struct App {
    listener: TcpListener,
    admin: Option<TcpListener>,
    tls: Arc<tokio_rustls::rustls::ServerConfig>,
    router: Arc<Router>,
    metrics: Metrics,
    sources: Vec<(Arc<Source>, discovery::Exposure)>,
    reloads: Vec<Arc<dyn Reload>>,
    connections_max: usize,
    shutdown: Shutdown,
    draining: CancellationToken,
    stop: Stop,
}

impl App {
    /// Reads certificates and opens the listeners.
    pub async fn bind(config: Config, stop: Stop) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let draining = CancellationToken::new();
        let authenticator = Authenticator::load(&config.authentication)?;
        let certificate = ServingCertificate::load(&config.listen.certificate, &config.listen.key)?;
        let mut reloads = authenticator.watched();
        reloads.push(certificate.watched());
        let tls = Arc::new(tls::server_config(certificate)?);

        let (mut control_planes, mut sources) = (BTreeMap::new(), Vec::new());
        for (name, settings) in &config.control_planes {
            let exposure = exposure(name, &config);
            if exposure.apis.is_empty() {
                tracing::warn!(control_plane = %name, "no entry of apis names this control plane");
                continue;
            }
            let control_plane =
                control_plane(settings, &metrics).map_err(|problem| StartError::ControlPlane {
                    name: name.clone(),
                    problem,
                })?;
            let (upstream, credentials) = (
                control_plane.upstream.clone(),
                control_plane.credentials.clone(),
            );
            reloads.extend(credentials.watched());
            let source = Source::new(upstream, credentials, control_plane.path_prefix.clone());
            sources.push((Arc::new(source), exposure));
            control_planes.insert(name.clone(), control_plane);
        }
        let catalog = Catalog::new(
            sources
                .iter()
                .map(|(_, exposure)| exposure.clone())
                .collect(),
        );
        let router = Router {
            authenticator,
            direct_groups: config.direct_groups,
            catalog,
            control_planes,
            proxy: Proxy::new(config.limits.clone(), metrics.clone(), draining.clone())?,
            admission: Admission::new(&config.limits),
            websockets: websocket::Bounds {
                event_bytes_max: config.limits.held_bytes_max,
                stall_max: config.limits.watch_stall_max,
            },
            metrics: metrics.clone(),
            stopping: stop.gently.clone(),
        };
        Ok(Self {
            listener: listener(config.listen.address).await?,
            admin: match config.admin {
                Some(address) => Some(listener(address).await?),
                None => None,
            },
            tls,
            router: Arc::new(router),
            metrics,
            sources,
            reloads,
            connections_max: config.listen.connections_max,
            shutdown: config.shutdown,
            draining,
            stop,
        })
    }

    /// Where requests are taken; the port is the real one if the configuration said 0.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where `/metrics` is served, if it is.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// Tells whether everything has been seen that `/readyz` asks for, also while it runs.
    pub fn readiness(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let router = Arc::clone(&self.router);
        move || router.ready().is_ok()
    }

    /// Serves until it is told to stop and all is drained.
    pub async fn run(self) {
        let (ended, tasks) = (CancellationToken::new(), TaskTracker::new());
        for (source, exposure) in self.sources {
            let (catalog, ended) = (self.router.catalog.clone(), ended.clone());
            tokio::spawn(discovery::refresh(
                source,
                exposure,
                catalog,
                self.metrics.clone(),
                ended,
            ));
        }
        tokio::spawn(watched::keep_current(self.reloads, ended.clone()));
        if let Some(listener) = self.admin {
            let reports = reports(&self.router, self.metrics.clone());
            tokio::spawn(admin::serve(listener, reports, ended.clone()));
        }
        let (router, draining) = (Arc::clone(&self.router), self.draining.clone());
        let listening = tokio::spawn(listen::run(
            self.listener,
            self.tls,
            self.connections_max,
            tasks.clone(),
            self.draining.clone(),
            move |stream| serve::connection(stream, Arc::clone(&router), draining.clone()),
        ));
        self.stop.gently.cancelled().await;
        tracing::info!(delay = ?self.shutdown.delay, drain = ?self.shutdown.drain, "stopping");
        tokio::select! {
            () = tokio::time::sleep(self.shutdown.delay) => {}
            () = self.stop.at_once.cancelled() => {}
        }
        self.draining.cancel();
        // It ends with the token; a panic in it has been reported already.
        let _ = listening.await;
        tasks.close();
        tokio::select! {
            () = tasks.wait() => tracing::info!("all requests are finished"),
            () = tokio::time::sleep(self.shutdown.drain) => {
                tracing::warn!(connections = tasks.len(), "drain time is over");
            }
            () = self.stop.at_once.cancelled() => tracing::warn!("told to end at once"),
        }
        ended.cancel();
    }
}

fn reports(router: &Arc<Router>, metrics: Metrics) -> admin::Reports {
    let (readiness, router) = (Arc::clone(router), Arc::clone(router));
    admin::Reports {
        ready: Arc::new(move || readiness.ready()),
        metrics: Arc::new(move || {
            for name in router.control_planes.keys() {
                if let Some(age) = router.catalog.age(name) {
                    metrics.discovery_age(name, age);
                }
            }
            metrics.encode()
        }),
    }
}

async fn listener(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen { address, error })
}

fn control_plane(
    settings: &config::ControlPlane,
    metrics: &Metrics,
) -> Result<ControlPlane, String> {
    Ok(ControlPlane {
        name: settings.name.clone(),
        upstream: Upstream::new(settings, metrics)?,
        credentials: Credentials::load(&settings.credentials)?,
        namespaces: Arc::new(settings.mapping.clone()),
        path_prefix: settings.server.path.clone(),
        request_timeout: settings.timeouts.request,
    })
}

/// What the configuration exposes of one control plane.
fn exposure(name: &str, config: &Config) -> discovery::Exposure {
    let apis = config
        .apis
        .iter()
        .filter(|api| api.control_plane.name == name);
    discovery::Exposure {
        control_plane: name.to_owned(),
        apis: apis.map(Into::into).collect(),
    }
}
