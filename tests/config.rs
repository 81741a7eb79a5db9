//! Every configuration that ships is read and checked, and its documentation names its keys.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

use claimgate::config::{self, Compression};
use claimgate::dev::certificates::Authority;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// A folder with everything that the examples name.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new("test").unwrap();
    let identity = ca.serving(&["localhost"]).unwrap();
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
        contexts: [{name: a, context: {cluster: a, user: a}}]\n\
        clusters: [{name: a, cluster: {server: 'https://localhost:6443'}}]\n\
        users: [{name: a, user: {token: secret}}]\n";
    fs::create_dir(dir.path().join("tls")).unwrap();
    for (name, text) in [
        ("tls/tls.crt", identity.certificate.as_str()),
        ("tls/tls.key", &identity.key),
        ("front-proxy-ca.crt", &ca.pem()),
        ("client-ca.crt", &ca.pem()),
        ("databases-ca.crt", &ca.pem()),
        ("databases.token", "token"),
        ("platform.kubeconfig", kubeconfig),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn load(name: &str, text: &str, environment: &[(&str, &str)]) -> Result<config::Config, String> {
    let dir = folder();
    let file = dir.path().join(name);
    fs::write(&file, text).unwrap();
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    config::load(&file, environment).map_err(|problems| {
        problems
            .to_string()
            .replace(dir.path().to_str().unwrap(), "DIR")
    })
}

#[test]
fn every_shipped_configuration_is_accepted() {
    let mut count = 0;
    for folder in [shipped(), shipped().join("examples")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !matches!(extension, Some("yaml" | "toml" | "json")) {
                continue;
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            let loaded = load(name, &fs::read_to_string(&path).unwrap(), &[]);
            assert!(loaded.is_ok(), "{name}: {}", loaded.unwrap_err());
            count += 1;
        }
    }
    assert_eq!(count, 5, "the walk did not find all of them");
}

#[test]
fn every_key_of_the_annotated_configuration_is_documented() {
    let text = fs::read_to_string(shipped().join("claimgate.yaml")).unwrap();
    let documentation = fs::read_to_string(shipped().join("README.md")).unwrap();
    let mut count = 0;
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let Some((key, _)) = line.trim_start().trim_start_matches("- ").split_once(':') else {
            continue;
        };
        let known = key == "platform" || documentation.contains(key);
        assert!(known, "config/README.md does not name {key}");
        count += 1;
    }
    assert!(count > 40, "only {count} keys were found");
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "\
cluster: Team_A
listen:
  certificate: tls/tls.crt
  key: missing.key
  conectionsMax: 5
authentication: {}
controlPlanes:
  platform:
    kubeconfig: platform.kubeconfig
    mapping:
      namespaces: {default: app-ns-1, team-a: app-ns-1}
    impersonate: {prefix: x}
    compression: gzip
    timeouts: {connect: 5}
apis:
  - group: k8s.starter.org
    controlPlane: platfrom
limits: {bodyMax: 3MB}
";
    let problems = load(
        "claimgate.yaml",
        text,
        &[("CLAIMGATE_LIMITS__WATCHES_MAX", "many")],
    );
    let problems = problems.unwrap_err();
    for wanted in [
        "DIR/claimgate.yaml:1: cluster: \"Team_A\" is not a DNS label",
        "missing.key cannot be read",
        "DIR/claimgate.yaml:5: listen.conectionsMax: is not a key of this section",
        "did you mean connectionsMax?",
        "authentication: lets nobody in",
        "local namespaces \"default\" and \"team-a\" are both mapped to \"app-ns-1\"",
        "controlPlanes.platform.impersonate: is not a key of this section",
        "controlPlanes.platform.compression: \"gzip\" is none of its words\n    write one of auto, on, off",
        "controlPlanes.platform.timeouts.connect: is not a duration",
        "apis[0].controlPlane: \"platfrom\" is no control plane",
        "limits.bodyMax: is not a size",
        "limits.watchesMax: is not a whole number",
        "11 problems",
    ] {
        assert!(problems.contains(wanted), "no {wanted:?} in:\n{problems}");
    }
}

#[test]
fn the_environment_goes_before_the_file() {
    let text = fs::read_to_string(shipped().join("examples/smallest.yaml")).unwrap();
    let environment = [
        ("CLAIMGATE_LIMITS__REQUESTS_IN_FLIGHT_MAX", "7"),
        ("CLAIMGATE_LIMITS__BODY_MAX", "1MiB"),
        ("CLAIMGATE_ADMIN__ADDRESS", ""),
        ("CLAIMGATE_PORT_8443_TCP", "tcp://10.0.0.1:8443"),
        ("CLAIMGATE_SERVICE_HOST", "10.0.0.1"),
        ("CLAIMGATE_CONFIG", "x"),
    ];
    let config = load("claimgate.yaml", &text, &environment).unwrap();
    assert_eq!(config.limits.requests_in_flight_max, 7);
    assert_eq!(config.limits.body_bytes_max, 1 << 20);
    assert_eq!(config.admin, None);
    let unknown = load("claimgate.yaml", &text, &[("CLAIMGATE_NO__SUCH", "1")]).unwrap_err();
    assert!(unknown.contains("no: is not a key"), "{unknown}");
}

#[test]
fn compression_is_a_word_or_what_other_parsers_make_of_it() {
    let text = fs::read_to_string(shipped().join("examples/smallest.yaml")).unwrap();
    let key = |value: &str| {
        let line = format!("    kubeconfig: platform.kubeconfig\n    compression: {value}\n");
        let with = text.replace("    kubeconfig: platform.kubeconfig\n", &line);
        assert_ne!(with, text, "the example has changed");
        with
    };
    let compression = |text: &str, environment: &[(&str, &str)]| {
        let config = load("claimgate.yaml", text, environment).unwrap();
        config.control_planes["platform"].compression
    };
    assert_eq!(compression(&text, &[]), Compression::Auto);
    for (value, wanted) in [
        ("auto", Compression::Auto),
        ("on", Compression::On),
        ("\"on\"", Compression::On),
        ("true", Compression::On),
        ("off", Compression::Off),
        ("false", Compression::Off),
    ] {
        assert_eq!(compression(&key(value), &[]), wanted, "{value}");
    }
    let variable = "CLAIMGATE_CONTROL_PLANES__PLATFORM__COMPRESSION";
    assert_eq!(
        compression(&key("off"), &[(variable, "on")]),
        Compression::On
    );
    let problems = load("claimgate.yaml", &key("5"), &[]).unwrap_err();
    assert!(
        problems.contains("compression: is not a text"),
        "{problems}"
    );
}
