//! Runs the daemon on this machine, and waits until the app cluster serves claims.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use super::error::ConnectError;
use super::installation::Files;
use super::served;
use super::session::Session;
use super::workspace::{self, Workspace};
use crate::app::App;
use crate::telemetry::log;
use crate::{config, signals};

/// Maximum time until the app cluster serves claims.
const SERVED_MAX: Duration = Duration::from_secs(60);

/// A port that is used to find the address of this machine. Nothing is sent to it.
const ANY_PORT: u16 = 443;

/// Returns the address under which the host of an API server probably reaches this machine.
///
/// # Errors
/// This machine has no route to the host.
fn own_host(api_server: &str) -> Result<String, ConnectError> {
    let host = api_server.trim_start_matches('[').trim_end_matches(']');
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let routed = socket
        .connect((host, ANY_PORT))
        .and_then(|()| socket.local_addr());
    Ok(match routed {
        Ok(address) if address.ip().is_loopback() => "localhost".to_owned(),
        Ok(address) => address.ip().to_string(),
        Err(error) => return Err(error.into()),
    })
}

/// The options of a daemon on this machine.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// DNS name or address under which the API server of the app cluster reaches this machine.
    pub advertise_host: Option<String>,
    pub port: u16,
    /// Folder for kubeconfigs and the configuration.
    pub dir: Option<PathBuf>,
}

/// A daemon that can run on this machine.
pub(super) struct LocalDaemon {
    /// DNS name or address under which the API server of the app cluster reaches this machine.
    pub(super) host: String,
    port: u16,
    workspace: Workspace,
    files: Files,
}

impl LocalDaemon {
    /// Checks everything that the daemon needs on this machine, before anything is written to a cluster. Creates the
    /// folder.
    ///
    /// # Errors
    /// The port is in use or not allowed, this machine has no route to the app cluster, the folder cannot be written,
    /// or the address of the control plane needs a setting that the configuration does not have.
    pub(super) fn prepare(options: &ServeOptions, session: &Session) -> Result<Self, ConnectError> {
        let port = options.port;
        let host = match &options.advertise_host {
            Some(host) => host.clone(),
            None => own_host(&session.app.host)?,
        };
        let address = listen_address(&host, port);
        let files = workspace::files(session, &address)?;
        check_port(&address)?;
        let default = || PathBuf::from(".claimgate").join(&session.tenant.cluster);
        let workspace = Workspace::open(&options.dir.clone().unwrap_or_else(default))?;
        Ok(Self {
            host,
            port,
            workspace,
            files,
        })
    }
}

/// Returns the address on which the daemon listens. `host` is where the app cluster reaches it.
fn listen_address(host: &str, port: u16) -> String {
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let listen = if is_local { "127.0.0.1" } else { "[::]" };
    format!("{listen}:{port}")
}

/// Checks that the daemon can listen.
fn check_port(address: &str) -> Result<(), ConnectError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConnectError::Port {
            address: address.to_owned(),
            error,
        }),
    }
}

/// Runs the daemon until a signal arrives.
///
/// # Errors
/// The daemon cannot start, or the app cluster does not serve claims in time.
pub(super) async fn run(daemon: &LocalDaemon, session: &Session) -> Result<(), ConnectError> {
    let file = daemon.workspace.write(&daemon.files)?;
    let config = config::load(&file, std::iter::empty()).map_err(|problems| {
        let file = file.clone();
        ConnectError::Config { file, problems }
    })?;
    log::init(&config.log);
    let stop = signals::listen()?;
    let app = Box::pin(App::bind(config, stop.clone())).await?;
    let running = tokio::spawn(app.run());
    println!(
        "The daemon runs with {}. Waiting until the app cluster serves claims.",
        file.display()
    );
    let advertised = format!("{}:{}", daemon.host, daemon.port);
    tokio::select! {
        resources = served::wait(session, SERVED_MAX) => {
            let resources = resources.map_err(|problem| ConnectError::NotServed {
                group: problem.group,
                problem: problem.problem,
                address: advertised,
            })?;
            served::print(session, &resources);
            println!("Stop with Ctrl-C. To undo everything: {}", session.undo());
        }
        () = stop.graceful.cancelled() => {}
    }
    running.await.map_err(std::io::Error::other)?;
    Ok(())
}
