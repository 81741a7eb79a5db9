// Package kubernetes tests claimgate between two real clusters, with kubectl and client-go as the
// clients. README.md says how to run it.
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

// Remote namespaces: some that are mapped, and strangers around them in the order of etcd's keys.
var (
	mapping = map[string]string{
		"default": "app-ns-1", "team-a": "app-ns-2", "doomed": "app-ns-3",
		reading.local: reading.remote, writing.local: writing.remote,
	}
	foreign  = []string{"aaa-other", "app-ns-1-other", "app-ns-9-other", "zzz-other"}
	pings    = 2 * time.Second
	pongs    = 3 * time.Second
	deadline = 30 * time.Second
	// For what a control plane itself needs long for when the machine is busy.
	slowDeadline = 3 * time.Minute
)

const groupVersion = "k8s.starter.org/v1alpha1"

// bed is both clusters with claimgate between them.
type bed struct {
	dir       string
	pki       *pki
	etcd      *process
	app, cp   *cluster
	link      *link
	claimgate *process
	port      int
	adminPort int
}

// cluster is one API server and what is needed to talk to it.
type cluster struct {
	name string
	// Where its API server and its controllers are, which may be of an older Kubernetes.
	bin        string
	port       int
	server     *process
	kubeconfig string
	args       []string
}

type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

var theBed *bed

func TestMain(m *testing.M) {
	code := 1
	defer func() { os.Exit(code) }()
	dir, err := os.MkdirTemp("", "claimgate-bed-")
	if err != nil {
		fmt.Println(err)
		return
	}
	b := &bed{dir: dir}
	theBed = b
	defer func() {
		b.stop()
		if code != 0 {
			b.printLogs()
		}
		os.RemoveAll(dir)
	}()
	if err := b.start(); err != nil {
		fmt.Println("bed:", err)
		return
	}
	code = m.Run()
}

// TestBed keeps the bed for use by hand.
func TestBed(t *testing.T) {
	if os.Getenv("BED_KEEP") == "" {
		t.Skip("only by `run bed`")
	}
	fmt.Printf("\napp cluster:    export KUBECONFIG=%s\ncontrol plane:  export KUBECONFIG=%s\nclaimgate:      https://localhost:%d, logs %s\n\nCtrl-C ends it.\n",
		theBed.app.kubeconfig, theBed.cp.kubeconfig, theBed.port, theBed.claimgate.log)
	stop := make(chan os.Signal, 1)
	notifyInterrupt(stop)
	<-stop
}

func (b *bed) start() error {
	var err error
	if b.pki, err = newPKI(b.dir); err != nil {
		return err
	}
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	etcdURL := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	b.etcd, err = b.run("etcd", binary("server"), "--data-dir", filepath.Join(b.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", etcdURL, "--advertise-client-urls", etcdURL,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default="+peerURL,
		"--log-level", "warn")
	if err != nil {
		return err
	}
	b.app = b.newCluster("app", os.Getenv("BED_APP_BIN"), ports[2], etcdURL)
	b.cp = b.newCluster("cp", os.Getenv("BED_CONTROL_PLANE_BIN"), ports[3], etcdURL)
	for _, c := range []*cluster{b.app, b.cp} {
		if err := b.startServer(c); err != nil {
			return err
		}
	}
	for _, c := range []*cluster{b.app, b.cp} {
		if err := b.waitReady(c); err != nil {
			return err
		}
		if err := b.startControllers(c); err != nil {
			return err
		}
	}
	b.port, b.adminPort = ports[4], ports[5]
	if b.link, err = newLink(fmt.Sprintf("127.0.0.1:%d", b.cp.port)); err != nil {
		return err
	}
	if err := b.seedControlPlane(); err != nil {
		return err
	}
	if err := b.startClaimgate(); err != nil {
		return err
	}
	return b.register()
}

func binary(name string) string { return filepath.Join(os.Getenv("KUBERNETES_BIN"), name) }

func (b *bed) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bed) newCluster(name, bin string, port int, etcd string) *cluster {
	c := &cluster{name: name, bin: bin, port: port, kubeconfig: b.path(name + ".kubeconfig")}
	c.args = []string{
		"--etcd-servers", etcd, "--etcd-prefix", "/" + name,
		"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(port), "--advertise-address", "127.0.0.1",
		"--tls-cert-file", b.path("server.crt"), "--tls-private-key-file", b.path("server.key"),
		"--client-ca-file", b.path("client-ca.crt"),
		"--requestheader-client-ca-file", b.path("front-proxy-ca.crt"),
		"--requestheader-allowed-names", "front-proxy-client",
		"--requestheader-username-headers", "X-Remote-User",
		"--requestheader-group-headers", "X-Remote-Group",
		"--requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"--proxy-client-cert-file", b.path("front-proxy-client.crt"),
		"--proxy-client-key-file", b.path("front-proxy-client.key"),
		"--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", b.path("server.key"),
		"--service-account-signing-key-file", b.path("server.key"),
		"--endpoint-reconciler-type", "none", "--disable-admission-plugins", "ServiceAccount",
		"--service-cluster-ip-range", "10.0.0.0/24",
	}
	url := fmt.Sprintf("https://localhost:%d", port)
	must(os.WriteFile(c.kubeconfig, []byte(b.pki.kubeconfig(url, "admin")), 0o600))
	return c
}

func (b *bed) startServer(c *cluster) (err error) {
	c.server, err = b.run(c.name+"-apiserver", filepath.Join(c.bin, "kube-apiserver"), c.args...)
	return err
}

func (b *bed) startControllers(c *cluster) error {
	_, err := b.run(c.name+"-controllers", filepath.Join(c.bin, "kube-controller-manager"),
		"--kubeconfig", c.kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--controllers=namespace-controller,garbage-collector-controller,clusterrole-aggregation-controller")
	return err
}

func (b *bed) waitReady(c *cluster) error {
	return eventually(deadline, func() error {
		out, err := b.try(c.kubeconfig, "", "get", "--raw", "/readyz")
		if err != nil || out != "ok" {
			return fmt.Errorf("%s is not ready: %s %v", c.name, out, err)
		}
		return nil
	})
}

// run starts a process that dies with this one.
func (b *bed) run(name, path string, args ...string) (*process, error) {
	log := b.path(name + ".log")
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
	processes = append(processes, p)
	return p, nil
}

var processes []*process

func (p *process) kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT)
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

func (b *bed) stop() {
	for i := len(processes) - 1; i >= 0; i-- {
		processes[i].kill()
	}
}

func (b *bed) printLogs() {
	logs, _ := filepath.Glob(b.path("*.log"))
	for _, log := range logs {
		text, _ := os.ReadFile(log)
		lines := strings.Split(string(text), "\n")
		if len(lines) > 25 {
			lines = lines[len(lines)-25:]
		}
		fmt.Printf("--- %s\n%s\n", filepath.Base(log), strings.Join(lines, "\n"))
	}
}

// try runs kubectl and returns stdout; the error holds stderr.
func (b *bed) try(kubeconfig, stdin string, args ...string) (string, error) {
	cmd := exec.Command(binary("kubectl"), append([]string{"--kubeconfig", kubeconfig}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "KUBE_EDITOR="+b.path("editor"))
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

// eventually tries until it works.
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

func must(err error) {
	if err != nil {
		panic(err)
	}
}
