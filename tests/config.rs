//! The shipped configurations are valid, and invalid ones are reported completely.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

use claimgate::config::{self, CaInjection, Compression, ServingCertificateConfig};
use dev_control_plane::certificates::Authority;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// Creates a folder with every file that the examples refer to.
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
fn shipped_configurations_are_valid() {
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
    assert_eq!(count, 6, "the number of shipped configurations has changed");
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = "\
cluster: Team_A
listen:
  certificate: tls/tls.crt
  key: missing.key
  maxConections: 5
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
limits: {maxRequestBodySize: 3MB}
";
    let problems = load(
        "claimgate.yaml",
        text,
        &[("CLAIMGATE_LIMITS__MAX_WATCHES", "many")],
    );
    let problems = problems.unwrap_err();
    for wanted in [
        "DIR/claimgate.yaml:1: cluster: \"Team_A\" is not a DNS label",
        "missing.key cannot be read",
        "DIR/claimgate.yaml:5: listen.maxConections: is not a known key\n    remove it, or replace it with maxConnections",
        "authentication: no client can authenticate",
        "local namespaces \"default\" and \"team-a\" are both mapped to \"app-ns-1\"",
        "controlPlanes.platform.impersonate: is not a known key",
        "controlPlanes.platform.compression: \"gzip\" is not a valid value\n    write one of auto, on, off",
        "controlPlanes.platform.timeouts.connect: is not a duration",
        "apis[0].controlPlane: control plane \"platfrom\" does not exist in controlPlanes",
        "limits.maxRequestBodySize: is not a size",
        "limits.maxWatches: is not a whole number",
        "11 problems",
    ] {
        assert!(problems.contains(wanted), "no {wanted:?} in:\n{problems}");
    }
}

/// Returns the smallest configuration with other text after `mapping:`.
fn with_mapping(mapping: &str) -> String {
    let text = fs::read_to_string(shipped().join("examples/table.yaml")).unwrap();
    let old = "mapping:\n      namespaces: {default: app-ns-1}";
    let new = text.replace(old, &format!("mapping: {mapping}"));
    assert_ne!(new, text, "the example does not have the expected lines");
    new
}

#[test]
fn mapping_is_a_table_or_one_namespace() {
    for (mapping, remote) in [
        ("{namespaces: {default: app-ns-1}}", "app-ns-1"),
        ("{namespace: remote}", "remote"),
        ("{namespace: remote, names: readable}", "remote"),
    ] {
        let config = load("claimgate.yaml", &with_mapping(mapping), &[]).unwrap();
        let namespace = config.control_planes["platform"]
            .mapping
            .remote_namespace("default");
        assert_eq!(namespace.as_deref(), Ok(remote), "{mapping}");
    }
    let variable = (
        "CLAIMGATE_CONTROL_PLANES__PLATFORM__MAPPING__NAMESPACE",
        "other",
    );
    let config = load(
        "claimgate.yaml",
        &with_mapping("{namespace: remote}"),
        &[variable],
    )
    .unwrap();
    let namespace = config.control_planes["platform"]
        .mapping
        .remote_namespace("default");
    assert_eq!(namespace.as_deref(), Ok("other"));
}

/// What to do if the mapping mode is not clear.
const MODES: &str = "set one of them: namespace: REMOTE for all local namespaces, or namespaces: {LOCAL: REMOTE, ...} \
                     for a table";

#[test]
fn mapping_without_namespaces_is_reported_once() {
    let missing = format!(
        "controlPlanes.platform.mapping: neither namespace nor namespaces is set\n    {MODES}\n"
    );
    for mapping in ["{}", "{namespace: null}", "{names: readable}"] {
        let problems = load("claimgate.yaml", &with_mapping(mapping), &[]).unwrap_err();
        assert!(
            problems.contains(&missing),
            "no {missing:?} in:\n{problems}"
        );
        assert!(problems.ends_with("\n1 problem"), "{mapping}: {problems}");
    }
    let misspelt = with_mapping("{namespcae: remote}");
    let problems = load("claimgate.yaml", &misspelt, &[]).unwrap_err();
    let unknown =
        "mapping.namespcae: is not a known key\n    remove it, or replace it with namespace";
    for wanted in [missing.as_str(), unknown, "\n2 problems"] {
        assert!(problems.contains(wanted), "no {wanted:?} in:\n{problems}");
    }
}

#[test]
fn invalid_mappings_are_reported_with_the_keys_to_set() {
    let invalid = "is not a valid namespace name; use 1 to 63 lowercase letters, digits and \"-\"";
    let own = "set it to a namespace of the control plane that only this app cluster uses";
    for (mapping, problem, cure) in [
        (
            "{namespaces: {default: app-ns-1}, namespace: remote}",
            "namespace: cannot be combined with namespaces",
            MODES,
        ),
        (
            "{namespaces: {default: app-ns-1}, names: readable}",
            "names: needs namespace, which is not set",
            "remove names, or replace namespaces with namespace: REMOTE",
        ),
        (
            "{namespace: remote, names: upbound}",
            "names: \"upbound\" is not a valid value",
            "write readable",
        ),
        (
            "{namespace: remote, names: 5}",
            "names: is not a string",
            "write it as readable",
        ),
        (
            "{namespace: 5}",
            "namespace: is not a string",
            "write it as \"text\"",
        ),
        (
            "{namespace: Team}",
            &format!("namespace: \"Team\" {invalid}"),
            own,
        ),
        (
            "{namespace: ''}",
            &format!("namespace: \"\" {invalid}"),
            own,
        ),
        (
            "{namespace: a/b}",
            &format!("namespace: \"a/b\" {invalid}"),
            own,
        ),
        (
            "{namespaces: [default]}",
            "namespaces: is not a mapping",
            "write it as {default: app-ns-1}",
        ),
        (
            "{namespaceTemplate: '{cluster}-{namespace}'}",
            "namespaceTemplate: is not a known key",
            "remove it",
        ),
    ] {
        let problems = load("claimgate.yaml", &with_mapping(mapping), &[]).unwrap_err();
        let wanted = format!("controlPlanes.platform.mapping.{problem}\n    {cure}");
        assert!(problems.contains(&wanted), "no {wanted:?} in:\n{problems}");
    }
}

#[test]
fn every_problem_of_a_mapping_is_reported_once() {
    let nothing = load("claimgate.yaml", &with_mapping("{names: upbound}"), &[]).unwrap_err();
    assert!(nothing.ends_with("\n2 problems"), "{nothing}");
    let two = with_mapping("{namespace: Team}").replace("cluster: team-a", "cluster: Team_A");
    let two = load("claimgate.yaml", &two, &[]).unwrap_err();
    assert!(
        two.contains("\"Team_A\"") && two.contains("\"Team\""),
        "{two}"
    );
}

/// Returns the keys with warnings of a configuration with two control planes.
fn keys_with_warnings(first: &str, second: &str, second_server: &str) -> Vec<String> {
    let text = with_mapping(first);
    let second = format!(
        "  second:\n    server: {second_server}\n    tokenFile: databases.token\n    mapping: {second}\napis:\n"
    );
    let config = load("claimgate.yaml", &text.replace("apis:\n", &second), &[]).unwrap();
    let warnings = config::warnings(&config);
    warnings.into_iter().map(|warning| warning.key).collect()
}

#[test]
fn control_planes_on_one_server_that_share_a_namespace_have_warnings() {
    let table = "{namespaces: {default: remote, other: app-ns-2}}";
    let reversed = "{namespaces: {default: app-ns-2, other: remote}}";
    let shared = "{namespace: remote}";
    let elsewhere = "{namespace: elsewhere}";
    let row = |control_plane: &str, local: &str| {
        format!("controlPlanes.{control_plane}.mapping.namespaces.{local}")
    };
    let namespace = || "controlPlanes.second.mapping.namespace".to_owned();
    for (first, second, expected) in [
        (shared, shared, vec![namespace()]),
        (shared, elsewhere, vec![]),
        (table, shared, vec![row("platform", "default")]),
        (shared, table, vec![row("second", "default")]),
        (table, elsewhere, vec![]),
        (elsewhere, table, vec![]),
        (table, table, vec![]),
        (
            table,
            reversed,
            vec![row("second", "default"), row("second", "other")],
        ),
    ] {
        let one_server = keys_with_warnings(first, second, "https://localhost:6443/");
        assert_eq!(one_server, expected, "{first} and {second}");
        let two_servers = keys_with_warnings(first, second, "https://localhost:6444");
        assert!(two_servers.is_empty(), "{first} and {second}");
    }
}

#[test]
fn environment_overrides_file() {
    let text = fs::read_to_string(shipped().join("examples/table.yaml")).unwrap();
    let environment = [
        ("CLAIMGATE_LIMITS__MAX_REQUESTS_IN_FLIGHT", "7"),
        ("CLAIMGATE_LIMITS__MAX_REQUEST_BODY_SIZE", "1MiB"),
        ("CLAIMGATE_ADMIN__ADDRESS", ""),
        ("CLAIMGATE_PORT_8443_TCP", "tcp://10.0.0.1:8443"),
        ("CLAIMGATE_SERVICE_HOST", "10.0.0.1"),
        ("CLAIMGATE_CONFIG", "x"),
    ];
    let config = load("claimgate.yaml", &text, &environment).unwrap();
    assert_eq!(config.limits.max_requests_in_flight, 7);
    assert_eq!(config.limits.max_request_body_size, 1 << 20);
    assert_eq!(config.admin, None);
    let unknown = load("claimgate.yaml", &text, &[("CLAIMGATE_NO__SUCH", "1")]).unwrap_err();
    assert!(unknown.contains("no: is not a known key"), "{unknown}");
}

#[test]
fn compression_accepts_words_and_yaml_booleans() {
    let text = fs::read_to_string(shipped().join("examples/table.yaml")).unwrap();
    let key = |value: &str| {
        let line = format!("    kubeconfig: platform.kubeconfig\n    compression: {value}\n");
        let with = text.replace("    kubeconfig: platform.kubeconfig\n", &line);
        assert_ne!(with, text, "the example does not have the expected line");
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
        problems.contains("compression: is not a string"),
        "{problems}"
    );
}

#[test]
fn renamed_key_is_an_error_that_names_the_new_key() {
    let text = fs::read_to_string(shipped().join("examples/table.yaml")).unwrap();
    let text = text.replace("listen:\n", "listen:\n  connectionsMax: 5\n")
        + "limits: {watchesMax: 1, requestsInFlightMax: 1, bodyMax: 1, heldBytesMax: 1, \
           watchBufferMax: 1, watchStallMax: 1s}\n";
    let problems = load("claimgate.yaml", &text, &[]).unwrap_err();
    for (old, new) in [
        ("listen.connectionsMax", "listen.maxConnections"),
        ("limits.watchesMax", "limits.maxWatches"),
        ("limits.requestsInFlightMax", "limits.maxRequestsInFlight"),
        ("limits.bodyMax", "limits.maxRequestBodySize"),
        ("limits.heldBytesMax", "limits.maxBufferedSize"),
        ("limits.watchBufferMax", "limits.watchBufferSize"),
        ("limits.watchStallMax", "limits.watchWriteTimeout"),
    ] {
        let wanted = format!("{old}: was renamed to {new}\n    replace it with {new}");
        assert!(problems.contains(&wanted), "no {wanted:?} in:\n{problems}");
    }
    assert!(problems.ends_with("\n7 problems"), "{problems}");
    let variable = ("CLAIMGATE_LIMITS__WATCHES_MAX", "5");
    let text = fs::read_to_string(shipped().join("examples/table.yaml")).unwrap();
    let problems = load("claimgate.yaml", &text, &[variable]).unwrap_err();
    assert!(problems.contains("limits.maxWatches"), "{problems}");
}

#[test]
fn secrets_of_the_app_cluster_need_registration_and_exclude_files() {
    let text = fs::read_to_string(shipped().join("examples/smallest.yaml")).unwrap();
    let files = "  certificate: tls/tls.crt\n  key: tls/tls.key\n";
    assert!(text.contains(files));
    let managed = text.replace(files, "  selfManaged: {secret: claimgate-tls}\n");
    let token = managed.replace(
        "    kubeconfig: platform.kubeconfig\n",
        "    server: https://platform:6443\n    tokenSecret: claimgate-platform\n",
    );
    let problems = load("claimgate.yaml", &token, &[]).unwrap_err();
    for key in ["listen.selfManaged", "controlPlanes.platform.tokenSecret"] {
        let wanted = format!("{key}: needs register");
        assert!(problems.contains(&wanted), "no {wanted:?} in:\n{problems}");
    }
    let config = load("claimgate.yaml", &format!("{token}register: {{}}\n"), &[]).unwrap();
    let ServingCertificateConfig::SelfManaged(certificate) = config.listen.certificate else {
        panic!("{:?}", config.listen);
    };
    assert_eq!(certificate.secret, "claimgate-tls");
    assert_eq!(certificate.lifetime.as_secs(), 90 * 24 * 3600);

    let both = text.replace(
        files,
        &format!("{files}  selfManaged: {{secret: a, lifetime: 3s}}\n"),
    );
    let both = both.replace(
        "    kubeconfig: platform.kubeconfig\n",
        "    server: https://platform:6443\n    tokenSecret: A_B\n",
    );
    let problems = load("claimgate.yaml", &both, &[]).unwrap_err();
    for wanted in [
        "listen.certificate: cannot be combined with selfManaged",
        "listen.key: cannot be combined with selfManaged",
        "listen.selfManaged.lifetime: ",
        "controlPlanes.platform.tokenSecret: \"A_B\" is not the name of a Secret",
    ] {
        assert!(problems.contains(wanted), "no {wanted:?} in:\n{problems}");
    }
}

#[test]
fn ca_injection_names_one_source_and_excludes_a_managed_certificate() {
    let text = fs::read_to_string(shipped().join("examples/smallest.yaml")).unwrap();
    let with_ca = text.replace(
        "listen:\n",
        "listen:\n  certificateAuthority: front-proxy-ca.crt\n",
    );
    let injection = |value: &str| {
        let text = format!("{with_ca}register: {{caInjection: {value}}}\n");
        load("claimgate.yaml", &text, &[]).map(|config| config.register.unwrap().ca_injection)
    };
    assert_eq!(
        injection("{certificate: claimgate-tls}").unwrap(),
        Some(CaInjection::Certificate("claimgate-tls".to_owned()))
    );
    assert_eq!(
        injection("{secret: claimgate-tls}").unwrap(),
        Some(CaInjection::Secret("claimgate-tls".to_owned()))
    );
    for (value, wanted) in [
        (
            "{}",
            "register.caInjection.certificate: caInjection needs either certificate or secret",
        ),
        (
            "{certificate: a, secret: b}",
            "needs either certificate or secret",
        ),
        (
            "{secret: A}",
            "register.caInjection.secret: \"A\" is not a name",
        ),
    ] {
        let problems = injection(value).unwrap_err();
        assert!(problems.contains(wanted), "{problems}");
    }
}

#[test]
fn events_of_composites_need_registration_and_those_of_claims_are_the_default() {
    let text = fs::read_to_string(shipped().join("examples/smallest.yaml")).unwrap();
    let config = load("claimgate.yaml", &text, &[]).unwrap();
    let events = config.apis[0].events;
    assert!(events.claim && !events.composite && !events.hide_composite_names);
    let group = "- group: k8s.starter.org\n";
    assert!(text.contains(group), "{text}");
    let composite = format!("{group}    events: {{composite: true}}\n");
    let problems = load("claimgate.yaml", &text.replace(group, &composite), &[]).unwrap_err();
    let wanted = "apis[0].events.composite: needs register";
    assert!(problems.contains(wanted), "{problems}");
    let composed = composite.replace("composite", "composed");
    let problems = load("claimgate.yaml", &text.replace(group, &composed), &[]).unwrap_err();
    let wanted = "apis[0].events.composed: needs events.composite";
    assert!(problems.contains(wanted), "{problems}");
}

#[test]
fn registration_needs_a_ca_and_adopts_only_exposed_versions() {
    let text = fs::read_to_string(shipped().join("examples/smallest.yaml")).unwrap();
    let problems = load("claimgate.yaml", &format!("{text}register: {{}}\n"), &[]).unwrap_err();
    assert!(
        problems.contains("listen.certificateAuthority: register needs it"),
        "{problems}"
    );
    let with_ca = text.replace(
        "listen:\n",
        "listen:\n  certificateAuthority: front-proxy-ca.crt\n",
    );
    let register = |adopt: &str| {
        let text = format!("{with_ca}register: {{adopt: [{adopt}], service: {{port: 8443}}}}\n");
        load("claimgate.yaml", &text, &[])
    };
    let config = register("k8s.starter.org/v1").unwrap();
    let register_config = config.register.unwrap();
    assert_eq!(register_config.service.name, "claimgate");
    assert_eq!(register_config.service.port, 8443);
    assert_eq!(register_config.adopt.len(), 1);
    assert_eq!(register_config.priority.group_minimum, 1000);
    let out_of_range = "register: {groupPriorityMinimum: 20001, versionPriority: 1001}\n";
    let problems = load("claimgate.yaml", &format!("{with_ca}{out_of_range}"), &[]).unwrap_err();
    for wanted in [
        "register.groupPriorityMinimum: 20001 is not a priority",
        "register.versionPriority: 1001 is not a priority",
    ] {
        assert!(problems.contains(wanted), "{problems}");
    }
    for adopt in ["other.org/v1", "k8s.starter.org", "apps/v1"] {
        let problems = register(adopt).unwrap_err();
        let wanted = format!("register.adopt: {adopt:?} cannot be adopted");
        assert!(problems.contains(&wanted), "{problems}");
    }
}

#[test]
fn front_proxy_comes_from_a_file_or_from_the_cluster() {
    let text = fs::read_to_string(shipped().join("examples/smallest.yaml")).unwrap();
    let with = |section: &str| {
        let text = text.replace("requestHeader:\n    clientCa: front-proxy-ca.crt", section);
        load("claimgate.yaml", &text, &[])
    };
    let config = with("requestHeader: {fromCluster: true}").unwrap();
    assert!(config.authentication.is_front_proxy_from_cluster());
    assert!(config.needs_app_cluster());
    let both = with("requestHeader: {fromCluster: true, clientCa: front-proxy-ca.crt}");
    let problems = both.unwrap_err();
    assert!(
        problems.contains("authentication.requestHeader.clientCa"),
        "{problems}"
    );
}

/// Returns the problems of the smallest configuration with these secrets of its API.
fn problems_of_secrets(secrets: &str) -> String {
    let text = fs::read_to_string(shipped().join("examples/smallest.yaml")).unwrap();
    assert!(text.ends_with("    controlPlane: platform\n"), "{text}");
    let text = format!("{text}    secrets: {secrets}\n");
    load("claimgate.yaml", &text, &[]).unwrap_err()
}

#[test]
fn input_paths_that_cannot_be_mapped_are_problems() {
    for (input, problem) in [
        ("[status.ref]", "is not a field of the spec"),
        ("['spec.users[0].ref']", "leads into a list"),
        (
            "[spec.writeConnectionSecretToRef]",
            "names the connection Secret",
        ),
        ("[spec.ref, spec.ref.name.xName]", "cannot contain"),
        (
            "[{kind: ConfigMap}]",
            "an entry needs either a path or labels",
        ),
    ] {
        let text = problems_of_secrets(&format!("{{namespaces: ['*'], input: {input}}}"));
        assert!(text.contains(problem), "{input}: {text}");
    }
}

#[test]
fn copies_of_secrets_need_namespaces_types_and_registration() {
    for (secrets, problem) in [
        (
            "{connection: true}",
            "secrets.namespaces: is required for connection and input",
        ),
        (
            "{connection: true, namespaces: ['*']}",
            "secrets: needs register, whose Lease elects one replica",
        ),
        (
            "{namespaces: [A]}",
            "secrets.namespaces: \"A\" is not a namespace",
        ),
        (
            "{types: [kubernetes.io/service-account-token]}",
            "are never copied",
        ),
        (
            "{labels: ['argocd.argoproj.io/secret-type']}",
            "is never copied",
        ),
        ("{templates: {a: '{b'}}", "a { has no }"),
    ] {
        let text = problems_of_secrets(secrets);
        assert!(text.contains(problem), "{secrets}: {text}");
    }
}
