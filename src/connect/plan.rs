//! Shows what a command will write, asks for confirmation, and writes.

use std::io::{BufRead, Write};

use super::clusters::Cluster;
use super::error::ConnectError;
use super::manifest::{Manifest, State};

/// Returns one line for each object, with what happens to it.
///
/// # Errors
/// An object exists and belongs to someone else or is being deleted, or the cluster rejects a request.
pub(super) async fn lines(
    cluster: &Cluster,
    manifests: &[Manifest],
) -> Result<String, ConnectError> {
    let mut lines = String::new();
    for manifest in manifests {
        let state = manifest.state(&cluster.client).await;
        let state = state.map_err(cluster.failed(format!("read {manifest}")))?;
        let what = match state {
            State::Absent => "create",
            State::Own { .. } => "update",
            State::Terminating => return Err(ConnectError::BeingDeleted(manifest.to_string())),
            State::Foreign if manifest.kind() == "Namespace" => "use",
            State::Foreign => return Err(ConnectError::Taken(manifest.to_string())),
        };
        lines += &format!("  {what} {manifest}\n");
    }
    Ok(lines)
}

/// Asks the user for confirmation on `output`, unless `yes` is set.
///
/// # Errors
/// The answer is not yes.
pub(super) fn confirm(yes: bool, mut output: impl Write) -> Result<(), ConnectError> {
    if yes {
        return Ok(());
    }
    write!(output, "Continue? [y/N] ")?;
    output.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(ConnectError::NotConfirmed),
    }
}

/// Creates or changes the objects, in their order.
///
/// # Errors
/// The cluster rejects a request or cannot be reached.
pub(super) async fn apply(cluster: &Cluster, manifests: &[Manifest]) -> Result<(), ConnectError> {
    for manifest in manifests {
        let applied = manifest.apply(&cluster.client).await;
        applied.map_err(cluster.failed(format!("write {manifest}")))?;
    }
    Ok(())
}
