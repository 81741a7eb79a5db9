//! Values made from files, replaced when the files' content changes.
//!
//! Content is compared, not names or times: Kubernetes replaces a mounted Secret by renaming a
//! symlink above the file, which no watch on the file's own name would notice. A new content that
//! can't be used is reported and the old value stays in force.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often the files are looked at. A rotated certificate is in use this soon.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

type Parse<T> = dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync;

/// A file that can't be read or used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
pub struct LoadError {
    paths: Vec<PathBuf>,
    problem: String,
}

pub struct Watched<T> {
    paths: Vec<PathBuf>,
    parse: Box<Parse<T>>,
    state: RwLock<State<T>>,
}

struct State<T> {
    /// The content that was looked at last, whether it could be used or not: the same broken file
    /// is reported once.
    seen: Vec<Vec<u8>>,
    value: Arc<T>,
}

impl<T> Watched<T> {
    /// Reads the files and makes the first value of their contents, in the order of `paths`.
    pub fn load(
        paths: Vec<PathBuf>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, LoadError> {
        let made = read(&paths).and_then(|seen| Ok((parse(&seen)?, seen)));
        match made {
            Ok((value, seen)) => {
                let state = RwLock::new(State {
                    seen,
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

    /// The value in force.
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

/// Something that can look at its files again.
pub trait Reload: Send + Sync {
    /// Takes a new content into force; whether there was one.
    fn reload(&self) -> Result<bool, LoadError>;
}

impl<T: Send + Sync> Reload for Watched<T> {
    fn reload(&self) -> Result<bool, LoadError> {
        let problem = |problem| LoadError {
            paths: self.paths.clone(),
            problem,
        };
        let content = read(&self.paths).map_err(problem)?;
        if self
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .seen
            == content
        {
            return Ok(false);
        }
        let made = (self.parse)(&content).map_err(problem);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.seen = content;
        state.value = Arc::new(made?);
        Ok(true)
    }
}

fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    paths
        .iter()
        .map(|path| std::fs::read(path).map_err(|error| error.to_string()))
        .collect()
}

/// Looks at all of them again and again until `stop`.
pub async fn keep_current(all: Vec<Arc<dyn Reload>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        for watched in &all {
            match watched.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!("certificate files changed and are in force"),
                Err(error) => {
                    tracing::warn!(%error, "changed files are not used, the old ones stay in force")
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
    fn a_symlink_swap_is_noticed_and_a_bad_file_is_not_used() {
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
            "the same broken file is reported once"
        );
        assert_eq!(*watched.current(), "two");
    }
}
