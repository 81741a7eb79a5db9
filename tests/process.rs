//! The `claimgate` command as a process: exit codes, signals and notifications to systemd.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use dev_control_plane::certificates::Authority;
use dev_control_plane::{DevControlPlane, example};
use serde_json::{Value, json};

/// Timeout of a notification. Generous, because the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(20);

fn claimgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimgate"));
    command.env_clear();
    command
}

fn run(arguments: &[&str]) -> Output {
    claimgate().args(arguments).output().unwrap()
}

/// A daemon whose control plane does not exist, and the socket of its service manager.
struct Daemon {
    child: Child,
    notify_socket: UnixDatagram,
    dir: tempfile::TempDir,
}

/// Creates a folder with a valid `claimgate.yaml` and its files. `control_planes` is the YAML of further control
/// planes, and `more` is YAML that is appended.
fn folder(control_planes: &str, more: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new("test").unwrap();
    let identity = ca.serving(&["localhost"]).unwrap();
    let config = format!(
        "cluster: test\n\
         listen: {{address: '127.0.0.1:0', certificate: tls.crt, key: tls.key}}\n\
         authentication: {{clientCertificate: {{clientCa: ca.crt}}}}\n\
         controlPlanes:\n  platform:\n    server: 'https://127.0.0.1:1'\n    \
         tokenFile: token\n    mapping: {{namespaces: {{default: app-ns-1}}}}\n{control_planes}\
         apis: [{{group: k8s.starter.org, controlPlane: platform}}]\n\
         admin: {{address: ''}}\n{more}\n"
    );
    for (name, text) in [
        ("tls.crt", identity.certificate.as_str()),
        ("tls.key", &identity.key),
        ("ca.crt", &ca.pem()),
        ("token", "secret"),
        ("claimgate.yaml", &config),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

impl Daemon {
    /// Starts the daemon. `more` is YAML that is appended to its configuration.
    fn start(more: &str) -> Self {
        Self::start_with_environment(more, &[])
    }

    fn start_with_environment(more: &str, environment: &[(&str, &str)]) -> Self {
        let dir = folder("", more);
        let notify_socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notify_socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let child = claimgate()
            .args(["serve", "--config"])
            .arg(dir.path().join("claimgate.yaml"))
            .env("NOTIFY_SOCKET", dir.path().join("notify"))
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            notify_socket,
            dir,
        }
    }

    /// Returns the next notification to systemd.
    fn notification(&self) -> String {
        let mut buffer = [0; 64];
        let length = self
            .notify_socket
            .recv(&mut buffer)
            .expect("a notification");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.trim_end().to_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status();
        assert!(kill.unwrap().success());
    }

    /// Reads the log up to a line that contains this text.
    fn wait_for_log(&mut self, wanted: &str) {
        let log = BufReader::new(self.child.stderr.as_mut().unwrap());
        let found = log.lines().any(|line| line.unwrap().contains(wanted));
        assert!(found, "the log ended without {wanted:?}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ignores errors, because the daemon may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn version_help_and_completion_are_printed() {
    let version = run(&["--version"]);
    assert!(version.status.success());
    let expected = format!("claimgate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
    let help = run(&["--help"]);
    for command in ["serve", "check", "map", "dev", "completion", "man"] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(command));
        for shell in ["bash", "zsh", "fish"] {
            let script = run(&["completion", shell]);
            assert!(script.status.success());
            assert!(String::from_utf8_lossy(&script.stdout).contains(command));
        }
    }
}

#[test]
fn invalid_usage_and_configuration_exit_with_2_and_failures_with_1() {
    for arguments in [&["nonsense"][..], &[], &["serve", "--nonsense"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.yaml");
    fs::write(&bad, "cluster: test\nlisten: {adress: x}\n").unwrap();
    for command in [&["serve"][..], &["check"], &["map", "default/a"]] {
        let config = ["--config", bad.to_str().unwrap()];
        let output = run(&[command, &config].concat());
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(
            printed.contains("address") && printed.contains("bad.yaml:2"),
            "{printed}"
        );
    }
    let mut daemon = Daemon::start("");
    assert_eq!(daemon.notification(), "READY=1");
    let config = daemon.dir.path().join("claimgate.yaml");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("127.0.0.1:0", &address)).unwrap();
    let output = run(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(printed.contains(&address), "{printed}");
    daemon.signal("TERM");
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}

/// For example in `claimgate check | head -1`, the exit code still reports whether the configuration is valid.
#[test]
fn closed_stdout_does_not_change_the_exit_code() {
    let daemon = Daemon::start("");
    assert_eq!(daemon.notification(), "READY=1");
    let good = daemon.dir.path().join("claimgate.yaml");
    let bad = daemon.dir.path().join("bad.yaml");
    fs::write(&bad, "cluster: test\n").unwrap();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let mut calls = vec![
        (vec!["completion", "bash"], 0),
        (vec!["--help"], 0),
        (vec!["man"], 0),
    ];
    for (config, code) in [(&good, 0), (&bad, 2)] {
        for format in ["text", "json"] {
            let config = config.to_str().unwrap();
            calls.push((vec!["check", "--config", config, "-o", format], code));
        }
    }
    for (arguments, code) in calls {
        let call = claimgate().args(&arguments).stdout(closed()).output();
        let call = call.unwrap();
        assert_eq!(call.status.code(), Some(code), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&call.stderr), "", "{arguments:?}");
    }
    // A closed stderr does not change the exit code either.
    let call = claimgate()
        .args(["serve", "--config", bad.to_str().unwrap()])
        .stderr(closed())
        .status();
    assert_eq!(call.unwrap().code(), Some(2));
}

/// YAML of a control plane on the same server, whose mapping overlaps.
const SHARED: &str = "  shared:\n    server: 'https://127.0.0.1:1'\n    tokenFile: token\n    \
                      mapping: {namespace: app-ns-1}\n";

#[test]
fn check_prints_mappings_and_warnings() {
    let text = "cluster test\n\
        api k8s.starter.org (all versions) from platform\n\
        control plane platform at https://127.0.0.1:1\n  default -> app-ns-1\n\
        control plane shared at https://127.0.0.1:1\n  all namespaces -> app-ns-1 (names: readable)\n";
    let key = "controlPlanes.platform.mapping.namespaces.default";
    let problem = "control plane \"shared\" is the same server and stores the claims of all local namespaces in \
                   \"app-ns-1\"; they are visible in \"default\" under their remote names";
    let cure = "map \"default\" to another namespace";
    let warning = json!({"key": key, "problem": problem, "cure": cure});
    let elsewhere = SHARED.replace("app-ns-1", "remote");
    for (control_planes, text, namespace, warnings) in [
        (
            SHARED,
            format!("{text}warning: {key}: {problem}; {cure}\n"),
            "app-ns-1",
            json!([warning]),
        ),
        (
            &elsewhere,
            text.replace("all namespaces -> app-ns-1", "all namespaces -> remote"),
            "remote",
            json!([]),
        ),
    ] {
        let dir = folder(control_planes, "");
        let config = dir.path().join("claimgate.yaml");
        let arguments = ["check", "--config", config.to_str().unwrap(), "-o"];
        let [as_text, as_json] = ["text", "json"].map(|format| {
            let output = run(&[&arguments[..], &[format]].concat());
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        });
        assert_eq!(as_text, text);
        let expected = json!({
            "cluster": "test",
            "apis": [{
                "group": "k8s.starter.org", "versions": [], "controlPlane": "platform", "readOnly": false,
            }],
            "controlPlanes": {
                "platform": {"namespaces": {"default": "app-ns-1"}},
                "shared": {"namespace": namespace, "names": "readable"},
            },
            "warnings": warnings,
        });
        assert_eq!(serde_json::from_str::<Value>(&as_json).unwrap(), expected);
    }
}

#[test]
fn map_prints_names_and_fails_if_there_are_none() {
    let dir = folder(&SHARED.replace("app-ns-1", "remote"), "");
    let config = dir.path().join("claimgate.yaml");
    let map = |arguments: &[&str]| {
        let command = ["map", "--config", config.to_str().unwrap()];
        let output = run(&[&command, arguments].concat());
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), stdout, stderr)
    };
    let printed = |text: &str| (Some(0), text.to_owned(), String::new());
    // Computed with Python's hashlib.
    let remote = "remote/my-cluster-7b8baa13bb5becc9";
    assert_eq!(
        map(&["default/my-cluster"]),
        printed(&format!(
            "platform: app-ns-1/my-cluster\nshared: {remote}\n"
        ))
    );
    assert_eq!(
        map(&["--control-plane", "shared", "default/my-cluster"]),
        printed(&format!("shared: {remote}\n"))
    );
    assert_eq!(
        map(&["--remote", "app-ns-1/a"]),
        printed("platform: default/a\n")
    );
    assert_eq!(
        map(&["--remote", "--local-namespace", "default", remote]),
        printed("shared: default/my-cluster\n")
    );
    let (code, stdout, _) = map(&["--remote", remote]);
    assert_eq!(code, Some(0));
    assert!(
        stdout.starts_with("shared: unknown; ") && stdout.contains("kubectl"),
        "{stdout}"
    );
    for (arguments, expected, reason) in [
        (
            &["--control-plane", "platform", "no/a"][..],
            1,
            "\"no\" is not mapped",
        ),
        (
            &["--remote", "no/a"],
            1,
            "\"no\" is not in controlPlanes.platform",
        ),
        (
            &["--control-plane", "no", "default/a"],
            2,
            "use one of platform, shared",
        ),
        (&["--local-namespace", "default", "remote/a"], 2, "--remote"),
        (
            &["--remote", "--local-namespace", "..", "remote/a"],
            2,
            "not a valid namespace name",
        ),
        (&["default/../a"], 2, "one slash"),
        (&["default/.."], 2, "not a valid name"),
        (&[], 2, "NAMESPACE/NAME"),
    ] {
        let (code, stdout, stderr) = map(arguments);
        assert_eq!(
            (code, stdout.as_str()),
            (Some(expected), ""),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.contains(reason), "{arguments:?}: {stderr}");
    }
}

#[test]
fn first_signal_drains_and_second_signal_exits() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT")] {
        let mut daemon = Daemon::start("shutdown: {delay: 1h}");
        assert_eq!(daemon.notification(), "READY=1");
        daemon.signal("HUP");
        daemon.wait_for_log("SIGHUP is ignored");
        daemon.signal(first);
        assert_eq!(daemon.notification(), "STOPPING=1");
        assert!(daemon.child.try_wait().unwrap().is_none());
        daemon.signal(second);
        assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn watchdog_is_pinged_if_systemd_asks_for_it() {
    let interval = ("WATCHDOG_USEC", "200000");
    let daemon = Daemon::start_with_environment("", &[interval]);
    assert_eq!(daemon.notification(), "READY=1");
    for _ in 0..3 {
        assert_eq!(daemon.notification(), "WATCHDOG=1");
    }
}

#[test]
fn systemd_unit_runs_claimgate_serve_with_type_notify() {
    let unit = fs::read_to_string(systemd_unit()).unwrap();
    for line in [
        "Type=notify",
        "ExecStart=/usr/local/bin/claimgate serve --config /etc/claimgate/claimgate.yaml",
        "WatchdogSec=30",
        "StateDirectory=claimgate",
        "DynamicUser=yes",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}:\n{unit}");
    }
}

#[test]
fn systemd_unit_has_no_errors_and_an_exposure_level_below_2() {
    if !exists("systemd-analyze") {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    let analyze = |arguments: &[&str], unit: &Path| {
        let output = Command::new("systemd-analyze")
            .args(arguments)
            .arg(unit)
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
    };
    // The threshold is the level times ten.
    let security = ["security", "--no-pager", "--offline=true", "--threshold=20"];
    analyze(&security, &systemd_unit());

    // `verify` fails if the program of ExecStart does not exist.
    let unit = fs::read_to_string(systemd_unit()).unwrap();
    let installed = unit.replace("/usr/local/bin/claimgate", env!("CARGO_BIN_EXE_claimgate"));
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("claimgate.service");
    fs::write(&unit, installed).unwrap();
    analyze(&["verify", "--man=no"], &unit);
}

fn systemd_unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd/claimgate.service")
}

#[tokio::test(flavor = "multi_thread")]
async fn check_online_names_fields_that_look_like_references_to_secrets() {
    let mut options = example::options();
    let secret = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    options.resources[0].schema["properties"]["spec"]["properties"]["parameters"]["properties"]["passwordSecretRef"] =
        secret;
    let control_plane = DevControlPlane::start(options).await.unwrap();
    let dir = folder(SHARED, "");
    fs::write(
        dir.path().join("dev.kubeconfig"),
        control_plane.kubeconfig(),
    )
    .unwrap();
    let file = dir.path().join("claimgate.yaml");
    let config = fs::read_to_string(&file).unwrap();
    let (before, after) = config.split_once("  shared:").unwrap();
    let (_, apis) = after.split_once("apis:").unwrap();
    let (head, _) = before.split_once("  platform:").unwrap();
    let shared =
        "  platform:\n    kubeconfig: dev.kubeconfig\n    mapping: {namespace: app-ns-1}\n";
    fs::write(&file, format!("{head}{shared}apis:{apis}")).unwrap();
    let output = run(&["check", "--online", "--config", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("and serves kubernetesclusters.k8s.starter.org/v1alpha1\n"),
        "{text}"
    );
    assert!(
        text.contains("spec.parameters.passwordSecretRef of kubernetesclusters.k8s.starter.org/v1alpha1 looks like"),
        "{text}"
    );
    assert!(!text.contains("writeConnectionSecretToRef"), "{text}");

    drop(control_plane);
    fs::write(&file, config).unwrap();
    let output = run(&["check", "--online", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("control plane platform cannot be reached: GET /version"),
        "{text}"
    );
}

#[test]
fn claims_that_are_looked_for_elsewhere_are_reported() {
    let before = folder("", "");
    let now = folder("", "");
    let file = now.path().join("claimgate.yaml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("app-ns-1", "app-ns-2")).unwrap();
    let config = file.to_str().unwrap();
    let previous = before.path().join("claimgate.yaml");
    let previous = previous.to_str().unwrap();
    let output = run(&["check", "--config", config, "--previous", previous]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let wanted = "warning: mapping.namespaces.default: the claims of k8s.starter.org were stored in \"app-ns-1\" before, \
                  and are looked for in \"app-ns-2\" now";
    assert!(text.contains(wanted), "{text}");
    let output = run(&["check", "--config", config, "--previous", config]);
    assert!(
        !String::from_utf8(output.stdout)
            .unwrap()
            .contains("warning:")
    );

    // The log says it too, if the daemon has a state directory.
    let places = before.path().join("places.json");
    let stored = json!({"k8s.starter.org": {
        "server": "127.0.0.1:1", "namespaces": {"Table": {"default": "elsewhere"}},
    }});
    fs::write(&places, stored.to_string()).unwrap();
    let state = [("STATE_DIRECTORY", before.path().to_str().unwrap())];
    let mut daemon = Daemon::start_with_environment("", &state);
    daemon.wait_for_log("elsewhere");
    daemon.wait_for_log("listening");
    let remembered = fs::read_to_string(&places).unwrap();
    assert!(remembered.contains("app-ns-1"), "{remembered}");
}

/// Runs claimgate by another name of its file.
fn run_as(name: &str, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_claimgate"), &program).unwrap();
    let mut command = Command::new(program);
    command.env_clear().args(arguments).output().unwrap()
}

#[test]
fn help_of_the_kubectl_plugin_says_kubectl_claimgate() {
    for (arguments, usage) in [
        (&["--help"][..], "Usage: kubectl claimgate <COMMAND>\n"),
        (&["map", "--help"], "Usage: kubectl claimgate map "),
    ] {
        let help = run_as("kubectl-claimgate", arguments);
        assert!(help.status.success(), "{help:?}");
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains(usage), "{help}");
    }
    let wrong = run_as("kubectl-claimgate", &["map", "--nonsense"]);
    assert_eq!(wrong.status.code(), Some(2));
    let message = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        message.contains("Usage: kubectl claimgate map"),
        "{message}"
    );

    let help = run_as("claimgate", &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("Usage: claimgate <COMMAND>\n"), "{help}");
}

#[test]
fn completion_of_the_kubectl_plugin_completes_its_file_name() {
    for (program, completed) in [
        ("claimgate", " claimgate\n"),
        ("kubectl-claimgate", " kubectl-claimgate\n"),
    ] {
        let script = run_as(program, &["completion", "bash"]);
        assert!(script.status.success(), "{script:?}");
        let script = String::from_utf8(script.stdout).unwrap();
        assert!(
            script.contains(completed) && script.contains("serve"),
            "{script}"
        );
    }
}

#[test]
fn man_writes_a_page_for_each_command() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let mut expected: Vec<String> = commands
        .lines()
        .map(|line| format!("claimgate-{}.1", line.split_whitespace().next().unwrap()))
        .collect();
    assert!(expected.len() > 5, "{help}");
    expected.push("claimgate.1".to_owned());
    expected.sort();

    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("new/man1");
    let output = run(&["man", pages.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let mut written: Vec<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort();
    assert_eq!(written, expected);

    let printed = run(&["man"]);
    assert!(printed.status.success(), "{printed:?}");
    assert_eq!(printed.stdout, fs::read(pages.join("claimgate.1")).unwrap());
    let serve = fs::read_to_string(pages.join("claimgate-serve.1")).unwrap();
    assert!(serve.contains("CLAIMGATE_CONFIG"), "{serve}");
    let title = format!(
        ".TH claimgate-serve 1 \" \" \"claimgate {}\"",
        env!("CARGO_PKG_VERSION")
    );
    assert!(
        serve.lines().any(|line| line.trim_end() == title),
        "{serve}"
    );

    if !exists("man") {
        eprintln!("skipped the check of the pages' format: there is no man");
        return;
    }
    for page in &written {
        // As Debian's lintian checks man pages.
        let formatted = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(pages.join(page))
            .env("LC_ALL", "C.UTF-8")
            .env("MANROFFSEQ", "")
            .env("MANWIDTH", "80")
            .output()
            .unwrap();
        assert!(formatted.status.success(), "{page}: {formatted:?}");
        let warnings = String::from_utf8_lossy(&formatted.stderr);
        assert_eq!(warnings, "", "{page}");
    }
}

#[test]
fn man_fails_if_it_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let output = run(&["man", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("cannot write man pages into") && message.contains("/file"),
        "{message}"
    );
}

/// Returns whether a program is on PATH.
fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
