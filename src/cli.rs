//! The commands of the `claimgate` binary and their options.

mod check;
#[cfg(feature = "app-cluster")]
mod connect;
mod error;
#[cfg(feature = "app-cluster")]
mod kubeconfig;
mod man;
mod map;
mod serve;
mod status;
mod stdout;

use std::env;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::check::OutputFormat;
pub use self::error::CommandError;
#[cfg(feature = "dev")]
use crate::dev;

const DEFAULT_CONFIG: &str = "/etc/claimgate/claimgate.yaml";

/// File name under which the binary is a plugin of kubectl, `kubectl claimgate`.
const KUBECTL_PLUGIN: &str = "kubectl-claimgate";

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
    /// Check a configuration file; print its mapping, or all problems
    Check {
        /// Configuration file; its extension selects YAML, TOML or JSON
        #[arg(long, env = "CLAIMGATE_CONFIG", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
        /// Also connect to each control plane; print its version and exposed resources, and warn of missing rights
        #[arg(long)]
        online: bool,
        /// Previous configuration file; warn if claims are stored in another place than before
        #[arg(long, value_name = "FILE")]
        previous: Option<PathBuf>,
        #[cfg(feature = "app-cluster")]
        #[command(flatten)]
        pre: connect::Preflight,
        /// Format of the output
        #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
        output: OutputFormat,
    },
    /// Show the state of a running daemon: control planes, APIs, copies, problems
    Status(status::Status),
    /// Print the remote name of a claim, or the local name of a remote claim
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
    /// Print credentials and settings for kubectl, Argo CD or Flux to access claims on the control plane
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
    /// Print the man page of claimgate, or write the pages of all commands into a directory
    Man {
        /// Directory for claimgate.1 and one page for each command; it is created if it does not exist
        dir: Option<PathBuf>,
    },
}

impl Cli {
    /// Parses the arguments of this process. Exits if they are invalid or ask for the help or the version.
    pub fn from_command_line() -> Self {
        let mut command = Self::command();
        if is_kubectl_plugin() {
            command = command.bin_name("kubectl claimgate");
        }
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

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
            // Boxed, because requests to the app cluster make a large future.
            Command::Status(status) => Box::pin(status.run()).await,
            Command::Map { config, lookup } => map::run(&config, &lookup),
            #[cfg(feature = "app-cluster")]
            // Boxed, because the requests to both clusters make a large future.
            Command::Connect(connect) => Ok(Box::pin(connect.run()).await?),
            #[cfg(feature = "app-cluster")]
            Command::Disconnect(disconnect) => Ok(disconnect.run().await?),
            #[cfg(feature = "app-cluster")]
            Command::Kubeconfig(kubeconfig) => kubeconfig.run().await,
            #[cfg(feature = "dev")]
            // Boxed, because the daemon makes a large future.
            Command::Dev { dir } => Ok(Box::pin(dev::run(dir)).await?),
            Command::Completion { shell } => {
                let program = if is_kubectl_plugin() {
                    KUBECTL_PLUGIN
                } else {
                    "claimgate"
                };
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), program, &mut script);
                Ok(stdout::print(&script)?)
            }
            Command::Man { dir } => man::run(Self::command(), dir.as_deref()),
        }
    }
}

/// Returns whether this process was started by the file name of the kubectl plugin.
fn is_kubectl_plugin() -> bool {
    let program = env::args_os().next().unwrap_or_default();
    Path::new(&program)
        .file_stem()
        .is_some_and(|name| name == KUBECTL_PLUGIN)
}
