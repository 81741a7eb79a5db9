//! Runs the daemon on this machine, and waits until the app cluster serves claims.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::Value;
use tokio::time::Instant;

use super::error::ConnectError;
use super::session::{Options, Session};
use super::token::{self, Renewal, Token};
use super::workspace::Workspace;
use crate::app::App;
use crate::telemetry::log;
use crate::{app_cluster, config, signals};

/// How long the app cluster may take to serve claims.
const SERVED_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);

/// A port for finding the own address; nothing is sent to it.
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

/// Runs the daemon until a signal arrives.
///
/// # Errors
/// The daemon cannot start, or the app cluster does not serve claims in time.
pub(super) async fn run(
    options: &Options,
    session: &Session,
    host: &str,
    token: Token,
) -> Result<(), ConnectError> {
    let default = || PathBuf::from(".claimgate").join(&session.tenant.cluster);
    let workspace = Workspace::open(&options.dir.clone().unwrap_or_else(default))?;
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let listen = if is_local { "127.0.0.1" } else { "[::]" };
    let address = format!("{listen}:{}", options.port);
    let file = workspace.write(session, &address, &token.text)?;
    let config = config::load(&file, std::iter::empty()).map_err(|problems| {
        let file = file.clone();
        ConnectError::Config { file, problems }
    })?;
    log::init(&config.log);
    let stop = signals::listen()?;
    let renewal = Renewal {
        // With the daemon's own credential.
        client: app_cluster::client_from(&workspace.control_plane_kubeconfig()).await?,
        namespace: session.tenant.namespace.clone(),
        account: session.tenant.account(),
        file: workspace.token_file(),
    };
    tokio::spawn(token::renew(renewal, token, stop.graceful.clone()));
    let app = App::bind(config, stop.clone()).await?;
    let daemon = tokio::spawn(app.run());
    println!(
        "The daemon runs with {}. Waiting until the app cluster serves claims.",
        file.display()
    );
    let advertised = format!("{host}:{}", options.port);
    tokio::select! {
        served = await_served(session, &advertised) => {
            let resources = served?;
            println!("\nThe app cluster serves:");
            for resource in &resources {
                println!("  {resource}");
            }
            if let Some(first) = resources.first() {
                println!("\nTry: kubectl --context {} get {first}\nStop with Ctrl-C. To undo everything: claimgate disconnect", session.app.context);
            }
        }
        () = stop.graceful.cancelled() => {}
    }
    daemon.await.map_err(std::io::Error::other)?;
    Ok(())
}

/// Waits until requests for the claims of each group succeed through the API server of the app cluster. Returns the
/// resources. `Available` of the APIService is not enough: before Kubernetes 1.36 it does not verify the certificate.
async fn await_served(session: &Session, address: &str) -> Result<Vec<String>, ConnectError> {
    let until = Instant::now() + SERVED_MAX;
    let mut resources = Vec::new();
    for group in &session.tenant.groups {
        loop {
            match served(&session.app.client, group).await {
                Ok(found) => {
                    resources.extend(found);
                    break;
                }
                Err(problem) if Instant::now() > until => {
                    return Err(ConnectError::NotServed {
                        group: group.clone(),
                        problem,
                        address: address.to_owned(),
                    });
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
    Ok(resources)
}

/// Lists one claim of each resource of a group.
async fn served(client: &Client, group: &str) -> Result<Vec<String>, String> {
    let list = get(client, &format!("/apis/{group}")).await?;
    let version = list
        .pointer("/preferredVersion/groupVersion")
        .and_then(Value::as_str);
    let version = version.ok_or("the group has no version")?;
    let list = get(client, &format!("/apis/{version}")).await?;
    let resources = list.get("resources").and_then(Value::as_array);
    let names = resources
        .into_iter()
        .flatten()
        .filter_map(|resource| resource.get("name")?.as_str());
    let mut served = Vec::new();
    for name in names.filter(|name| !name.contains('/')) {
        get(
            client,
            &format!("/apis/{version}/namespaces/default/{name}?limit=1"),
        )
        .await?;
        served.push(format!("{name}.{group}"));
    }
    match served.is_empty() {
        true => Err("the group has no resources".to_owned()),
        false => Ok(served),
    }
}

async fn get(client: &Client, path: &str) -> Result<Value, String> {
    let request = Request::get(path).body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    client
        .request(request)
        .await
        .map_err(|error| error.to_string())
}
