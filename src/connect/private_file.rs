//! Files that only their owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::ConnectError;

/// Checks that files can be created in a folder, with an empty file that is removed again.
pub(super) fn check_writable(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".{}.check", uuid::Uuid::new_v4()));
    create(&path)?;
    fs::remove_file(path)
}

/// Creates a file that only its owner can read.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)
}

/// Writes or replaces a file. A reader sees either the old or the new content, never a part.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // The file is written under a new name, because an existing file would keep its mode.
    let new = path.with_extension(format!("{}.new", uuid::Uuid::new_v4()));
    create(&new)?.write_all(text.as_bytes())?;
    fs::rename(new, path)
}

/// Checks that the folder of a file exists, before anything is written.
///
/// # Errors
/// Its folder does not exist.
pub(super) fn check_directory(path: &Path) -> Result<(), ConnectError> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    match parent.is_none_or(Path::is_dir) {
        true => Ok(()),
        false => Err(ConnectError::InvalidName(format!(
            "--credential-file: the folder of {} does not exist; create it",
            path.display()
        ))),
    }
}
