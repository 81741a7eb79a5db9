//! The command `kubeconfig`: creates a restricted ServiceAccount on the control plane, and prints the documents with
//! which kubectl, Argo CD or Flux uses it.

mod access;
mod argocd;
mod documents;
mod flux;
mod kubeconfig_file;

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::config::Kubeconfig;

use self::access::Access;
pub use self::documents::Tool;
use super::clusters::{ClaimKind, Cluster, dns_label};
use super::error::ConnectError;
use super::token::Token;
use super::{objects, plan};
use claim_mapping::mapping::is_dns_label;

/// Smaller differences between the requested and the granted lifetime are not reported, because the clocks of the two
/// machines can differ.
const DIFFERENCE_MIN: Duration = Duration::from_secs(60);

/// The options of the command.
#[derive(Clone, Debug)]
pub struct KubeconfigOptions {
    /// The tool that gets access.
    pub tool: Tool,
    /// Context of the control plane.
    pub control_plane: String,
    /// Namespace of the control plane.
    pub namespace: String,
    /// Name of the ServiceAccount, its Role and its RoleBinding.
    pub account: String,
    /// API groups; by default all groups with claims.
    pub groups: Vec<String>,
    /// Lifetime of the token.
    pub lifetime: Duration,
    /// Project of Argo CD.
    pub project: Option<String>,
    /// Whether to skip the question for confirmation.
    pub yes: bool,
}

impl KubeconfigOptions {
    fn check(&self) -> Result<(), ConnectError> {
        for (name, option) in [(&self.namespace, "NAMESPACE"), (&self.account, "--account")] {
            if !is_dns_label(name) {
                let problem = format!("{option}: {name:?} is not a DNS label; use a-z, 0-9 and -");
                return Err(ConnectError::InvalidName(problem));
            }
        }
        if self.project.is_some() && self.tool != Tool::ArgoCd {
            let problem = "--project is a setting of Argo CD; add --for argocd or remove it";
            return Err(ConnectError::InvalidName(problem.to_owned()));
        }
        Ok(())
    }
}

/// Creates the ServiceAccount with its rights, and returns the YAML documents for the tool. Prints the plan and notes
/// to stderr.
///
/// # Errors
/// The context cannot be used from elsewhere, there are no claims, a right is missing, or the user does not confirm.
/// Objects that were written stay, and repeating the command continues.
pub async fn kubeconfig(options: &KubeconfigOptions) -> Result<String, ConnectError> {
    options.check()?;
    crate::tls::provider::install();
    let cluster = Cluster::open(&Kubeconfig::read()?, Some(&options.control_plane)).await?;
    let endpoint = cluster.endpoint()?;
    check_namespace(&cluster, &options.namespace).await?;
    let kinds = cluster.claim_kinds(&options.groups).await?;
    let groups = groups(&kinds);
    let (namespace, account) = (&options.namespace, &options.account);
    let manifests = objects::gitops_account(namespace, account, &groups)?;
    eprintln!(
        "{} gets the claims of the groups {} in the namespace {namespace:?}.\nOn the control plane (context {}):\n{}",
        options.tool,
        groups.join(", "),
        cluster.context,
        plan::lines(&cluster, &manifests).await?,
    );
    plan::confirm(options.yes, std::io::stderr())?;
    plan::apply(&cluster, &manifests).await?;
    let token = Token::request(&cluster.client, namespace, account, options.lifetime, None).await?;
    eprintln!(
        "{}",
        lifetime_note(options.lifetime, Timestamp::now(), token.expires)
    );
    let access = Access {
        name: access_name(&cluster.context, namespace),
        namespace: namespace.clone(),
        endpoint,
        token: token.text,
        kinds,
    };
    documents::write(options.tool, &access, options.project.as_deref())
}

/// Checks that the namespace exists. A user who may not read it gets the error of the first write.
async fn check_namespace(cluster: &Cluster, name: &str) -> Result<(), ConnectError> {
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    match api.get_metadata_opt(name).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(ConnectError::NoNamespace {
            context: cluster.context.clone(),
            namespace: name.to_owned(),
        }),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        Err(error) => Err(cluster.failed(format!("read the namespace {name:?}"))(
            error,
        )),
    }
}

/// Returns the API groups of the kinds, each once.
fn groups(kinds: &[ClaimKind]) -> Vec<String> {
    let mut groups: Vec<String> = kinds.iter().map(|kind| kind.group.clone()).collect();
    groups.dedup();
    groups
}

/// Returns the name that the tool uses for the namespace of this control plane.
fn access_name(context: &str, namespace: &str) -> String {
    let name = format!("{}-{namespace}", dns_label(context));
    name.trim_start_matches('-').to_owned()
}

/// Returns when the token expires, and how long it lives if the control plane granted less than was requested.
fn lifetime_note(requested: Duration, now: Timestamp, expires: Timestamp) -> String {
    let left = expires.as_second() - now.as_second();
    let granted = Duration::from_secs(u64::try_from(left).unwrap_or(0));
    let note = format!("The token expires at {expires}. Repeat the command before then.");
    match granted + DIFFERENCE_MIN < requested {
        true => format!(
            "The control plane granted a token for {} instead of {}. {note}",
            humantime::format_duration(granted),
            humantime::format_duration(requested),
        ),
        false => note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_lifetime_is_reported() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let day = Duration::from_secs(86_400);
        let note = lifetime_note(day, at(0), at(3600));
        assert!(
            note.contains("granted a token for 1h instead of 1day"),
            "{note}"
        );
        assert!(note.contains("expires at 1970-01-01T01:00:00Z"), "{note}");
        let note = lifetime_note(day, at(10), at(86_400));
        assert!(note.starts_with("The token expires at"), "{note}");
    }

    #[test]
    fn name_is_made_from_context_and_namespace() {
        assert_eq!(
            access_name("kind_platform", "team-a"),
            "kind-platform-team-a"
        );
        assert_eq!(access_name("__", "team-a"), "team-a");
    }

    #[test]
    fn wrong_options_are_rejected() {
        let options = KubeconfigOptions {
            tool: Tool::Flux,
            control_plane: "platform".to_owned(),
            namespace: "team-a".to_owned(),
            account: "claimgate-gitops".to_owned(),
            groups: Vec::new(),
            lifetime: Duration::from_secs(3600),
            project: None,
            yes: true,
        };
        assert!(options.check().is_ok());
        let project = Some("payments".to_owned());
        let problem = KubeconfigOptions {
            project,
            ..options.clone()
        }
        .check();
        assert!(problem.unwrap_err().to_string().contains("--project"));
        let account = "A".to_owned();
        let problem = KubeconfigOptions { account, ..options }.check();
        assert!(problem.unwrap_err().to_string().contains("--account"));
    }
}
