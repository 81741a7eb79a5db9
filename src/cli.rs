//! The commands of the `claimgate` binary and their options.

mod check;
#[cfg(feature = "app-cluster")]
mod connect;
mod error;
#[cfg(feature = "app-cluster")]
mod kubeconfig;
mod map;
mod serve;
mod stdout;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use self::check::OutputFormat;
pub use self::error::CommandError;
#[cfg(feature = "dev")]
use crate::dev;

const DEFAULT_CONFIG: &str = "/etc/claimgate/claimgate.yaml";

/// Serves the claims of a control plane in an app cluster, as an aggregated API server
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
        /// Configuration file; its extension selects YAML, TOML or JSON
        #[arg(long, env = "CLAIMGATE_CONFIG", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// Check a configuration file; print the mapping, or all problems at once
    Check {
        /// Configuration file; its extension selects YAML, TOML or JSON
        #[arg(long, env = "CLAIMGATE_CONFIG", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
        /// Also connect to each control plane: version, exposed resources, fields that refer to Secrets
        #[arg(long)]
        online: bool,
        /// The configuration that runs now; warn of claims that it stores elsewhere
        #[arg(long, value_name = "FILE")]
        previous: Option<PathBuf>,
        #[cfg(feature = "app-cluster")]
        #[command(flatten)]
        pre: connect::Preflight,
        /// Format of the output
        #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
        output: OutputFormat,
    },
    /// Print where a claim is stored on the control plane, or the way back
    Map {
        /// Configuration file; its extension selects YAML, TOML or JSON
        #[arg(long, env = "CLAIMGATE_CONFIG", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
        #[command(flatten)]
        lookup: map::Lookup,
    },
    /// Connect an app cluster with a control plane, both named by contexts of the kubeconfig
    #[cfg(feature = "app-cluster")]
    Connect(connect::Connect),
    /// Remove what connect created, from both clusters
    #[cfg(feature = "app-cluster")]
    Disconnect(connect::Disconnect),
    /// Print what a tool elsewhere needs to sync claims straight to the control plane
    #[cfg(feature = "app-cluster")]
    Kubeconfig(kubeconfig::Kubeconfig),
    /// Run the daemon in front of an in-memory control plane with an example claim API
    #[cfg(feature = "dev")]
    Dev {
        /// Directory for certificates, kubeconfigs and the configuration
        #[arg(long, default_value = ".claimgate")]
        dir: PathBuf,
    },
    /// Print a completion script for a shell
    Completion { shell: clap_complete::Shell },
}

impl Cli {
    /// Runs the command until it is done.
    pub async fn run(self) -> Result<(), CommandError> {
        match self.command {
            Command::Serve { config } => serve::run(&config).await,
            Command::Check {
                config,
                output,
                online,
                previous,
                #[cfg(feature = "app-cluster")]
                pre,
            } => {
                #[cfg(feature = "app-cluster")]
                if let Some(options) = pre.options() {
                    return check::preflight(&options, output).await;
                }
                check::run(&config, output, online, previous.as_deref()).await
            }
            Command::Map { config, lookup } => map::run(&config, &lookup),
            #[cfg(feature = "app-cluster")]
            Command::Connect(connect) => Ok(connect.run().await?),
            #[cfg(feature = "app-cluster")]
            Command::Disconnect(disconnect) => Ok(disconnect.run().await?),
            #[cfg(feature = "app-cluster")]
            Command::Kubeconfig(kubeconfig) => kubeconfig.run().await,
            #[cfg(feature = "dev")]
            // Boxed, because the daemon makes a large future.
            Command::Dev { dir } => Ok(Box::pin(dev::run(dir)).await?),
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "claimgate", &mut script);
                Ok(stdout::print(&script)?)
            }
        }
    }
}
