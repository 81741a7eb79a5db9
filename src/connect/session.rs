//! The options of `connect` and `disconnect`, and the two clusters that they name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::config::Kubeconfig;

use super::clusters::{Cluster, dns_label};
use super::connection::{Connection, Credential, Daemon};
use super::endpoint::Endpoint;
use super::error::ConnectError;
use super::installation::Installation;
use super::tenant::{RemoteNamespaces, Tenant};
use crate::config::{NamespaceSelection, ServiceConfig};
use claim_mapping::mapping::{Mapping, is_dns_label, is_dns_subdomain};

/// The remote namespaces that the user selects.
#[derive(Clone, Debug)]
pub enum Namespaces {
    /// One namespace for all local namespaces, with the name of the app cluster.
    Default,
    /// One namespace with this name for all local namespaces.
    Shared(String),
    /// A table of local and remote namespaces.
    Table(Vec<(String, String)>),
}

/// The two clusters, and the names of claimgate in them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Context of the control plane.
    pub control_plane: String,
    /// Where the control plane stores the claims.
    pub namespaces: Namespaces,
    /// Context of the app cluster; by default the current one.
    pub context: Option<String>,
    /// Name of the app cluster; by default derived from the context.
    pub name: Option<String>,
    /// Namespace of the app cluster for claimgate's own objects.
    pub system_namespace: String,
    /// API groups; by default all groups with claims.
    pub groups: Vec<String>,
    /// Local namespaces into which connection Secrets are copied.
    pub secrets: NamespaceSelection,
    pub credential: Credential,
    /// Whether to skip the question for confirmation.
    pub yes: bool,
}

/// The two clusters, and the app cluster as the control plane sees it.
pub(super) struct Session {
    pub(super) app: Cluster,
    pub(super) control_plane: Cluster,
    pub(super) tenant: Tenant,
    /// The address of the control plane.
    pub(super) endpoint: Endpoint,
    pub(super) installation: Installation,
}

impl Session {
    /// Opens both clusters and reads their identities. `port` is the port of the Service.
    ///
    /// # Errors
    /// A cluster cannot be reached, both are the same, or a name is invalid.
    pub(super) async fn open(options: &Options, port: u16) -> Result<Self, ConnectError> {
        let kubeconfig = Kubeconfig::read()?;
        let control_plane = Cluster::open(&kubeconfig, Some(&options.control_plane)).await?;
        let session = Self::with_control_plane(options, port, &kubeconfig, control_plane).await?;
        if session.tenant.cluster_id == session.control_plane.id().await? {
            return Err(ConnectError::SameCluster {
                app: session.app.context,
                control_plane: session.control_plane.context,
            });
        }
        Ok(session)
    }

    /// Opens the app cluster only. The session must not send requests to the control plane, because it has no
    /// credentials for it.
    ///
    /// # Errors
    /// The app cluster cannot be reached, or a name is invalid.
    pub(super) async fn open_app_cluster(
        options: &Options,
        port: u16,
    ) -> Result<Self, ConnectError> {
        let kubeconfig = Kubeconfig::read()?;
        let mut without_credentials = kubeconfig.clone();
        // Credentials can come from a command, which fails if the control plane no longer exists.
        for user in &mut without_credentials.auth_infos {
            user.auth_info = None;
        }
        let control_plane =
            Cluster::open(&without_credentials, Some(&options.control_plane)).await?;
        Self::with_control_plane(options, port, &kubeconfig, control_plane).await
    }

    /// Opens the app cluster. Sends no requests to the control plane.
    async fn with_control_plane(
        options: &Options,
        port: u16,
        kubeconfig: &Kubeconfig,
        control_plane: Cluster,
    ) -> Result<Self, ConnectError> {
        let app = Cluster::open(kubeconfig, options.context.as_deref()).await?;
        let cluster = match &options.name {
            Some(name) => name.clone(),
            None => dns_label(&app.context),
        };
        let namespaces = check_names(options, &cluster)?;
        let cluster_id = app.id().await?;
        let service = ServiceConfig {
            namespace: options.system_namespace.clone(),
            name: "claimgate".to_owned(),
            port,
        };
        let tenant = Tenant {
            cluster,
            namespaces,
            groups: options.groups.clone(),
            reads_secrets: !options.secrets.is_empty(),
            cluster_id,
            user: None,
        };
        let mut session = Self {
            app,
            endpoint: control_plane.endpoint()?,
            control_plane,
            tenant,
            installation: Installation {
                service,
                connection: String::new(),
                secrets: options.secrets.clone(),
                credential: Credential::Token,
            },
        };
        session.choose_credential(options.credential);
        Ok(session)
    }

    /// Changes how the daemon authenticates to the control plane.
    pub(super) fn choose_credential(&mut self, credential: Credential) {
        self.installation.credential = credential;
        self.tenant.user = match credential {
            Credential::Token => None,
            Credential::Oidc => Some(format!(
                "{}{}",
                self.tenant.user_prefix(),
                self.installation.account_user()
            )),
        };
    }

    /// Selects all groups with claims if the user selects none. Otherwise, checks the groups that the user selects.
    ///
    /// # Errors
    /// There are none, one is not served, or the control plane rejects the request.
    pub(super) async fn choose_groups(&mut self) -> Result<(), ConnectError> {
        if self.tenant.groups.is_empty() {
            self.tenant.groups = self.control_plane.claim_groups().await?;
        } else {
            self.control_plane.claim_kinds(&self.tenant.groups).await?;
        }
        match self.tenant.groups.is_empty() {
            true => Err(ConnectError::NoClaims(self.control_plane.context.clone())),
            false => Ok(()),
        }
    }

    /// Returns the connection that the options describe.
    pub(super) fn connection(&self, daemon: Daemon) -> Connection {
        Connection {
            cluster: self.tenant.cluster.clone(),
            server: self.endpoint.server.clone(),
            mapping: self.tenant.namespaces.config(),
            daemon,
            credential: self.installation.credential,
        }
    }

    /// Checks that the app cluster does not have a different connection, and stores the connection for the objects.
    ///
    /// # Errors
    /// It has a different connection, or the app cluster cannot be reached.
    pub(super) async fn choose_connection(&mut self, daemon: Daemon) -> Result<(), ConnectError> {
        let connection = self.connection(daemon);
        let known = Connection::read(&self.app, &self.installation.cluster_role()).await?;
        match known {
            Some(known) if known != connection => Err(ConnectError::Connected(known.to_string())),
            _ => {
                self.installation.connection = serde_json::to_string(&connection)?;
                Ok(())
            }
        }
    }

    /// Returns the `disconnect` command for this connection.
    pub(super) fn undo(&self) -> String {
        let namespaces = match &self.tenant.namespaces {
            RemoteNamespaces::Shared(namespace) => namespace.clone(),
            RemoteNamespaces::Table(rows) => {
                let rows = rows
                    .iter()
                    .map(|(local, remote)| format!("{local}={remote}"));
                format!("--map {}", rows.collect::<Vec<_>>().join(","))
            }
        };
        format!(
            "claimgate disconnect {} {namespaces} --context {} --name {} --system-namespace {}",
            self.control_plane.context,
            self.app.context,
            self.tenant.cluster,
            self.installation.service.namespace,
        )
    }

    /// Checks that no remote namespace belongs to another app cluster of the same name.
    ///
    /// # Errors
    /// One does, or the control plane rejects the request.
    pub(super) async fn check_namespaces(&self) -> Result<(), ConnectError> {
        for name in self.tenant.namespaces.all() {
            let annotations = self.annotations(name).await?;
            self.tenant.check_identity(name, &annotations)?;
        }
        Ok(())
    }

    /// Checks that `disconnect` may delete the claims in the remote namespaces: none of them belongs to another app
    /// cluster.
    ///
    /// # Errors
    /// Another app cluster uses a namespace, or the control plane rejects the request.
    pub(super) async fn check_may_delete_claims(&self) -> Result<(), ConnectError> {
        for name in self.tenant.namespaces.all() {
            let annotations = self.annotations(name).await?;
            self.tenant.check_identity(name, &annotations)?;
            self.tenant.check_only_user(name, &annotations)?;
        }
        Ok(())
    }

    /// Returns the annotations of a namespace of the control plane, or none if it does not exist.
    async fn annotations(&self, name: &str) -> Result<BTreeMap<String, String>, ConnectError> {
        let api: Api<Namespace> = Api::all(self.control_plane.client.clone());
        let namespace = api.get_metadata_opt(name).await;
        let namespace = namespace.map_err(self.control_plane.failed("read the namespace"))?;
        let annotations = namespace.and_then(|namespace| namespace.metadata.annotations);
        Ok(annotations.unwrap_or_default())
    }
}

/// Checks the names in the options. Returns the remote namespaces.
fn check_names(options: &Options, cluster: &str) -> Result<RemoteNamespaces, ConnectError> {
    check_label(cluster, "--name")?;
    check_label(&options.system_namespace, "--system-namespace")?;
    let namespaces = match &options.namespaces {
        Namespaces::Default => RemoteNamespaces::Shared(cluster.to_owned()),
        Namespaces::Shared(name) => {
            check_label(name, "NAMESPACE")?;
            RemoteNamespaces::Shared(name.clone())
        }
        Namespaces::Table(rows) => table(rows)?,
    };
    for group in &options.groups {
        check_group(group)?;
    }
    if let NamespaceSelection::Named(names) = &options.secrets {
        for name in names {
            check_label(name, "--secrets")?;
        }
    }
    Ok(namespaces)
}

/// Checks that the app cluster's system namespace is not `kube-system`, as the Helm chart does. `disconnect` allows it,
/// so that an installation there can be removed.
///
/// # Errors
/// It is.
pub(super) fn check_system_namespace(options: &Options) -> Result<(), ConnectError> {
    match options.system_namespace == "kube-system" {
        true => Err(ConnectError::InvalidName(
            "--system-namespace: kube-system is reserved for Kubernetes; choose a namespace for claimgate alone, such as claimgate-system"
                .to_owned(),
        )),
        false => Ok(()),
    }
}

fn check_label(name: &str, option: &str) -> Result<(), ConnectError> {
    match is_dns_label(name) {
        true => Ok(()),
        false => Err(ConnectError::InvalidName(format!(
            "{option}: {name:?} is not a DNS label; use a-z, 0-9 and -"
        ))),
    }
}

/// Checks that a group can contain claims. Rights on a group of Kubernetes would be rights on Kubernetes itself.
fn check_group(group: &str) -> Result<(), ConnectError> {
    let is_own = group.contains('.') && !group.ends_with(".k8s.io");
    match is_own && is_dns_subdomain(group) {
        true => Ok(()),
        false => Err(ConnectError::InvalidName(format!(
            "--apis: {group:?} is not a group of claims; write a group such as k8s.starter.org"
        ))),
    }
}

/// Checks the rows as the daemon does.
fn table(rows: &[(String, String)]) -> Result<RemoteNamespaces, ConnectError> {
    let table: BTreeMap<String, String> = rows.iter().cloned().collect();
    if table.len() < rows.len() {
        let problem = "--map: a local namespace occurs twice; remove one of the pairs";
        return Err(ConnectError::InvalidName(problem.to_owned()));
    }
    Mapping::table(table.clone())
        .map_err(|error| ConnectError::InvalidName(format!("--map: {error}")))?;
    Ok(RemoteNamespaces::Table(table))
}
