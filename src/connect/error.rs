//! The errors of `connect`, `disconnect` and `kubeconfig`.

use std::path::PathBuf;

use super::token::TokenError;
use crate::app::StartError;
use crate::app_cluster::describe;
use crate::config::Problems;
use kube_wire::yaml::YamlError;

/// The reason why one of these commands fails.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("claimgate rejects the configuration that it wrote to {file}: {problems}")]
    Config { file: PathBuf, problems: Problems },
    #[error("context {context:?}: {error}")]
    Context {
        context: String,
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{path}: {error}; choose another folder with --dir")]
    File {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{0}")]
    InvalidName(String),
    #[error("cannot read the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("nothing was changed, because checks failed; see docs/src/install/connect.md\n  {0}")]
    Preflight(String),
    #[error("the kubeconfig has no current context; select a context with --context")]
    NoContext,
    #[error(
        "context {context:?}: the API group {group:?} has no namespaced resources; correct --apis"
    )]
    NotAnApiGroup { context: String, group: String },
    #[error("context {context:?}: the namespace {namespace:?} does not exist; create it")]
    NoNamespace { context: String, namespace: String },
    #[error("context {0:?} has no claim APIs; create one, or name API groups with --apis")]
    NoClaims(String),
    #[error(
        "the namespace {namespace:?} of the control plane already belongs to another app cluster with the name {cluster:?}; choose another --name, or remove the annotation {annotation} from the namespace to hand it over"
    )]
    OtherCluster {
        namespace: String,
        cluster: String,
        annotation: String,
    },
    #[error("not confirmed; nothing was changed")]
    NotConfirmed,
    #[error(
        "the clusters are connected, but requests for {group} fail after 60 s: {problem}. The API server of the app cluster must reach {address}; set another address with --advertise-host, or disconnect the clusters"
    )]
    NotServed {
        group: String,
        problem: String,
        address: String,
    },
    #[error(
        "the clusters are connected, but requests for {group} fail after 3 minutes: {problem}. Look at the pods: kubectl --namespace {namespace} describe deployment {deployment}; or disconnect the clusters"
    )]
    NotServedByPods {
        group: String,
        problem: String,
        namespace: String,
        deployment: String,
    },
    #[error(
        "context {context:?}: the control plane does not trust tokens of the app cluster: {problem}.\n{instructions}\nThen run this command again: it continues"
    )]
    NotTrusted {
        context: String,
        problem: String,
        instructions: String,
    },
    #[error("context {context:?}: cannot {doing}: {}", describe(error))]
    Request {
        context: String,
        doing: String,
        error: Box<kube::Error>,
    },
    #[error("cannot serialize an object: {0}")]
    Serialize(#[from] serde_json::Error),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("context {context:?}: {problem}")]
    Unusable { context: String, problem: String },
    #[error("cannot write YAML: {0}")]
    Yaml(#[from] YamlError),
    #[error("{0} exists and was not created by claimgate; delete or rename it")]
    Taken(String),
    #[error(
        "the app cluster is already connected as {0}; use the same options, disconnect it first, or choose another --system-namespace"
    )]
    Connected(String),
    #[error(
        "the app cluster is connected as {installed}; use the options of connect, so that its claims are found"
    )]
    OtherConnection { installed: String },
    #[error("cannot listen on {address}: {error}; choose another --port")]
    Port {
        address: String,
        error: std::io::Error,
    },
    #[error(
        "the contexts {app:?} and {control_plane:?} lead to the same cluster; select another app cluster with --context"
    )]
    SameCluster { app: String, control_plane: String },
    #[error("{0} is being deleted; wait until it is gone, and repeat the command")]
    BeingDeleted(String),
    #[error(
        "{count} claims of this app cluster exist on the control plane; add --claims keep or --claims delete"
    )]
    ClaimsExist { count: usize },
    #[error(
        "the app cluster {cluster:?} uses the namespace {namespace:?} of the control plane too, and with --map claims have no mark of their app cluster; nothing was changed. Delete the claims of this app cluster with kubectl, and then use --claims keep. If {cluster:?} no longer uses the namespace, remove the annotation {annotation} from it"
    )]
    ClaimsOfOthers {
        namespace: String,
        cluster: String,
        annotation: String,
    },
    #[error(
        "claims still exist after 5 minutes, because their resources are not deleted yet; repeat the command later"
    )]
    ClaimsRemain,
}
