//! Checks the rights of the daemon in the app cluster, for `claimgate check --online`.

use k8s_openapi::api::authorization::v1::ResourceAttributes;

use crate::app_cluster::{DISCOVERY_SUFFIX, check_front_proxy, describe, is_allowed};
use crate::config::{
    Config, CredentialsConfig, InputKind, NamespaceSelection, ServingCertificateConfig, Warning,
};
use crate::leader::LEASE_SUFFIX;

/// Verbs on a resource that the daemon needs.
struct Right {
    key: &'static str,
    group: &'static str,
    resource: &'static str,
    /// The namespace. Empty for the whole cluster.
    namespace: String,
    /// The name of the object. Empty for all names.
    name: String,
    verbs: &'static [&'static str],
}

/// Returns a warning for each right that is missing, and one if the front proxy cannot be read.
pub(super) async fn warnings(client: &kube::Client, config: &Config) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if config.authentication.is_front_proxy_from_cluster()
        && let Err(error) = check_front_proxy(client.clone()).await
    {
        warnings.push(Warning {
            key: "authentication.requestHeader.fromCluster".to_owned(),
            problem: error.to_string(),
            cure: "on GKE Autopilot, which allows no RoleBinding there, use clientCa".to_owned(),
        });
    }
    for right in needed(config) {
        match missing(client, &right).await {
            Ok(verbs) if verbs.is_empty() => {}
            Ok(verbs) => warnings.push(right.warning(&verbs)),
            Err(error) => {
                warnings.push(Warning {
                    key: right.key.to_owned(),
                    problem: format!("the rights of claimgate are unknown: {}", describe(&error)),
                    cure: "check that the app cluster can be reached".to_owned(),
                });
                break;
            }
        }
    }
    warnings
}

fn needed(config: &Config) -> Vec<Right> {
    let all = |key, group, resource, verbs| Right {
        key,
        group,
        resource,
        namespace: String::new(),
        name: String::new(),
        verbs,
    };
    let mut rights = vec![all(
        "appCluster",
        "",
        "namespaces",
        &["get", "list", "watch"],
    )];
    let Some(register) = &config.register else {
        return rights;
    };
    let service = &register.service;
    let own = |key, group, resource, name: &str, verbs| Right {
        key,
        group,
        resource,
        namespace: service.namespace.clone(),
        name: name.to_owned(),
        verbs,
    };
    let (group, verbs) = (
        "apiregistration.k8s.io",
        &["list", "create", "update", "delete"],
    );
    rights.push(all("register", group, "apiservices", verbs));
    rights.push(own("register", "", "services", &service.name, &["get"]));
    let lease = format!("{}{LEASE_SUFFIX}", service.name);
    let group = "coordination.k8s.io";
    rights.push(own("register", group, "leases", &lease, &["get", "update"]));
    if config.state_directory.is_none() {
        let name = format!("{}{DISCOVERY_SUFFIX}", service.name);
        rights.push(own("register", "", "configmaps", &name, &["get", "patch"]));
    }
    if let ServingCertificateConfig::SelfManaged(managed) = &config.listen.certificate {
        let (key, name) = ("listen.selfManaged", &managed.secret);
        rights.push(own(key, "", "secrets", name, &["get", "update"]));
    }
    for control_plane in config.control_planes.values() {
        if let CredentialsConfig::TokenSecret(name) = &control_plane.credentials {
            let key = "controlPlanes.NAME.tokenSecret";
            rights.push(own(key, "", "secrets", name, &["get", "update"]));
        }
    }
    rights.extend(secrets(config));
    if config.apis.iter().any(|api| api.events.claim) {
        let verbs = &["get", "create", "update"];
        rights.push(all("apis[].events.claim", "", "events", verbs));
    }
    rights
}

/// Returns the rights to copy Secrets and ConfigMaps, in each namespace that the configuration selects.
fn secrets(config: &Config) -> Vec<Right> {
    let apis = config.apis.iter().filter(|api| !api.secrets.is_off());
    let mut rights = Vec::new();
    for api in apis {
        let namespaces = match &api.secrets.namespaces {
            NamespaceSelection::All => vec![String::new()],
            NamespaceSelection::Named(names) => names.iter().cloned().collect(),
        };
        let mut add = |group, resource, verbs| {
            rights.extend(namespaces.iter().map(|namespace| Right {
                key: "apis[].secrets",
                group,
                resource,
                namespace: namespace.clone(),
                name: String::new(),
                verbs,
            }));
        };
        let inputs = &api.secrets.inputs;
        match &api.secrets.connection {
            Some(_) => add(
                "",
                "secrets",
                &["get", "list", "watch", "create", "update", "delete"],
            ),
            None if inputs.iter().any(|input| input.kind == InputKind::Secret) => {
                add("", "secrets", &["get", "list", "watch"])
            }
            None => {}
        }
        if inputs
            .iter()
            .any(|input| input.kind == InputKind::ConfigMap)
        {
            add("", "configmaps", &["get", "list", "watch"]);
        }
        add("events.k8s.io", "events", &["create", "patch"]);
    }
    rights
}

impl Right {
    fn warning(&self, verbs: &[&str]) -> Warning {
        let name = match (&*self.namespace, &*self.name) {
            ("", _) => String::new(),
            (namespace, "") => format!(" in the namespace {namespace:?}"),
            (namespace, name) => format!(" {namespace}/{name}"),
        };
        Warning {
            key: self.key.to_owned(),
            problem: format!(
                "claimgate lacks the right to {} the {}{name} of the app cluster",
                verbs.join(", "),
                self.resource
            ),
            cure: "see the folder config/rbac for the rights that claimgate needs".to_owned(),
        }
    }
}

/// Returns the verbs that the daemon's user lacks.
async fn missing(client: &kube::Client, right: &Right) -> Result<Vec<&'static str>, kube::Error> {
    let mut missing = Vec::new();
    for verb in right.verbs {
        let attributes = ResourceAttributes {
            group: Some(right.group.to_owned()),
            resource: Some(right.resource.to_owned()),
            namespace: Some(right.namespace.clone()),
            name: Some(right.name.clone()),
            verb: Some((*verb).to_owned()),
            ..ResourceAttributes::default()
        };
        if !is_allowed(client, attributes).await? {
            missing.push(*verb);
        }
    }
    Ok(missing)
}
