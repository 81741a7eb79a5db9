//! The command `claimgate check`.

use std::path::Path;

use clap::ValueEnum;
use serde_json::json;

use super::error::CommandError;
use super::stdout;
use crate::app::online::{self, Online};
use crate::config::{self, Config, Places, Warning};
#[cfg(feature = "app-cluster")]
use crate::connect::{self, Outcome};
use claim_mapping::mapping::Mapping;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum OutputFormat {
    Text,
    Json,
}

/// Prints the mapping of a valid configuration and warnings about it, or the problems of an invalid one. With `online`,
/// also prints what the control planes serve.
pub(super) async fn run(
    path: &Path,
    format: OutputFormat,
    online: bool,
    previous: Option<&Path>,
) -> Result<(), CommandError> {
    let loaded = config::load(path, std::env::vars());
    let changes = match (&loaded, previous) {
        (Ok(config), Some(previous)) => changes_since(config, previous)?,
        _ => Vec::new(),
    };
    let inspected = match &loaded {
        Ok(config) if online => online::inspect(config).await?,
        _ => Online::default(),
    };
    let output = match (&loaded, format) {
        (Ok(config), OutputFormat::Text) => text(config, &inspected, &changes),
        (Ok(config), OutputFormat::Json) => {
            format!("{:#}\n", json(config, &inspected, &changes))
        }
        (Err(problems), OutputFormat::Text) => format!("{problems}\n"),
        (Err(problems), OutputFormat::Json) => format!("{:#}\n", json!({"problems": problems})),
    };
    stdout::print(output.as_bytes())?;
    let unreachable = inspected
        .control_planes
        .iter()
        .find(|one| one.result.is_err());
    match (loaded, unreachable) {
        (Err(_), _) => Err(CommandError::InvalidConfigPrinted),
        (Ok(_), Some(one)) => Err(CommandError::Unreachable(one.name.clone())),
        (Ok(_), None) => Ok(()),
    }
}

/// Prints the results of all checks of two clusters.
#[cfg(feature = "app-cluster")]
pub(super) async fn preflight(
    options: &connect::Options,
    format: OutputFormat,
) -> Result<(), CommandError> {
    let findings = connect::check(options).await?;
    let output = match format {
        OutputFormat::Text => findings.iter().fold(String::new(), |text, finding| {
            text + &finding.to_string() + "\n"
        }),
        OutputFormat::Json => format!("{:#}\n", json!({"findings": findings})),
    };
    stdout::print(output.as_bytes())?;
    let is_failed = |finding: &connect::Finding| matches!(finding.outcome, Outcome::Failed { .. });
    match findings.iter().any(is_failed) {
        true => Err(CommandError::PreflightFailed),
        false => Ok(()),
    }
}

/// Returns a warning for each claim that the previous configuration stored elsewhere.
fn changes_since(config: &Config, previous: &Path) -> Result<Vec<Warning>, CommandError> {
    let before = config::load(previous, std::iter::empty()).map_err(CommandError::InvalidConfig)?;
    Ok(Places::new(config).changes_since(&Places::new(&before)))
}

/// Formats the mapping as text: one line for each API, control plane, namespace and warning.
fn text(config: &Config, online: &Online, changes: &[Warning]) -> String {
    let mut text = format!("cluster {}\n", config.cluster);
    for api in &config.apis {
        let versions: Vec<&str> = api.versions.iter().map(String::as_str).collect();
        let versions = if versions.is_empty() {
            "all versions".into()
        } else {
            versions.join(", ")
        };
        let read_only = if api.read_only { ", read only" } else { "" };
        let control_plane = &api.control_plane.name;
        text += &format!(
            "api {} ({versions}{read_only}) from {control_plane}\n",
            api.group
        );
    }
    for (name, control_plane) in &config.control_planes {
        let server = &control_plane.server;
        text += &format!(
            "control plane {name} at https://{}:{}{}\n",
            server.host, server.port, server.path
        );
        match &control_plane.mapping {
            Mapping::Table(table) => {
                for (local, remote) in table.rows() {
                    text += &format!("  {local} -> {remote}\n");
                }
            }
            Mapping::Shared(shared) => {
                text += &format!(
                    "  all namespaces -> {} (names: readable)\n",
                    shared.namespace()
                );
            }
        }
    }
    for control_plane in &online.control_planes {
        let name = &control_plane.name;
        match &control_plane.result {
            Ok((elapsed, inspection)) => {
                let resources: Vec<&str> =
                    inspection.resources.keys().map(String::as_str).collect();
                text += &format!(
                    "control plane {name} runs Kubernetes {}, answered in {} ms, and serves {}\n",
                    inspection.version,
                    elapsed.as_millis(),
                    resources.join(", "),
                );
            }
            Err(error) => text += &format!("control plane {name} cannot be reached: {error}\n"),
        }
    }
    for warning in all_warnings(config, online, changes) {
        text += &format!(
            "warning: {}: {}; {}\n",
            warning.key, warning.problem, warning.cure
        );
    }
    text
}

/// Returns the warnings about the configuration, about what the control planes serve, and about changes.
fn all_warnings(config: &Config, online: &Online, changes: &[Warning]) -> Vec<Warning> {
    let of_control_planes = online.control_planes.iter().flat_map(|one| &one.warnings);
    let online = of_control_planes.chain(&online.warnings).cloned();
    let all = config::warnings(config).into_iter().chain(online);
    all.chain(changes.iter().cloned()).collect()
}

fn json(config: &Config, online: &Online, changes: &[Warning]) -> serde_json::Value {
    let warnings = all_warnings(config, online, changes);
    let control_planes = config.control_planes.iter().map(|(name, control_plane)| {
        let mapping = match &control_plane.mapping {
            Mapping::Table(table) => {
                let rows = table.rows();
                let rows: serde_json::Map<_, _> = rows
                    .map(|(local, remote)| (local.to_owned(), remote.into()))
                    .collect();
                json!({ "namespaces": rows })
            }
            Mapping::Shared(shared) => {
                json!({"namespace": shared.namespace(), "names": "readable"})
            }
        };
        (name.clone(), mapping)
    });
    let control_planes: serde_json::Map<_, _> = control_planes.collect();
    let apis = config.apis.iter().map(|api| {
        json!({
            "group": api.group, "versions": api.versions,
            "controlPlane": api.control_plane.name, "readOnly": api.read_only,
        })
    });
    let inspected = online.control_planes.iter().map(|one| match &one.result {
        Ok((elapsed, inspection)) => json!({
            "name": one.name, "version": inspection.version, "milliseconds": elapsed.as_millis(),
            "resources": inspection.resources.keys().collect::<Vec<_>>(),
        }),
        Err(error) => json!({"name": one.name, "error": error.to_string()}),
    });
    let mut report = json!({
        "cluster": config.cluster,
        "controlPlanes": control_planes,
        "apis": apis.collect::<Vec<_>>(),
        "warnings": warnings,
    });
    if let (false, Some(report)) = (online.control_planes.is_empty(), report.as_object_mut()) {
        report.insert("online".to_owned(), inspected.collect());
    }
    report
}
