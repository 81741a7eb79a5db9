//! The commands `connect` and `disconnect`: from two contexts of a kubeconfig to claims in the app cluster, and back.
//! The command `kubeconfig`: access to claims for tools that sync them straight to the control plane.
//!
//! | module | content |
//! |---|---|
//! | `clusters` | a cluster, and what must be known of it before anything is written |
//! | `session` | the options, and the two clusters |
//! | `objects` | the objects to create |
//! | `preflight` | checks the user's rights |
//! | `manifest` | creates and deletes an object |
//! | `plan` | what will be written, the question, and the writes |
//! | `token` | the credential on the control plane |
//! | `workspace` | certificates, kubeconfigs and the configuration of the daemon |
//! | `serve` | runs the daemon, and waits until the app cluster serves claims |
//! | `disconnect` | the way back |
//! | `gitops` | the command `kubeconfig`, and the documents for kubectl, Argo CD and Flux |

mod clusters;
mod disconnect;
mod error;
mod gitops;
mod manifest;
mod objects;
mod plan;
mod preflight;
mod private_file;
mod serve;
mod session;
mod token;
mod workspace;

use self::clusters::Cluster;
pub use self::disconnect::{ClaimPolicy, disconnect};
pub use self::error::ConnectError;
pub use self::gitops::{KubeconfigOptions, Tool, kubeconfig};
use self::manifest::Manifest;
pub use self::session::Options;
use self::session::Session;
use self::token::Token;
use crate::app_cluster::{self, FrontProxyError};

/// Connects the two clusters and runs the daemon until a signal arrives.
///
/// # Errors
/// A cluster cannot be reached, a right is missing, or the user does not confirm. Objects that were written stay, and
/// repeating the command continues.
pub async fn connect(options: &Options) -> Result<(), ConnectError> {
    crate::tls::provider::install();
    let mut session = Session::open(options).await?;
    session.choose_groups().await?;
    check_front_proxy(&session.app).await?;
    session.check_namespace().await?;
    let host = match &options.advertise_host {
        Some(host) => host.clone(),
        None => serve::own_host(&session.app.host)?,
    };
    let tenant = &session.tenant;
    let mut on_control_plane = vec![tenant.remote_namespace()?];
    on_control_plane.extend(tenant.control_plane()?);
    let in_app_cluster = objects::app_cluster(&session.service, &host)?;
    preflight::check_rights(&session.control_plane, &on_control_plane).await?;
    preflight::check_rights(&session.app, &in_app_cluster).await?;
    print_plan(&session, &on_control_plane, &in_app_cluster).await?;
    plan::confirm(options.yes, std::io::stdout())?;
    plan::apply(&session.control_plane, &on_control_plane).await?;
    plan::apply(&session.app, &in_app_cluster).await?;
    let token = Token::request(
        &session.control_plane.client,
        &tenant.namespace,
        &tenant.account(),
        token::LIFETIME,
    )
    .await?;
    serve::run(options, &session, &host, token).await
}

async fn check_front_proxy(app: &Cluster) -> Result<(), ConnectError> {
    match app_cluster::check_front_proxy(app.client.clone()).await {
        Ok(()) => Ok(()),
        Err(FrontProxyError::Invalid(_)) => Err(ConnectError::NoAggregation(app.context.clone())),
        Err(FrontProxyError::Read(error)) => Err(app.failed("read the front proxy")(error)),
    }
}

/// Prints what will be written.
async fn print_plan(
    session: &Session,
    on_control_plane: &[Manifest],
    in_app_cluster: &[Manifest],
) -> Result<(), ConnectError> {
    let tenant = &session.tenant;
    println!(
        "App cluster {:?} (context {}) gets the claims of the groups {}.\nThe control plane (context {}) stores them in the namespace {:?}.\n",
        tenant.cluster,
        session.app.context,
        tenant.groups.join(", "),
        session.control_plane.context,
        tenant.namespace,
    );
    for (title, cluster, manifests) in [
        (
            "On the control plane:",
            &session.control_plane,
            on_control_plane,
        ),
        ("In the app cluster:", &session.app, in_app_cluster),
    ] {
        println!("{title}");
        print!("{}", plan::lines(cluster, manifests).await?);
    }
    println!("  create an APIService for each version of the groups\n");
    Ok(())
}
