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
    /// Context of the app cluster, to read the daemons in its pods; replaces --address
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
                "cannot read the status from {}: {problem}; set --address to admin.address of the configuration",
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
    let control_planes = report.control_planes.iter().map(|it| {
        let age = it.discovery_age_seconds;
        let age = age.map_or_else(never, |age| format!("{age}s ago"));
        let state = match (it.is_reachable, &it.problem, it.is_degraded) {
            (false, _, true) => "no, offered without watch",
            (false, _, false) => "no",
            (true, Some(_), _) => "degraded",
            (true, None, true) => "yes, recovering",
            (true, None, false) => "yes",
        };
        [it.name.clone(), state.to_owned(), age]
    });
    let title = ["CONTROL PLANE", "REACHABLE", "DISCOVERY CONFIRMED"];
    text += &table(title, &control_planes.collect::<Vec<_>>());
    let apis = report.apis.iter().map(|it| {
        let resources = it.resources.join(", ");
        [
            it.group_version.clone(),
            it.control_plane.clone(),
            resources,
        ]
    });
    let title = ["API", "CONTROL PLANE", "RESOURCES"];
    text += &table(title, &apis.collect::<Vec<_>>());
    let copies = report.copies.iter().map(|it| {
        let objects = match it.problem {
            Some(_) => "see the problems".to_owned(),
            None => it.objects.join(", "),
        };
        [
            format!("{} {}", it.kind, it.claim),
            it.controller.clone(),
            it.last_sync.clone().unwrap_or_else(never),
            objects,
        ]
    });
    let title = ["CLAIM", "CONTROLLER", "LAST SYNC", "COPIES"];
    text += &table(title, &copies.collect::<Vec<_>>());
    let events = report.events.iter().map(|it| {
        let dropped = it.dropped.iter();
        let dropped: Vec<String> = dropped
            .map(|(reason, count)| format!("{count} ({reason})"))
            .collect();
        let dropped = match dropped.is_empty() {
            true => "0".to_owned(),
            false => dropped.join(", "),
        };
        let last = it.last_copy.clone().unwrap_or_else(never);
        [it.control_plane.clone(), last, dropped]
    });
    let title = ["EVENTS OF", "LAST COPY", "DROPPED"];
    text += &table(title, &events.collect::<Vec<_>>());
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

fn never() -> String {
    "never".to_owned()
}

/// Returns an empty line and a table with columns of equal width, or nothing without rows.
fn table<const N: usize>(title: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let title = title.map(str::to_owned);
    let rows = || std::iter::once(&title).chain(rows);
    let mut widths = [0; N];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::from("\n");
    for row in rows() {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{
        ApiStatus, ControlPlaneStatus, CopyFailure, CopyRecorder, CopyStatus, EventCopies,
    };
    use crate::telemetry::metrics::CopyMetrics;

    #[test]
    fn text_has_tables_and_problems() {
        let copies = CopyStatus::default();
        let recorder = CopyRecorder::new("platform", copies.clone(), CopyMetrics::default());
        let failure = CopyFailure {
            reason: Some("SecretNotOwned"),
            message: "the Secret \"conn\" exists".to_owned(),
        };
        let claim = ("Queue", "default/orders");
        recorder.failed("connection-secrets", "1", claim, failure);
        let report = StatusReport {
            version: "0.1.0".to_owned(),
            is_leader: Some(true),
            control_planes: vec![ControlPlaneStatus {
                name: "platform".to_owned(),
                is_reachable: false,
                is_degraded: true,
                missing_rights: Vec::new(),
                problem: Some("cannot be reached: no connection for 7 s".to_owned()),
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
            events: vec![EventCopies {
                control_plane: "platform".to_owned(),
                last_copy: Some("2026-01-01T12:00:00Z".to_owned()),
                dropped: [("rate".to_owned(), 7), ("buffer".to_owned(), 1)].into(),
                problems: vec!["cannot write events: forbidden".to_owned()],
            }],
        };
        let expected = "\
127.0.0.1:9090: claimgate 0.1.0, leader

CONTROL PLANE  REACHABLE                  DISCOVERY CONFIRMED
platform       no, offered without watch  7s ago

API                       CONTROL PLANE  RESOURCES
k8s.starter.org/v1alpha1  platform       kubernetesclusters

CLAIM                 CONTROLLER          LAST SYNC  COPIES
Queue default/orders  connection-secrets  never      see the problems

EVENTS OF  LAST COPY             DROPPED
platform   2026-01-01T12:00:00Z  1 (buffer), 7 (rate)

PROBLEMS
the control plane \"platform\" cannot be reached: no connection for 7 s
Queue default/orders: the Secret \"conn\" exists
events of \"platform\": cannot write events: forbidden
";
        assert_eq!(text("127.0.0.1:9090", &report), expected);
    }
}
