//! The options of the commands `connect` and `disconnect`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::NamespaceSelection;
use crate::connect::{
    self, ClaimPolicy, ConnectError, Credential, Namespaces, Options, ServeOptions, Target,
};

/// The namespace of the app cluster for claimgate's own objects.
const SYSTEM_NAMESPACE: &str = "claimgate-system";

/// The names of claimgate in the two clusters.
#[derive(Args, Debug)]
struct Names {
    /// Table of local and remote namespaces, instead of one remote namespace for all
    #[arg(long, value_name = "LOCAL=REMOTE", value_delimiter = ',', value_parser = pair, conflicts_with = "namespace")]
    map: Vec<(String, String)>,
    /// Context of the app cluster; by default the current context
    #[arg(long)]
    context: Option<String>,
    /// Name of the app cluster on the control plane; by default derived from its context
    #[arg(long, value_name = "CLUSTER")]
    name: Option<String>,
    /// Namespace of the app cluster for claimgate's own objects
    #[arg(long, value_name = "NAMESPACE", default_value = SYSTEM_NAMESPACE)]
    system_namespace: String,
    /// API groups of the claims; by default all groups with claims
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    apis: Vec<String>,
}

impl Names {
    fn options(self, control_plane: String, namespace: Option<String>, yes: bool) -> Options {
        let namespaces = match namespace {
            Some(name) => Namespaces::Shared(name),
            None if self.map.is_empty() => Namespaces::Default,
            None => Namespaces::Table(self.map),
        };
        Options {
            control_plane,
            namespaces,
            context: self.context,
            name: self.name,
            system_namespace: self.system_namespace,
            groups: self.apis,
            secrets: NamespaceSelection::default(),
            credential: Credential::Token,
            yes,
        }
    }
}

/// The clusters, and how claimgate runs.
#[derive(Args, Debug)]
pub(super) struct Clusters {
    /// Context of the control plane in the kubeconfig
    control_plane_context: String,
    /// Namespace of the control plane that stores the claims; by default the name of the app cluster
    namespace: Option<String>,
    #[command(flatten)]
    names: Names,
    /// Do not ask before writing
    #[arg(long)]
    yes: bool,
}

#[derive(Args, Debug)]
pub(super) struct Connect {
    #[command(flatten)]
    clusters: Clusters,
    /// Image of the Deployment in the app cluster
    #[arg(long, required_unless_present = "serve", conflicts_with = "serve")]
    image: Option<String>,
    /// How the daemon authenticates to the control plane
    #[arg(long, value_enum, default_value_t = CredentialKind::Token)]
    credential: CredentialKind,
    /// Print the objects of the app cluster as YAML instead of writing them
    #[arg(long, conflicts_with = "serve")]
    print: bool,
    /// With --print and --credential token: file for the Secret with the token, which must not be committed
    #[arg(long, value_name = "FILE", requires = "print")]
    credential_file: Option<PathBuf>,
    /// Local namespaces into which claimgate copies connection Secrets, or `all`
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    secrets: Vec<String>,
    /// Run the daemon on this machine, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// With --serve: DNS name or address under which the API server of the app cluster reaches this machine
    #[arg(long, value_name = "HOST", requires = "serve")]
    advertise_host: Option<String>,
    /// With --serve: port of the daemon; by default 8443
    #[arg(long, requires = "serve")]
    port: Option<u16>,
    /// With --serve: folder for kubeconfigs and the configuration; by default .claimgate/CLUSTER
    #[arg(long, requires = "serve")]
    dir: Option<PathBuf>,
}

/// How the daemon authenticates to the control plane.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CredentialKind {
    /// A token of the control plane, in a Secret of the app cluster
    Token,
    /// Tokens of the app cluster, which the control plane must trust; nothing is stored
    Oidc,
}

impl From<CredentialKind> for Credential {
    fn from(kind: CredentialKind) -> Self {
        match kind {
            CredentialKind::Token => Self::Token,
            CredentialKind::Oidc => Self::Oidc,
        }
    }
}

/// The port of a daemon on this machine.
const SERVE_PORT: u16 = 8443;

/// The word for all local namespaces.
const ALL: &str = "all";

/// The options of `check --pre`.
#[derive(Args, Debug)]
pub(super) struct Preflight {
    /// Check both clusters as connect does, instead of a configuration file
    #[arg(long, requires = "control_plane_context", conflicts_with_all = ["online", "previous"])]
    pre: bool,
    /// With --pre: context of the control plane
    #[arg(long, value_name = "CONTEXT", requires = "pre")]
    control_plane_context: Option<String>,
    /// With --pre: namespace of the control plane; by default the name of the app cluster
    #[arg(long, requires = "pre")]
    namespace: Option<String>,
    /// With --pre: how the daemon authenticates to the control plane
    #[arg(long, value_enum, default_value_t = CredentialKind::Token)]
    credential: CredentialKind,
    #[command(flatten)]
    names: Names,
}

impl Preflight {
    /// Returns the clusters to check, or `None` without `--pre`.
    pub(super) fn options(self) -> Option<Options> {
        let control_plane = self.control_plane_context?;
        Some(Options {
            credential: self.credential.into(),
            ..self.names.options(control_plane, self.namespace, false)
        })
    }
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
    /// Keep the claims on the control plane
    Keep,
    /// Delete the claims and their infrastructure
    Delete,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let pair = pair.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
    pair.ok_or_else(|| "write LOCAL=REMOTE, as in default=app-ns-1".to_owned())
}

impl Connect {
    pub(super) async fn run(self) -> Result<(), ConnectError> {
        self.check_credential().map_err(ConnectError::InvalidName)?;
        // The parser requires an image without --serve.
        let target = match (self.image, self.print) {
            (Some(image), true) => Target::Print {
                image,
                credential_file: self.credential_file,
            },
            (Some(image), false) => Target::Install { image },
            (None, _) => Target::Serve(ServeOptions {
                advertise_host: self.advertise_host,
                port: self.port.unwrap_or(SERVE_PORT),
                dir: self.dir,
            }),
        };
        let options = Options {
            secrets: match self.secrets.iter().any(|name| name == ALL) {
                true => NamespaceSelection::All,
                false => NamespaceSelection::Named(self.secrets.into_iter().collect()),
            },
            credential: self.credential.into(),
            ..self.clusters.options()
        };
        Box::pin(connect::connect(&options, &target)).await
    }

    /// Checks that the other options fit `--credential`.
    fn check_credential(&self) -> Result<(), String> {
        let problem = match (self.credential, &self.credential_file) {
            (CredentialKind::Token, None) if self.print => {
                "--print needs a file for the Secret with the token; add --credential-file FILE"
            }
            (CredentialKind::Oidc, Some(_)) => {
                "--credential oidc stores no token; remove --credential-file"
            }
            (CredentialKind::Oidc, None) if self.serve => {
                "--credential oidc needs a pod, because the kubelet renews its token; add --image IMAGE instead of --serve, or use --credential token"
            }
            _ => return Ok(()),
        };
        Err(problem.to_owned())
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
        let control_plane = self.control_plane_context;
        self.names.options(control_plane, self.namespace, self.yes)
    }
}
