//! Checks both clusters before anything is written: `connect` stops at a failure, and `check --pre` prints all results.

mod clock;
mod finding;
mod grants;
mod rights;
mod versions;

pub use self::finding::{Finding, Outcome};
use super::clusters::Cluster;
use super::connection::Credential;
use super::error::ConnectError;
use super::manifest::Manifest;
use super::plan;
use super::session::Session;
use crate::app_cluster::{self, FrontProxyError};

/// Runs all checks. `on_control_plane` and `in_app_cluster` are the objects that would be written.
///
/// # Errors
/// A cluster cannot be reached.
pub(super) async fn run(
    session: &Session,
    on_control_plane: &[Manifest],
    in_app_cluster: &[Manifest],
) -> Result<Vec<Finding>, ConnectError> {
    let mut findings = Vec::new();
    // The control plane issues the token of the daemon. With OpenID Connect, the app cluster issues a token for the
    // check.
    let from_app = session.installation.credential == Credential::Oidc;
    for (cluster, objects, needs_token) in [
        (&session.control_plane, on_control_plane, !from_app),
        (&session.app, in_app_cluster, from_app),
    ] {
        let mut add = |check, outcome| {
            findings.push(Finding {
                context: cluster.context.clone(),
                check,
                outcome,
            });
        };
        let server = clock::ask(cluster).await?;
        add("version", versions::supported(&server.version));
        add("clock", clock::difference(server.date));
        add("rights", rights::all(cluster, objects, needs_token).await?);
        add("granted rights", grants::all(cluster, objects).await?);
        add("objects", existing(cluster, objects).await?);
    }
    let app = &session.app;
    for (check, outcome) in [
        ("aggregation", front_proxy(app).await?),
        ("API versions", versions::taken(session).await?),
    ] {
        findings.push(Finding {
            context: app.context.clone(),
            check,
            outcome,
        });
    }
    findings.push(Finding {
        context: session.control_plane.context.clone(),
        check: "name limits",
        outcome: versions::name_limits(session).await?,
    });
    Ok(findings)
}

/// Checks that no object belongs to someone else.
async fn existing(cluster: &Cluster, objects: &[Manifest]) -> Result<Outcome, ConnectError> {
    match plan::lines(cluster, objects).await {
        Ok(_) => Ok(Outcome::passed("no object belongs to someone else")),
        Err(ConnectError::Taken(object)) => Ok(Outcome::failed(
            format!("{object} exists and was not created by claimgate"),
            "delete or rename it, or choose another --system-namespace",
        )),
        Err(ConnectError::BeingDeleted(object)) => Ok(Outcome::failed(
            format!("{object} is being deleted"),
            "wait until it is gone",
        )),
        Err(error) => Err(error),
    }
}

/// Checks that the app cluster can aggregate other API servers.
async fn front_proxy(app: &Cluster) -> Result<Outcome, ConnectError> {
    match app_cluster::check_front_proxy(app.client.clone()).await {
        Ok(()) => Ok(Outcome::passed("the API server has a front proxy")),
        Err(FrontProxyError::Invalid(_)) => Ok(Outcome::failed(
            "the API server has no front proxy, so it cannot aggregate other API servers",
            "start it with --requestheader-client-ca-file",
        )),
        Err(FrontProxyError::Read(error)) => Err(app.failed("read the front proxy")(error)),
    }
}

/// Prints warnings, and returns an error if a check failed.
///
/// # Errors
/// A check failed.
pub(super) fn require(findings: &[Finding]) -> Result<(), ConnectError> {
    for finding in findings {
        if let Outcome::Warning { .. } = finding.outcome {
            eprintln!("{finding}");
        }
    }
    let is_failed = |finding: &&Finding| matches!(finding.outcome, Outcome::Failed { .. });
    let failed: Vec<String> = findings
        .iter()
        .filter(is_failed)
        .map(ToString::to_string)
        .collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(ConnectError::Preflight(failed.join("\n  "))),
    }
}
