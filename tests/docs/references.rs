//! The reference pages of the book match the code: configuration keys, their defaults, and metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use claimgate::config::{self, Config};
use claimgate::telemetry::metrics::Metrics;
use dev_control_plane::certificates::Authority;
use serde_json::Value;

use crate::read;

const CONFIGURATION: &str = "docs/src/reference/configuration.md";
const METRICS: &str = "docs/src/reference/metrics.md";

/// Returns the cells of every table row whose first cell is a single piece of code. `\|` does not
/// separate cells.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let line = line.replace("\\|", "\u{0}");
        let cells: Vec<String> = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().replace('\u{0}', "|"))
            .collect();
        let name = cells[0]
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'));
        let name = name.unwrap_or_else(|| panic!("{:?} is not one name", cells[0]));
        rows.push((name.to_owned(), cells[1..].to_vec()));
    }
    rows
}

fn assert_same_names(documented: &[String], known: &BTreeSet<String>, page: &str) {
    let unique: BTreeSet<String> = documented.iter().cloned().collect();
    let missing: Vec<&String> = known.difference(&unique).collect();
    let stale: Vec<&String> = unique.difference(known).collect();
    assert!(missing.is_empty(), "{page} does not document {missing:?}");
    assert!(
        stale.is_empty(),
        "{page} documents {stale:?}, which the code does not know"
    );
    assert_eq!(
        documented.len(),
        unique.len(),
        "{page} documents a name twice"
    );
}

#[test]
fn configuration_reference_has_one_row_per_key() {
    let documented: Vec<String> = rows(&read(CONFIGURATION))
        .into_iter()
        .map(|row| row.0)
        .collect();
    assert!(
        documented.len() > 40,
        "only {} keys were found",
        documented.len()
    );
    assert_same_names(&documented, &config::known_keys(), CONFIGURATION);
}

#[test]
fn annotated_configuration_names_every_key() {
    let text = read("config/claimgate.yaml");
    for key in config::known_keys() {
        let name = key.rsplit('.').next().unwrap();
        assert!(
            text.contains(&format!("{name}:")),
            "config/claimgate.yaml does not name {key}"
        );
    }
}

/// A configuration file that contains a documented default has the same effect as one without it.
#[test]
fn documented_defaults_are_those_of_the_code() {
    let smallest: Value = serde_json::from_str(&read("config/examples/claimgate.json")).unwrap();
    let mut count = 0;
    for (key, cells) in rows(&read(CONFIGURATION)) {
        let Some(default) = cells[1]
            .strip_prefix('`')
            .and_then(|cell| cell.strip_suffix('`'))
        else {
            assert!(
                matches!(cells[1].as_str(), "" | "required"),
                "default of {key}: {}",
                cells[1]
            );
            continue;
        };
        let value: Value = serde_saphyr::from_str(default).unwrap();
        let mut without = smallest.clone();
        if key == "controlPlanes.NAME.mapping.names" {
            // A table has no names.
            let shared = serde_json::json!({"namespace": "team-a"});
            set(&mut without, "controlPlanes.platform.mapping", shared);
        }
        if key.starts_with("register.") {
            set(&mut without, "register", serde_json::json!({}));
            set(
                &mut without,
                "listen.certificateAuthority",
                "front-proxy-ca.crt".into(),
            );
        }
        if key.starts_with("listen.selfManaged.") {
            let managed = serde_json::json!({"selfManaged": {"secret": "claimgate-tls"}});
            set(&mut without, "listen", managed);
            set(&mut without, "register", serde_json::json!({}));
        }
        if key.starts_with("apis[].secrets.input[].") {
            let input = serde_json::json!([{"path": "spec.passwordSecretRef"}]);
            set(&mut without, "apis.0.secrets.input", input);
            set(
                &mut without,
                "apis.0.secrets.namespaces",
                vec!["team-a"].into(),
            );
            set(&mut without, "register", serde_json::json!({}));
            set(
                &mut without,
                "listen.certificateAuthority",
                "front-proxy-ca.crt".into(),
            );
        }
        let mut with_default = without.clone();
        let path = key.replace("controlPlanes.NAME", "controlPlanes.platform");
        let path = path
            .replace("apis[]", "apis.0")
            .replace("input[]", "input.0");
        set(&mut with_default, &path, value);
        assert_eq!(
            format!("{:?}", load(&with_default)),
            format!("{:?}", load(&without)),
            "the default of {key}"
        );
        count += 1;
    }
    assert!(count > 25, "only {count} defaults were checked");
}

fn set(tree: &mut Value, path: &str, value: Value) {
    let mut place = tree;
    for name in path.split('.') {
        place = match place {
            Value::Array(items) => &mut items[name.parse::<usize>().unwrap()],
            Value::Object(members) => members
                .entry(name)
                .or_insert_with(|| Value::Object(serde_json::Map::new())),
            other => panic!("{path} is below {other}"),
        };
    }
    *place = value;
}

thread_local! {
    static FOLDER: tempfile::TempDir = folder();
}

/// Creates a folder with every file that the example refers to.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new("test").unwrap();
    let identity = ca.serving(&["localhost"]).unwrap();
    let kubeconfig = "current-context: a\n\
        contexts: [{name: a, context: {cluster: a, user: a}}]\n\
        clusters: [{name: a, cluster: {server: 'https://localhost:6443'}}]\n\
        users: [{name: a, user: {token: secret}}]\n";
    fs::create_dir(dir.path().join("tls")).unwrap();
    for (name, text) in [
        ("tls/tls.crt", identity.certificate.as_str()),
        ("tls/tls.key", &identity.key),
        ("front-proxy-ca.crt", &ca.pem()),
        ("platform.kubeconfig", kubeconfig),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn load(configuration: &Value) -> Config {
    FOLDER.with(|folder| {
        let file = folder.path().join("claimgate.json");
        fs::write(&file, configuration.to_string()).unwrap();
        config::load(&file, []).unwrap_or_else(|problems| panic!("{configuration}: {problems}"))
    })
}

#[test]
fn metrics_reference_has_one_row_per_metric() {
    let mut documented = Vec::new();
    let mut types = BTreeMap::new();
    for (name, cells) in rows(&read(METRICS)) {
        // The encoder adds these suffixes.
        let suffix = match cells[0].as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let registered = name.strip_suffix(suffix);
        let registered = registered.unwrap_or_else(|| panic!("{name} does not end in {suffix}"));
        types.insert(registered.to_owned(), cells[0].clone());
        documented.push(registered.to_owned());
    }
    let metrics = Metrics::new();
    let encoded = metrics.encode();
    let mut known = registered(&metrics);
    for line in encoded
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
    {
        let (name, kind) = line.split_once(' ').unwrap();
        known.insert(name.to_owned());
        let documented = types.get(name).map(String::as_str);
        assert_eq!(documented, Some(kind), "the type of {name}");
    }
    assert!(known.len() > 20, "only {known:?} were found");
    assert_same_names(&documented, &known, METRICS);
}

/// Returns the names of all registered metrics. The text format leaves out families that have no
/// metric yet, and the registry has no other way to list its descriptors.
fn registered(metrics: &Metrics) -> BTreeSet<String> {
    let registry = format!("{metrics:?}");
    let descriptors = registry.split("Descriptor { name: \"").skip(1);
    descriptors
        .map(|descriptor| format!("claimgate_{}", descriptor.split('"').next().unwrap()))
        .collect()
}

/// Returns the text of all files in a folder of the project.
fn files_of(path: &str) -> String {
    let folder = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(folder).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    texts.collect()
}

#[test]
fn fault_matrix_names_tests_that_exist() {
    let folders = [
        "tests/kubernetes",
        "tests/end_to_end",
        "src/catalog/refresh",
    ];
    let tests: String = folders.into_iter().map(files_of).collect();
    let page = read("docs/src/operations/fault-matrix.md");
    let code = page.split('`').skip(1).step_by(2);
    let names: BTreeSet<&str> = code
        .filter(|name| name.starts_with("Test") && *name != "Test" || name.matches('_').count() > 2)
        .collect();
    assert!(names.len() > 10, "the page names only {names:?}");
    for name in names {
        let is_test = [format!("func {name}("), format!("fn {name}(")];
        assert!(
            is_test.iter().any(|test| tests.contains(test)),
            "the page names {name}, which is not a test"
        );
    }
}
