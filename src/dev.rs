//! What `claimgate dev` needs beyond the daemon: an in-memory control plane, throw-away
//! certificates and an example claim API. The integration tests stand on the same code.
//!
//! Nothing in here is used by `claimgate serve`. `certificates`, `control_plane` and `example`
//! know nothing of claimgate; `workspace` writes what a first look needs, `guide` explains it.

pub mod certificates;
pub mod control_plane;
pub mod example;
mod guide;
mod workspace;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::{self, App};
use crate::config::{self, Problems};
use crate::{log, signals};
use certificates::CertificateError;
use control_plane::{ApiError, ControlPlane};
use workspace::Workspace;

/// Why there is no first look.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the configuration written to {file} is not accepted: {problems}")]
    Config { file: PathBuf, problems: Problems },
    #[error("the in-memory control plane does not start: {0}")]
    ControlPlane(#[from] control_plane::StartError),
    #[error("the in-memory control plane refuses the example: {0}")]
    Example(#[from] ApiError),
    #[error("{path}: {source}; choose another folder with --dir")]
    File { path: PathBuf, source: io::Error },
    #[error("no free port on the loopback address: {0}")]
    Port(io::Error),
    #[error(transparent)]
    Start(#[from] app::StartError),
    #[error(transparent)]
    System(#[from] io::Error),
}

/// How long the daemon may take to see the control plane before the guide is printed anyway.
const READY_MAX: Duration = Duration::from_secs(10);
const READY_POLL: Duration = Duration::from_millis(20);

/// Runs a control plane and the daemon in front of it until a signal comes. Certificates,
/// kubeconfigs and the daemon's configuration are written to `dir`, commands to try to stdout.
pub async fn run(dir: PathBuf) -> Result<(), DevError> {
    let stop = signals::listen()?;
    let workspace = Workspace::open(&dir)?;
    let control_plane = start_control_plane(&workspace).await?;
    workspace.write(&control_plane)?;
    let file = workspace.config_file();
    let config = config::load(&file, std::iter::empty())
        .map_err(|problems| DevError::Config { file, problems })?;
    log::init(&config.log);
    let app = App::bind(config, stop).await?;
    let ready = app.readiness();
    let daemon = tokio::spawn(app.run());
    let wait = async {
        while !ready() {
            tokio::time::sleep(READY_POLL).await;
        }
    };
    if tokio::time::timeout(READY_MAX, wait).await.is_err() {
        tracing::warn!("the daemon has not seen its control plane yet");
    }
    print(&guide::text(&workspace))?;
    daemon.await.map_err(io::Error::other)?;
    Ok(())
}

async fn start_control_plane(workspace: &Workspace) -> Result<ControlPlane, DevError> {
    let options = control_plane::Options {
        address: workspace.control_plane_address(),
        ..example::options()
    };
    let control_plane = ControlPlane::start(options).await?;
    example::populate(&control_plane)?;
    Ok(control_plane)
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> DevError {
    let path = path.to_owned();
    move |source| DevError::File { path, source }
}
