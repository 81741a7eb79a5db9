//! Turns a tree of values into a [`Config`]. Collects all problems in one pass.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use figment::util::map;
use figment::value::{Dict, Value};
use http::HeaderName;
use tracing_subscriber::filter::Targets;

use super::apis::apis;
use super::control_plane::control_planes;
use super::files;
use super::listen::{address, check_register, listen};
use super::load::Loaded;
use super::problem::{ProblemLog, Problems};
use super::references::references;
use super::register::{app_cluster, register};
use super::section::{Section, Shared};
use super::settings::{
    ApiConfig, Authentication, ClientCertificate, Config, FrontProxyConfig, LimitsConfig, Log,
    LogFormat, OutageConfig, RequestHeader, Shutdown,
};
use super::units::SECOND;
use claim_mapping::mapping::is_dns_label;

/// Returns the checked configuration, or all problems in it.
pub(super) fn check(path: &Path, loaded: Loaded) -> Result<Config, Problems> {
    let directory = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let shared = Shared::new(loaded.problems, loaded.from_environment, directory);
    let config = root(Section::new(&shared, String::new(), loaded.dict));
    let problems = shared.into_problems();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Problems(problems)),
    }
}

/// Returns the path of every configuration key that claimgate reads. `NAME` stands for a name that
/// the user chooses, `[]` for the items of a list: `controlPlanes.NAME.server`, `apis[].group`.
pub fn known_keys() -> BTreeSet<String> {
    // Sections that may be absent are present, so that their keys are read.
    let empty = || Value::from(Dict::new());
    let dict = map! {
        "listen".to_owned() => Value::from(map!["selfManaged" => empty()]),
        "authentication".to_owned() => Value::from(map! {
            "requestHeader" => empty(),
            "clientCertificate" => empty(),
        }),
        "controlPlanes".to_owned() => Value::from(map!["NAME" => empty()]),
        "register".to_owned() => Value::from(map!["caInjection" => empty()]),
        "apis".to_owned() => Value::from(vec![map! {
            "secrets" => Value::from(map!["input" => Value::from(vec![empty()])]),
        }]),
    };
    let problems = ProblemLog::new(Path::new(""), String::new());
    let shared = Shared::new(problems, BTreeSet::new(), Path::new("").to_owned());
    root(Section::new(&shared, String::new(), dict));
    let keys = shared.into_keys().into_iter();
    keys.map(|key| key.replace("[0]", "[]")).collect()
}

/// Reads the whole configuration. Returns `None` only after it has reported a problem.
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
    let (names, control_planes) = control_planes(cluster.as_deref(), &root);
    let apis = apis(&root, &names, &control_planes);
    let references = references(&root, &apis);
    let app_cluster = app_cluster(root.section("appCluster"));
    let register = root
        .optional_section("register")
        .map(|section| register(section, &apis));
    if register.is_none() {
        check_copies(&root, &apis);
    }
    if let Some(listen) = &listen {
        check_register(&root, listen, &control_planes, register.as_ref());
    }
    let outage = outage(root.section("outage"));
    let state_directory = root.path("stateDirectory");
    let limits = limits(root.section("limits"));
    let admin = admin(root.section("admin"));
    let shutdown = shutdown(root.section("shutdown"));
    let log = log(root.section("log"));
    root.finish();
    Some(Config {
        cluster: cluster?,
        listen: listen?,
        authentication: authentication?,
        direct_groups,
        control_planes,
        apis,
        references: references?,
        app_cluster,
        register: absent_or_valid(register)?,
        outage,
        state_directory,
        limits,
        admin,
        shutdown,
        log,
    })
}

/// Reports copies without `register`, whose Lease elects the replica that makes them.
fn check_copies(root: &Section<'_>, apis: &[ApiConfig]) {
    for (at, api) in apis.iter().enumerate() {
        let keys = [
            ("secrets", !api.secrets.is_off()),
            ("events.composite", api.events.composite),
        ];
        for (key, _) in keys.iter().filter(|(_, is_on)| *is_on) {
            let cure = "add register: {service: {namespace: claimgate-system, name: claimgate}}";
            let key = format!("apis[{at}].{key}");
            root.problem(&key, "needs register, whose Lease elects one replica", cure);
        }
    }
}

fn cluster(root: &Section<'_>) -> Option<String> {
    let name = root.required_text("cluster", "set it to a name of this app cluster: team-a")?;
    if !is_dns_label(&name) {
        let cure = "use at most 63 of the characters a-z, 0-9 and -; start and end with a-z or 0-9";
        root.problem("cluster", format!("{name:?} is not a DNS label"), cure);
        return None;
    }
    Some(name)
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
        root.problem("authentication", "no client can authenticate", cure);
        return None;
    }
    Some(Authentication {
        request_header: absent_or_valid(request_header)?,
        client_certificate: absent_or_valid(client_certificate)?,
    })
}

/// Returns `Some` for an absent or valid section, and `None` for a section with a problem.
fn absent_or_valid<T>(section: Option<Option<T>>) -> Option<Option<T>> {
    section.map_or(Some(None), |read| read.map(Some))
}

/// Reads the front proxy. If the app cluster publishes it, other keys would have no effect, so they are errors.
fn request_header(section: Section<'_>) -> Option<FrontProxyConfig> {
    let headers = |key: &'static str, default: &str| {
        let names = section.texts(key, &[default]);
        let parsed: Result<Vec<HeaderName>, _> = names.iter().map(|name| name.parse()).collect();
        if parsed.is_err() {
            let cure = format!("write header names only: [{default}]");
            section.problem(key, "contains a string that is not a header name", cure);
        }
        parsed.ok()
    };
    if section.flag("fromCluster", false) {
        section.finish();
        return Some(FrontProxyConfig::FromCluster);
    }
    let client_ca = files::authority(&section, "clientCa");
    let username_headers = headers("usernameHeaders", "X-Remote-User");
    let uid_headers = headers("uidHeaders", "X-Remote-Uid");
    let group_headers = headers("groupHeaders", "X-Remote-Group");
    let prefixes = section.texts("extraHeadersPrefix", &["X-Remote-Extra-"]);
    let allowed_names = section.texts("allowedNames", &["front-proxy-client"]);
    section.finish();
    Some(FrontProxyConfig::File {
        client_ca: client_ca?,
        headers: RequestHeader {
            allowed_names,
            username_headers: username_headers?,
            uid_headers: uid_headers?,
            group_headers: group_headers?,
            extra_headers_prefix: prefixes
                .iter()
                .map(|prefix| prefix.to_ascii_lowercase())
                .collect(),
        },
    })
}

fn outage(section: Section<'_>) -> OutageConfig {
    let outage = OutageConfig {
        degrade_after: section.duration("degradeAfter", 30 * SECOND),
    };
    section.finish();
    outage
}

fn limits(section: Section<'_>) -> LimitsConfig {
    let limits = LimitsConfig {
        max_watches: section.count("maxWatches", 20_000),
        max_requests_in_flight: section.count("maxRequestsInFlight", 800),
        max_request_body_size: section.size("maxRequestBodySize", 3 << 20),
        max_buffered_size: section.size("maxBufferedSize", 4 << 20),
        watch_buffer_size: section.size("watchBufferSize", 256 << 10),
        watch_write_timeout: section.nonzero_duration("watchWriteTimeout", 30 * SECOND),
    };
    section.finish();
    limits
}

fn shutdown(section: Section<'_>) -> Shutdown {
    let shutdown = Shutdown {
        delay: section.duration("delay", Duration::ZERO),
        drain: section.duration("drain", 30 * SECOND),
    };
    section.finish();
    shutdown
}

fn log(section: Section<'_>) -> Log {
    let text = section.text("level").unwrap_or_else(|| "info".to_owned());
    let level = text.parse().unwrap_or_else(|_| {
        let cure = "write a level, such as info, or a filter as in RUST_LOG";
        section.problem("level", format!("{text:?} is not a log filter"), cure);
        Targets::new()
    });
    let format = section.choice(
        "format",
        ("auto", LogFormat::Auto),
        &[("json", LogFormat::Json), ("text", LogFormat::Text)],
    );
    section.finish();
    Log { level, format }
}
