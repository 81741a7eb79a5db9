//! The errors of copying objects to the control plane.

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
        "the control plane already has a {kind} with the name that the copy of {name:?} needs; use another name, or ask the platform team to remove it"
    )]
    NotOwned { kind: &'static str, name: String },
    #[error("claimgate has not read the {kind}s of the app cluster yet")]
    NotListed { kind: &'static str },
    #[error("the name {name:?} is too long for a copy; use a shorter one")]
    NameTooLong { name: String },
}

impl InputError {
    /// Returns a function that converts the error of a failed request.
    pub(super) fn api(action: &'static str) -> impl Fn(kube::Error) -> Self {
        move |error| Self::Api { action, error }
    }

    /// Returns whether another attempt may succeed although no watch reports a change.
    pub(super) fn may_succeed_later(&self) -> bool {
        match self {
            Self::Api { .. } | Self::NotListed { .. } | Self::NotOwned { .. } => true,
            Self::NoReference { .. } | Self::NotFound { .. } | Self::NameTooLong { .. } => false,
        }
    }

    /// Returns the problem to report to users of the claim. Returns `None` for temporary failures, which are only
    /// logged. Leaves out messages of the control plane, because they contain remote names.
    pub(super) fn problem(&self) -> Option<Problem> {
        let (reason, message) = match self {
            Self::Api { error, .. } => match error {
                kube::Error::Api(status) if matches!(status.code, 403 | 422) => (
                    "Rejected",
                    "a cluster rejects the copy of an input; claimgate logs the reason at the level debug"
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
