//! Runs the daemon on this machine, and waits until the app cluster serves claims.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use super::error::ConnectError;
use super::served;
use super::session::Session;
use super::workspace::Workspace;
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
pub(super) fn own_host(api_server: &str) -> Result<String, ConnectError> {
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

/// Returns the address on which the daemon listens. `host` is where the app cluster reaches it.
pub(super) fn listen_address(host: &str, port: u16) -> String {
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let listen = if is_local { "127.0.0.1" } else { "[::]" };
    format!("{listen}:{port}")
}

/// Checks that the daemon can listen, before anything is written.
///
/// # Errors
/// The port is in use, or not allowed.
pub(super) fn check_port(host: &str, port: u16) -> Result<(), ConnectError> {
    let address = listen_address(host, port);
    match TcpListener::bind(&address) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConnectError::Port { address, error }),
    }
}

/// Runs the daemon until a signal arrives. `host` is where the app cluster reaches it.
///
/// # Errors
/// The daemon cannot start, or the app cluster does not serve claims in time.
pub(super) async fn run(
    options: &ServeOptions,
    session: &Session,
    host: &str,
) -> Result<(), ConnectError> {
    let default = || PathBuf::from(".claimgate").join(&session.tenant.cluster);
    let workspace = Workspace::open(&options.dir.clone().unwrap_or_else(default))?;
    let address = listen_address(host, options.port);
    let file = workspace.write(session, &address)?;
    let config = config::load(&file, std::iter::empty()).map_err(|problems| {
        let file = file.clone();
        ConnectError::Config { file, problems }
    })?;
    log::init(&config.log);
    let stop = signals::listen()?;
    let app = Box::pin(App::bind(config, stop.clone())).await?;
    let daemon = tokio::spawn(app.run());
    println!(
        "The daemon runs with {}. Waiting until the app cluster serves claims.",
        file.display()
    );
    let advertised = format!("{host}:{}", options.port);
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
    daemon.await.map_err(std::io::Error::other)?;
    Ok(())
}
