//! The errors of managed Secrets.

use crate::app_cluster::describe;

/// The reason why a Secret is unusable.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot {verb} the Secret {secret}: {}", describe(error))]
    Api {
        verb: &'static str,
        secret: String,
        error: Box<kube::Error>,
    },
    #[error(
        "the Secret {namespace}/{name} does not exist; create it: kubectl --namespace {namespace} create secret generic {name}{arguments}"
    )]
    Missing {
        namespace: String,
        name: String,
        arguments: &'static str,
    },
    #[error(
        "the Secret {secret} is invalid: {problem}; if nothing else uses it, remove its data, and claimgate creates a new certificate"
    )]
    InvalidCertificate { secret: String, problem: String },
    #[error(
        "the Secret {secret} is invalid: {problem}; write a token of the control plane to its key \"token\""
    )]
    InvalidToken { secret: String, problem: String },
    #[error("cannot create a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    #[error(
        "the control plane issues no new token: {0}; if the token has expired, write a new one to the Secret"
    )]
    Renew(String),
}
