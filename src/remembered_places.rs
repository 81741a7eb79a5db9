//! Remembers across restarts where claims are stored, so that the log can warn of changes that hide claims.

use std::io;

use crate::config::{Config, Places};
use crate::state_directory::StateDirectory;

const FILE: &str = "places.json";

/// Compares the configuration with that of the last start, and logs what has changed. Without a state directory, nothing
/// is remembered.
pub(crate) fn check(config: &Config) {
    let Some(directory) = StateDirectory::of(config) else {
        return;
    };
    let file = directory.file(FILE);
    let now = Places::new(config);
    match read(&directory) {
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
    if let Err(error) = write(&directory, &now) {
        tracing::warn!(file = %file.display(), %error, "cannot remember where claims are stored");
    }
}

fn read(directory: &StateDirectory) -> io::Result<Option<Places>> {
    let text = directory.read(FILE)?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?)
}

fn write(directory: &StateDirectory, places: &Places) -> io::Result<()> {
    directory.write(FILE, &serde_json::to_vec(places)?)
}
