//! The measured proxies. Each is a process with one worker thread on one core.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::backend::{CLAIM, GROUP, OTHER_GROUP, REMOTE, SHARED, STREAMS_MAX};
use crate::client::Client;
use crate::identities::{CA, CERTIFICATE, FRONT_PROXY_CA, KEY, NAME, TOKEN};
use crate::{Environment, Error};

/// How long a proxy may take to start.
const READY_MAX: Duration = Duration::from_secs(20);
const READY_POLL: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyKind {
    Rewriting,
    /// claimgate with the shared mapping instead of a table.
    Shared,
    PassingThrough,
    Envoy,
}

impl ProxyKind {
    pub const ALL: [Self; 4] = [
        Self::Rewriting,
        Self::Shared,
        Self::PassingThrough,
        Self::Envoy,
    ];

    /// Returns whether clients see local names.
    pub fn is_mapped(self) -> bool {
        matches!(self, Self::Rewriting | Self::Shared)
    }
}

impl Display for ProxyKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rewriting => "claimgate, rewriting",
            Self::Shared => "claimgate, shared mapping",
            Self::PassingThrough => "claimgate, passing through",
            Self::Envoy => "Envoy, passing through",
        })
    }
}

/// The binaries, their working directory and their CPU core.
pub struct Programs {
    pub claimgate: PathBuf,
    pub envoy: PathBuf,
    pub dir: PathBuf,
    pub core: usize,
}

/// A running proxy. It is killed when this value is dropped and when this process ends.
pub struct Proxy {
    pub address: SocketAddr,
    child: Child,
}

impl Proxy {
    /// Starts a proxy and waits until it serves requests.
    pub async fn start(environment: &Environment, kind: ProxyKind) -> Result<Self, Error> {
        Self::start_within(environment, kind, &[]).await
    }

    /// Starts a proxy as the argument of the command `outer`, and waits until it serves requests.
    pub async fn start_within(
        environment: &Environment,
        kind: ProxyKind,
        outer: &[&str],
    ) -> Result<Self, Error> {
        let address = free_address()?;
        let programs = &environment.programs;
        // All these commands become the proxy, so that the process started is the one measured.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "taskset", "--cpu-list"]);
        command.arg(programs.core.to_string()).args(outer);
        if kind == ProxyKind::Envoy {
            let config = programs.dir.join("envoy.yaml");
            fs::write(&config, envoy_config(address, environment))?;
            command
                .arg(&programs.envoy)
                .arg("--config-path")
                .arg(config);
            command.args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "error",
            ]);
        } else {
            let config = programs.dir.join("claimgate.yaml");
            fs::write(&config, claimgate_config(kind, address, environment))?;
            command
                .arg(&programs.claimgate)
                .args(["serve", "--config"])
                .arg(config);
            command.env("TOKIO_WORKER_THREADS", "1");
            if kind == ProxyKind::PassingThrough {
                command.env("MEASURE_PASS_THROUGH", "1");
            }
        }
        let child = command
            .current_dir(&programs.dir)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut proxy = Self { address, child };
        proxy
            .wait(environment)
            .await
            .map_err(|error| format!("{kind}: {error}"))?;
        Ok(proxy)
    }

    pub fn pid(&self) -> u32 {
        // A child that has not been waited for has a process ID.
        self.child.id().unwrap_or_default()
    }

    async fn wait(&mut self, environment: &Environment) -> Result<(), Error> {
        let tls = environment.identities.client()?;
        let until = Instant::now() + READY_MAX;
        loop {
            let response = async {
                let mut client = Client::connect(self.address, tls.clone()).await?;
                client.get(CLAIM).await
            };
            match response.await {
                Ok(_) => return Ok(()),
                Err(why) if Instant::now() > until => return Err(why),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(
                    format!("the process ended before it served requests: {status}").into(),
                );
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Kills the proxy and waits for its end.
    pub async fn stop(mut self) -> Result<(), Error> {
        Ok(self.child.kill().await?)
    }
}

fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn claimgate_config(kind: ProxyKind, address: SocketAddr, environment: &Environment) -> String {
    let mapping = match kind {
        ProxyKind::Shared => format!("{{namespace: {SHARED}, names: readable}}"),
        _ => format!("{{namespaces: {{default: {REMOTE}}}}}"),
    };
    let (other, other_api) = match &environment.other {
        Some(backend) => (
            format!(
                "  other:
    server: 'https://{NAME}:{}'
    certificateAuthority: {CA}
    tokenFile: {TOKEN}
    mapping: {mapping}
",
                backend.address.port()
            ),
            format!(", {{group: {OTHER_GROUP}, controlPlane: other}}"),
        ),
        None => (String::new(), String::new()),
    };
    format!(
        "cluster: team-a
listen: {{address: '{address}', certificate: {CERTIFICATE}, key: {KEY}}}
authentication: {{requestHeader: {{clientCa: {FRONT_PROXY_CA}}}}}
controlPlanes:
  platform:
    server: 'https://{NAME}:{port}'
    certificateAuthority: {CA}
    tokenFile: {TOKEN}
    mapping: {mapping}
{other}apis: [{{group: {GROUP}, controlPlane: platform}}{other_api}]
admin: {{address: ''}}
log: {{level: error}}
",
        port = environment.backend.address.port(),
    )
}

/// Returns Envoy's configuration. Flow-control windows and buffers keep Envoy's defaults. Circuit breakers and
/// timeouts are raised, and TLS 1.3 is allowed upstream, as the daemon uses it. The limit of streams is set
/// because Envoy opens streams before it has received the control plane's SETTINGS.
fn envoy_config(address: SocketAddr, environment: &Environment) -> String {
    format!(
        r#"static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2]
            tls_certificates:
            - {{certificate_chain: {{filename: {CERTIFICATE}}}, private_key: {{filename: {KEY}}}}}
            validation_context: {{trusted_ca: {{filename: {FRONT_PROXY_CA}}}}}
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          stream_idle_timeout: 0s
          http2_protocol_options: {{max_concurrent_streams: 1000}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: platform, timeout: 0s}}}}]
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: platform
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: platform
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
    circuit_breakers:
      thresholds: [{{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{max_concurrent_streams: {STREAMS_MAX}}}}}
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {NAME}
        common_tls_context:
          tls_params: {{tls_maximum_protocol_version: TLSv1_3}}
          alpn_protocols: [h2]
          validation_context: {{trusted_ca: {{filename: {CA}}}}}
"#,
        port = address.port(),
        upstream = environment.backend.address.port(),
    )
}
