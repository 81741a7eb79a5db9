//! Reads `controlPlanes`: the address, the credentials and the mapping of each control plane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use url::Url;

use super::register::secret_name;
use super::section::Section;
use super::settings::{
    CertificateAuthority, Compression, ControlPlaneConfig, ControlPlaneLimits, CredentialsConfig,
    PemConfig, ServerAddress, TimeoutsConfig,
};
use super::units::SECOND;
use super::{files, kubeconfig};
use claim_mapping::mapping::Mapping;

/// Returns all configured names, and the control planes that are valid.
pub(super) fn control_planes(
    cluster: Option<&str>,
    root: &Section<'_>,
) -> (BTreeSet<String>, BTreeMap<String, Arc<ControlPlaneConfig>>) {
    let mut names = BTreeSet::new();
    let mut all = BTreeMap::new();
    for (name, section) in root.named_sections("controlPlanes") {
        names.insert(name.clone());
        if let Some(control_plane) = control_plane(cluster, &name, section) {
            all.insert(name, Arc::new(control_plane));
        }
    }
    if names.is_empty() {
        let cure = "add one: platform: {kubeconfig: FILE, mapping: {namespaces: {LOCAL: REMOTE}}}";
        root.problem("controlPlanes", "no control plane is configured", cure);
    }
    (names, all)
}

/// The address and credentials of a control plane, from a kubeconfig or from explicit keys.
struct AccessConfig {
    server: Option<ServerAddress>,
    certificate_authority: CertificateAuthority,
    credentials: Option<CredentialsConfig>,
    tls_server_name: Option<String>,
}

fn control_plane(
    cluster: Option<&str>,
    name: &str,
    section: Section<'_>,
) -> Option<ControlPlaneConfig> {
    let access = if section.has("kubeconfig") {
        from_kubeconfig(&section)
    } else {
        Some(from_keys(&section))
    };
    let mapping = mapping(cluster, &section);
    let compression = section.choice(
        "compression",
        ("auto", Compression::Auto),
        &[("on", Compression::On), ("off", Compression::Off)],
    );
    let limits = limits(section.section("limits"));
    let timeouts = timeouts(section.section("timeouts"));
    section.finish();
    let access = access?;
    Some(ControlPlaneConfig {
        name: name.to_owned(),
        server: access.server?,
        certificate_authority: access.certificate_authority,
        credentials: access.credentials?,
        tls_server_name: access.tls_server_name,
        mapping: mapping?,
        compression,
        limits,
        timeouts,
    })
}

/// Keys that cannot be combined with `kubeconfig`.
const EXPLICIT_KEYS: [&str; 6] = [
    "server",
    "certificateAuthority",
    "tokenFile",
    "tokenSecret",
    "clientCertificate",
    "clientKey",
];

fn from_kubeconfig(section: &Section<'_>) -> Option<AccessConfig> {
    for key in EXPLICIT_KEYS {
        if section.text(key).is_some() {
            let cure = "remove this key, or remove kubeconfig";
            section.problem(key, "cannot be combined with kubeconfig", cure);
        }
    }
    let path = section.path("kubeconfig")?;
    let context = section.text("context").unwrap_or_default();
    let access = match kubeconfig::read(&path, &context) {
        Ok(access) => access,
        Err((problem, cure)) => {
            section.problem("kubeconfig", problem, cure);
            return None;
        }
    };
    let usable = files::trusted(&access.certificate_authority)
        .and_then(|()| files::usable(&access.credentials));
    if let Err(problem) = usable {
        let cure = "fix the kubeconfig or the file that it refers to";
        section.problem("kubeconfig", problem, cure);
        return None;
    }
    Some(AccessConfig {
        server: server(section, "kubeconfig", &access.server),
        certificate_authority: access.certificate_authority,
        credentials: Some(access.credentials),
        tls_server_name: access.tls_server_name,
    })
}

fn from_keys(section: &Section<'_>) -> AccessConfig {
    if section
        .text("context")
        .is_some_and(|context| !context.is_empty())
    {
        section.problem(
            "context",
            "needs kubeconfig, which is not set",
            "set kubeconfig, or remove context",
        );
    }
    let server = section
        .required_text(
            "server",
            "set kubeconfig, or set server to a URL: https://platform:6443",
        )
        .and_then(|text| server(section, "server", &text));
    let certificate_authority = match section.path("certificateAuthority") {
        Some(path) => CertificateAuthority::File(path),
        None => CertificateAuthority::System,
    };
    if let Err(problem) = files::trusted(&certificate_authority) {
        section.problem(
            "certificateAuthority",
            problem,
            "set it to a PEM file of CA certificates",
        );
    }
    AccessConfig {
        server,
        certificate_authority,
        credentials: credentials(section),
        tls_server_name: None,
    }
}

fn credentials(section: &Section<'_>) -> Option<CredentialsConfig> {
    let cure = "set tokenFile, tokenSecret, or clientCertificate and clientKey";
    let file = section.path("tokenFile");
    let secret = section.has("tokenSecret");
    let certificate = section.path("clientCertificate");
    let key = section.path("clientKey");
    let (name, credentials) = match (file, secret, certificate, key) {
        (Some(path), false, None, None) => ("tokenFile", CredentialsConfig::TokenFile(path)),
        (None, true, None, None) => {
            let name = secret_name(section, "tokenSecret")?;
            ("tokenSecret", CredentialsConfig::TokenSecret(name))
        }
        (None, false, Some(certificate), Some(key)) => (
            "clientCertificate",
            CredentialsConfig::ClientCertificate {
                certificate: PemConfig::File(certificate),
                key: PemConfig::File(key),
            },
        ),
        (None, false, None, None) => {
            section.problem("tokenFile", "credentials are missing", cure);
            return None;
        }
        (None, false, ..) => {
            let problem = "clientCertificate and clientKey must be set together";
            section.problem("clientCertificate", problem, cure);
            return None;
        }
        (file, ..) => {
            let name = file.map_or("tokenSecret", |_| "tokenFile");
            section.problem(name, "cannot be combined with other credentials", cure);
            return None;
        }
    };
    if let Err(problem) = files::usable(&credentials) {
        section.problem(name, problem, cure);
        return None;
    }
    Some(credentials)
}

fn server(section: &Section<'_>, key: &str, text: &str) -> Option<ServerAddress> {
    let cure = "write https://HOST:PORT";
    let url = Url::parse(text).ok().filter(|url| url.host().is_some());
    let Some(url) = url else {
        section.problem(key, format!("{text:?} is not a URL"), cure);
        return None;
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if url.scheme() != "https" || !plain || url.fragment().is_some() {
        section.problem(
            key,
            "must be an https URL without user, query and fragment; plain http would expose the credentials",
            cure,
        );
        return None;
    }
    let host = match url.host()? {
        url::Host::Domain(name) => name.to_owned(),
        url::Host::Ipv4(address) => address.to_string(),
        url::Host::Ipv6(address) => address.to_string(),
    };
    let path = url.path().trim_end_matches('/').to_owned();
    Some(ServerAddress {
        host,
        port: url.port_or_known_default()?,
        path,
    })
}

/// Reads `mapping`, a section of the control plane's section.
fn mapping(cluster: Option<&str>, control_plane: &Section<'_>) -> Option<Mapping> {
    let section = control_plane.section("mapping");
    // Later versions add other names. A name that this version does not know is never ignored.
    section.choice("names", ("readable", ()), &[]);
    let mapping = match (section.has("namespace"), section.has("namespaces")) {
        (true, true) => {
            section.problem("namespace", "cannot be combined with namespaces", MODES);
            None
        }
        (true, false) => shared_mapping(cluster, &section),
        (false, true) => {
            if section.has("names") {
                let cure = "remove names, or replace namespaces with namespace: REMOTE";
                section.problem("names", "needs namespace, which is not set", cure);
            }
            table_mapping(&section)
        }
        (false, false) => {
            let problem = "neither namespace nor namespaces is set";
            control_plane.problem("mapping", problem, MODES);
            None
        }
    };
    section.finish();
    mapping
}

/// What to do if the mapping mode is not clear.
const MODES: &str = "set one of them: namespace: REMOTE for all local namespaces, or namespaces: {LOCAL: REMOTE, ...} \
                     for a table";

/// Reads the mapping of all local namespaces to one remote one. Also returns `None` if the app cluster's name is
/// invalid, which is reported separately.
fn shared_mapping(cluster: Option<&str>, section: &Section<'_>) -> Option<Mapping> {
    let namespace = section.text("namespace")?;
    let error = match Mapping::shared(cluster.unwrap_or(ANY_CLUSTER), &namespace) {
        Ok(mapping) => return cluster.map(|_| mapping),
        Err(error) => error.to_string(),
    };
    let cure = "set it to a namespace of the control plane that only this app cluster uses";
    section.problem("namespace", error, cure);
    None
}

/// A valid name, with which the namespace is checked if the app cluster's own name is invalid.
const ANY_CLUSTER: &str = "any";

fn table_mapping(section: &Section<'_>) -> Option<Mapping> {
    match Mapping::table(section.table("namespaces")?) {
        Ok(mapping) => Some(mapping),
        Err(error) => {
            let cure = "write {LOCAL: REMOTE, ...}; use each local and each remote name once";
            section.problem("namespaces", error.to_string(), cure);
            None
        }
    }
}

fn limits(section: Section<'_>) -> ControlPlaneLimits {
    let limits = ControlPlaneLimits {
        max_requests_in_flight: section.count("maxRequestsInFlight", 400),
        max_watches: section.count("maxWatches", 20_000),
    };
    section.finish();
    limits
}

fn timeouts(section: Section<'_>) -> TimeoutsConfig {
    let timeouts = TimeoutsConfig {
        connect: section.nonzero_duration("connect", 5 * SECOND),
        request: section.nonzero_duration("request", 60 * SECOND),
        request_body_stall: section.nonzero_duration("requestBodyStall", 30 * SECOND),
        ping_interval: section.nonzero_duration("pingInterval", 30 * SECOND),
        ping_timeout: section.nonzero_duration("pingTimeout", 15 * SECOND),
    };
    section.finish();
    timeouts
}
