//! The rights of claimgate on a control plane, which limit what discovery offers.
//!
//! A resource that is offered but cannot be listed breaks Argo CD's cache of the whole app cluster, and keeps every mapped
//! namespace from being deleted.
//!
//! One SelfSubjectRulesReview for each mapped namespace lists the rights there. With some authorizers it is incomplete; a
//! SelfSubjectAccessReview then asks for each right that the rules do not grant (`pkg/apis/authorization/types.go`). So it
//! is for lists of all namespaces, because the rules do not say whether a right belongs to one namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::discovery::Group;
use crate::upstream::DocumentClient;

/// How long rights are used before they are read again. They are read earlier if the resources change or if the control
/// plane forbids a request.
const READ_INTERVAL: Duration = Duration::from_secs(60);

const RULES_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";

/// The verbs that claims need. Rights for other verbs do not matter.
const VERBS: [&str; 8] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
];

/// The verbs that a list of all namespaces needs.
const FOLLOW: [&str; 2] = ["list", "watch"];

const ALL: &str = "*";

/// All namespaces, in a review.
const EVERYWHERE: &str = "";

/// The rights on the exposed resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rights {
    /// By group and resource. `None` if the control plane has no access reviews, as that of `claimgate dev`: then
    /// everything is allowed.
    by_resource: Option<BTreeMap<(String, String), ResourceRights>>,
}

/// What is forbidden of one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ResourceRights {
    /// By mapped namespace of the control plane.
    mapped: BTreeMap<String, BTreeSet<&'static str>>,
    /// In all namespaces. Empty if no list reads all of them.
    everywhere: BTreeSet<&'static str>,
}

/// A right that claimgate lacks.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MissingRight {
    pub group: String,
    /// The plural, as in paths.
    pub resource: String,
    pub verb: &'static str,
    /// `in the namespace "team-a"` or `in all namespaces`.
    pub place: String,
}

impl Rights {
    /// Returns the rights on a resource, or `None` if everything is allowed.
    pub(super) fn of(&self, group: &str, resource: &str) -> Option<&ResourceRights> {
        let key = (group.to_owned(), resource.to_owned());
        self.by_resource.as_ref()?.get(&key)
    }

    /// Returns all rights that are missing.
    pub(super) fn missing(&self) -> BTreeSet<MissingRight> {
        let mut all = BTreeSet::new();
        for ((group, resource), rights) in self.by_resource.iter().flatten() {
            let mapped = rights.mapped.iter();
            let mapped =
                mapped.map(|(namespace, verbs)| (format!("in the namespace {namespace:?}"), verbs));
            let everywhere = ("in all namespaces".to_owned(), &rights.everywhere);
            for (place, verbs) in mapped.chain([everywhere]) {
                all.extend(verbs.iter().map(|verb| MissingRight {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb,
                    place: place.clone(),
                }));
            }
        }
        all
    }

    /// Returns rights that lack some verbs of one resource, in a mapped namespace and in all namespaces.
    #[cfg(test)]
    pub(super) fn lacking(
        group: &str,
        resource: &str,
        mapped: &[&'static str],
        everywhere: &[&'static str],
    ) -> Self {
        let rights = ResourceRights {
            mapped: [("team-a".to_owned(), mapped.iter().copied().collect())].into(),
            everywhere: everywhere.iter().copied().collect(),
        };
        Self {
            by_resource: Some([((group.to_owned(), resource.to_owned()), rights)].into()),
        }
    }
}

impl ResourceRights {
    /// Returns whether the verb is allowed in every mapped namespace.
    pub(super) fn allows(&self, verb: &str) -> bool {
        !self.mapped.values().any(|verbs| verbs.contains(verb))
    }

    /// Returns whether all local namespaces can be listed and watched together.
    pub(super) fn can_follow(&self) -> bool {
        self.everywhere.is_empty() && self.allows("list") && self.allows("watch")
    }
}

/// Reads the rights when they may have changed.
#[derive(Default)]
pub(super) struct RightsReader {
    /// The mapped namespaces of the control plane.
    namespaces: Vec<String>,
    last: Option<LastRead>,
}

struct LastRead {
    at: Instant,
    /// The verbs that discovery lists, by group and resource.
    resources: Resources,
    rights: Rights,
}

type Resources = BTreeMap<(String, String), BTreeSet<String>>;

/// The reason why rights cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("POST {path}: {problem}")]
pub(super) struct RightsError {
    pub(super) path: &'static str,
    pub(super) problem: String,
}

impl RightsReader {
    pub(super) fn new(namespaces: Vec<String>) -> Self {
        Self {
            namespaces,
            last: None,
        }
    }

    /// Returns the current rights on the resources of `groups`. `is_doubtful` reads them now.
    ///
    /// # Errors
    /// The control plane does not answer, or not as a Kubernetes API server.
    pub(super) async fn read(
        &mut self,
        client: &DocumentClient,
        groups: &[Group],
        is_doubtful: bool,
    ) -> Result<Rights, RightsError> {
        let resources = resources(groups);
        if let Some(last) = &self.last
            && !is_doubtful
            && last.resources == resources
            && last.at.elapsed() < READ_INTERVAL
        {
            return Ok(last.rights.clone());
        }
        let review = Review {
            client,
            namespaces: &self.namespaces,
        };
        let rights = review.of(&resources).await?;
        let before = self.last.as_ref().map(|last| last.rights.clone());
        let before = before.unwrap_or_default();
        // A kube-apiserver that starts forbids what it does not know yet. The next refresh reads again.
        if rights.missing() != before.missing() && client.is_starting().await {
            return Ok(before);
        }
        self.last = Some(LastRead {
            at: Instant::now(),
            resources,
            rights: rights.clone(),
        });
        Ok(rights)
    }
}

/// Returns the verbs of each resource, over all its versions.
fn resources(groups: &[Group]) -> Resources {
    let mut all = Resources::new();
    for group in groups {
        for resource in group.versions.iter().flat_map(|version| &version.resources) {
            let key = (group.metadata.name.clone(), resource.resource.clone());
            let verbs = resource.verbs.iter().cloned();
            all.entry(key).or_default().extend(verbs);
        }
    }
    all
}

/// One reading of rights.
struct Review<'a> {
    client: &'a DocumentClient,
    namespaces: &'a [String],
}

#[derive(Deserialize)]
struct RulesReview {
    status: RulesStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RulesStatus {
    #[serde(default)]
    resource_rules: Option<Vec<Rule>>,
    #[serde(default)]
    incomplete: bool,
}

/// `ResourceRule`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    api_groups: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
    /// Not empty if the rule is for these objects only.
    #[serde(default)]
    resource_names: Vec<String>,
}

impl Review<'_> {
    async fn of(&self, resources: &Resources) -> Result<Rights, RightsError> {
        let mut all = BTreeMap::new();
        for namespace in self.namespaces {
            let Some(status) = self.rules(namespace).await? else {
                return Ok(Rights::default());
            };
            self.add_mapped(namespace, &status, resources, &mut all)
                .await?;
        }
        // A list of all local namespaces lists one remote namespace, or all of the control plane.
        if self.namespaces.len() > 1 {
            self.add_everywhere(resources, &mut all).await?;
        }
        Ok(Rights {
            by_resource: Some(all),
        })
    }

    async fn add_mapped(
        &self,
        namespace: &str,
        status: &RulesStatus,
        resources: &Resources,
        to: &mut BTreeMap<(String, String), ResourceRights>,
    ) -> Result<(), RightsError> {
        let rules = status.resource_rules.iter().flatten();
        for ((group, resource), verbs) in resources {
            for verb in VERBS.into_iter().filter(|verb| verbs.contains(*verb)) {
                let mut rules = rules.clone();
                let is_allowed = rules.any(|rule| rule.allows(group, resource, verb))
                    || status.incomplete && self.allows(namespace, group, resource, verb).await?;
                if !is_allowed {
                    let rights = to.entry((group.clone(), resource.clone())).or_default();
                    let mapped = rights.mapped.entry(namespace.to_owned());
                    mapped.or_default().insert(verb);
                }
            }
        }
        Ok(())
    }

    async fn add_everywhere(
        &self,
        resources: &Resources,
        to: &mut BTreeMap<(String, String), ResourceRights>,
    ) -> Result<(), RightsError> {
        for ((group, resource), verbs) in resources {
            for verb in FOLLOW.into_iter().filter(|verb| verbs.contains(*verb)) {
                if !self.allows(EVERYWHERE, group, resource, verb).await? {
                    let rights = to.entry((group.clone(), resource.clone())).or_default();
                    rights.everywhere.insert(verb);
                }
            }
        }
        Ok(())
    }

    /// Returns the rules for a namespace, or `None` if the control plane has no such reviews.
    async fn rules(&self, namespace: &str) -> Result<Option<RulesStatus>, RightsError> {
        let fail = |problem: String| RightsError {
            path: RULES_REVIEWS,
            problem,
        };
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        });
        let answer = self.client.post(RULES_REVIEWS, &review).await;
        let (status, body) = answer.map_err(fail)?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::CREATED => {
                let review: Result<RulesReview, _> = serde_json::from_value(body);
                let review = review.map_err(|error| fail(error.to_string()))?;
                Ok(Some(review.status))
            }
            status => Err(fail(format!("the control plane answers {status}"))),
        }
    }

    async fn allows(
        &self,
        namespace: &str,
        group: &str,
        resource: &str,
        verb: &str,
    ) -> Result<bool, RightsError> {
        let attributes = json!({
            "group": group, "resource": resource, "namespace": namespace, "verb": verb,
        });
        let allowed = self.client.is_allowed(attributes).await;
        allowed.map_err(|problem| RightsError {
            path: RULES_REVIEWS,
            problem,
        })
    }
}

impl Rule {
    fn allows(&self, group: &str, resource: &str, verb: &str) -> bool {
        let has = |list: &[String], wanted: &str| {
            list.iter().any(|known| known == ALL || known == wanted)
        };
        self.resource_names.is_empty()
            && has(&self.api_groups, group)
            && has(&self.resources, resource)
            && has(&self.verbs, verb)
    }
}
