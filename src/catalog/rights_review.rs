//! One reading of the rights on a control plane.
//!
//! One SelfSubjectRulesReview for each mapped namespace lists the rights there. With some authorizers it is incomplete; a
//! SelfSubjectAccessReview then asks for each right that the rules do not grant (`pkg/apis/authorization/types.go`). It also
//! asks for lists of all namespaces, because the rules do not say whether a right belongs to one namespace.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::discovery::ResourceVerbs;
use super::rights::{ResourceRights, Rights};
use crate::upstream::DocumentClient;

/// Maximum number of access reviews in one reading. If the rules are incomplete, each right needs a review.
const ACCESS_REVIEWS_MAX: usize = 1000;

const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

pub(super) const RULES_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";

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

/// The verbs that a read of all namespaces needs.
const FOLLOW: [&str; 2] = ["list", "watch"];

const ALL: &str = "*";

/// The value for all namespaces in a review.
const EVERYWHERE: &str = "";

/// The reason why rights cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("POST {path}: {problem}")]
pub(super) struct RightsError {
    pub(super) path: &'static str,
    pub(super) problem: String,
    /// Whether the next attempt will fail too.
    pub(super) is_final: bool,
}

/// One reading of rights.
pub(super) struct Review<'a> {
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
    /// If not empty, the rule applies only to these objects.
    #[serde(default)]
    resource_names: Vec<String>,
}

impl<'a> Review<'a> {
    pub(super) fn new(client: &'a DocumentClient, namespaces: &'a [String]) -> Self {
        Self {
            client,
            namespaces,
            reviews_left: AtomicUsize::new(ACCESS_REVIEWS_MAX),
        }
    }

    pub(super) async fn of(&self, resources: &ResourceVerbs) -> Result<Rights, RightsError> {
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
                    let rights = to.entry((group.clone(), resource.clone()));
                    rights.or_default().forbid(namespace, verb);
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
                    let rights = to.entry((group.clone(), resource.clone()));
                    rights.or_default().forbid_everywhere(verb);
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
