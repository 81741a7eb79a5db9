//! The command `claimgate dev`: the daemon with an in-memory control plane, temporary certificates
//! and an example claim API.
//!
//! `workspace` chooses ports and writes the files that the daemon and its user need. `guide` is the
//! text that the command prints.

mod error;
mod guide;
mod workspace;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

pub use self::error::DevError;
use crate::app::App;
use crate::config;
use crate::signals;
use crate::telemetry::log;
use crate::tls;
use claim_mapping::hidden_metadata::WriteEffect;
use claim_mapping::mapping::{Mapping, NameLimit};
use claim_mapping::request::RequestRules;
use claim_mapping::{ReferencePaths, RequestScope};
use dev_control_plane::{DevControlPlane, DevControlPlaneOptions, example};
use json_rewrite::Limits;
use serde_json::Value;
use workspace::Workspace;

/// Time to wait for the daemon to become ready. After it, the guide is printed in any case.
const READY_MAX: Duration = Duration::from_secs(10);
const READY_POLL: Duration = Duration::from_millis(20);

/// Runs a control plane and the daemon until a signal arrives. Writes certificates, kubeconfigs and
/// the daemon's configuration to `dir`, and prints commands to try.
pub async fn run(dir: PathBuf) -> Result<(), DevError> {
    tls::provider::install();
    let stop = signals::listen()?;
    let workspace = Workspace::open(&dir)?;
    let control_plane = start_control_plane(&workspace).await?;
    workspace.write(&control_plane)?;
    let file = workspace.config_file();
    let config = config::load(&file, std::iter::empty())
        .map_err(|problems| DevError::Config { file, problems })?;
    for mapping in config.control_planes.values().map(|one| &one.mapping) {
        let claim = mapped_claim(mapping).map_err(DevError::ExampleMapping)?;
        control_plane.objects(example::CLAIMS)?.create(claim)?;
    }
    log::init(&config.log);
    let app = Box::pin(App::bind(config, stop)).await?;
    let ready = app.readiness();
    let daemon = tokio::spawn(app.run());
    let wait = async {
        while !ready() {
            tokio::time::sleep(READY_POLL).await;
        }
    };
    if tokio::time::timeout(READY_MAX, wait).await.is_err() {
        tracing::warn!("the daemon has no connection to the in-memory control plane yet");
    }
    print(&guide::text(&workspace))?;
    daemon.await.map_err(io::Error::other)?;
    Ok(())
}

async fn start_control_plane(workspace: &Workspace) -> Result<DevControlPlane, DevError> {
    let options = DevControlPlaneOptions {
        address: workspace.control_plane_address(),
        ..example::options()
    };
    let control_plane = DevControlPlane::start(options).await?;
    example::populate(&control_plane)?;
    Ok(control_plane)
}

/// Returns a claim of the app cluster as claimgate writes it to the control plane.
fn mapped_claim(mapping: &Mapping) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let (namespace, name) = ("default", "shop");
    let local = example::claim(namespace, name, 3).to_string();
    let scope = RequestScope::namespace(mapping, namespace, Some(name), NameLimit::default())?;
    let rules = RequestRules::compile(&ReferencePaths::default())?;
    let mut rewriter = rules.object(scope, WriteEffect::Harmless, Limits::default());
    let remote = rewriter.rewrite_all(local.into())?;
    Ok(serde_json::from_slice(&remote)?)
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
