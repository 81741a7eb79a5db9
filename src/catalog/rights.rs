//! The rights of claimgate on a control plane, which limit what discovery offers.
//!
//! A resource that is offered but cannot be listed breaks Argo CD's cache of the whole app cluster, and keeps every mapped
//! namespace from being deleted.
//!
//! One SelfSubjectRulesReview for each mapped namespace lists the rights there. With some authorizers it is incomplete; a
//! SelfSubjectAccessReview then asks for each right that the rules do not grant (`pkg/apis/authorization/types.go`). It also
//! asks for lists of all namespaces, because the rules do not say whether a right belongs to one namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::discovery::{Group, ResourceVerbs};
use crate::upstream::{DocumentClient, STARTING_MAX};

/// How long rights are used before they are read again. They are read earlier if the resources change or if the control
/// plane forbids a request.
const READ_INTERVAL: Duration = Duration::from_secs(60);

/// Time for a reading.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Time between the review that lacks rights and the one that confirms it.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);

/// Largest number of access reviews in a reading. With rules that are incomplete, each right needs one.
const ACCESS_REVIEWS_MAX: usize = 1000;

const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

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
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rights {
    /// They were not read since the start.
    Unknown,
    /// Everything is allowed, or the control plane cannot tell: that of `claimgate dev` has no access reviews.
    Unlimited,
    /// The verbs that are forbidden, by group and resource.
    Known(BTreeMap<(String, String), ResourceRights>),
}

/// The verbs of one resource that are forbidden.
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
    pub scope: String,
}

impl Rights {
    /// Returns all rights that are missing.
    pub(super) fn missing(&self) -> BTreeSet<MissingRight> {
        let mut all = BTreeSet::new();
        let Self::Known(by_resource) = self else {
            return all;
        };
        for ((group, resource), rights) in by_resource {
            let mapped = rights.mapped.iter();
            let mapped =
                mapped.map(|(namespace, verbs)| (format!("in the namespace {namespace:?}"), verbs));
            let everywhere = ("in all namespaces".to_owned(), &rights.everywhere);
            for (scope, verbs) in mapped.chain([everywhere]) {
                all.extend(verbs.iter().map(|verb| MissingRight {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb,
                    scope: scope.clone(),
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
        Self::Known([((group.to_owned(), resource.to_owned()), rights)].into())
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
pub(super) struct RightsReader {
    /// The mapped namespaces of the control plane.
    namespaces: Vec<String>,
    last: Option<LastRead>,
    loss: Option<Loss>,
}

struct LastRead {
    at: Instant,
    /// The verbs that discovery lists.
    resources: ResourceVerbs,
    rights: Rights,
}

/// A review that lacks rights, and that a later one must confirm.
struct Loss {
    seen_at: Instant,
    missing: BTreeSet<MissingRight>,
}

/// The reason why rights cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("POST {path}: {problem}")]
pub(super) struct RightsError {
    pub(super) path: &'static str,
    pub(super) problem: String,
    /// Whether the next attempt will fail too.
    is_final: bool,
}

impl RightsReader {
    pub(super) fn new(namespaces: Vec<String>) -> Self {
        Self {
            namespaces,
            last: None,
            loss: None,
        }
    }

    /// Returns the current rights on the resources of `groups`. `are_stale` reads them now.
    ///
    /// If they cannot be read, the previous ones stay. A control plane that never answers reviews cannot tell, so
    /// everything is offered. Rights count as lost only if a second review confirms that.
    ///
    /// # Errors
    /// The rights were never read, and the control plane does not answer or must confirm a loss.
    pub(super) async fn read(
        &mut self,
        client: &DocumentClient,
        groups: &[Group],
        are_stale: bool,
    ) -> Result<Rights, RightsError> {
        let resources = ResourceVerbs::of(groups);
        if let Some(last) = &self.last
            && !are_stale
            && self.loss.is_none()
            && last.resources == resources
            && last.at.elapsed() < READ_INTERVAL
        {
            return Ok(last.rights.clone());
        }
        let review = Review::new(client, &self.namespaces);
        let reviewed = tokio::time::timeout(READ_TIMEOUT, review.of(&resources)).await;
        let reviewed = reviewed.unwrap_or_else(|_| Err(RightsError::timeout()));
        let rights = match (reviewed, &self.last) {
            (Ok(rights), _) => rights,
            (Err(error), Some(last)) => {
                tracing::debug!(control_plane = client.name(), %error, "cannot read the rights");
                return Ok(last.rights.clone());
            }
            (Err(error), None) if error.is_final => {
                tracing::warn!(control_plane = client.name(), %error, "cannot read the rights; discovery offers everything");
                Rights::Unlimited
            }
            (Err(error), None) => return Err(error),
        };
        if !self.is_confirmed(client, &rights).await {
            return self.unconfirmed(&resources, &rights);
        }
        self.loss = None;
        self.last = Some(LastRead {
            at: Instant::now(),
            resources,
            rights: rights.clone(),
        });
        Ok(rights)
    }

    /// Returns whether rights are missing that were not missing before only if that was seen twice. A kube-apiserver that
    /// starts forbids what it does not know yet.
    async fn is_confirmed(&mut self, client: &DocumentClient, rights: &Rights) -> bool {
        let missing = rights.missing();
        let before = self.last.as_ref().map(|last| last.rights.missing());
        if missing.is_subset(&before.unwrap_or_default()) {
            return true;
        }
        match &self.loss {
            Some(loss) if loss.missing == missing => {
                let age = loss.seen_at.elapsed();
                age >= STARTING_MAX || age >= CONFIRM_AFTER && !client.is_starting().await
            }
            _ => {
                let seen_at = Instant::now();
                self.loss = Some(Loss { seen_at, missing });
                false
            }
        }
    }

    /// Returns the rights that were read before, and the new ones for new resources.
    fn unconfirmed(&self, resources: &ResourceVerbs, new: &Rights) -> Result<Rights, RightsError> {
        let Some(last) = &self.last else {
            return Err(RightsError {
                path: RULES_REVIEWS,
                problem: "claimgate lacks rights; waiting for a second review to confirm it"
                    .to_owned(),
                is_final: false,
            });
        };
        let (Rights::Known(before), Rights::Known(new)) = (&last.rights, new) else {
            return Ok(last.rights.clone());
        };
        let mut all = before.clone();
        for (key, _) in resources.iter() {
            if let (None, Some(rights)) = (last.resources.get(key), new.get(key)) {
                all.insert(key.clone(), rights.clone());
            }
        }
        Ok(Rights::Known(all))
    }
}

impl RightsError {
    fn timeout() -> Self {
        Self {
            path: RULES_REVIEWS,
            problem: format!("not complete after {} s", READ_TIMEOUT.as_secs()),
            is_final: false,
        }
    }
}

/// One reading of rights.
struct Review<'a> {
    client: &'a DocumentClient,
    namespaces: &'a [String],
    /// Number of access reviews that may still be sent.
    reviews_left: AtomicUsize,
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

impl<'a> Review<'a> {
    fn new(client: &'a DocumentClient, namespaces: &'a [String]) -> Self {
        Self {
            client,
            namespaces,
            reviews_left: AtomicUsize::new(ACCESS_REVIEWS_MAX),
        }
    }

    async fn of(&self, resources: &ResourceVerbs) -> Result<Rights, RightsError> {
        let mut all = BTreeMap::new();
        for namespace in self.namespaces {
            let Some(status) = self.rules(namespace).await? else {
                return Ok(Rights::Unlimited);
            };
            self.add_mapped(namespace, &status, resources, &mut all)
                .await?;
        }
        // A list of all local namespaces lists one remote namespace, or all of the control plane.
        if self.namespaces.len() > 1 {
            self.add_everywhere(resources, &mut all).await?;
        }
        Ok(Rights::Known(all))
    }

    async fn add_mapped(
        &self,
        namespace: &str,
        status: &RulesStatus,
        resources: &ResourceVerbs,
        to: &mut BTreeMap<(String, String), ResourceRights>,
    ) -> Result<(), RightsError> {
        let rules = status.resource_rules.iter().flatten();
        for ((group, resource), verbs) in resources.iter() {
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
        resources: &ResourceVerbs,
        to: &mut BTreeMap<(String, String), ResourceRights>,
    ) -> Result<(), RightsError> {
        for ((group, resource), verbs) in resources.iter() {
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
            is_final: false,
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
            status => Err(RightsError {
                // Every user may review its own rights, unless system:basic-user is not bound.
                is_final: status == StatusCode::FORBIDDEN,
                ..fail(format!("the control plane answers {status}"))
            }),
        }
    }

    async fn allows(
        &self,
        namespace: &str,
        group: &str,
        resource: &str,
        verb: &str,
    ) -> Result<bool, RightsError> {
        let fail = |problem: String, is_final| RightsError {
            path: ACCESS_REVIEWS,
            problem,
            is_final,
        };
        let left = self.reviews_left.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(1) else {
            let problem = format!("more than {ACCESS_REVIEWS_MAX} reviews would be needed");
            return Err(fail(problem, true));
        };
        self.reviews_left.store(left, Ordering::Relaxed);
        let attributes = json!({
            "group": group, "resource": resource, "namespace": namespace, "verb": verb,
        });
        let allowed = self.client.is_allowed(attributes).await;
        allowed.map_err(|problem| fail(problem, false))
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
