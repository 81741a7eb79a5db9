//! The command `disconnect`: removes what `connect` created, from both clusters.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::clusters::Cluster;
use super::connection::{Connection, Credential};
use super::daemon_config::CONTROL_PLANE;
use super::discovery::namespaced_resources;
use super::error::ConnectError;
use super::manifest::{Manifest, State, with_uid};
use super::session::{Options, Session};
use super::tenant::{ID_ANNOTATION, RemoteNamespaces};
use super::{installation, leftovers, oidc, plan, secret_rights};
use crate::app_cluster::MANAGED_BY;
use crate::leader::lease_metadata;
use crate::registration::is_own;
use claim_mapping::origin;

/// Maximum time for the deletion of claims.
const CLAIMS_GONE_MAX: Duration = Duration::from_secs(300);
/// A placeholder: the command never reads the port.
const ANY_PORT: u16 = 443;
/// Maximum time for the deletion of other objects.
const OBJECTS_GONE_MAX: Duration = Duration::from_secs(60);
/// Maximum time for the garbage collection of objects of deleted claims.
const COLLECTED_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_secs(1);

/// What happens to the claims of the app cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClaimPolicy {
    /// The command fails if there are any.
    Refuse,
    Keep,
    Delete,
}

/// A resource whose objects can be claims of the app cluster.
struct ClaimApi {
    name: String,
    api: Api<DynamicObject>,
    selector: ListParams,
}

/// Removes what `connect` created. Nothing is removed while claims exist, unless `claims` says what to do with them.
/// With `force`, only the app cluster is changed, and no request is sent to the control plane.
///
/// # Errors
/// A cluster cannot be reached, a right is missing, claims exist, or the user does not confirm.
pub async fn disconnect(
    options: &Options,
    claims: ClaimPolicy,
    force: bool,
) -> Result<(), ConnectError> {
    crate::tls::provider::install();
    let mut session = match force {
        true => Session::open_app_cluster(options, ANY_PORT).await?,
        false => Session::open(options, ANY_PORT).await?,
    };
    let cluster_role = session.installation.cluster_role();
    if let Some(installed) = Connection::read(&session.app, &cluster_role).await? {
        if !installed.has_claims_of(&session.connection(installed.daemon)) {
            return Err(ConnectError::OtherConnection {
                installed: installed.to_string(),
            });
        }
        session.choose_credential(installed.credential);
    }
    if force {
        return forced(options, &session).await;
    }
    if claims == ClaimPolicy::Delete {
        session.check_may_delete_claims().await?;
    }
    session.tenant.groups = granted_groups(&session).await?;
    let apis = claim_apis(&session).await?;
    let count = count(&session, &apis).await?;
    if count > 0 && claims == ClaimPolicy::Refuse {
        return Err(ConnectError::ClaimsExist { count });
    }
    println!(
        "App cluster {:?} (context {}) will no longer serve the claims of the control plane (context {}).",
        session.tenant.cluster, session.app.context, session.control_plane.context,
    );
    match claims {
        ClaimPolicy::Delete => {
            println!("{count} claims are DELETED, and their infrastructure with them.")
        }
        ClaimPolicy::Keep | ClaimPolicy::Refuse => {
            println!("{count} claims stay on the control plane.")
        }
    }
    plan::confirm(options.yes, std::io::stdout())?;
    if claims == ClaimPolicy::Delete {
        delete_claims(&session, &apis).await?;
    }
    remove_from_app_cluster(&session).await?;
    remove_from_control_plane(&session).await?;
    if session.installation.credential == Credential::Oidc {
        println!("{}", oidc::leftovers(&session.app.context));
    }
    Ok(())
}

/// Changes only the app cluster, and prints the objects that stay on the control plane.
async fn forced(options: &Options, session: &Session) -> Result<(), ConnectError> {
    println!(
        "App cluster {:?} (context {}) will no longer serve the claims. Nothing changes on the control plane (context {}).",
        session.tenant.cluster, session.app.context, session.control_plane.context,
    );
    plan::confirm(options.yes, std::io::stdout())?;
    remove_from_app_cluster(session).await?;
    println!(
        "The claims stay on the control plane, and these objects. When it can be reached, run the command without --force to delete the objects:"
    );
    for manifest in session.tenant.objects()?.iter().rev() {
        println!("  {manifest}");
    }
    if session.installation.credential == Credential::Oidc {
        println!("{}", oidc::leftovers(&session.app.context));
    }
    Ok(())
}

/// Returns the groups in which the app cluster may have claims: those of its rights, and those that the user names.
async fn granted_groups(session: &Session) -> Result<Vec<String>, ConnectError> {
    let (control_plane, tenant) = (&session.control_plane, &session.tenant);
    let api: Api<Role> = Api::namespaced(control_plane.client.clone(), tenant.namespaces.home());
    let role = api.get_opt(&tenant.account()).await;
    let role = role.map_err(control_plane.failed("read the Role of the app cluster"))?;
    let rules = role.and_then(|role| role.rules).unwrap_or_default();
    let granted = rules
        .into_iter()
        .filter_map(|rule| rule.api_groups)
        .flatten();
    let mut groups: BTreeSet<String> = granted.filter(|group| !group.is_empty()).collect();
    groups.extend(tenant.groups.iter().cloned());
    if groups.is_empty() {
        groups.extend(control_plane.claim_groups().await?);
    }
    Ok(groups.into_iter().collect())
}

/// Finds the resources of the groups on the control plane, in all versions.
async fn claim_apis(session: &Session) -> Result<Vec<ClaimApi>, ConnectError> {
    let control_plane = &session.control_plane;
    let list = control_plane.client.list_api_groups_aggregated().await;
    let list = list.map_err(control_plane.failed("read discovery"))?;
    let selector = match &session.tenant.namespaces {
        RemoteNamespaces::Shared(_) => {
            let selector = format!("{}={}", origin::CLUSTER, session.tenant.cluster);
            ListParams::default().labels(&selector)
        }
        // Objects in a table have no labels of claimgate: all are visible in the app cluster.
        RemoteNamespaces::Table(_) => ListParams::default(),
    };
    let resources = namespaced_resources(&list.items, |resource| {
        session.tenant.groups.contains(&resource.group)
    });
    let mut apis = Vec::new();
    for resource in resources {
        for namespace in session.tenant.namespaces.all() {
            let (client, kind) = (control_plane.client.clone(), resource.api_resource());
            apis.push(ClaimApi {
                name: format!("{}.{}", resource.plural, resource.group),
                api: Api::namespaced_with(client, namespace, &kind),
                selector: selector.clone(),
            });
        }
    }
    Ok(apis)
}

/// Counts the claims of the app cluster.
async fn count(session: &Session, apis: &[ClaimApi]) -> Result<usize, ConnectError> {
    let mut count = 0;
    for claims in apis {
        let listed = claims.api.list_metadata(&claims.selector).await;
        let listed = listed.map_err(
            session
                .control_plane
                .failed(format!("list {}", claims.name)),
        )?;
        count += listed.items.len();
    }
    Ok(count)
}

/// Deletes the claims, and waits until they are gone.
async fn delete_claims(session: &Session, apis: &[ClaimApi]) -> Result<(), ConnectError> {
    for claims in apis {
        let parameters = DeleteParams::default();
        let deleted = claims
            .api
            .delete_collection(&parameters, &claims.selector)
            .await;
        deleted.map_err(
            session
                .control_plane
                .failed(format!("delete {}", claims.name)),
        )?;
    }
    let until = Instant::now() + CLAIMS_GONE_MAX;
    while count(session, apis).await? > 0 {
        if Instant::now() > until {
            return Err(ConnectError::ClaimsRemain);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Removes the APIServices first: without their backend, namespaces of the app cluster could not be deleted.
async fn remove_from_app_cluster(session: &Session) -> Result<(), ConnectError> {
    let app = &session.app;
    let api: Api<APIService> = Api::all(app.client.clone());
    let (key, value) = MANAGED_BY;
    let marked = ListParams::default().labels(&format!("{key}={value}"));
    let registered = api
        .list(&marked)
        .await
        .map_err(app.failed("list the APIServices"))?;
    for object in registered.items {
        let is_own = is_own(&object, &session.installation.service);
        let (true, Some(name)) = (is_own, object.metadata.name) else {
            continue;
        };
        match api.delete(&name, &with_uid(object.metadata.uid)).await {
            Ok(_) => println!("deleted APIService {name}"),
            // The daemon deleted it.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(app.failed(format!("delete the APIService {name}"))(error)),
        }
    }
    let lease = Manifest::new(&Lease {
        metadata: lease_metadata(&session.installation.service),
        ..Lease::default()
    })?;
    let deleted = lease.delete(&app.client).await;
    deleted.map_err(app.failed(format!("delete {lease}")))?;
    secret_rights::remove_unneeded(session).await?;
    delete(
        app,
        installation::all(&session.installation, CONTROL_PLANE)?,
    )
    .await?;
    secret_rights::remove_copies(session).await
}

/// Removes the rights, and each namespace unless someone else needs it.
async fn remove_from_control_plane(session: &Session) -> Result<(), ConnectError> {
    delete(&session.control_plane, session.tenant.rights()?).await?;
    for namespace in session.tenant.namespaces.all() {
        remove_namespace(session, namespace).await?;
    }
    Ok(())
}

async fn remove_namespace(session: &Session, name: &str) -> Result<(), ConnectError> {
    let (control_plane, tenant) = (&session.control_plane, &session.tenant);
    let namespaces: Api<Namespace> = Api::all(control_plane.client.clone());
    let patch = json!({"metadata": {"annotations": {tenant.id_annotation(): null}}});
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
    let namespace = match namespaces.patch(name, &parameters, &patch).await {
        Ok(namespace) => namespace,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(control_plane.failed("change the namespace")(error)),
    };
    let annotations = namespace.metadata.annotations.unwrap_or_default();
    let mut keys = annotations.keys();
    if keys.any(|key| key.starts_with(ID_ANNOTATION)) {
        println!("the Namespace {name} stays: other app clusters use it");
        return Ok(());
    }
    // The control plane collects the connection Secrets of deleted claims a little later.
    let until = Instant::now() + COLLECTED_MAX;
    while let Some(object) = leftovers::find(control_plane, name).await? {
        if Instant::now() > until {
            println!("the Namespace {name} stays: it still contains {object}");
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    delete(control_plane, vec![tenant.remote_namespace(name)?]).await
}

/// Deletes objects in the reverse order of their creation, and waits until they are gone, because the deletion of a
/// namespace takes a while.
async fn delete(cluster: &Cluster, manifests: Vec<Manifest>) -> Result<(), ConnectError> {
    let mut deleted = Vec::new();
    for manifest in manifests.into_iter().rev() {
        let result = manifest.delete(&cluster.client).await;
        if result.map_err(cluster.failed(format!("delete {manifest}")))? {
            println!("deleted {manifest}");
            deleted.push(manifest);
        }
    }
    let until = Instant::now() + OBJECTS_GONE_MAX;
    for manifest in deleted {
        loop {
            let state = manifest.state(&cluster.client).await;
            match state.map_err(cluster.failed(format!("read {manifest}")))? {
                State::Terminating if Instant::now() > until => {
                    println!("{manifest} is still being deleted");
                    break;
                }
                State::Terminating => tokio::time::sleep(POLL).await,
                State::Absent | State::Own { .. } | State::Foreign => break,
            }
        }
    }
    Ok(())
}
