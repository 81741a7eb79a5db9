//! Why an object cannot be copied to the control plane.

use crate::app_cluster::describe;
use crate::claims::Problem;

/// The reason why an object cannot be copied to the control plane. Names are local.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("{action}: {}", describe(error))]
    Api {
        action: &'static str,
        error: kube::Error,
    },
    #[error("{path} of the claim is not set; set it to the name of a {kind}")]
    NoReference { path: String, kind: &'static str },
    #[error(
        "the {kind} {name:?} does not exist or lacks the label claimgate.dev/input: \"true\"; create it, or add the label"
    )]
    NotFound { kind: &'static str, name: String },
    #[error(
        "the control plane has a {kind} that has the name of the copy of {name:?}; use another name, or ask the platform team to remove it"
    )]
    NotOwned { kind: &'static str, name: String },
    #[error("the {kind}s of the app cluster are not known yet")]
    NotListed { kind: &'static str },
    #[error("the name {name:?} is too long for a copy; use a shorter one")]
    NameTooLong { name: String },
}

impl InputError {
    /// Returns a function that makes an error of a failed request.
    pub(super) fn api(action: &'static str) -> impl Fn(kube::Error) -> Self {
        move |error| Self::Api { action, error }
    }

    /// Returns whether the same work may succeed later without a change that a watch reports.
    pub(super) fn may_succeed_later(&self) -> bool {
        match self {
            Self::Api { .. } | Self::NotListed { .. } | Self::NotOwned { .. } => true,
            Self::NoReference { .. } | Self::NotFound { .. } | Self::NameTooLong { .. } => false,
        }
    }

    /// Returns what users of the claim need to know. Failures that end by themselves are only logged, and so are messages
    /// of the control plane, which contain remote names.
    pub(super) fn problem(&self) -> Option<Problem> {
        let (reason, message) = match self {
            Self::Api { error, .. } => match error {
                kube::Error::Api(status) if matches!(status.code, 403 | 422) => (
                    "Rejected",
                    "a cluster rejects a copy of an input; the log of claimgate has the reason"
                        .to_owned(),
                ),
                _ => return None,
            },
            Self::NotListed { .. } => return None,
            Self::NoReference { .. } => ("ReferenceNotSet", self.to_string()),
            Self::NotFound { .. } => ("InputNotFound", self.to_string()),
            Self::NotOwned { .. } => ("InputNotOwned", self.to_string()),
            Self::NameTooLong { .. } => ("NameTooLong", self.to_string()),
        };
        Some(Problem { reason, message })
    }
}
