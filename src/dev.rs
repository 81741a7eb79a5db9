//! What `claimgate dev` needs beyond the daemon: an in-memory control plane, throw-away
//! certificates and an example claim API. The integration tests stand on the same code.
//!
//! Nothing in here is used by `claimgate serve`, and nothing in here knows of namespace mappings.

pub mod certificates;
pub mod control_plane;
pub mod example;

#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct DevError;
pub async fn run(_: std::path::PathBuf) -> Result<(), DevError> {
    Ok(())
}
