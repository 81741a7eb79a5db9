//! From a tree of values to a [`Config`], all problems in one pass.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::control_plane::control_planes;
use super::load::Loaded;
use super::problem::Problems;
use super::section::{Section, Shared};
use super::{
    Api, Authentication, ClientCertificate, Config, ControlPlane, Limits, Listen, Log, LogFormat,
    RequestHeader, Resources, Shutdown, files,
};
use crate::mapping::is_dns_label;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn check(path: &Path, loaded: Loaded) -> Result<Config, Problems> {
    let Loaded {
        dict,
        from_environment,
        found,
    } = loaded;
    let directory = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let shared = Shared {
        found: RefCell::new(found),
        from_environment,
        directory,
    };
    let config = root(Section::new(&shared, String::new(), dict));
    let problems = shared.found.into_inner().problems;
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Problems(problems)),
    }
}

/// `None` only with a problem noted.
fn root(root: Section<'_>) -> Option<Config> {
    let cluster = cluster(&root);
    let listen = listen(root.section("listen"));
    let authentication = authentication(&root);
    let authorization = root.section("authorization");
    let direct_groups = authorization
        .texts("directGroups", &[])
        .into_iter()
        .collect();
    authorization.finish();
    let (names, control_planes) = control_planes(&root);
    let apis = apis(&root, &names, &control_planes);
    let limits = limits(root.section("limits"));
    let admin = admin(root.section("admin"));
    let shutdown = root.section("shutdown");
    let drain = Shutdown {
        delay: shutdown.duration("delay", Duration::ZERO),
        drain: shutdown.duration("drain", 30 * SECOND),
    };
    shutdown.finish();
    let log = log(root.section("log"));
    root.finish();
    Some(Config {
        cluster: cluster?,
        listen: listen?,
        authentication: authentication?,
        direct_groups,
        control_planes,
        apis,
        limits,
        admin,
        shutdown: drain,
        log,
    })
}

fn cluster(root: &Section<'_>) -> Option<String> {
    let name = root.required_text("cluster", "name this app cluster, such as team-a")?;
    if !is_dns_label(&name) {
        let cure = "use at most 63 of a-z, 0-9 and -, the first and last no -";
        root.problem("cluster", format!("{name:?} is not a DNS label"), cure);
        return None;
    }
    Some(name)
}

fn listen(section: Section<'_>) -> Option<Listen> {
    let address = address(&section, "[::]:8443").flatten();
    let connections_max = section.count("connectionsMax", 1000);
    let pair = files::pair(&section);
    section.finish();
    let (certificate, key) = pair?;
    Some(Listen {
        address: address?,
        certificate,
        key,
        connections_max,
    })
}

/// `Some(None)` for an empty text, `None` for one that is no address.
fn address(section: &Section<'_>, default: &str) -> Option<Option<SocketAddr>> {
    let text = section
        .text("address")
        .unwrap_or_else(|| default.to_owned());
    if text.is_empty() {
        return Some(None);
    }
    if let Ok(address) = text.parse() {
        return Some(Some(address));
    }
    let cure = "write IP:PORT, such as [::]:8443 or 127.0.0.1:8443";
    section.problem("address", format!("{text:?} is no address"), cure);
    None
}

fn admin(section: Section<'_>) -> Option<SocketAddr> {
    let address = address(&section, "127.0.0.1:9090").flatten();
    section.finish();
    address
}

fn authentication(root: &Section<'_>) -> Option<Authentication> {
    let section = root.section("authentication");
    let request_header = section
        .optional_section("requestHeader")
        .map(request_header);
    let client_certificate = section
        .optional_section("clientCertificate")
        .map(|section| {
            let client_ca = files::authority(&section, "clientCa");
            section.finish();
            client_ca.map(|client_ca| ClientCertificate { client_ca })
        });
    section.finish();
    if request_header.is_none() && client_certificate.is_none() {
        let cure = "set authentication.requestHeader.clientCa to the app cluster's front-proxy CA";
        root.problem("authentication", "lets nobody in", cure);
        return None;
    }
    Some(Authentication {
        request_header: absent_or_good(request_header)?,
        client_certificate: absent_or_good(client_certificate)?,
    })
}

/// An absent section is fine, a bad one is not.
fn absent_or_good<T>(section: Option<Option<T>>) -> Option<Option<T>> {
    section.map_or(Some(None), |read| read.map(Some))
}

fn request_header(section: Section<'_>) -> Option<RequestHeader> {
    let headers = |key: &'static str, default: &str| {
        let names = section.texts(key, &[default]);
        let parsed: Result<Vec<HeaderName>, _> = names.iter().map(|name| name.parse()).collect();
        if parsed.is_err() {
            section.problem(key, "holds what is no header name", "write [X-Remote-User]");
        }
        parsed.ok()
    };
    let client_ca = files::authority(&section, "clientCa");
    let username_headers = headers("usernameHeaders", "X-Remote-User");
    let uid_headers = headers("uidHeaders", "X-Remote-Uid");
    let group_headers = headers("groupHeaders", "X-Remote-Group");
    let prefixes = section.texts("extraHeadersPrefix", &["X-Remote-Extra-"]);
    let allowed_names = section.texts("allowedNames", &["front-proxy-client"]);
    section.finish();
    Some(RequestHeader {
        client_ca: client_ca?,
        allowed_names,
        username_headers: username_headers?,
        uid_headers: uid_headers?,
        group_headers: group_headers?,
        extra_headers_prefix: prefixes
            .iter()
            .map(|prefix| prefix.to_ascii_lowercase())
            .collect(),
    })
}

fn apis(
    root: &Section<'_>,
    names: &BTreeSet<String>,
    control_planes: &BTreeMap<String, Arc<ControlPlane>>,
) -> Vec<Api> {
    let sections = root.list_of_sections("apis");
    if sections.is_empty() {
        root.problem(
            "apis",
            "exposes no API",
            "add - {group: GROUP, controlPlane: NAME}",
        );
    }
    let mut apis: Vec<Api> = Vec::new();
    let mut seen: Vec<(String, BTreeSet<String>)> = Vec::new();
    for section in sections {
        let (entry, control_plane) = api(&section, names, control_planes);
        if let Some((group, versions, resources, read_only)) = entry {
            let twice = seen.iter().any(|(other, theirs)| {
                *other == group
                    && (theirs.is_empty() || versions.is_empty() || !theirs.is_disjoint(&versions))
            });
            if twice {
                let cure = "keep one entry, or split the group by versions";
                section.problem(
                    "group",
                    "an earlier entry claims a version of it already",
                    cure,
                );
            }
            seen.push((group.clone(), versions.clone()));
            if let Some(control_plane) = control_plane {
                apis.push(Api {
                    group,
                    versions,
                    resources,
                    control_plane,
                    read_only,
                });
            }
        }
        section.finish();
    }
    apis
}

type Entry = (String, BTreeSet<String>, Resources, bool);

fn api(
    section: &Section<'_>,
    names: &BTreeSet<String>,
    control_planes: &BTreeMap<String, Arc<ControlPlane>>,
) -> (Option<Entry>, Option<Arc<ControlPlane>>) {
    let group = section.required_text("group", "name the API group, such as k8s.starter.org");
    let group = group.filter(|group| {
        let sound = group.contains('.') && group.len() <= 253 && group.split('.').all(is_dns_label);
        if !sound {
            let cure = "write it as in kubectl api-resources, such as k8s.starter.org";
            section.problem(
                "group",
                format!("{group:?} is no group of custom resources"),
                cure,
            );
        }
        sound
    });
    let versions = section.texts("versions", &[]).into_iter().collect();
    let named: BTreeSet<String> = section.texts("resources", &[]).into_iter().collect();
    let category = section.text("category");
    let resources = match (named.contains("*"), named.is_empty()) {
        (true, _) => Resources::All,
        (false, false) => Resources::Named(named),
        (false, true) => Resources::Category(category.unwrap_or_else(|| "claim".to_owned())),
    };
    let read_only = section.flag("readOnly", false);
    let name = section.required_text("controlPlane", "name one of controlPlanes");
    if let Some(name) = name.as_ref().filter(|name| !names.contains(*name)) {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let cure = format!("known ones: {}", known.join(", "));
        section.problem(
            "controlPlane",
            format!("{name:?} is no control plane"),
            cure,
        );
    }
    let control_plane = name.and_then(|name| control_planes.get(&name).cloned());
    (
        group.map(|group| (group, versions, resources, read_only)),
        control_plane,
    )
}

fn limits(section: Section<'_>) -> Limits {
    let limits = Limits {
        watches_max: section.count("watchesMax", 20_000),
        requests_in_flight_max: section.count("requestsInFlightMax", 400),
        body_bytes_max: section.size("bodyMax", 3 << 20),
        held_bytes_max: section.size("heldBytesMax", 4 << 20),
        watch_buffer_bytes_max: section.size("watchBufferMax", 256 << 10),
        watch_stall_max: section.some_duration("watchStallMax", 30 * SECOND),
    };
    section.finish();
    limits
}

fn log(section: Section<'_>) -> Log {
    let level = section.text("level").unwrap_or_else(|| "info".to_owned());
    if level
        .parse::<tracing_subscriber::filter::Targets>()
        .is_err()
    {
        section.problem(
            "level",
            format!("{level:?} is no filter"),
            "write info, or as in RUST_LOG",
        );
    }
    let format = section.choice(
        "format",
        ("auto", LogFormat::Auto),
        &[("json", LogFormat::Json), ("text", LogFormat::Text)],
    );
    section.finish();
    Log { level, format }
}
