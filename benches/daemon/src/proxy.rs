//! The proxies that are measured, each a process on one core with one worker.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::backend::{CLAIM, REMOTE, STREAMS_MAX};
use crate::client::Client;
use crate::identities::{CA, CERTIFICATE, FRONT_PROXY_CA, KEY, NAME, TOKEN};
use crate::{Bed, Error};

/// How long a proxy may take until it answers.
const READY_MAX: Duration = Duration::from_secs(20);
const READY_POLL: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Rewriting,
    PassingThrough,
    Envoy,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Rewriting, Self::PassingThrough, Self::Envoy];
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rewriting => "claimgate, rewriting",
            Self::PassingThrough => "claimgate, passing through",
            Self::Envoy => "Envoy, passing through",
        })
    }
}

/// Where the programs are, and where they run.
pub struct Programs {
    pub claimgate: PathBuf,
    pub envoy: PathBuf,
    pub dir: PathBuf,
    pub core: usize,
}

/// A running proxy; it is killed when this is dropped, and when this process ends in any way.
pub struct Proxy {
    pub address: SocketAddr,
    child: Child,
}

impl Proxy {
    /// Starts one and waits until it answers.
    pub async fn start(bed: &Bed, kind: Kind) -> Result<Self, Error> {
        let address = free_address()?;
        let programs = &bed.programs;
        // Both commands become the proxy, so that the process started is the one measured.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "taskset", "--cpu-list"]);
        command.arg(programs.core.to_string());
        if kind == Kind::Envoy {
            let config = programs.dir.join("envoy.yaml");
            fs::write(&config, envoy_config(address, bed))?;
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
            fs::write(&config, claimgate_config(address, bed))?;
            command
                .arg(&programs.claimgate)
                .args(["serve", "--config"])
                .arg(config);
            command.env("TOKIO_WORKER_THREADS", "1");
            if kind == Kind::PassingThrough {
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
            .wait(bed)
            .await
            .map_err(|error| format!("{kind}: {error}"))?;
        Ok(proxy)
    }

    pub fn pid(&self) -> u32 {
        // A child that was not waited for has one.
        self.child.id().unwrap_or_default()
    }

    async fn wait(&mut self, bed: &Bed) -> Result<(), Error> {
        let tls = bed.identities.client()?;
        let until = Instant::now() + READY_MAX;
        loop {
            let answer = async {
                let mut client = Client::connect(self.address, tls.clone()).await?;
                client.get(CLAIM).await
            };
            match answer.await {
                Ok(_) => return Ok(()),
                Err(why) if Instant::now() > until => return Err(why),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("it ended: {status}").into());
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Ends it and waits for that.
    pub async fn stop(mut self) -> Result<(), Error> {
        Ok(self.child.kill().await?)
    }
}

fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn claimgate_config(address: SocketAddr, bed: &Bed) -> String {
    format!(
        "cluster: bench
listen: {{address: '{address}', certificate: {CERTIFICATE}, key: {KEY}}}
authentication: {{requestHeader: {{clientCa: {FRONT_PROXY_CA}}}}}
controlPlanes:
  platform:
    server: 'https://{NAME}:{port}'
    certificateAuthority: {CA}
    tokenFile: {TOKEN}
    mapping: {{namespaces: {{default: {REMOTE}}}}}
apis: [{{group: k8s.starter.org, controlPlane: platform}}]
admin: {{address: ''}}
log: {{level: error}}
",
        port = bed.backend.address.port(),
    )
}

/// Windows and buffers are Envoy's own; what is raised are its bounds for requests (circuit
/// breakers), what it ends by time, and the version of TLS upstream, to what the daemon speaks. kube-apiserver's
/// bound for streams has to be told, since streams go out before its settings have come.
fn envoy_config(address: SocketAddr, bed: &Bed) -> String {
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
        upstream = bed.backend.address.port(),
    )
}
