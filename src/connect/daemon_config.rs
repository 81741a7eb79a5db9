//! The configuration of the daemon, and the files that it refers to. Does no I/O.

use serde_json::{Value, json};

use super::connection::Credential;
use super::error::ConnectError;
use super::installation::{CONTAINER_PORT, Files, METRICS_PORT, TOKEN_FILE};
use super::session::Session;
use crate::config::NamespaceSelection;
use kube_wire::yaml;

/// The name of the control plane in the configuration.
pub(super) const CONTROL_PLANE: &str = "platform";

const CA_FILE: &str = "control-plane-platform-ca.crt";

/// Maximum size of the configuration in bytes. A ConfigMap is never larger.
const CONFIG_BYTES_MAX: usize = 1 << 20;

/// Returns the files for a daemon in a pod.
///
/// # Errors
/// The address of the control plane needs a setting that the configuration does not have.
pub(super) fn in_pod(session: &Session) -> Result<Files, ConnectError> {
    let mut config = common(session)?;
    merge(
        &mut config,
        json!({
            "listen": {"address": format!("[::]:{CONTAINER_PORT}")},
            "admin": {"address": format!("[::]:{METRICS_PORT}")},
            "shutdown": {"delay": "5s", "drain": "30s"},
        }),
    );
    files(session, &config)
}

/// Returns the files for a daemon on this machine. `address` is where it listens, and `kubeconfig` that of the app
/// cluster.
///
/// # Errors
/// The address of the control plane needs a setting that the configuration does not have.
pub(super) fn on_this_machine(
    session: &Session,
    address: &str,
    kubeconfig: &str,
) -> Result<Files, ConnectError> {
    let mut config = common(session)?;
    merge(
        &mut config,
        json!({
            "listen": {"address": address},
            "appCluster": {"kubeconfig": kubeconfig},
            "admin": {"address": "127.0.0.1:0"},
        }),
    );
    files(session, &config)
}

fn common(session: &Session) -> Result<Value, ConnectError> {
    let endpoint = &session.endpoint;
    for (setting, key) in [
        (&endpoint.server_name, "tls-server-name"),
        (&endpoint.proxy, "proxy-url"),
    ] {
        if setting.is_some() {
            let problem = format!(
                "claimgate does not support {key} of the kubeconfig; use an address that works without it"
            );
            return Err(session.control_plane.unusable()(problem));
        }
    }
    let (tenant, installation) = (&session.tenant, &session.installation);
    let groups = tenant.groups.iter();
    let apis: Vec<Value> = groups
        .map(|group| api(group, &installation.secrets))
        .collect();
    let service = &installation.service;
    let mut config = json!({
        "cluster": tenant.cluster,
        "listen": {"selfManaged": {"secret": installation.certificate_secret()}},
        "authentication": {"requestHeader": {"fromCluster": true}},
        "controlPlanes": {CONTROL_PLANE: {
            "server": endpoint.server,
            "mapping": tenant.namespaces.config(),
        }},
        "apis": apis,
        "register": {
            "service": {"namespace": service.namespace, "name": service.name, "port": service.port},
            "clusterRole": installation.cluster_role(),
        },
    });
    let token = match installation.credential {
        Credential::Token => json!({"tokenSecret": installation.token_secret(CONTROL_PLANE)}),
        Credential::Oidc => json!({"tokenFile": TOKEN_FILE}),
    };
    merge(
        &mut config,
        json!({"controlPlanes": {CONTROL_PLANE: token}}),
    );
    if endpoint.ca_data.is_some() {
        let authority = json!({"certificateAuthority": CA_FILE});
        merge(
            &mut config,
            json!({"controlPlanes": {CONTROL_PLANE: authority}}),
        );
    }
    Ok(config)
}

fn api(group: &str, secrets: &NamespaceSelection) -> Value {
    let mut api = json!({"group": group, "controlPlane": CONTROL_PLANE});
    let namespaces = match secrets {
        NamespaceSelection::All => json!(["*"]),
        NamespaceSelection::Named(names) => json!(names),
    };
    if !secrets.is_empty() {
        let secrets = json!({"connection": true, "namespaces": namespaces});
        merge(&mut api, json!({"secrets": secrets}));
    }
    api
}

fn files(session: &Session, config: &Value) -> Result<Files, ConnectError> {
    let json = serde_json::to_vec(config)?;
    let mut files = Files::from([(
        "claimgate.yaml".to_owned(),
        yaml::from_json(&json, CONFIG_BYTES_MAX)?,
    )]);
    let authority = session.endpoint.ca_pem();
    if let Some(pem) = authority.map_err(session.control_plane.unusable())? {
        files.insert(CA_FILE.to_owned(), format!("{}\n", pem.trim()));
    }
    Ok(files)
}

/// Adds members to an object and its members.
fn merge(to: &mut Value, from: Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (key, value) in from {
                merge(to.entry(key).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from,
    }
}
