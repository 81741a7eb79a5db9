//! The folder of the daemon: certificates, kubeconfigs and the configuration.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::error::ConnectError;
use super::objects::app_cluster_role;
use super::private_file;
use super::session::Session;

/// Lifetime of the certificates.
const VALID_FOR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Age at which the command makes new certificates.
const RENEW_AFTER: Duration = Duration::from_secs(240 * 24 * 3600);

/// The clocks of the two machines can differ.
const BACKDATED_BY: Duration = Duration::from_secs(3600);

const TOKEN: &str = "token";
const CONTROL_PLANE_KUBECONFIG: &str = "control-plane.kubeconfig";

/// The folder.
pub(super) struct Workspace(PathBuf);

impl Workspace {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    /// It cannot be created.
    pub(super) fn open(dir: &Path) -> Result<Self, ConnectError> {
        let failed = |error| ConnectError::File {
            path: dir.to_owned(),
            error,
        };
        // The folder contains private keys.
        let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        created.map_err(failed)?;
        Ok(Self(dir.canonicalize().map_err(failed)?))
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.0.join(TOKEN)
    }

    pub(super) fn control_plane_kubeconfig(&self) -> PathBuf {
        self.0.join(CONTROL_PLANE_KUBECONFIG)
    }

    /// Writes all files. Certificates stay until they are old. Returns the configuration file.
    ///
    /// # Errors
    /// A file cannot be written, or a certificate cannot be made.
    pub(super) fn write(
        &self,
        session: &Session,
        address: &str,
        token: &str,
    ) -> Result<PathBuf, ConnectError> {
        self.certificates(session)?;
        self.put(TOKEN, token)?;
        self.put("app.kubeconfig", &session.app.kubeconfig()?)?;
        let control_plane = session.control_plane.kubeconfig_with_token(TOKEN)?;
        self.put(CONTROL_PLANE_KUBECONFIG, &control_plane)?;
        let tenant = &session.tenant;
        let groups = tenant.groups.iter();
        let apis: Vec<Value> = groups
            .map(|group| json!({"group": group, "controlPlane": "platform"}))
            .collect();
        let service = &session.service;
        let config = json!({
            "cluster": tenant.cluster,
            "listen": {
                "address": address,
                "certificate": "tls.crt",
                "key": "tls.key",
                "certificateAuthority": "ca.crt",
            },
            "authentication": {"requestHeader": {"fromCluster": true}},
            "controlPlanes": {"platform": {
                "kubeconfig": CONTROL_PLANE_KUBECONFIG,
                "mapping": {"namespace": tenant.namespace, "names": "readable"},
            }},
            "apis": apis,
            "appCluster": {"kubeconfig": "app.kubeconfig"},
            "register": {
                "service": {"namespace": service.namespace, "name": service.name, "port": service.port},
                "clusterRole": app_cluster_role(service),
            },
            "admin": {"address": "127.0.0.1:0"},
        });
        self.put("claimgate.json", &format!("{config:#}\n"))?;
        Ok(self.0.join("claimgate.json"))
    }

    /// Makes a CA and a serving certificate for the Service, unless there are recent ones.
    fn certificates(&self, session: &Session) -> Result<(), ConnectError> {
        let age = |name: &str| fs::metadata(self.0.join(name)).and_then(|file| file.modified());
        let files = ["ca.crt", "tls.crt", "tls.key"];
        let is_recent = |name: &&str| {
            let age = age(name).ok().and_then(|time| time.elapsed().ok());
            age.is_some_and(|age| age < RENEW_AFTER)
        };
        if files.iter().all(is_recent) {
            return Ok(());
        }
        let mut ca = params("claimgate", Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let service = &session.service;
        let name = format!("{}.{}.svc", service.name, service.namespace);
        let mut serving = params(&name, vec![name.clone()])?;
        serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = serving.signed_by(&key, &issuer)?;
        self.put("ca.crt", &issuer.pem())?;
        self.put("tls.key", &key.serialize_pem())?;
        self.put("tls.crt", &certificate.pem())
    }

    fn put(&self, name: &str, text: &str) -> Result<(), ConnectError> {
        let path = self.0.join(name);
        private_file::replace(&path, text).map_err(|error| ConnectError::File { path, error })
    }
}

fn params(common_name: &str, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::now_utc() - BACKDATED_BY;
    params.not_after = OffsetDateTime::now_utc() + VALID_FOR;
    Ok(params)
}
