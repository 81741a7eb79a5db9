//! The folder of a daemon on this machine.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::daemon_config;
use super::error::ConnectError;
use super::installation::Files;
use super::private_file;
use super::session::Session;

const APP_KUBECONFIG: &str = "app.kubeconfig";

/// The file with the configuration.
const CONFIG: &str = "claimgate.yaml";

/// Returns the files in the folder of a daemon that listens on this address.
///
/// # Errors
/// The address of the control plane needs a setting that the configuration does not have.
pub(super) fn files(session: &Session, address: &str) -> Result<Files, ConnectError> {
    let mut files = daemon_config::on_this_machine(session, address, APP_KUBECONFIG)?;
    files.insert(APP_KUBECONFIG.to_owned(), session.app.kubeconfig()?);
    Ok(files)
}

/// The folder.
#[derive(Debug)]
pub(super) struct Workspace(PathBuf);

impl Workspace {
    /// Creates the folder if it does not exist. Checks that files can be created in it.
    ///
    /// # Errors
    /// The folder or a file cannot be created.
    pub(super) fn open(dir: &Path) -> Result<Self, ConnectError> {
        let failed = |error| ConnectError::File {
            path: dir.to_owned(),
            error,
        };
        // The kubeconfig can contain a private key.
        let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        created.map_err(failed)?;
        private_file::check_writable(dir).map_err(failed)?;
        Ok(Self(dir.canonicalize().map_err(failed)?))
    }

    /// Writes all files. Returns the configuration file.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn write(&self, files: &Files) -> Result<PathBuf, ConnectError> {
        for (name, text) in files {
            let path = self.0.join(name);
            private_file::replace(&path, text)
                .map_err(|error| ConnectError::File { path, error })?;
        }
        Ok(self.0.join(CONFIG))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folder_is_created_and_stays_empty_until_files_are_written() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a/b");
        let workspace = Workspace::open(&dir).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        let files = Files::from([(CONFIG.to_owned(), "a: b".to_owned())]);
        let written = workspace.write(&files).unwrap();
        assert_eq!(fs::read_to_string(written).unwrap(), "a: b");
    }

    #[test]
    fn folder_in_which_no_file_can_be_created_is_rejected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for dir in [
            file.path().to_owned(),
            file.path().join("a"),
            // The superuser too cannot create files here.
            PathBuf::from("/proc/sys"),
        ] {
            let error = Workspace::open(&dir).unwrap_err().to_string();
            assert!(error.contains("--dir"), "{error}");
        }
    }
}
