//! Logs to stderr, as text or as JSON lines.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::config::{Log, LogFormat};

const VARIABLE: &str = "RUST_LOG";

/// Starts logging for the process. `RUST_LOG` overrides the configured level if it is valid and not
/// empty. A second call has no effect.
pub(crate) fn init(log: &Log) {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let from_environment = variable.map(|text| text.parse::<Targets>()).transpose();
    let json = match log.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let filter = match &from_environment {
        Ok(Some(filter)) => filter.clone(),
        Ok(None) | Err(_) => log.level.clone(),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = if json {
        layer.json().boxed()
    } else {
        layer.boxed()
    };
    // Fails if logging was started before, as in tests.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init();
    if let Err(error) = from_environment {
        tracing::warn!(%error, "RUST_LOG is invalid; log.level of the configuration is used");
    }
}
