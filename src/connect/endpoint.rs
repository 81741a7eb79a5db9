//! The address of a control plane, and how a client verifies it.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::Cluster;
use url::{Host, Url};

/// The address of a cluster without references to files, so that it works on other machines too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Endpoint {
    pub(super) server: String,
    /// PEM in base64; `None` for the system roots.
    pub(super) ca_data: Option<String>,
    /// The name in the certificate, if it is not the host of the server.
    pub(super) server_name: Option<String>,
    pub(super) proxy: Option<String>,
}

impl Endpoint {
    /// Reads the entry of a cluster. Reads the file of the CA if the entry names one.
    ///
    /// # Errors
    /// The connection would not be secure, or the CA cannot be read. The error says what to do.
    pub(super) fn new(cluster: &Cluster) -> Result<Self, String> {
        let server = cluster.server.clone().unwrap_or_default();
        if !server.starts_with("https://") {
            return Err(format!(
                "the server {server:?} does not use https, so a token would not be safe; use an https address"
            ));
        }
        if cluster.insecure_skip_tls_verify == Some(true) {
            return Err(
                "insecure-skip-tls-verify is set, so a token would not be safe; set certificate-authority instead"
                    .to_owned(),
            );
        }
        Ok(Self {
            server,
            ca_data: ca_data(cluster)?,
            server_name: cluster.tls_server_name.clone(),
            proxy: cluster.proxy_url.clone(),
        })
    }
}

impl Endpoint {
    /// Returns the PEM of the CA, or `None` for the system roots.
    ///
    /// # Errors
    /// The CA is not PEM.
    pub(super) fn ca_pem(&self) -> Result<Option<String>, String> {
        let Some(data) = &self.ca_data else {
            return Ok(None);
        };
        let pem = STANDARD.decode(data).map_err(|error| error.to_string())?;
        let text = String::from_utf8(pem);
        text.map(Some)
            .map_err(|_| "certificate-authority-data is not PEM; correct the kubeconfig".to_owned())
    }

    /// Returns whether the address is a loopback address, as in kubeconfigs of kind.
    pub(super) fn is_loopback(&self) -> bool {
        let url = Url::parse(&self.server).ok();
        match url.as_ref().and_then(Url::host) {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
            None => false,
        }
    }
}

/// Returns the inline data, or else the content of the file, as client-go does.
fn ca_data(cluster: &Cluster) -> Result<Option<String>, String> {
    if let Some(data) = &cluster.certificate_authority_data {
        let checked = STANDARD.decode(data).map(|_| Some(data.clone()));
        return checked.map_err(|error| {
            format!("certificate-authority-data is not base64: {error}; correct the kubeconfig")
        });
    }
    let Some(path) = &cluster.certificate_authority else {
        return Ok(None);
    };
    let pem = std::fs::read(path).map_err(|error| {
        format!("cannot read certificate-authority {path:?}: {error}; correct the path")
    })?;
    Ok(Some(STANDARD.encode(pem)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::{Value, json};

    use super::*;

    fn endpoint(cluster: Value) -> Result<Endpoint, String> {
        Endpoint::new(&serde_json::from_value(cluster).unwrap())
    }

    #[test]
    fn ca_comes_from_data_or_file_or_the_system() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"ca").unwrap();
        let server = "https://platform.example.org";
        let path = file.path().to_str().unwrap();
        for (cluster, expected) in [
            (json!({"server": server}), None),
            (
                json!({"server": server, "certificate-authority": path}),
                Some("Y2E="),
            ),
            (
                json!({"server": server, "certificate-authority": path, "certificate-authority-data": "b3RoZXI="}),
                Some("b3RoZXI="),
            ),
        ] {
            let found = endpoint(cluster).unwrap();
            assert_eq!(found.ca_data.as_deref(), expected);
        }
    }

    #[test]
    fn insecure_or_unreadable_entries_are_rejected() {
        let server = "https://platform.example.org";
        for (cluster, expected) in [
            (json!({"server": "http://localhost"}), "does not use https"),
            (json!({}), "does not use https"),
            (
                json!({"server": server, "insecure-skip-tls-verify": true}),
                "insecure-skip-tls-verify",
            ),
            (
                json!({"server": server, "certificate-authority": "/missing/ca.crt"}),
                "cannot read certificate-authority",
            ),
            (
                json!({"server": server, "certificate-authority-data": "?"}),
                "not base64",
            ),
        ] {
            let problem = endpoint(cluster).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
