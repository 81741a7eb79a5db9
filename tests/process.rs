//! The `claimgate` command as a process: its exit codes, its signals and its word to systemd.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use claimgate::dev::certificates::Authority;

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn claimgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimgate"));
    command.env_clear();
    command
}

fn run(arguments: &[&str]) -> Output {
    claimgate().args(arguments).output().unwrap()
}

/// A daemon whose control plane is nowhere, and what it tells systemd.
struct Daemon {
    child: Child,
    notified: UnixDatagram,
    dir: tempfile::TempDir,
}

impl Daemon {
    fn start(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Authority::new("test").unwrap();
        let identity = ca.serving(&["localhost"]).unwrap();
        let config = format!(
            "cluster: test\n\
             listen: {{address: '127.0.0.1:0', certificate: tls.crt, key: tls.key}}\n\
             authentication: {{clientCertificate: {{clientCa: ca.crt}}}}\n\
             controlPlanes:\n  platform:\n    server: 'https://127.0.0.1:1'\n    \
             tokenFile: token\n    mapping: {{namespaces: {{default: app-ns-1}}}}\n\
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
        let notified = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notified.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = claimgate()
            .args(["serve", "--config"])
            .arg(dir.path().join("claimgate.yaml"))
            .env("NOTIFY_SOCKET", dir.path().join("notify"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            notified,
            dir,
        }
    }

    fn told(&self) -> String {
        let mut buffer = [0; 64];
        let length = self.notified.recv(&mut buffer).expect("a word to systemd");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status();
        assert!(kill.unwrap().success());
    }

    /// Reads the log up to a line.
    fn logged(&mut self, wanted: &str) {
        let log = BufReader::new(self.child.stderr.as_mut().unwrap());
        let found = log.lines().any(|line| line.unwrap().contains(wanted));
        assert!(found, "the log ended without {wanted:?}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
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
    for command in ["serve", "check", "dev", "completion"] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(command));
        for shell in ["bash", "zsh", "fish"] {
            let script = run(&["completion", shell]);
            assert!(script.status.success());
            assert!(String::from_utf8_lossy(&script.stdout).contains(command));
        }
    }
}

#[test]
fn wrong_usage_and_bad_configurations_exit_with_2_and_failures_with_1() {
    for arguments in [&["nonsense"][..], &[], &["serve", "--nonsense"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.yaml");
    fs::write(&bad, "cluster: test\nlisten: {adress: x}\n").unwrap();
    for command in ["serve", "check"] {
        let output = run(&[command, "--config", bad.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.contains("address") && said.contains("bad.yaml:2"),
            "{said}"
        );
    }
    let mut daemon = Daemon::start("");
    assert_eq!(daemon.told(), "READY=1");
    let config = daemon.dir.path().join("claimgate.yaml");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("127.0.0.1:0", &address)).unwrap();
    let output = run(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&address), "{said}");
    daemon.signal("TERM");
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}

/// As with `head` behind it: that is no failure, and what was checked is told by the exit code.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let daemon = Daemon::start("");
    assert_eq!(daemon.told(), "READY=1");
    let good = daemon.dir.path().join("claimgate.yaml");
    let bad = daemon.dir.path().join("bad.yaml");
    fs::write(&bad, "cluster: test\n").unwrap();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let mut calls = vec![(vec!["completion", "bash"], 0), (vec!["--help"], 0)];
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
    // Nor is it, if nobody hears of a failure.
    let call = claimgate()
        .args(["serve", "--config", bad.to_str().unwrap()])
        .stderr(closed())
        .status();
    assert_eq!(call.unwrap().code(), Some(2));
}

#[test]
fn the_first_signal_drains_and_the_second_ends() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT")] {
        let mut daemon = Daemon::start("shutdown: {delay: 1h}");
        assert_eq!(daemon.told(), "READY=1");
        daemon.signal("HUP");
        daemon.logged("SIGHUP is ignored");
        daemon.signal(first);
        assert_eq!(daemon.told(), "STOPPING=1");
        assert!(daemon.child.try_wait().unwrap().is_none());
        daemon.signal(second);
        assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_systemd_unit_starts_what_there_is() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd/claimgate.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(
        unit.contains("Type=notify") && unit.contains("claimgate serve"),
        "{unit}"
    );
}
