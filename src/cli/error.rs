use std::io;
use std::path::PathBuf;

use crate::app::StartError;
use crate::config::Problems;
#[cfg(feature = "app-cluster")]
use crate::connect::ConnectError;
#[cfg(feature = "dev")]
use crate::dev;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[cfg(feature = "app-cluster")]
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[cfg(feature = "dev")]
    #[error(transparent)]
    Dev(#[from] dev::DevError),
    #[error("{0}")]
    InvalidConfig(Problems),
    /// The configuration is invalid, and its problems were printed to stdout.
    #[error("the configuration is invalid")]
    InvalidConfigPrinted,
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No control plane maps the name that a command was asked about.
    #[error("{0}")]
    NotMapped(String),
    /// The failures were printed to stdout.
    #[cfg(feature = "app-cluster")]
    #[error("checks failed; see above")]
    PreflightFailed,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}")]
    Status(String),
    /// The reason was printed to stdout.
    #[error("control plane {0:?} cannot be reached")]
    Unreachable(String),
    #[error("control plane {name:?} is not configured; use one of {known}")]
    UnknownControlPlane { name: String, known: String },
    #[error("cannot write man pages into {dir:?}: {error}")]
    WriteManPages { dir: PathBuf, error: io::Error },
}

impl CommandError {
    /// Returns 2 for wrong arguments or an invalid configuration, and 1 for all other failures.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InvalidConfig(_)
            | Self::InvalidConfigPrinted
            | Self::UnknownControlPlane { .. } => 2,
            #[cfg(feature = "app-cluster")]
            Self::Connect(ConnectError::InvalidName(_)) => 2,
            #[cfg(feature = "app-cluster")]
            Self::Connect(_) | Self::PreflightFailed => 1,
            #[cfg(feature = "dev")]
            Self::Dev(_) => 1,
            Self::Io(_)
            | Self::NotMapped(_)
            | Self::Start(_)
            | Self::Status(_)
            | Self::Unreachable(_)
            | Self::WriteManPages { .. } => 1,
        }
    }
}
