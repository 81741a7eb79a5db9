// Package kubernetes tests claimgate between two real Kubernetes clusters. kubectl, client-go and
// controller-runtime are the clients. README.md explains how to run the tests.
package kubernetes

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mapping maps local namespaces to remote ones. foreignNamespaces exist on the control plane
// and are not mapped. In the order of etcd's keys, they stand before, between and after the mapped ones.
var (
	mapping = map[string]string{
		"default": "app-ns-1", "team-a": "app-ns-2", "doomed": "app-ns-3",
		readNamespaces.local: readNamespaces.remote, writeNamespaces.local: writeNamespaces.remote,
	}
	foreignNamespaces = []string{"aaa-other", "app-ns-1-other", "app-ns-9-other", "zzz-other"}
	pingInterval      = 2 * time.Second
	pingTimeout       = 3 * time.Second
	deadline          = 30 * time.Second
	// slowDeadline bounds operations that take a control plane long on a busy machine.
	slowDeadline = 3 * time.Minute
)

const groupVersion = "k8s.starter.org/v1alpha1"

// testEnv is the test environment: an app cluster, a control plane, and claimgate between them.
type testEnv struct {
	dir               string
	certificates      *certificateStore
	etcd              *process
	app, controlPlane *cluster
	link              *link
	claimgate         *process
	port              int
	adminPort         int
}

// cluster is one API server, with what a client needs to reach it.
type cluster struct {
	name string
	// Directory of kube-apiserver and kube-controller-manager; they can be an older Kubernetes.
	bin    string
	port   int
	server *process
	// kube-controller-manager, with the garbage collector.
	controllers *process
	kubeconfig  string
	args        []string
}

type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

var env *testEnv

func TestMain(m *testing.M) {
	code := 1
	if isShared() {
		shareNamespaces()
	}
	defer func() { os.Exit(code) }()
	dir, err := os.MkdirTemp("", "claimgate-test-")
	if err != nil {
		fmt.Println(err)
		return
	}
	e := &testEnv{dir: dir}
	env = e
	defer func() {
		e.stop()
		if code != 0 {
			e.printLogs()
		}
		os.RemoveAll(dir)
	}()
	if err := e.start(); err != nil {
		fmt.Println("starting the test environment:", err)
		return
	}
	code = m.Run()
}

// TestKeepEnvironment keeps the environment running for manual use.
func TestKeepEnvironment(t *testing.T) {
	if os.Getenv("TEST_KEEP") == "" {
		t.Skip("only with `run env`")
	}
	fmt.Printf("\napp cluster:    export KUBECONFIG=%s\ncontrol plane:  export KUBECONFIG=%s\nclaimgate:      https://localhost:%d, logs %s\n\nPress Ctrl-C to stop.\n",
		env.app.kubeconfig, env.controlPlane.kubeconfig, env.port, env.claimgate.log)
	stop := make(chan os.Signal, 1)
	notifyInterrupt(stop)
	<-stop
}

func (e *testEnv) start() error {
	var err error
	if e.certificates, err = newCertificateStore(e.dir); err != nil {
		return err
	}
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	etcdURL := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	e.etcd, err = e.run("etcd", binary("server"), "--data-dir", filepath.Join(e.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", etcdURL, "--advertise-client-urls", etcdURL,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default="+peerURL,
		"--log-level", "warn")
	if err != nil {
		return err
	}
	e.app = e.newCluster("app", os.Getenv("TEST_APP_BIN"), ports[2], etcdURL)
	e.controlPlane = e.newCluster("control-plane", os.Getenv("TEST_CONTROL_PLANE_BIN"), ports[3], etcdURL)
	for _, c := range []*cluster{e.app, e.controlPlane} {
		if err := e.startServer(c); err != nil {
			return err
		}
	}
	for _, c := range []*cluster{e.app, e.controlPlane} {
		if err := e.waitReady(c); err != nil {
			return err
		}
		if err := e.startControllers(c); err != nil {
			return err
		}
	}
	e.port, e.adminPort = ports[4], ports[5]
	if e.link, err = newLink(fmt.Sprintf("127.0.0.1:%d", e.controlPlane.port)); err != nil {
		return err
	}
	if err := e.seedControlPlane(); err != nil {
		return err
	}
	if err := e.startClaimgate(); err != nil {
		return err
	}
	return e.register()
}

func binary(name string) string { return filepath.Join(os.Getenv("KUBERNETES_BIN"), name) }

func (e *testEnv) path(name string) string { return filepath.Join(e.dir, name) }

func (e *testEnv) newCluster(name, bin string, port int, etcd string) *cluster {
	c := &cluster{name: name, bin: bin, port: port, kubeconfig: e.path(name + ".kubeconfig")}
	c.args = []string{
		"--etcd-servers", etcd, "--etcd-prefix", "/" + name,
		"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(port), "--advertise-address", "127.0.0.1",
		"--tls-cert-file", e.path("server.crt"), "--tls-private-key-file", e.path("server.key"),
		"--client-ca-file", e.path("client-ca.crt"),
		"--requestheader-client-ca-file", e.path("front-proxy-ca.crt"),
		"--requestheader-allowed-names", "front-proxy-client",
		"--requestheader-username-headers", "X-Remote-User",
		"--requestheader-group-headers", "X-Remote-Group",
		"--requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"--proxy-client-cert-file", e.path("front-proxy-client.crt"),
		"--proxy-client-key-file", e.path("front-proxy-client.key"),
		"--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", e.path("server.key"),
		"--service-account-signing-key-file", e.path("server.key"),
		"--endpoint-reconciler-type", "none", "--disable-admission-plugins", "ServiceAccount",
		"--service-cluster-ip-range", "10.0.0.0/24",
	}
	url := fmt.Sprintf("https://localhost:%d", port)
	must(os.WriteFile(c.kubeconfig, []byte(e.certificates.kubeconfig(url, "admin")), 0o600))
	return c
}

func (e *testEnv) startServer(c *cluster) (err error) {
	c.server, err = e.run(c.name+"-apiserver", filepath.Join(c.bin, "kube-apiserver"), c.args...)
	return err
}

func (e *testEnv) startControllers(c *cluster) (err error) {
	c.controllers, err = e.run(c.name+"-controllers", filepath.Join(c.bin, "kube-controller-manager"),
		"--kubeconfig", c.kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--controllers=namespace-controller,garbage-collector-controller,clusterrole-aggregation-controller")
	return err
}

func (e *testEnv) waitReady(c *cluster) error {
	return eventually(deadline, func() error {
		out, err := e.tryKubectl(c.kubeconfig, "", "get", "--raw", "/readyz")
		if err != nil || out != "ok" {
			return fmt.Errorf("%s is not ready: %s %v", c.name, out, err)
		}
		return nil
	})
}

// run starts a process that the kernel kills when this one dies.
func (e *testEnv) run(name, path string, args ...string) (*process, error) {
	log := e.path(name + ".log")
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	startedProcesses = append(startedProcesses, p)
	return p, nil
}

var startedProcesses []*process

func (p *process) kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT)
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

func (e *testEnv) stop() {
	for i := len(startedProcesses) - 1; i >= 0; i-- {
		startedProcesses[i].kill()
	}
}

func (e *testEnv) printLogs() {
	logs, _ := filepath.Glob(e.path("*.log"))
	for _, log := range logs {
		text, _ := os.ReadFile(log)
		lines := strings.Split(string(text), "\n")
		if len(lines) > 25 {
			lines = lines[len(lines)-25:]
		}
		fmt.Printf("--- %s\n%s\n", filepath.Base(log), strings.Join(lines, "\n"))
	}
}

// tryKubectl runs kubectl and returns its stdout. The error contains its stderr.
func (e *testEnv) tryKubectl(kubeconfig, stdin string, args ...string) (string, error) {
	cmd := exec.Command(binary("kubectl"), append([]string{"--kubeconfig", kubeconfig}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+e.dir, "KUBE_EDITOR="+e.path("editor"))
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), err
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// eventually calls try until it succeeds or the time is up, and returns its last error.
func eventually(within time.Duration, try func() error) error {
	end := time.Now().Add(within)
	for {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// await calls try until it succeeds, and ends the test when the time is up.
func await(t *testing.T, within time.Duration, try func() error) {
	t.Helper()
	if err := eventually(within, try); err != nil {
		t.Fatal(err)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
