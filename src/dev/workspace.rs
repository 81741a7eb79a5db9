//! The folder of `claimgate dev`: ports, certificates, kubeconfigs, the daemon's configuration and a
//! claim. Ports stay the same after a restart, certificates are new.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{DevError, file_error};
use dev_control_plane::DevControlPlane;
use dev_control_plane::certificates::{Authority, Identity};
use dev_control_plane::example;

pub(super) const CLAIM: &str = "claim.yaml";
pub(super) const APP_KUBECONFIG: &str = "app.kubeconfig";
pub(super) const CONTROL_PLANE_KUBECONFIG: &str = "control-plane.kubeconfig";
pub(super) const SERVING_CA: &str = "ca.crt";
pub(super) const USER_CERTIFICATE: &str = "user.crt";
pub(super) const USER_KEY: &str = "user.key";
const CONFIG: &str = "claimgate.yaml";
const PORTS: &str = "ports.json";

/// The user in the kubeconfig of the app cluster, and its group, which has direct access.
pub(super) const USER: &str = "dev-user";
pub(super) const GROUP: &str = "dev-users";

/// The absolute folder and the ports.
pub(super) struct Workspace {
    dir: PathBuf,
    ports: Ports,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ports {
    daemon: u16,
    admin: u16,
    control_plane: u16,
}

/// The ports of a new folder, if they are free.
const PORTS_PREFERRED: Ports = Ports {
    daemon: 8443,
    admin: 9090,
    control_plane: 6443,
};

impl Workspace {
    /// Creates the folder if it does not exist. Chooses free ports, preferably those of the last run.
    pub(super) fn open(dir: &Path) -> Result<Self, DevError> {
        // The folder contains private keys.
        let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        created.map_err(file_error(dir))?;
        let dir = dir.canonicalize().map_err(file_error(dir))?;
        let file = dir.join(PORTS);
        let earlier = fs::read(&file)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let ports = Ports::free(earlier.unwrap_or(PORTS_PREFERRED))?;
        let workspace = Self { dir, ports };
        workspace.put(PORTS, &format!("{}\n", json!(ports)))?;
        Ok(workspace)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.path(CONFIG)
    }

    pub(super) fn control_plane_address(&self) -> SocketAddr {
        loopback(self.ports.control_plane)
    }

    pub(super) fn daemon_url(&self) -> String {
        format!("https://{}", loopback(self.ports.daemon))
    }

    pub(super) fn metrics_url(&self) -> String {
        format!("http://{}/metrics", loopback(self.ports.admin))
    }

    /// Writes all files, with new certificates.
    pub(super) fn write(&self, control_plane: &DevControlPlane) -> Result<(), DevError> {
        let serving_ca = Authority::new("claimgate-dev-serving-ca")?;
        let serving = serving_ca.serving(&["localhost", "127.0.0.1", "::1"])?;
        let client_ca = Authority::new("claimgate-dev-client-ca")?;
        let user = client_ca.client(USER, &[GROUP])?;
        self.put(SERVING_CA, &serving_ca.pem())?;
        self.put("tls.crt", &serving.certificate)?;
        self.put("tls.key", &serving.key)?;
        self.put("client-ca.crt", &client_ca.pem())?;
        self.put(USER_CERTIFICATE, &user.certificate)?;
        self.put(USER_KEY, &user.key)?;
        self.put(
            APP_KUBECONFIG,
            &self.app_kubeconfig(&serving_ca.pem(), &user),
        )?;
        self.put(CONTROL_PLANE_KUBECONFIG, &control_plane.kubeconfig())?;
        self.put(CONFIG, &self.config())?;
        self.put(CLAIM, example::CLAIM_MANIFEST)
    }

    fn config(&self) -> String {
        format!(
            "# Each start of `claimgate dev` overwrites this file.\n\
             cluster: dev\n\
             listen:\n\
             \x20 address: \"{}\"\n\
             \x20 certificate: tls.crt\n\
             \x20 key: tls.key\n\
             authentication:\n\
             \x20 clientCertificate:\n\
             \x20   clientCa: client-ca.crt\n\
             authorization:\n\
             \x20 # Members of these groups bypass the RBAC of the app cluster.\n\
             \x20 directGroups: [{GROUP}]\n\
             controlPlanes:\n\
             \x20 platform:\n\
             \x20   kubeconfig: {CONTROL_PLANE_KUBECONFIG}\n\
             \x20   mapping: {{namespace: app-ns-1, names: readable}}\n\
             apis:\n\
             \x20 - group: k8s.starter.org\n\
             \x20   controlPlane: platform\n\
             admin: {{address: \"{}\"}}\n\
             log: {{level: warn}}\n",
            loopback(self.ports.daemon),
            loopback(self.ports.admin),
        )
    }

    /// Returns a kubeconfig with inline certificates, as JSON, which is valid YAML.
    fn app_kubeconfig(&self, ca: &str, user: &Identity) -> String {
        let cluster =
            json!({"server": self.daemon_url(), "certificate-authority-data": STANDARD.encode(ca)});
        let credentials = json!({
            "client-certificate-data": STANDARD.encode(&user.certificate),
            "client-key-data": STANDARD.encode(&user.key),
        });
        let context = json!({"cluster": "claimgate", "user": USER, "namespace": "default"});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "claimgate", "cluster": cluster}],
            "users": [{"name": USER, "user": credentials}],
            "contexts": [{"name": "dev", "context": context}],
            "current-context": "dev",
        });
        format!("{config:#}\n")
    }

    /// Writes a file that only the user can read, because some files contain private keys.
    fn put(&self, name: &str, text: &str) -> Result<(), DevError> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(file_error(&path))
    }
}

impl Ports {
    /// Returns the preferred ports, with a free one in place of each that is taken.
    fn free(preferred: Self) -> Result<Self, DevError> {
        // The listeners stay open until all ports are chosen, so that the ports differ.
        let (daemon, _daemon) = free_port(preferred.daemon)?;
        let (admin, _admin) = free_port(preferred.admin)?;
        let (control_plane, _control_plane) = free_port(preferred.control_plane)?;
        Ok(Self {
            daemon,
            admin,
            control_plane,
        })
    }
}

fn free_port(preferred: u16) -> Result<(u16, TcpListener), DevError> {
    let listener =
        TcpListener::bind(loopback(preferred)).or_else(|_| TcpListener::bind(loopback(0)));
    let listener = listener.map_err(DevError::Port)?;
    let port = listener.local_addr().map_err(DevError::Port)?.port();
    Ok((port, listener))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dev_control_plane::DevControlPlaneOptions;

    /// A folder whose last run used port 0, so that any free port is chosen.
    fn folder_with_any_port() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let ports = Ports {
            daemon: 0,
            admin: 0,
            control_plane: 0,
        };
        fs::write(dir.path().join(PORTS), json!(ports).to_string()).unwrap();
        dir
    }

    #[test]
    fn ports_stay_the_same_unless_taken() {
        let dir = folder_with_any_port();
        let first = Workspace::open(dir.path()).unwrap().ports;
        assert_eq!(Workspace::open(dir.path()).unwrap().ports, first);
        let _taken = TcpListener::bind(loopback(first.daemon)).unwrap();
        let other = Workspace::open(dir.path()).unwrap().ports;
        assert_ne!(other.daemon, first.daemon);
        assert_eq!(other.control_plane, first.control_plane);
    }

    #[tokio::test]
    async fn written_configuration_is_valid() {
        let dir = folder_with_any_port();
        let workspace = Workspace::open(dir.path()).unwrap();
        let control_plane = DevControlPlane::start(DevControlPlaneOptions::default())
            .await
            .unwrap();
        workspace.write(&control_plane).unwrap();
        let config = crate::config::load(&workspace.config_file(), std::iter::empty()).unwrap();
        assert!(config.direct_groups.contains(GROUP));
        assert_eq!(config.control_planes.len(), 1);
    }
}
