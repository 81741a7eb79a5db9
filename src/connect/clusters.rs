//! The two clusters, from contexts of the user's kubeconfig.

use super::discovery::namespaced_resources;
use super::endpoint::Endpoint;
use super::error::ConnectError;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::discovery::v2::APIGroupDiscoveryList;
use kube::{Api, Client};

/// The category of claims.
const CLAIMS: &str = "claim";

/// A kind of claims, in the version that the API server prefers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ClaimKind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

/// One cluster, and the user's access to it.
pub(super) struct Cluster {
    pub(super) context: String,
    pub(super) client: Client,
    kubeconfig: Kubeconfig,
    /// The host of the API server.
    pub(super) host: String,
}

impl Cluster {
    /// Opens a context, or the current one.
    ///
    /// # Errors
    /// The context does not exist or is not usable.
    pub(super) async fn open(
        kubeconfig: &Kubeconfig,
        context: Option<&str>,
    ) -> Result<Self, ConnectError> {
        let context = context.or(kubeconfig.current_context.as_deref());
        let context = context.ok_or(ConnectError::NoContext)?.to_owned();
        let options = KubeConfigOptions {
            context: Some(context.clone()),
            ..KubeConfigOptions::default()
        };
        let invalid = |error: Box<dyn std::error::Error + Send + Sync>| ConnectError::Context {
            context: context.clone(),
            error,
        };
        let config = kube::Config::from_custom_kubeconfig(kubeconfig.clone(), &options)
            .await
            .map_err(|error| invalid(error.into()))?;
        let host = config.cluster_url.host().unwrap_or_default().to_owned();
        let client = Client::try_from(config).map_err(|error| invalid(error.into()))?;
        let mut kubeconfig = kubeconfig.clone();
        kubeconfig.current_context = Some(context.clone());
        Ok(Self {
            context,
            client,
            kubeconfig,
            host,
        })
    }

    /// Adds the name of the cluster to an error.
    pub(super) fn failed(
        &self,
        doing: impl Into<String>,
    ) -> impl FnOnce(kube::Error) -> ConnectError {
        let (context, doing) = (self.context.clone(), doing.into());
        move |error| ConnectError::Request {
            context,
            doing,
            error: Box::new(error),
        }
    }

    /// Returns a kubeconfig with this context as the current one.
    ///
    /// # Errors
    /// The kubeconfig cannot be serialized.
    pub(super) fn kubeconfig(&self) -> Result<String, serde_json::Error> {
        let mut kubeconfig = self.kubeconfig.clone();
        let context = named_context(&kubeconfig, &self.context);
        let (cluster, user) = context.unwrap_or_default();
        kubeconfig
            .contexts
            .retain(|known| known.name == self.context);
        kubeconfig.clusters.retain(|known| known.name == cluster);
        kubeconfig.auth_infos.retain(|known| known.name == user);
        serde_json::to_string_pretty(&kubeconfig)
    }

    /// Returns the address of the API server, in a form that works on other machines too.
    ///
    /// # Errors
    /// The kubeconfig has no such cluster, or the connection would not be secure.
    pub(super) fn endpoint(&self) -> Result<Endpoint, ConnectError> {
        Endpoint::new(self.entry()?).map_err(self.unusable())
    }

    /// Adds the name of the cluster to a problem of its entry in the kubeconfig.
    pub(super) fn unusable(&self) -> impl Fn(String) -> ConnectError {
        let context = self.context.clone();
        move |problem| ConnectError::Unusable {
            context: context.clone(),
            problem,
        }
    }

    /// Returns the entry of the kubeconfig for this cluster.
    ///
    /// # Errors
    /// The kubeconfig has none.
    fn entry(&self) -> Result<&kube::config::Cluster, ConnectError> {
        let context = named_context(&self.kubeconfig, &self.context);
        let (cluster, _) = context.unwrap_or_default();
        let mut clusters = self.kubeconfig.clusters.iter();
        let entry = clusters.find(|known| known.name == cluster);
        let entry = entry.and_then(|known| known.cluster.as_ref());
        entry.ok_or_else(|| ConnectError::Unusable {
            context: self.context.clone(),
            problem: format!("the kubeconfig has no cluster {cluster:?}"),
        })
    }

    /// Returns the UID of the namespace kube-system, which identifies a cluster.
    ///
    /// # Errors
    /// The cluster rejects the request or cannot be reached.
    pub(super) async fn id(&self) -> Result<String, ConnectError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = api.get_metadata("kube-system").await;
        let namespace = namespace.map_err(self.failed("read the namespace kube-system"))?;
        Ok(namespace.metadata.uid.unwrap_or_default())
    }

    /// Returns the API groups with claims, in their order.
    ///
    /// # Errors
    /// The cluster rejects the request, cannot be reached, or is too old for aggregated discovery.
    pub(super) async fn claim_groups(&self) -> Result<Vec<String>, ConnectError> {
        let list = self.client.list_api_groups_aggregated().await;
        let list = list.map_err(self.failed("read discovery"))?;
        let mut groups = Vec::new();
        for group in list.items {
            let mut resources = group.versions.iter().flat_map(|version| &version.resources);
            let is_claim =
                resources.any(|resource| resource.categories.iter().any(|one| one == CLAIMS));
            if let (true, Some(name)) =
                (is_claim, group.metadata.and_then(|metadata| metadata.name))
            {
                groups.push(name);
            }
        }
        Ok(groups)
    }

    /// Returns the kinds of claims in these API groups, or in all if there are none.
    ///
    /// # Errors
    /// There are no claims, or a group is not served. Or the cluster rejects the request, cannot be reached, or is too
    /// old for aggregated discovery.
    pub(super) async fn claim_kinds(
        &self,
        groups: &[String],
    ) -> Result<Vec<ClaimKind>, ConnectError> {
        let list = self.client.list_api_groups_aggregated().await;
        let kinds = claim_kinds(&list.map_err(self.failed("read discovery"))?, groups);
        let has = |group: &&String| kinds.iter().any(|kind| kind.group == **group);
        if let Some(missing) = groups.iter().find(|group| !has(group)) {
            return Err(ConnectError::NotAnApiGroup {
                context: self.context.clone(),
                group: missing.clone(),
            });
        }
        match kinds.is_empty() {
            true => Err(ConnectError::NoClaims(self.context.clone())),
            false => Ok(kinds),
        }
    }
}

/// Returns all namespaced kinds of the groups. Without groups, returns the kinds in the category of claims.
fn claim_kinds(list: &APIGroupDiscoveryList, groups: &[String]) -> Vec<ClaimKind> {
    let resources = namespaced_resources(&list.items, |resource| match groups {
        [] => resource.categories.iter().any(|one| one == CLAIMS),
        groups => groups.contains(&resource.group),
    });
    let kinds = resources.into_iter().map(|resource| ClaimKind {
        group: resource.group,
        version: resource.version,
        kind: resource.kind,
    });
    kinds.collect()
}

/// Returns the cluster and the user of a context.
fn named_context(kubeconfig: &Kubeconfig, name: &str) -> Option<(String, String)> {
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts
        .find(|known| known.name == name)?
        .context
        .as_ref()?;
    Some((
        context.cluster.clone(),
        context.user.clone().unwrap_or_default(),
    ))
}

/// Makes a DNS label from the name of a context.
pub(super) fn dns_label(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let characters = lower.chars().map(|c| match c {
        'a'..='z' | '0'..='9' => c,
        _ => '-',
    });
    let label: String = characters.take(63).collect();
    label.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn name_of_a_context_becomes_a_dns_label() {
        for (context, label) in [
            ("team-a", "team-a"),
            ("kind-Team_A", "kind-team-a"),
            ("arn:aws:eks:eu:1:cluster/a", "arn-aws-eks-eu-1-cluster-a"),
        ] {
            assert_eq!(dns_label(context), label);
        }
    }

    #[test]
    fn claim_kinds_have_the_preferred_version() {
        let resource = |kind: &str, scope: &str, categories: &[&str]| {
            json!({
                "resource": kind, "scope": scope, "categories": categories, "verbs": ["get"],
                "responseKind": {"kind": kind},
            })
        };
        let queue = resource("Queue", "Namespaced", &["claim"]);
        let list = json!({"items": [
            {"metadata": {"name": "example.org"}, "versions": [
                {"version": "v2", "resources": [queue, resource("XQueue", "Cluster", &["claim"])]},
                {"version": "v1", "resources": [queue, resource("Topic", "Namespaced", &["claim"])]},
            ]},
            {"metadata": {"name": "apps"}, "versions": [
                {"version": "v1", "resources": [resource("Deployment", "Namespaced", &["all"])]},
            ]},
        ]});
        let kinds = |groups: &[&str]| -> Vec<String> {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            let list = serde_json::from_value(list.clone()).unwrap();
            let kinds = claim_kinds(&list, &groups).into_iter();
            kinds
                .map(|kind| format!("{}/{} {}", kind.group, kind.version, kind.kind))
                .collect()
        };
        assert_eq!(kinds(&[]), ["example.org/v2 Queue", "example.org/v1 Topic"]);
        assert_eq!(kinds(&["apps"]), ["apps/v1 Deployment"]);
        assert!(kinds(&["batch"]).is_empty());
    }
}
