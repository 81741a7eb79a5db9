//! Shows the plan, asks for confirmation, and writes to both clusters.

use std::io::Write;
use std::path::Path;

use super::daemon_config::CONTROL_PLANE;
use super::error::ConnectError;
use super::manifest::{self, Manifest};
use super::oidc::Issuer;
use super::session::Session;
use super::token::{self, Token};
use super::{installation, plan, preflight, private_file};

/// How the daemon gets its credential.
pub(super) enum CredentialSource {
    /// From a Secret.
    Secret,
    /// The app cluster issues the token, if the control plane trusts it.
    Issuer(Issuer),
}

/// Shows the plan, asks for confirmation, and writes to both clusters. In the app cluster, writes the objects for the
/// credential first, because pods cannot start without it.
pub(super) async fn apply(
    session: &Session,
    source: &CredentialSource,
    on_control_plane: &[Manifest],
    in_app_cluster: Vec<Manifest>,
    yes: bool,
) -> Result<(), ConnectError> {
    let mut all = in_app_cluster.clone();
    if let CredentialSource::Secret = source {
        all.push(installation::token(
            &session.installation,
            CONTROL_PLANE,
            "",
        )?);
    }
    preflight::require(&preflight::run(session, on_control_plane, &all).await?)?;
    let mut stdout = std::io::stdout();
    print_plan(session, source, on_control_plane, &all, &mut stdout).await?;
    plan::confirm(yes, stdout)?;
    plan::apply(&session.control_plane, on_control_plane).await?;
    let (namespace, rest) = in_app_cluster.split_at(1);
    plan::apply(&session.app, namespace).await?;
    match source {
        CredentialSource::Secret => {
            plan::apply(&session.app, &[credential(session).await?]).await?;
        }
        CredentialSource::Issuer(issuer) => {
            let accounts = rest.iter().filter(|one| one.kind() == "ServiceAccount");
            plan::apply(&session.app, &accounts.cloned().collect::<Vec<_>>()).await?;
            issuer.check(session).await?;
        }
    }
    plan::apply(&session.app, rest).await
}

/// Shows the plan, asks for confirmation, writes to the control plane, and prints the objects of the app cluster.
/// Writes a credential that must be stored to the file.
pub(super) async fn print(
    session: &Session,
    source: &CredentialSource,
    on_control_plane: &[Manifest],
    in_app_cluster: &[Manifest],
    credential_file: Option<&Path>,
    yes: bool,
) -> Result<(), ConnectError> {
    if let Some(file) = credential_file {
        private_file::check_directory(file)?;
    }
    let mut stderr = std::io::stderr();
    preflight::require(&preflight::run(session, on_control_plane, &[]).await?)?;
    print_plan(session, source, on_control_plane, &[], &mut stderr).await?;
    plan::confirm(yes, &mut stderr)?;
    plan::apply(&session.control_plane, on_control_plane).await?;
    let context = &session.app.context;
    let mut note = String::new();
    if let Some(path) = credential_file {
        let text = manifest::yaml(&[credential(session).await?])?;
        let written = private_file::replace(path, &text);
        let path = path.to_owned();
        note = format!(
            "Apply the credential too: kubectl --context {context} apply -f {}\nDo not commit this file, because the daemon writes renewed tokens to the Secret.",
            path.display()
        );
        written.map_err(|error| ConnectError::File { path, error })?;
    }
    std::io::stdout().write_all(manifest::yaml(in_app_cluster)?.as_bytes())?;
    if let CredentialSource::Issuer(issuer) = source {
        note = match issuer.has_account(session).await? {
            true => {
                issuer.check(session).await?;
                "The control plane trusts tokens of the app cluster.".to_owned()
            }
            false => "After you have applied the objects, run this command again. It then checks whether the control plane trusts tokens of the app cluster.".to_owned(),
        };
    }
    Ok(writeln!(stderr, "{note}")?)
}

/// Requests a token, and returns the Secret for it.
async fn credential(session: &Session) -> Result<Manifest, ConnectError> {
    let token = Token::request(
        &session.control_plane.client,
        session.tenant.namespaces.home(),
        &session.tenant.account(),
        token::LIFETIME,
        None,
    )
    .await?;
    let secret = installation::token(&session.installation, CONTROL_PLANE, &token.text);
    Ok(secret?)
}

/// Prints what will be written.
async fn print_plan(
    session: &Session,
    source: &CredentialSource,
    on_control_plane: &[Manifest],
    in_app_cluster: &[Manifest],
    output: &mut (dyn Write + Send),
) -> Result<(), ConnectError> {
    let tenant = &session.tenant;
    writeln!(
        output,
        "App cluster {:?} (context {}) gets the claims of the groups {}.\nThe control plane (context {}) stores them in {}.\n",
        tenant.cluster,
        session.app.context,
        tenant.groups.join(", "),
        session.control_plane.context,
        tenant.namespaces,
    )?;
    let lines = plan::lines(&session.control_plane, on_control_plane).await?;
    writeln!(output, "On the control plane:\n{lines}")?;
    if !in_app_cluster.is_empty() {
        let lines = plan::lines(&session.app, in_app_cluster).await?;
        writeln!(
            output,
            "In the app cluster:\n{lines}  create an APIService for each version of the groups\n"
        )?;
    }
    if let CredentialSource::Issuer(issuer) = source {
        writeln!(output, "{}", issuer.instructions(&session.app.context)?)?;
    }
    Ok(())
}
