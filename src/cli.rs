//! Commands and their options.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use serde_json::json;

use crate::app::{App, StartError};
use crate::config::{self, Config, Problems};
use crate::{dev, log, notify, signals};

const DEFAULT_CONFIG: &str = "/etc/claimgate/claimgate.yaml";

/// Shows the claims of a control plane in an app cluster, as an aggregated API server.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve {
        /// The configuration: YAML, TOML or JSON by extension
        #[arg(long, env = "CLAIMGATE_CONFIG", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// Check a configuration and print the mapping, or every problem at once
    Check {
        /// The configuration: YAML, TOML or JSON by extension
        #[arg(long, env = "CLAIMGATE_CONFIG", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
        #[arg(short, long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// Try it out: an in-memory control plane with an example API, and the daemon in front of it
    Dev {
        /// Where certificates, kubeconfig and configuration are written
        #[arg(long, default_value = ".claimgate")]
        dir: PathBuf,
    },
    /// Print a shell's completion script
    Completion { shell: clap_complete::Shell },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Config(Problems),
    /// What was to be printed went to stdout.
    #[error("the configuration has problems")]
    Checked,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Dev(#[from] dev::DevError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// 2 for what the user has to mend in the configuration, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Checked => 2,
            Self::Start(_) | Self::Dev(_) | Self::Io(_) => 1,
        }
    }
}

impl Cli {
    /// Runs the command to its end.
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve { config } => serve(&config).await,
            Command::Check { config, output } => check(&config, output),
            Command::Dev { dir } => Ok(dev::run(dir).await?),
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "claimgate", &mut script);
                Ok(print(&script)?)
            }
        }
    }
}

async fn serve(path: &Path) -> Result<(), Failure> {
    let config = config::load(path, std::env::vars()).map_err(Failure::Config)?;
    log::init(&config.log);
    let stop = signals::listen()?;
    let app = App::bind(config, stop.clone()).await?;
    tracing::info!(address = %app.address()?, version = env!("CARGO_PKG_VERSION"), "listening");
    notify::notify(notify::READY);
    tokio::spawn(notify::feed_watchdog(stop.at_once.clone()));
    let stopping = stop.gently.clone();
    tokio::spawn(async move {
        stopping.cancelled().await;
        notify::notify(notify::STOPPING);
    });
    app.run().await;
    Ok(())
}

fn check(path: &Path, output: Format) -> Result<(), Failure> {
    let checked = config::load(path, std::env::vars());
    let text = match (&checked, output) {
        (Ok(config), Format::Text) => mapping(config),
        (Ok(config), Format::Json) => format!("{:#}\n", mapping_json(config)),
        (Err(problems), Format::Text) => format!("{problems}\n"),
        (Err(problems), Format::Json) => format!("{:#}\n", json!({"problems": problems})),
    };
    print(text.as_bytes())?;
    checked.map(drop).map_err(|_| Failure::Checked)
}

/// Writes to stdout, whose reader may have seen enough, as `head` has.
fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn mapping(config: &Config) -> String {
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
        for (local, remote) in control_plane.mapping.rows() {
            text += &format!("  {local} -> {remote}\n");
        }
    }
    text
}

fn mapping_json(config: &Config) -> serde_json::Value {
    let control_planes = config.control_planes.iter().map(|(name, control_plane)| {
        let rows = control_plane.mapping.rows();
        let rows: serde_json::Map<_, _> = rows
            .map(|(local, remote)| (local.to_owned(), remote.into()))
            .collect();
        (name.clone(), json!({"namespaces": rows}))
    });
    let control_planes: serde_json::Map<_, _> = control_planes.collect();
    let apis = config.apis.iter().map(|api| {
        json!({
            "group": api.group, "versions": api.versions,
            "controlPlane": api.control_plane.name, "readOnly": api.read_only,
        })
    });
    json!({
        "cluster": config.cluster,
        "controlPlanes": control_planes,
        "apis": apis.collect::<Vec<_>>(),
    })
}
