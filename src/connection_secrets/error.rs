//! The errors of copying connection Secrets.

use crate::app_cluster::{describe, is_namespace_terminating};
use crate::claims::Problem;
use crate::config::MissingKey;
use claim_mapping::mapping::ObjectKey;

/// The reason why a connection Secret cannot be copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error("{action}: {}", describe(error))]
    Api {
        action: &'static str,
        error: kube::Error,
    },
    /// The message of the control plane contains remote names.
    #[error("cannot read the Secret on the control plane: {}", describe(.0))]
    ControlPlane(kube::Error),
    #[error(
        "two Secrets of the claim on the control plane would both be copied to the name {0:?}; change their names in the composition"
    )]
    SameName(String),
    #[error(
        "the Secret {:?} exists and is not a copy for this claim; rename or delete it, or change spec.writeConnectionSecretToRef",
        .0.name
    )]
    NotOwned(ObjectKey),
    #[error(
        "cannot render the template of the key {key:?}: {error}; change apis[].secrets.templates"
    )]
    Template { key: String, error: MissingKey },
}

impl CopyError {
    /// Returns a function that converts the error of a failed request.
    pub(super) fn api(action: &'static str) -> impl Fn(kube::Error) -> Self {
        move |error| Self::Api { action, error }
    }

    /// Returns the problem to report to users of the claim. Returns `None` for temporary failures, which are only
    /// logged.
    pub(super) fn problem(&self) -> Option<Problem> {
        let reason = match self {
            Self::Api { error, .. } if is_namespace_terminating(error) => return None,
            Self::Api { error, .. } => match error {
                kube::Error::Api(status) if matches!(status.code, 403 | 422) => "Rejected",
                _ => return None,
            },
            Self::ControlPlane(_) => return None,
            Self::NotOwned(_) => "SecretNotOwned",
            Self::SameName(_) => "SameName",
            Self::Template { .. } => "InvalidTemplate",
        };
        Some(Problem {
            reason,
            message: format!("cannot copy the connection Secret: {self}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rejection(causes: &serde_json::Value) -> CopyError {
        let status = json!({"status": "Failure", "code": 403, "details": {"causes": causes}});
        let status = serde_json::from_value(status).unwrap();
        CopyError::api("cannot create the copy")(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn creates_in_terminating_namespaces_are_not_reported() {
        let terminating =
            json!([{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]);
        assert!(rejection(&terminating).problem().is_none());
        assert_eq!(rejection(&json!([])).problem().unwrap().reason, "Rejected");
    }
}
