//! The options of the commands `connect` and `disconnect`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::connect::{self, ClaimPolicy, ConnectError, Options};

/// The clusters, and how claimgate runs.
#[derive(Args, Debug)]
pub(super) struct Clusters {
    /// Context of the control plane in the kubeconfig
    control_plane_context: String,
    /// Namespace of the control plane that stores the claims; by default the name of the app cluster
    namespace: Option<String>,
    /// Context of the app cluster; by default the current context
    #[arg(long)]
    context: Option<String>,
    /// Name of the app cluster on the control plane; by default made from its context
    #[arg(long, value_name = "CLUSTER")]
    name: Option<String>,
    /// Namespace of the app cluster for claimgate's own objects
    #[arg(long, value_name = "NAMESPACE", default_value = "claimgate-system")]
    system_namespace: String,
    /// API groups of the claims; by default all with claims
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    apis: Vec<String>,
    /// Do not ask before writing
    #[arg(long)]
    yes: bool,
}

#[derive(Args, Debug)]
pub(super) struct Connect {
    #[command(flatten)]
    clusters: Clusters,
    /// Run the daemon on this machine, until Ctrl-C
    #[arg(long, required = true)]
    serve: bool,
    /// DNS name or address under which the API server of the app cluster reaches this machine
    #[arg(long, value_name = "HOST")]
    advertise_host: Option<String>,
    /// Port of the daemon
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// Folder for certificates, kubeconfigs and the configuration; by default .claimgate/CLUSTER
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Disconnect {
    #[command(flatten)]
    clusters: Clusters,
    /// What happens to claims of the app cluster; without it, the command fails if there are any
    #[arg(long, value_enum)]
    claims: Option<Claims>,
    /// Change only the app cluster, if the control plane cannot be reached
    #[arg(long, conflicts_with = "claims")]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Claims {
    /// They stay on the control plane
    Keep,
    /// They are deleted, with their infrastructure
    Delete,
}

impl Connect {
    pub(super) async fn run(self) -> Result<(), ConnectError> {
        let options = Options {
            advertise_host: self.advertise_host,
            port: self.port,
            dir: self.dir,
            ..self.clusters.options()
        };
        connect::connect(&options).await
    }
}

impl Disconnect {
    pub(super) async fn run(self) -> Result<(), ConnectError> {
        let claims = match self.claims {
            None => ClaimPolicy::Refuse,
            Some(Claims::Keep) => ClaimPolicy::Keep,
            Some(Claims::Delete) => ClaimPolicy::Delete,
        };
        connect::disconnect(&self.clusters.options(), claims, self.force).await
    }
}

impl Clusters {
    fn options(self) -> Options {
        Options {
            control_plane: self.control_plane_context,
            namespace: self.namespace,
            context: self.context,
            name: self.name,
            system_namespace: self.system_namespace,
            groups: self.apis,
            yes: self.yes,
            advertise_host: None,
            port: 0,
            dir: None,
        }
    }
}
