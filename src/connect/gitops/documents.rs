//! The YAML documents for a tool.

use std::fmt;

use kube_wire::yaml;
use serde::Serialize;

use super::super::error::ConnectError;
use super::access::Access;
use super::kubeconfig_file::KubeconfigFile;
use super::{argocd, flux};

/// Maximum length of a document in bytes. An object of Kubernetes is never longer.
const DOCUMENT_BYTES_MAX: usize = 2 << 20;

/// The tool that syncs claims.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tool {
    Kubectl,
    ArgoCd,
    Flux,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kubectl => "kubectl",
            Self::ArgoCd => "Argo CD",
            Self::Flux => "Flux",
        })
    }
}

/// Returns the documents, separated by `---`.
///
/// # Errors
/// A document cannot be serialized.
pub(super) fn write(
    tool: Tool,
    access: &Access,
    project: Option<&str>,
) -> Result<String, ConnectError> {
    let kubeconfig = document(&KubeconfigFile::new(access))?;
    let documents = match tool {
        Tool::Kubectl => vec![kubeconfig],
        Tool::ArgoCd => vec![
            document(&argocd::cluster_secret(access, project)?)?,
            document(&argocd::settings(access))?,
            document(&argocd::application(access, project))?,
        ],
        Tool::Flux => vec![
            document(&flux::kubeconfig_secret(access, kubeconfig))?,
            document(&flux::kustomization(access))?,
        ],
    };
    Ok(documents.join("---\n"))
}

fn document(value: &impl Serialize) -> Result<String, ConnectError> {
    let json = serde_json::to_vec(value)?;
    Ok(yaml::from_json(&json, DOCUMENT_BYTES_MAX)?)
}

#[cfg(test)]
mod tests;
