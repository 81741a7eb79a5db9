//! Reads the rights on a control plane when they may have changed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::discovery::{Group, ResourceVerbs};
use super::rights::{MissingRight, Rights};
use super::rights_review::{RULES_REVIEWS, Review, RightsError};
use crate::upstream::{DocumentClient, STARTING_MAX};

/// How long rights are used before they are read again. They are read earlier if the resources change or if the control
/// plane forbids a request.
const READ_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum time to read the rights.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Time between a review in which rights are missing and the review that confirms this.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);

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

/// A review in which rights are missing. A later review must confirm it.
struct Loss {
    seen_at: Instant,
    missing: BTreeSet<MissingRight>,
}

impl RightsReader {
    pub(super) fn new(namespaces: Vec<String>) -> Self {
        Self {
            namespaces,
            last: None,
            loss: None,
        }
    }

    /// Returns the current rights on the resources of `groups`. If `are_stale` is set, reads them now.
    ///
    /// If the rights cannot be read, returns the previous rights. If the control plane never answers reviews,
    /// everything is offered. A right counts as lost only if a second review confirms this.
    ///
    /// # Errors
    /// The rights on some resource were never read, and the control plane does not answer or must confirm a loss.
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
        let reviewed = reviewed.unwrap_or_else(|_| Err(timeout()));
        let rights = match (reviewed, &self.last) {
            (Ok(rights), _) => rights,
            (Err(error), Some(last)) if last.covers(&resources) => {
                tracing::debug!(control_plane = client.name(), %error, "cannot read the rights");
                return Ok(last.rights.clone());
            }
            (Err(error), _) if error.is_final => {
                tracing::warn!(control_plane = client.name(), %error, "cannot read the rights; discovery lists all verbs");
                Rights::Unlimited
            }
            (Err(error), _) => return Err(error),
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

    /// Returns whether the last review lacks rights that a later one must confirm.
    pub(super) fn is_confirming_loss(&self) -> bool {
        self.loss.is_some()
    }

    /// Returns whether the rights can be used: either no additional rights are missing, or a second review confirms
    /// this. A kube-apiserver that is starting forbids everything until it has read its roles.
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

    /// Returns the previous rights, and the new rights for new resources.
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

impl LastRead {
    /// Returns whether the rights on all these resources were read.
    fn covers(&self, resources: &ResourceVerbs) -> bool {
        resources
            .iter()
            .all(|(key, _)| self.resources.get(key).is_some())
    }
}

fn timeout() -> RightsError {
    RightsError {
        path: RULES_REVIEWS,
        problem: format!("not complete after {} s", READ_TIMEOUT.as_secs()),
        is_final: false,
    }
}
