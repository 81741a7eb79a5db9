//! The options of the command `kubeconfig`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::error::CommandError;
use super::stdout;
use crate::connect::{self, KubeconfigOptions, Tool};

/// The shortest lifetime that API servers grant (`pkg/apis/authentication/validation/validation.go`).
const DURATION_MIN: Duration = Duration::from_secs(600);

/// The longest lifetime that can be requested.
const DURATION_MAX: Duration = Duration::from_secs(1 << 32);

#[derive(Args, Debug)]
pub(super) struct Kubeconfig {
    /// Tool that uses the output
    #[arg(long = "for", value_enum, value_name = "TOOL")]
    tool: ToolName,
    /// Context of the control plane in the kubeconfig
    control_plane_context: String,
    /// Namespace of the control plane that stores the claims
    namespace: String,
    /// ServiceAccount on the control plane; its Role and RoleBinding have the same name
    #[arg(long, value_name = "NAME", default_value = "claimgate-gitops")]
    account: String,
    /// API groups of the claims; by default all groups with claims
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    apis: Vec<String>,
    /// Lifetime of the token; the control plane may grant less
    #[arg(long, value_parser = duration, default_value = "24h")]
    duration: Duration,
    /// Project of Argo CD that may use the cluster
    #[arg(long)]
    project: Option<String>,
    /// Do not ask before writing
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ToolName {
    /// A kubeconfig
    Kubectl,
    /// The Secret of a cluster, settings and an example Application
    Argocd,
    /// A Secret with a kubeconfig, and a Kustomization
    Flux,
}

impl Kubeconfig {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let options = KubeconfigOptions {
            tool: match self.tool {
                ToolName::Kubectl => Tool::Kubectl,
                ToolName::Argocd => Tool::ArgoCd,
                ToolName::Flux => Tool::Flux,
            },
            control_plane: self.control_plane_context,
            namespace: self.namespace,
            account: self.account,
            groups: self.apis,
            lifetime: self.duration,
            project: self.project,
            yes: self.yes,
        };
        let documents = connect::kubeconfig(&options).await?;
        Ok(stdout::print(documents.as_bytes())?)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; use a number with a unit, such as 24h"))?;
    match duration {
        duration if duration < DURATION_MIN => Err("use at least 10m".to_owned()),
        duration if duration > DURATION_MAX => Err("use at most 49710d".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_that_api_servers_accept() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("10m"), Ok(DURATION_MIN));
        assert!(duration("49710d").is_ok());
        for text in ["9m", "24", "50000d", ""] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
