//! Values that are read from files, and replaced when the content of the files changes.
//!
//! Contents are compared, not names or times, because Kubernetes replaces a mounted Secret by renaming a
//! symlink above the file. Invalid content is logged, and the old value stays in use.
//!
//! Files are polled. inotify (crate `notify`) would not report the renamed symlink, and does not work on all
//! network file systems. Polling a few small files is cheap.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Time between two reads of the files. A rotated certificate is in use after at most this time.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

type Parse<T> = dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync;

/// A file that is unreadable or whose content is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
pub struct LoadError {
    paths: Vec<PathBuf>,
    problem: String,
}

/// A value and the files that it is made from.
pub struct Watched<T> {
    paths: Vec<PathBuf>,
    parse: Box<Parse<T>>,
    state: RwLock<State<T>>,
}

struct State<T> {
    /// The contents that were read last, valid or not, so that an invalid file is reported only once.
    contents: Vec<Vec<u8>>,
    value: Arc<T>,
}

impl<T> Watched<T> {
    /// Reads the files and makes the first value. `parse` gets their contents in the order of `paths`.
    pub fn load(
        paths: Vec<PathBuf>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, LoadError> {
        let loaded = read(&paths).and_then(|contents| Ok((parse(&contents)?, contents)));
        match loaded {
            Ok((value, contents)) => {
                let state = RwLock::new(State {
                    contents,
                    value: Arc::new(value),
                });
                Ok(Arc::new(Self {
                    paths,
                    parse: Box::new(parse),
                    state,
                }))
            }
            Err(problem) => Err(LoadError { paths, problem }),
        }
    }

    /// Returns the current value.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(
            &self
                .state
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .value,
        )
    }
}

/// A value that can be reloaded from its files.
pub trait Reload: Send + Sync {
    /// Replaces the value if the contents changed, and returns whether they did.
    ///
    /// # Errors
    /// A file is unreadable or its content is invalid; the old value stays in use.
    fn reload(&self) -> Result<bool, LoadError>;
}

impl<T: Send + Sync> Reload for Watched<T> {
    fn reload(&self) -> Result<bool, LoadError> {
        let problem = |problem| LoadError {
            paths: self.paths.clone(),
            problem,
        };
        let contents = read(&self.paths).map_err(problem)?;
        if self
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contents
            == contents
        {
            return Ok(false);
        }
        let value = (self.parse)(&contents).map_err(problem);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.contents = contents;
        state.value = Arc::new(value?);
        Ok(true)
    }
}

fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    paths
        .iter()
        .map(|path| std::fs::read(path).map_err(|error| error.to_string()))
        .collect()
}

/// Reloads all values every `POLL_INTERVAL` until `stop` is cancelled.
pub async fn reload_periodically(all: Vec<Arc<dyn Reload>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
        for watched in &all {
            match watched.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!("changed files were reloaded"),
                Err(error) => {
                    tracing::warn!(%error, "changed files are invalid; the previous ones stay in use")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &[Vec<u8>]) -> Result<String, String> {
        let text = String::from_utf8(files.concat()).map_err(|e| e.to_string())?;
        if text.contains("bad") {
            Err("bad content".into())
        } else {
            Ok(text)
        }
    }

    #[test]
    fn symlink_swap_is_noticed_and_invalid_file_keeps_the_old_value() {
        let dir = tempfile::tempdir().unwrap();
        for (version, content) in [("1", "one"), ("2", "two"), ("3", "bad")] {
            std::fs::create_dir(dir.path().join(version)).unwrap();
            std::fs::write(dir.path().join(version).join("tls.crt"), content).unwrap();
        }
        let swap = |version: &str| {
            let link = dir.path().join("..data");
            let next = dir.path().join("..data_tmp");
            std::os::unix::fs::symlink(version, &next).unwrap();
            std::fs::rename(next, link).unwrap();
        };
        swap("1");
        std::os::unix::fs::symlink("..data/tls.crt", dir.path().join("tls.crt")).unwrap();
        let watched = Watched::load(vec![dir.path().join("tls.crt")], text).unwrap();
        assert_eq!(*watched.current(), "one");
        assert!(!watched.reload().unwrap());
        swap("2");
        assert!(watched.reload().unwrap());
        assert_eq!(*watched.current(), "two");
        swap("3");
        assert!(
            watched
                .reload()
                .unwrap_err()
                .to_string()
                .contains("bad content")
        );
        assert!(
            !watched.reload().unwrap(),
            "the same invalid file is reported once"
        );
        assert_eq!(*watched.current(), "two");
    }
}
