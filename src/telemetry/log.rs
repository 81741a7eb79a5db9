//! Logs to stderr, as text or as JSON lines.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::config::{Log, LogFormat};

const VARIABLE: &str = "RUST_LOG";

/// The client of Kubernetes and its watches log each failed request. claimgate reports the failures that matter itself,
/// and only the first of a series.
const REPORTED_BY_CLAIMGATE: [&str; 2] = ["kube_client", "kube_runtime"];

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
    let filter = without_repetition(filter);
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

/// Turns the logs of the client of Kubernetes off, unless the filter names them.
fn without_repetition(mut filter: Targets) -> Targets {
    for target in REPORTED_BY_CLAIMGATE {
        if !filter.iter().any(|(named, _)| named.starts_with(target)) {
            filter = filter.with_target(target, LevelFilter::OFF);
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn client_of_kubernetes_logs_only_if_the_filter_names_it() {
        for (filter, is_logged) in [
            ("info", false),
            ("debug,claimgate=trace", false),
            ("info,kube_client=debug", true),
        ] {
            let filter = without_repetition(filter.parse().unwrap());
            let target = "kube_client::client::builder";
            assert_eq!(filter.would_enable(target, &Level::ERROR), is_logged);
            assert!(!filter.would_enable("kube_runtime::watcher", &Level::WARN));
            assert!(filter.would_enable("claimgate::app", &Level::WARN));
        }
    }
}
