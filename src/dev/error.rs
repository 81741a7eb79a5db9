//! The errors of `claimgate dev`.

use std::io;
use std::path::{Path, PathBuf};

use crate::app;
use crate::config::Problems;
use dev_control_plane::StatusError;
use dev_control_plane::certificates::CertificateError;

/// The reason why `claimgate dev` cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("claimgate rejects the configuration that it wrote to {file}: {problems}")]
    Config { file: PathBuf, problems: Problems },
    #[error("cannot start the in-memory control plane: {0}")]
    ControlPlane(#[from] dev_control_plane::LaunchError),
    #[error("cannot map the example claim: {0}")]
    ExampleMapping(Box<dyn std::error::Error + Send + Sync>),
    #[error("the in-memory control plane rejects the example claims: {0}")]
    Example(#[from] StatusError),
    #[error("{path}: {source}; choose another folder with --dir")]
    File { path: PathBuf, source: io::Error },
    #[error("no port of the loopback address is free: {0}")]
    Port(io::Error),
    #[error(transparent)]
    Start(#[from] app::StartError),
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Returns a function that adds the path to an I/O error.
pub(super) fn file_error(path: &Path) -> impl FnOnce(io::Error) -> DevError {
    let path = path.to_owned();
    move |source| DevError::File { path, source }
}
