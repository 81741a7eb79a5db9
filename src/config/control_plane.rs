//! How a control plane is reached, and what of it is whose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use url::Url;

use super::check::SECOND;
use super::section::Section;
use super::{
    CertificateAuthority, Compression, ControlPlane, Credentials, PemSource, Server, Timeouts,
    files, kubeconfig,
};
use crate::mapping::Namespaces;

/// The names, and what of them could be read.
pub(super) fn control_planes(
    root: &Section<'_>,
) -> (BTreeSet<String>, BTreeMap<String, Arc<ControlPlane>>) {
    let mut names = BTreeSet::new();
    let mut all = BTreeMap::new();
    for (name, section) in root.named_sections("controlPlanes") {
        names.insert(name.clone());
        if let Some(control_plane) = control_plane(&name, section) {
            all.insert(name, Arc::new(control_plane));
        }
    }
    if names.is_empty() {
        let cure =
            "add one with its kubeconfig, such as platform: {kubeconfig: platform.kubeconfig, …}";
        root.problem("controlPlanes", "names no control plane", cure);
    }
    (names, all)
}

struct Access {
    server: Option<Server>,
    certificate_authority: CertificateAuthority,
    credentials: Option<Credentials>,
    tls_server_name: Option<String>,
}

fn control_plane(name: &str, section: Section<'_>) -> Option<ControlPlane> {
    let access = if section.has("kubeconfig") {
        from_kubeconfig(&section)
    } else {
        Some(from_keys(&section))
    };
    let mapping = mapping(section.section("mapping"));
    let compression = section.choice(
        "compression",
        ("auto", Compression::Auto),
        &[("on", Compression::On), ("off", Compression::Off)],
    );
    let timeouts = timeouts(section.section("timeouts"));
    section.finish();
    let access = access?;
    Some(ControlPlane {
        name: name.to_owned(),
        server: access.server?,
        certificate_authority: access.certificate_authority,
        credentials: access.credentials?,
        tls_server_name: access.tls_server_name,
        mapping: mapping?,
        compression,
        timeouts,
    })
}

const EXPLICIT: [&str; 5] = [
    "server",
    "certificateAuthority",
    "tokenFile",
    "clientCertificate",
    "clientKey",
];

fn from_kubeconfig(section: &Section<'_>) -> Option<Access> {
    for key in EXPLICIT {
        if section.text(key).is_some() {
            let cure = "keep the kubeconfig or the explicit keys, not both";
            section.problem(key, "is set beside kubeconfig", cure);
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
        section.problem(
            "kubeconfig",
            problem,
            "mend the kubeconfig or the file that it names",
        );
        return None;
    }
    Some(Access {
        server: server(section, "kubeconfig", &access.server),
        certificate_authority: access.certificate_authority,
        credentials: Some(access.credentials),
        tls_server_name: access.tls_server_name,
    })
}

fn from_keys(section: &Section<'_>) -> Access {
    if section
        .text("context")
        .is_some_and(|context| !context.is_empty())
    {
        section.problem(
            "context",
            "is set without kubeconfig",
            "name the kubeconfig, or remove it",
        );
    }
    let server = section
        .required_text(
            "server",
            "name a kubeconfig, or the server such as https://platform:6443",
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
            "name a PEM file of CA certificates",
        );
    }
    Access {
        server,
        certificate_authority,
        credentials: credentials(section),
        tls_server_name: None,
    }
}

fn credentials(section: &Section<'_>) -> Option<Credentials> {
    let cure = "set tokenFile, or clientCertificate and clientKey";
    let token = section.path("tokenFile");
    let certificate = section.path("clientCertificate");
    let key = section.path("clientKey");
    let (name, credentials) = match (token, certificate, key) {
        (Some(path), None, None) => ("tokenFile", Credentials::TokenFile(path)),
        (None, Some(certificate), Some(key)) => (
            "clientCertificate",
            Credentials::ClientCertificate {
                certificate: PemSource::File(certificate),
                key: PemSource::File(key),
            },
        ),
        (None, None, None) => {
            section.problem("tokenFile", "is missing", cure);
            return None;
        }
        (Some(_), ..) => {
            section.problem("tokenFile", "is set beside a client certificate", cure);
            return None;
        }
        (None, ..) => {
            section.problem("clientCertificate", "and clientKey go together", cure);
            return None;
        }
    };
    if let Err(problem) = files::usable(&credentials) {
        section.problem(name, problem, cure);
        return None;
    }
    Some(credentials)
}

fn server(section: &Section<'_>, key: &str, text: &str) -> Option<Server> {
    let cure = "write https://HOST:PORT";
    let url = Url::parse(text).ok().filter(|url| url.host().is_some());
    let Some(url) = url else {
        section.problem(key, format!("{text:?} is not the URL of a server"), cure);
        return None;
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if url.scheme() != "https" || !plain || url.fragment().is_some() {
        section.problem(
            key,
            "is not a plain https URL; credentials would travel in the clear",
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
    Some(Server {
        host,
        port: url.port_or_known_default()?,
        path,
    })
}

fn mapping(section: Section<'_>) -> Option<Namespaces> {
    let rows = section.table("namespaces");
    let cure = "write namespaces: {LOCAL: REMOTE}, each name once on either side";
    let mapping = match rows.map(Namespaces::table) {
        Some(Ok(mapping)) => Some(mapping),
        Some(Err(error)) => {
            section.problem("namespaces", error.to_string(), cure);
            None
        }
        None => {
            if !section.has("namespaces") {
                section.problem("namespaces", "is missing", cure);
            }
            None
        }
    };
    section.finish();
    mapping
}

fn timeouts(section: Section<'_>) -> Timeouts {
    let timeouts = Timeouts {
        connect: section.some_duration("connect", 5 * SECOND),
        request: section.some_duration("request", 60 * SECOND),
        ping_interval: section.some_duration("pingInterval", 30 * SECOND),
        ping_timeout: section.some_duration("pingTimeout", 15 * SECOND),
    };
    section.finish();
    timeouts
}
