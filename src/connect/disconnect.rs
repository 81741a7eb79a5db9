//! The command `disconnect`: removes what `connect` created, from both clusters.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use serde_json::json;
use tokio::time::Instant;

use super::clusters::Cluster;
use super::daemon_config::CONTROL_PLANE;
use super::error::ConnectError;
use super::manifest::{Manifest, State};
use super::session::{Options, Session};
use super::tenant::{ID_ANNOTATION, RemoteNamespaces};
use super::{installation, plan};
use crate::registration::{LEASE_SUFFIX, MANAGED_BY, is_own};
use claim_mapping::origin;

/// How long claims may take to be deleted.
const CLAIMS_GONE_MAX: Duration = Duration::from_secs(300);
/// No object is found by the port of its Service.
const ANY_PORT: u16 = 443;
/// How long other objects may take to be deleted.
const OBJECTS_GONE_MAX: Duration = Duration::from_secs(60);
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
    /// A namespace of the control plane.
    namespace: String,
    api: Api<DynamicObject>,
    selector: ListParams,
}

/// Removes what `connect` created. Nothing is removed while claims exist, unless `claims` says what to do with them.
/// With `force`, only the app cluster is changed, because the control plane cannot be reached.
///
/// # Errors
/// A cluster cannot be reached, a right is missing, claims exist, or the user does not confirm.
pub async fn disconnect(
    options: &Options,
    claims: ClaimPolicy,
    force: bool,
) -> Result<(), ConnectError> {
    crate::tls::provider::install();
    let mut session = Session::open(options, ANY_PORT).await?;
    if force {
        return forced(options, &session).await;
    }
    if session.tenant.groups.is_empty() {
        session.tenant.groups = session.control_plane.claim_groups().await?;
    }
    let apis = claim_apis(&session).await?;
    let count = count(&session, &apis).await?;
    if count > 0 && claims == ClaimPolicy::Refuse {
        return Err(ConnectError::ClaimsExist { count });
    }
    println!(
        "App cluster {:?} (context {}) loses the claims on the control plane (context {}).",
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
    remove_from_control_plane(&session, &apis).await
}

/// Changes only the app cluster, and says what stays on the control plane.
async fn forced(options: &Options, session: &Session) -> Result<(), ConnectError> {
    println!(
        "App cluster {:?} (context {}) loses the claims. The control plane (context {}) stays as it is.",
        session.tenant.cluster, session.app.context, session.control_plane.context,
    );
    plan::confirm(options.yes, std::io::stdout())?;
    remove_from_app_cluster(session).await?;
    println!(
        "These objects stay on the control plane. Run the command without --force to delete them:"
    );
    let tenant = &session.tenant;
    for manifest in tenant.objects()?.iter().rev() {
        println!("  {manifest}");
    }
    Ok(())
}

/// Finds the resources of the groups on the control plane.
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
    let mut apis = Vec::new();
    for group in list.items {
        let name = group
            .metadata
            .and_then(|metadata| metadata.name)
            .unwrap_or_default();
        let Some(version) = group
            .versions
            .first()
            .filter(|_| session.tenant.groups.contains(&name))
        else {
            continue;
        };
        for resource in version
            .resources
            .iter()
            .filter(|one| one.scope.as_deref() == Some("Namespaced"))
        {
            let kind = resource
                .response_kind
                .as_ref()
                .and_then(|one| one.kind.clone());
            let (Some(plural), Some(kind)) = (&resource.resource, kind) else {
                continue;
            };
            let version = version.version.clone().unwrap_or_default();
            let kind = GroupVersionKind::gvk(&name, &version, &kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, plural);
            for namespace in session.tenant.namespaces.all() {
                let client = control_plane.client.clone();
                apis.push(ClaimApi {
                    name: format!("{plural}.{name}"),
                    namespace: namespace.to_owned(),
                    api: Api::namespaced_with(client, namespace, &resource),
                    selector: selector.clone(),
                });
            }
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
        let deleted = api.delete(&name, &DeleteParams::default()).await;
        deleted.map_err(app.failed(format!("delete the APIService {name}")))?;
        println!("deleted APIService {name}");
    }
    let leases: Api<Lease> =
        Api::namespaced(app.client.clone(), &session.installation.service.namespace);
    let lease = format!("{}{LEASE_SUFFIX}", session.installation.service.name);
    match leases.delete(&lease, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(app.failed(format!("delete the Lease {lease}"))(error)),
    }
    delete(
        app,
        installation::all(&session.installation, CONTROL_PLANE)?,
    )
    .await
}

/// Removes the rights, and each namespace unless someone else needs it.
async fn remove_from_control_plane(
    session: &Session,
    apis: &[ClaimApi],
) -> Result<(), ConnectError> {
    delete(&session.control_plane, session.tenant.rights()?).await?;
    for namespace in session.tenant.namespaces.all() {
        remove_namespace(session, namespace, apis).await?;
    }
    Ok(())
}

async fn remove_namespace(
    session: &Session,
    name: &str,
    apis: &[ClaimApi],
) -> Result<(), ConnectError> {
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
    let mut apis = apis.iter().filter(|api| api.namespace == name);
    if has_objects(session, &mut apis).await? {
        println!("the Namespace {name} stays: it still contains claims");
        return Ok(());
    }
    delete(control_plane, vec![tenant.remote_namespace(name)?]).await
}

/// Returns whether the namespace has objects of the groups, also those of others or without labels.
async fn has_objects(
    session: &Session,
    apis: &mut impl Iterator<Item = &ClaimApi>,
) -> Result<bool, ConnectError> {
    for claims in apis {
        let listed = claims
            .api
            .list_metadata(&ListParams::default().limit(1))
            .await;
        let failed = session
            .control_plane
            .failed(format!("list {}", claims.name));
        if !listed.map_err(failed)?.items.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes objects in the reverse order of their creation, and waits until they are gone: a namespace takes a while.
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
