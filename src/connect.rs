//! The commands `connect` and `disconnect`, which connect two clusters given by contexts of a kubeconfig. The command
//! `kubeconfig`, which gives tools access to claims on the control plane.
//!
//! | module | content |
//! |---|---|
//! | `clusters`, `discovery`, `endpoint` | a cluster, its resources and its address |
//! | `session`, `connection` | the names, and the two clusters |
//! | `tenant` | the objects on the control plane |
//! | `installation` | the objects in the app cluster |
//! | `daemon_config` | the configuration of the daemon |
//! | `preflight` | checks both clusters |
//! | `manifest` | creates and deletes an object |
//! | `secret_rights` | removes rights to copy Secrets, and the copies themselves |
//! | `plan`, `write` | show the plan, ask for confirmation, and write |
//! | `token` | tokens of ServiceAccounts |
//! | `oidc` | the configuration with which the control plane trusts tokens of the app cluster, and its check |
//! | `serve`, `workspace` | runs the daemon on this machine |
//! | `served` | waits until the app cluster serves claims |
//! | `pod_reports` | the status of daemons in pods |
//! | `disconnect`, `leftovers` | removes what `connect` created |
//! | `gitops` | the command `kubeconfig`, and the documents for kubectl, Argo CD and Flux |

mod clusters;
mod connection;
mod daemon_config;
mod disconnect;
mod discovery;
mod endpoint;
mod error;
mod gitops;
mod installation;
mod leftovers;
mod manifest;
mod objects;
mod oidc;
mod plan;
mod pod_reports;
mod preflight;
mod private_file;
mod secret_rights;
mod serve;
mod served;
mod session;
mod tenant;
mod token;
mod workspace;
mod write;

use std::path::PathBuf;
use std::time::Duration;

pub use self::connection::Credential;
use self::connection::Daemon;
use self::daemon_config::CONTROL_PLANE;
pub use self::disconnect::{ClaimPolicy, disconnect};
pub use self::error::ConnectError;
pub use self::gitops::{KubeconfigOptions, Tool, kubeconfig};
pub(crate) use self::installation::METRICS_PORT;
use self::manifest::Manifest;
use self::oidc::Issuer;
pub use self::pod_reports::pod_reports;
pub use self::preflight::{Finding, Outcome};
use self::serve::LocalDaemon;
pub use self::serve::ServeOptions;
pub use self::session::{Namespaces, Options};
use self::session::{Session, check_system_namespace};
use self::write::CredentialSource;

/// Maximum time for pods to start and serve claims. They may have to pull the image.
const INSTALLED_MAX: Duration = Duration::from_secs(180);

/// The port of the Service of pods.
const SERVICE_PORT: u16 = 443;

/// Where the daemon runs.
#[derive(Clone, Debug)]
pub enum Target {
    /// On this machine, until a signal arrives.
    Serve(ServeOptions),
    /// As a Deployment in the app cluster.
    Install { image: String },
    /// As a Deployment that the user applies. The objects are printed to stdout, and the Secret with the credential is
    /// written to the file. There is no file if the app cluster issues the tokens.
    Print {
        image: String,
        credential_file: Option<PathBuf>,
    },
}

impl Target {
    fn daemon(&self) -> Daemon {
        match self {
            Self::Serve(_) => Daemon::OutsideOfTheCluster,
            Self::Install { .. } | Self::Print { .. } => Daemon::Deployment,
        }
    }
}

/// Connects the two clusters.
///
/// # Errors
/// A cluster cannot be reached, a right is missing, or the user does not confirm. Objects that were written stay, and
/// repeating the command continues.
pub async fn connect(options: &Options, target: &Target) -> Result<(), ConnectError> {
    check_system_namespace(options)?;
    crate::tls::provider::install();
    let port = match target {
        Target::Serve(serve) => serve.port,
        Target::Install { .. } | Target::Print { .. } => SERVICE_PORT,
    };
    let mut session = Session::open(options, port).await?;
    session.choose_groups().await?;
    session.check_namespaces().await?;
    session.choose_connection(target.daemon()).await?;
    let on_control_plane = session.tenant.objects()?;
    let source = match options.credential {
        Credential::Token => CredentialSource::Secret,
        Credential::Oidc => CredentialSource::Issuer(Issuer::read(&session).await?),
    };
    match target {
        Target::Serve(serve) => {
            let daemon = LocalDaemon::prepare(serve, &session)?;
            let objects = installation::outside(&session.installation, &daemon.host)?;
            write::apply(&session, &source, &on_control_plane, objects, options.yes).await?;
            serve::run(&daemon, &session).await
        }
        Target::Install { image } => {
            let objects = pod_objects(&session, image)?;
            write::apply(&session, &source, &on_control_plane, objects, options.yes).await?;
            secret_rights::remove_unneeded(&session).await?;
            println!("Waiting until the app cluster serves claims.");
            let resources = served::wait(&session, INSTALLED_MAX).await;
            let resources = resources.map_err(|problem| ConnectError::NotServedByPods {
                group: problem.group,
                problem: problem.problem,
                namespace: session.installation.service.namespace.clone(),
                deployment: session.installation.service.name.clone(),
            })?;
            served::print(&session, &resources);
            println!("To undo everything: {}", session.undo());
            Ok(())
        }
        Target::Print {
            image,
            credential_file,
        } => {
            let objects = pod_objects(&session, image)?;
            let (file, yes) = (credential_file.as_deref(), options.yes);
            write::print(&session, &source, &on_control_plane, &objects, file, yes).await
        }
    }
}

/// Returns the objects in the app cluster for a daemon in pods.
fn pod_objects(session: &Session, image: &str) -> Result<Vec<Manifest>, ConnectError> {
    let files = daemon_config::in_pod(session)?;
    if session.endpoint.is_loopback() {
        eprintln!(
            "warning: pods of the app cluster cannot reach {}, an address of this machine; use a kubeconfig with another address",
            session.endpoint.server
        );
    }
    Ok(installation::inside(
        &session.installation,
        image,
        &files,
        CONTROL_PLANE,
    )?)
}

/// Checks both clusters as `connect` does, and writes nothing.
///
/// # Errors
/// A cluster cannot be reached, or has no claims.
pub async fn check(options: &Options) -> Result<Vec<Finding>, ConnectError> {
    check_system_namespace(options)?;
    crate::tls::provider::install();
    let mut session = Session::open(options, SERVICE_PORT).await?;
    session.choose_groups().await?;
    session.check_namespaces().await?;
    if options.credential == Credential::Oidc {
        Issuer::read(&session).await?;
    }
    let on_control_plane = session.tenant.objects()?;
    let in_app_cluster = installation::all(&session.installation, CONTROL_PLANE)?;
    // `connect` would reject a different connection before anything else.
    if session.choose_connection(Daemon::Deployment).await.is_err() {
        session
            .choose_connection(Daemon::OutsideOfTheCluster)
            .await?;
    }
    preflight::run(&session, &on_control_plane, &in_app_cluster).await
}
