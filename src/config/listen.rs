//! Reads `listen`: the address and the serving certificate.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::files;
use super::register::secret_name;
use super::section::Section;
use super::settings::{
    ControlPlaneConfig, CredentialsConfig, Listen, Register, SelfManaged, ServingCertificateConfig,
};

/// The lifetime of a certificate that the daemon makes: 90 days.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

const NEEDS_REGISTER: &str = "needs register, whose Service is in the namespace of the Secret";
const REGISTER_CURE: &str =
    "add register: {service: {namespace: claimgate-system, name: claimgate}}";

pub(super) fn listen(section: Section<'_>) -> Option<Listen> {
    let address = address(&section, "[::]:8443").flatten();
    let max_connections = section.count("maxConnections", 1000);
    let certificate = match section.optional_section("selfManaged") {
        Some(managed) => self_managed(&section, managed),
        None => certificate_files(&section),
    };
    section.finish();
    Some(Listen {
        address: address?,
        certificate: certificate?,
        max_connections,
    })
}

fn certificate_files(section: &Section<'_>) -> Option<ServingCertificateConfig> {
    let pair = files::pair(section);
    let authority = section
        .has("certificateAuthority")
        .then(|| files::authority(section, "certificateAuthority"));
    let (certificate, key) = pair?;
    Some(ServingCertificateConfig::Files {
        certificate,
        key,
        authority: match authority {
            None => None,
            Some(valid) => Some(valid?),
        },
    })
}

fn self_managed(listen: &Section<'_>, section: Section<'_>) -> Option<ServingCertificateConfig> {
    for key in ["certificate", "key", "certificateAuthority"] {
        if listen.text(key).is_some() {
            let cure = "remove this key, or remove selfManaged";
            listen.problem(key, "cannot be combined with selfManaged", cure);
        }
    }
    let secret = secret_name(&section, "secret");
    let lifetime = section.lifetime("lifetime", CERTIFICATE_LIFETIME);
    section.finish();
    Some(ServingCertificateConfig::SelfManaged(SelfManaged {
        secret: secret?,
        lifetime,
    }))
}

/// Reads an address. Returns `Some(None)` for an empty string, and `None` after a problem.
pub(super) fn address(section: &Section<'_>, default: &str) -> Option<Option<SocketAddr>> {
    let text = section
        .text("address")
        .unwrap_or_else(|| default.to_owned());
    if text.is_empty() {
        return Some(None);
    }
    if let Ok(address) = text.parse() {
        return Some(Some(address));
    }
    let cure = "write it as IP:PORT: [::]:8443 or 127.0.0.1:8443";
    section.problem("address", format!("{text:?} is not an address"), cure);
    None
}

/// Checks what belongs together: APIServices contain the CA of the certificate, and the Service of `register` names the
/// namespace of the Secrets.
pub(super) fn check_register(
    root: &Section<'_>,
    listen: &Listen,
    control_planes: &BTreeMap<String, Arc<ControlPlaneConfig>>,
    register: Option<&Option<Register>>,
) {
    let has_register = register.is_some();
    let is_injected = register
        .and_then(Option::as_ref)
        .is_some_and(|register| register.ca_injection.is_some());
    match &listen.certificate {
        ServingCertificateConfig::Files {
            authority: None, ..
        } if has_register => {
            let cure = "set it to the PEM file of the CA that signed listen.certificate";
            root.problem("listen.certificateAuthority", "register needs it", cure);
        }
        ServingCertificateConfig::SelfManaged(_) if !has_register => {
            root.problem("listen.selfManaged", NEEDS_REGISTER, REGISTER_CURE);
        }
        ServingCertificateConfig::SelfManaged(_) if is_injected => {
            let problem =
                "cert-manager does not have the CA that claimgate makes for listen.selfManaged";
            let cure = "remove it, or set listen.certificate, listen.key and listen.certificateAuthority instead";
            root.problem("register.caInjection", problem, cure);
        }
        _ => {}
    }
    for (name, control_plane) in control_planes {
        if matches!(control_plane.credentials, CredentialsConfig::TokenSecret(_)) && !has_register {
            let key = format!("controlPlanes.{name}.tokenSecret");
            root.problem(&key, NEEDS_REGISTER, REGISTER_CURE);
        }
    }
}
