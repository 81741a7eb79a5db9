//! The directory in which the daemon keeps what it must know after a restart.

use std::path::PathBuf;
use std::{fs, io};

use crate::config::Config;

/// The folder that systemd creates for `StateDirectory=` (`systemd.exec(5)`). It can name several, separated by colons.
const VARIABLE: &str = "STATE_DIRECTORY";

#[derive(Clone, Debug)]
pub(crate) struct StateDirectory(PathBuf);

impl StateDirectory {
    /// Returns the directory of the configuration or of systemd, or `None` if nothing is kept.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let configured = config.state_directory.clone();
        configured.or_else(of_systemd).map(Self)
    }

    /// Returns the path of a file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Reads a file, or returns `None` if it does not exist.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.file(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces a file as a whole, so that a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.file(&format!("{name}.new"));
        fs::write(&new, bytes)?;
        fs::rename(new, self.file(name))
    }
}

fn of_systemd() -> Option<PathBuf> {
    let folders = std::env::var_os(VARIABLE)?;
    let first = std::env::split_paths(&folders).next()?;
    (!first.as_os_str().is_empty()).then_some(first)
}
