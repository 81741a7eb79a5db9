//! Removes rights to copy Secrets that are no longer needed, and the copies.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;

use super::clusters::Cluster;
use super::daemon_config::CONTROL_PLANE;
use super::error::ConnectError;
use super::manifest::{Manifest, with_uid};
use super::objects;
use super::session::Session;
use crate::config::NamespaceSelection;
use crate::connection_secrets;

/// Removes the rights in namespaces that the installation no longer names.
///
/// # Errors
/// The app cluster rejects a request or cannot be reached.
pub(super) async fn remove_unneeded(session: &Session) -> Result<(), ConnectError> {
    let (app, installation) = (&session.app, &session.installation);
    let name = installation.secrets_role();
    let labels = installation.labels();
    let selector: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let all: Api<RoleBinding> = Api::all(app.client.clone());
    let listed = all
        .list_metadata(&ListParams::default().labels(&selector.join(",")))
        .await;
    let listed = listed.map_err(app.failed("list the RoleBindings"))?;
    for binding in listed.items {
        let namespace = binding.namespace().unwrap_or_default();
        let is_wanted = match &installation.secrets {
            NamespaceSelection::All => false,
            NamespaceSelection::Named(names) => names.contains(&namespace),
        };
        if binding.name_any() == name && !is_wanted {
            remove::<RoleBinding>(app, objects::namespaced(&namespace, &name)).await?;
        }
    }
    if installation.secrets != NamespaceSelection::All {
        remove::<ClusterRoleBinding>(app, objects::named(&name)).await?;
    }
    if installation.secrets.is_empty() {
        remove::<ClusterRole>(app, objects::named(&name)).await?;
    }
    Ok(())
}

/// Deletes the object with this name if `connect` created it.
async fn remove<K>(app: &Cluster, metadata: ObjectMeta) -> Result<(), ConnectError>
where
    K: Resource<DynamicType = ()> + Default + Serialize,
{
    let mut object = K::default();
    *object.meta_mut() = metadata;
    let manifest = Manifest::new(&object)?;
    let deleted = manifest.delete(&app.client).await;
    if deleted.map_err(app.failed(format!("delete {manifest}")))? {
        println!("deleted {manifest}");
    }
    Ok(())
}

/// Removes the copies of connection Secrets. Call it after the rights are removed, because the daemon would otherwise
/// create the copies again.
///
/// # Errors
/// The app cluster rejects a request or cannot be reached.
pub(super) async fn remove_copies(session: &Session) -> Result<(), ConnectError> {
    let app = &session.app;
    let copies = ListParams::default().labels(&connection_secrets::selector(
        &session.tenant.cluster,
        CONTROL_PLANE,
    ));
    let all: Api<Secret> = Api::all(app.client.clone());
    let listed = all.list_metadata(&copies).await;
    let listed = listed.map_err(app.failed("list the copies of Secrets"))?;
    for copy in listed.items {
        let (namespace, name) = (copy.namespace().unwrap_or_default(), copy.name_any());
        let api: Api<Secret> = Api::namespaced(app.client.clone(), &namespace);
        match api.delete(&name, &with_uid(copy.uid())).await {
            Ok(_) => println!("deleted Secret {namespace}/{name}, a copy"),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(app.failed("delete the copy of a Secret")(error)),
        }
    }
    Ok(())
}
