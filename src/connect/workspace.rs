//! The folder of a daemon on this machine.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::daemon_config;
use super::error::ConnectError;
use super::private_file;
use super::session::Session;

const APP_KUBECONFIG: &str = "app.kubeconfig";

/// The folder.
pub(super) struct Workspace(PathBuf);

impl Workspace {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    /// It cannot be created.
    pub(super) fn open(dir: &Path) -> Result<Self, ConnectError> {
        let failed = |error| ConnectError::File {
            path: dir.to_owned(),
            error,
        };
        // The kubeconfig can contain a private key.
        let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        created.map_err(failed)?;
        Ok(Self(dir.canonicalize().map_err(failed)?))
    }

    /// Writes all files. Returns the configuration file.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn write(&self, session: &Session, address: &str) -> Result<PathBuf, ConnectError> {
        self.put(APP_KUBECONFIG, &session.app.kubeconfig()?)?;
        for (name, text) in daemon_config::on_this_machine(session, address, APP_KUBECONFIG)? {
            self.put(&name, &text)?;
        }
        Ok(self.0.join("claimgate.yaml"))
    }

    fn put(&self, name: &str, text: &str) -> Result<(), ConnectError> {
        let path = self.0.join(name);
        private_file::replace(&path, text).map_err(|error| ConnectError::File { path, error })
    }
}
