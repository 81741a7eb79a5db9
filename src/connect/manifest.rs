//! An object that `connect` creates, and its API.

use std::fmt;

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;

use super::error::ConnectError;
use crate::app_cluster::MANAGED_BY;
use kube_wire::yaml;

/// The field manager of writes, or its prefix.
const MANAGER: &str = "claimgate-connect";

/// The API group of roles and bindings.
const RBAC: &str = "rbac.authorization.k8s.io";

/// Maximum length of a document in bytes. An object of Kubernetes is never longer.
const DOCUMENT_BYTES_MAX: usize = 2 << 20;

/// An object of a known type.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    /// The field manager of writes.
    manager: String,
    object: DynamicObject,
    resource: ApiResource,
}

/// The state of an object in a cluster.
#[derive(Clone, Debug)]
pub(super) enum State {
    Absent,
    /// `connect` created it.
    Own {
        uid: Option<String>,
    },
    /// Someone else created it.
    Foreign,
    /// It is being deleted.
    Terminating,
}

impl Manifest {
    /// Creates the manifest of a typed object, and marks it.
    ///
    /// # Errors
    /// The object cannot be serialized.
    pub(super) fn new<K>(object: &K) -> Result<Self, serde_json::Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let resource = ApiResource::erase::<K>(&());
        let mut object: DynamicObject = serde_json::from_value(serde_json::to_value(object)?)?;
        let (key, value) = MANAGED_BY;
        object.labels_mut().insert(key.to_owned(), value.to_owned());
        Ok(Self {
            manager: MANAGER.to_owned(),
            object,
            resource,
        })
    }

    /// Returns the manifest with a separate field manager.
    pub(super) fn with_manager(self, name: &str) -> Self {
        let manager = format!("{MANAGER}-{name}");
        Self { manager, ..self }
    }

    /// Returns the manifest without the mark, for an object that existed before, so that `disconnect` does not delete
    /// it.
    fn unmarked(&self) -> Self {
        let mut manifest = self.clone();
        manifest.object.labels_mut().clear();
        manifest
    }

    pub(super) fn kind(&self) -> &str {
        &self.resource.kind
    }

    /// Returns the attributes of an access review for this object, without the verb.
    pub(super) fn attributes(&self) -> ResourceAttributes {
        ResourceAttributes {
            group: Some(self.resource.group.clone()),
            resource: Some(self.resource.plural.clone()),
            namespace: self.object.namespace(),
            name: Some(self.object.name_any()),
            ..ResourceAttributes::default()
        }
    }

    pub(super) fn name(&self) -> String {
        self.object.name_any()
    }

    pub(super) fn namespace(&self) -> Option<String> {
        self.object.namespace()
    }

    /// Returns whether the object is a role or a binding.
    pub(super) fn grants_rights(&self) -> bool {
        self.resource.group == RBAC
    }

    /// Returns the object in another namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> Self {
        let mut manifest = self.clone();
        manifest.object.metadata.namespace = Some(namespace.to_owned());
        manifest
    }

    /// Returns the attributes of an access review for the role that this binding names, without the verb.
    pub(super) fn bound_role(&self) -> ResourceAttributes {
        let role = |field: &str| self.object.data.get("roleRef")?.get(field)?.as_str();
        let resource = match role("kind") {
            Some("ClusterRole") => "clusterroles",
            _ => "roles",
        };
        ResourceAttributes {
            resource: Some(resource.to_owned()),
            name: role("name").map(str::to_owned),
            ..self.attributes()
        }
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        match self.object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// Looks the object up in a cluster.
    ///
    /// # Errors
    /// The cluster rejects the request or cannot be reached.
    pub(super) async fn state(&self, client: &Client) -> Result<State, kube::Error> {
        let Some(object) = self.api(client).get_opt(&self.object.name_any()).await? else {
            return Ok(State::Absent);
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(State::Terminating);
        }
        let (key, value) = MANAGED_BY;
        Ok(
            match object.labels().get(key).map(String::as_str) == Some(value) {
                true => State::Own { uid: object.uid() },
                false => State::Foreign,
            },
        )
    }

    /// Creates the object, or changes the fields that the manifest has. An existing namespace is used
    /// without taking ownership.
    ///
    /// # Errors
    /// The cluster rejects the request or cannot be reached.
    pub(super) async fn apply(&self, client: &Client) -> Result<(), kube::Error> {
        let manifest = match self.state(client).await? {
            State::Foreign => self.unmarked(),
            State::Absent | State::Own { .. } | State::Terminating => self.clone(),
        };
        let parameters = PatchParams::apply(&self.manager).force();
        let patch = Patch::Apply(&manifest.object);
        let name = self.object.name_any();
        self.api(client).patch(&name, &parameters, &patch).await?;
        Ok(())
    }

    /// Asks the cluster to write the object, and to store nothing.
    ///
    /// # Errors
    /// The cluster rejects the request or cannot be reached.
    pub(super) async fn dry_run(&self, client: &Client) -> Result<(), kube::Error> {
        let parameters = PatchParams::apply(&self.manager).force().dry_run();
        let patch = Patch::Apply(&self.object);
        self.api(client)
            .patch(&self.name(), &parameters, &patch)
            .await?;
        Ok(())
    }

    /// Deletes the object if `connect` created it. Returns whether it did.
    ///
    /// # Errors
    /// The cluster rejects the request or cannot be reached.
    pub(super) async fn delete(&self, client: &Client) -> Result<bool, kube::Error> {
        let State::Own { uid } = self.state(client).await? else {
            return Ok(false);
        };
        let name = self.object.name_any();
        match self.api(client).delete(&name, &with_uid(uid)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns the options to delete an object only if it has this UID, so that a new object with its name stays.
pub(super) fn with_uid(uid: Option<String>) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        uid,
        resource_version: None,
    })
}

/// Returns the objects as YAML documents.
///
/// # Errors
/// An object cannot be serialized.
pub(super) fn yaml(manifests: &[Manifest]) -> Result<String, ConnectError> {
    let documents = manifests.iter().map(|manifest| {
        let json = serde_json::to_vec(&manifest.object)?;
        Ok(yaml::from_json(&json, DOCUMENT_BYTES_MAX)?)
    });
    let documents: Result<Vec<String>, ConnectError> = documents.collect();
    Ok(documents?.join("---\n"))
}

/// As in a plan: `Role team-a/claimgate`.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.object.name_any();
        match self.object.namespace() {
            Some(namespace) => write!(f, "{} {namespace}/{name}", self.kind()),
            None => write!(f, "{} {name}", self.kind()),
        }
    }
}
