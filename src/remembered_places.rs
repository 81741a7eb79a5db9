//! Remembers where claims are stored over restarts, so that the log warns of changes that hide claims.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::config::{Config, Places};

/// The folder that systemd creates for `StateDirectory=` (`systemd.exec(5)`). It can name several, separated by colons.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

const FILE: &str = "places.json";

/// Compares the configuration with that of the last start, and logs what has changed. Without a state directory, nothing
/// is remembered.
pub(crate) fn check(config: &Config) {
    let Some(file) = file() else {
        return;
    };
    let now = Places::new(config);
    match read(&file) {
        Ok(Some(before)) => {
            for warning in now.changes_since(&before) {
                let (key, cure) = (&warning.key, &warning.cure);
                tracing::warn!(key, cure, "{}", warning.problem);
            }
        }
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "cannot read where claims were stored before")
        }
    }
    if let Err(error) = write(&file, &now) {
        tracing::warn!(file = %file.display(), %error, "cannot remember where claims are stored");
    }
}

fn file() -> Option<PathBuf> {
    let folders = std::env::var_os(STATE_DIRECTORY)?;
    let first = std::env::split_paths(&folders).next()?;
    (!first.as_os_str().is_empty()).then(|| first.join(FILE))
}

fn read(file: &Path) -> io::Result<Option<Places>> {
    match fs::read(file) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(file: &Path, places: &Places) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec(places)?)?;
    fs::rename(new, file)
}
