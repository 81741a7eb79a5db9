//! The command `status`.

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::error::CommandError;
use super::stdout;
#[cfg(feature = "app-cluster")]
use crate::connect;
use crate::status::{self, StatusReport};

/// Maximum size of a report in bytes.
const REPORT_BYTES_MAX: usize = 64 << 20;

#[derive(Args, Debug)]
pub(super) struct Status {
    /// Address of the admin listener of the daemon
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    address: String,
    #[cfg(feature = "app-cluster")]
    #[command(flatten)]
    app_cluster: AppCluster,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Daemons in pods are read through the API server of the app cluster.
#[cfg(feature = "app-cluster")]
#[derive(Args, Debug)]
struct AppCluster {
    /// Instead of an address: context of the app cluster, to read the daemons in its pods
    #[arg(long, conflicts_with = "address")]
    context: Option<String>,
    /// With --context: namespace of the pods
    #[arg(long, value_name = "NAMESPACE", default_value = "claimgate-system")]
    system_namespace: String,
    /// With --context: port of the admin listeners
    #[arg(long, default_value_t = connect::METRICS_PORT)]
    port: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Status {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let reports = self.reports().await.map_err(CommandError::Status)?;
        let text = match self.output {
            Format::Json => serde_json::to_string_pretty(&reports).unwrap_or_default() + "\n",
            Format::Text => {
                let texts: Vec<String> = reports
                    .iter()
                    .map(|(name, report)| text(name, report))
                    .collect();
                texts.join("\n")
            }
        };
        Ok(stdout::print(text.as_bytes())?)
    }

    /// Returns the reports with the names of their daemons.
    async fn reports(&self) -> Result<Vec<(String, StatusReport)>, String> {
        #[cfg(feature = "app-cluster")]
        if let Some(context) = &self.app_cluster.context {
            let (namespace, port) = (&self.app_cluster.system_namespace, self.app_cluster.port);
            return connect::pod_reports(context, namespace, port).await;
        }
        let report = read(&self.address).await.map_err(|problem| {
            format!(
                "cannot read the status from {}: {problem}; is this the address of `admin` in the configuration?",
                self.address
            )
        })?;
        Ok(vec![(self.address.clone(), report)])
    }
}

/// Reads the report of the daemon with this admin address.
async fn read(address: &str) -> Result<StatusReport, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::get(status::PATH)
        .header("host", address)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answers {}", response.status()));
    }
    let body = Limited::new(response.into_body(), REPORT_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
}

/// Returns the report as tables.
fn text(name: &str, report: &StatusReport) -> String {
    let role = match report.is_leader {
        Some(true) => ", leader",
        Some(false) => ", not the leader",
        None => "",
    };
    let mut text = format!("{name}: claimgate {}{role}\n", report.version);
    let mut table = |title: [&str; 3], rows: Vec<[String; 3]>| {
        if !rows.is_empty() {
            text += &format!("\n{}", aligned(title, &rows));
        }
    };
    let control_planes = report.control_planes.iter().map(|it| {
        let age = it.discovery_age_seconds;
        let age = age.map_or_else(|| "never".to_owned(), |age| format!("{age}s ago"));
        let state = match (it.is_reachable, it.is_degraded) {
            (true, false) => "yes",
            (true, true) => "again, for a moment",
            (false, false) => "no",
            (false, true) => "no, offered without watch",
        };
        [it.name.clone(), state.to_owned(), age]
    });
    let title = ["CONTROL PLANE", "REACHABLE", "DISCOVERY CONFIRMED"];
    table(title, control_planes.collect());
    let apis = report.apis.iter().map(|it| {
        let resources = it.resources.join(", ");
        [
            it.group_version.clone(),
            it.control_plane.clone(),
            resources,
        ]
    });
    table(["API", "CONTROL PLANE", "RESOURCES"], apis.collect());
    let copies = report.copies.iter().map(|it| {
        let objects = match it.problem {
            Some(_) => "see the problems".to_owned(),
            None => it.objects.join(", "),
        };
        [
            format!("{} {}", it.kind, it.claim),
            it.controller.clone(),
            objects,
        ]
    });
    table(["CLAIM", "CONTROLLER", "COPIES"], copies.collect());
    let problems = report.problems();
    match problems.is_empty() {
        true => text += "\nNo problems.\n",
        false => {
            text += "\nPROBLEMS\n";
            for problem in problems {
                text += &format!("{problem}\n");
            }
        }
    }
    text
}

/// Returns a table with columns of equal width.
fn aligned(title: [&str; 3], rows: &[[String; 3]]) -> String {
    let title = title.map(str::to_owned);
    let rows = || std::iter::once(&title).chain(rows);
    let width = |at: fn(&[String; 3]) -> &String| rows().map(|row| at(row).len()).max();
    let first = width(|[first, _, _]| first).unwrap_or(0);
    let second = width(|[_, second, _]| second).unwrap_or(0);
    rows()
        .map(|[a, b, c]| format!("{a:first$}  {b:second$}  {c}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{ApiStatus, ControlPlaneStatus, CopyStatus};

    #[test]
    fn text_has_tables_and_problems() {
        let copies = CopyStatus::default();
        let problem = "the Secret \"conn\" exists".to_owned();
        let claim = ("Queue", "default/orders");
        copies.failed("connection-secrets", "1", claim, problem);
        let report = StatusReport {
            version: "0.1.0".to_owned(),
            is_leader: Some(true),
            control_planes: vec![ControlPlaneStatus {
                name: "platform".to_owned(),
                is_reachable: false,
                is_degraded: true,
                missing_rights: Vec::new(),
                discovery_age_seconds: Some(7),
            }],
            apis: vec![ApiStatus {
                group_version: "k8s.starter.org/v1alpha1".to_owned(),
                control_plane: "platform".to_owned(),
                is_degraded: true,
                resources: vec!["kubernetesclusters".to_owned()],
            }],
            registration_problems: Vec::new(),
            copies: copies.list(),
        };
        let expected = "\
127.0.0.1:9090: claimgate 0.1.0, leader

CONTROL PLANE  REACHABLE                  DISCOVERY CONFIRMED
platform       no, offered without watch  7s ago

API                       CONTROL PLANE  RESOURCES
k8s.starter.org/v1alpha1  platform       kubernetesclusters

CLAIM                 CONTROLLER          COPIES
Queue default/orders  connection-secrets  see the problems

PROBLEMS
the control plane \"platform\" cannot be reached
Queue default/orders: the Secret \"conn\" exists
";
        assert_eq!(text("127.0.0.1:9090", &report), expected);
    }
}
