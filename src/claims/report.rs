//! Reports problems to the users of a claim: with an event in the app cluster and a condition of the claim.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::{Value, json};

use super::claim::{Claim, api_resource};
use crate::app_cluster::{describe, write_parameters};
use crate::object_key::Key;

/// The reason why a controller cannot copy something for a claim.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// The reason in CamelCase, for programs.
    pub(crate) reason: &'static str,
    /// The message for users, with local names.
    pub(crate) message: String,
}

/// Reports the problems of one controller, each once.
pub(crate) struct ClaimReport {
    /// The type of the condition that is true without problems.
    condition: &'static str,
    events: Recorder,
    control_plane: kube::Client,
    reported: Mutex<HashMap<Key, Problem>>,
}

impl ClaimReport {
    pub(crate) fn new(
        condition: &'static str,
        app_cluster: kube::Client,
        control_plane: kube::Client,
    ) -> Self {
        let reporter = Reporter {
            controller: "claimgate".to_owned(),
            instance: std::env::var("HOSTNAME").ok(),
        };
        Self {
            condition,
            events: Recorder::new(app_cluster, reporter),
            control_plane,
            reported: Mutex::default(),
        }
    }

    /// Reports a problem of a claim, or `None` if it has no problem. Does nothing if the same was reported before.
    /// Returns false if the condition could not be written.
    pub(crate) async fn report(&self, claim: &Claim, problem: Option<Problem>) -> bool {
        let before = self.reported().get(&*claim.uid).cloned();
        let is_false = claim.false_conditions.iter().any(|it| it == self.condition);
        if before == problem && (problem.is_some() || !is_false) {
            return true;
        }
        if let Some(problem) = problem.as_ref().filter(|_| before != problem) {
            tracing::warn!(
                claim = claim.local_name(),
                kind = claim.resource.kind,
                "{}",
                problem.message
            );
            let published = self
                .events
                .publish(&event(problem), &local_reference(claim))
                .await;
            if let Err(error) = published {
                tracing::warn!(error = describe(&error), "cannot write an event of a claim");
            }
        }
        if let Err(error) = self.set_condition(claim, problem.as_ref()).await {
            tracing::debug!(
                error = describe(&error),
                "cannot write a condition of a claim; claimgate tries again"
            );
            return false;
        }
        match problem {
            Some(problem) => self.reported().insert(claim.uid.as_str().into(), problem),
            None => self.reported().remove(&*claim.uid),
        };
        true
    }

    fn reported(&self) -> MutexGuard<'_, HashMap<Key, Problem>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a claim that is gone.
    pub(crate) fn forget(&self, claim: &str) {
        self.reported().remove(claim);
    }

    /// Returns the number of claims with a problem.
    pub(crate) fn problems(&self) -> usize {
        self.reported().len()
    }

    /// Writes the condition. The write names the resourceVersion that was read, so no other condition is lost.
    async fn set_condition(
        &self,
        claim: &Claim,
        problem: Option<&Problem>,
    ) -> Result<(), kube::Error> {
        let resource = api_resource(&claim.resource);
        let namespace = &claim.remote.namespace;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.control_plane.clone(), namespace, &resource);
        let Some(mut object) = api.get_opt(&claim.remote.name).await? else {
            return Ok(());
        };
        // Another claim may have the name now.
        if object.metadata.uid.as_ref() != Some(&claim.uid) {
            return Ok(());
        }
        if !put_condition(&mut object.data, self.condition, problem) {
            return Ok(());
        }
        api.replace_status(&claim.remote.name, &write_parameters(), &object)
            .await?;
        Ok(())
    }
}

/// Sets the condition of an object. Returns whether the object changes.
fn put_condition(object: &mut Value, condition: &str, problem: Option<&Problem>) -> bool {
    let (status, reason, message) = match problem {
        Some(problem) => ("False", problem.reason, &*problem.message),
        None => ("True", "Copied", ""),
    };
    let Some(object) = object.as_object_mut() else {
        return false;
    };
    let fields = object.entry("status").or_insert_with(|| json!({}));
    let Some(fields) = fields.as_object_mut() else {
        return false;
    };
    let conditions = fields.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else {
        return false;
    };
    let known = conditions
        .iter_mut()
        .find(|known| known["type"] == condition);
    // Without a problem, a claim needs no condition.
    if known.is_none() && problem.is_none() {
        return false;
    }
    let new = json!({
        "type": condition,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    match known {
        Some(known)
            if known["status"] == status
                && known["reason"] == reason
                && known["message"] == message =>
        {
            false
        }
        Some(known) => {
            *known = new;
            true
        }
        None => {
            conditions.push(new);
            true
        }
    }
}

fn event(problem: &Problem) -> Event {
    Event {
        type_: EventType::Warning,
        reason: problem.reason.to_owned(),
        note: Some(problem.message.clone()),
        action: "Copy".to_owned(),
        secondary: None,
    }
}

/// Returns the claim as the app cluster knows it.
pub(crate) fn local_reference(claim: &Claim) -> ObjectReference {
    ObjectReference {
        api_version: Some(claim.resource.api_version()),
        kind: Some(claim.resource.kind.clone()),
        namespace: Some(claim.local.namespace.clone()),
        name: Some(claim.local.name.clone()),
        uid: Some(claim.uid.clone()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_appears_with_a_problem_and_becomes_true_without() {
        let ready = json!({"type": "Ready", "status": "True"});
        let mut object = json!({"status": {"conditions": [ready]}});
        assert!(!put_condition(&mut object, "Copied", None));
        let problem = Problem {
            reason: "NotOwned",
            message: "taken".to_owned(),
        };
        assert!(put_condition(&mut object, "Copied", Some(&problem)));
        assert!(!put_condition(&mut object, "Copied", Some(&problem)));
        let conditions = &object["status"]["conditions"];
        assert_eq!(conditions[0], ready);
        assert_eq!(conditions[1]["status"], "False");
        assert!(put_condition(&mut object, "Copied", None));
        assert_eq!(object["status"]["conditions"][1]["status"], "True");
        let mut empty = json!({});
        assert!(put_condition(&mut empty, "Copied", Some(&problem)));
    }
}
