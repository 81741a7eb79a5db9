package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// argoConfig is what Argo CD expects to find in its namespace.
const argoConfig = `apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}
data: {timeout.reconciliation: 5s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-rbac-cm, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}
---
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}
stringData: {server.secretkey: secret}
---
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{namespace: "*", server: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
`

const argoApplication = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: argocd}
spec:
  project: default
  source: {repoURL: "%[2]s", path: %[1]s, targetRevision: HEAD}
  destination: {server: "https://kubernetes.default.svc", namespace: default}
  syncPolicy: {automated: {prune: true, selfHeal: true}, retry: {limit: -1, backoff: {duration: 2s, maxDuration: 10s}}}
`

// repository is a Git repository with a folder of manifests for each application.
type repository struct {
	dir, url string
}

// startRepository serves a new repository over the Git protocol.
func startRepository(t *testing.T) *repository {
	t.Helper()
	ports, err := freePorts(1)
	must(err)
	base := t.TempDir()
	r := &repository{dir: filepath.Join(base, "apps"), url: fmt.Sprintf("git://127.0.0.1:%d/apps", ports[0])}
	must(os.Mkdir(r.dir, 0o755))
	r.git(t, "init", "-q", "-b", "main")
	daemon, err := env.run("git-daemon", "git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1",
		fmt.Sprintf("--port=%d", ports[0]), "--base-path="+base)
	must(err)
	t.Cleanup(daemon.kill)
	return r
}

func (r *repository) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=test", "-c", "user.email=test@example.org"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// commit writes a manifest into the folder of an application.
func (r *repository) commit(t *testing.T, application, manifest string) {
	t.Helper()
	must(os.MkdirAll(filepath.Join(r.dir, application), 0o755))
	must(os.WriteFile(filepath.Join(r.dir, application, "manifest.yaml"), []byte(manifest), 0o644))
	r.git(t, "add", "-A")
	r.git(t, "commit", "-q", "-m", "Change "+application)
}

// argoCD is a running Argo CD.
type argoCD struct {
	controller *process
	start      func() *process
}

// startArgoCD runs the application controller with its repo server and Redis against the app cluster.
func startArgoCD(t *testing.T) *argoCD {
	t.Helper()
	kubectl(t, env.app, "", "apply", "--server-side", "-f", filepath.Join(os.Getenv("TEST_ARGOCD_CRDS"), "application-crd.yaml"),
		"-f", filepath.Join(os.Getenv("TEST_ARGOCD_CRDS"), "appproject-crd.yaml"), "-f", filepath.Join(os.Getenv("TEST_ARGOCD_CRDS"), "applicationset-crd.yaml"))
	inAppCluster(t, "wait", "--for=condition=Established", "--timeout=30s", "crd/applications.argoproj.io", "crd/appprojects.argoproj.io")
	inAppCluster(t, "create", "namespace", "argocd")
	t.Cleanup(func() { inAppCluster(t, "delete", "namespace", "argocd", "--wait=false") })
	awaitSuccess(t, env.app, argoConfig, "apply", "-f", "-")

	ports, err := freePorts(4)
	must(err)
	data := t.TempDir()
	environment := []string{"ARGOCD_FAKE_IN_CLUSTER=true", "KUBECONFIG=" + env.app.kubeconfig, "ARGOCD_GPG_ENABLED=false",
		"ARGOCD_TLS_DATA_PATH=" + data, "ARGOCD_SSH_DATA_PATH=" + data, "HOME=" + data, "PATH=" + data + ":" + os.Getenv("PATH")}
	// The repo server checks signatures with a script of its image, and accepts commits without one.
	must(os.WriteFile(filepath.Join(data, "git-verify-wrapper.sh"), []byte("#!/bin/sh\n"), 0o755))
	redis, err := env.run("redis", "redis-server", "--port", fmt.Sprint(ports[0]), "--bind", "127.0.0.1", "--save", "", "--dir", data)
	must(err)
	t.Cleanup(redis.kill)
	// The name of the program chooses the component.
	program := func(name string) string {
		path := filepath.Join(data, name)
		must(os.Symlink(filepath.Join(os.Getenv("TEST_ARGOCD_BIN"), "cmd"), path))
		return path
	}
	run := func(name, program string, args ...string) *process {
		args = append([]string{program, "--redis", fmt.Sprintf("127.0.0.1:%d", ports[0])}, args...)
		p, err := env.run(name, "env", append(slices.Clone(environment), args...)...)
		must(err)
		t.Cleanup(func() { p.kill() })
		return p
	}
	run("argocd-repo-server", program("argocd-repo-server"), "--port", fmt.Sprint(ports[1]), "--address", "127.0.0.1",
		"--metrics-port", fmt.Sprint(ports[2]), "--revision-cache-expiration", "1s", "--disable-tls", "--client-ca-path=")
	controller := program("argocd-application-controller")
	a := &argoCD{start: func() *process {
		return run("argocd-controller", controller, "--repo-server", fmt.Sprintf("127.0.0.1:%d", ports[1]), "--repo-server-plaintext",
			"--metrics-port", fmt.Sprint(ports[3]), "--app-resync", "5", "--kubeconfig", env.app.kubeconfig, "-n", "argocd")
	}}
	a.controller = a.start()
	return a
}

// awaitApplication waits until an application is synced.
func awaitApplication(t *testing.T, within time.Duration, name string) {
	t.Helper()
	begin := time.Now()
	await(t, within, func() error {
		status, err := env.tryKubectl(env.app.kubeconfig, "", "get", "-n", "argocd", "application", name,
			"-o", `jsonpath={.status.sync.status} {.status.conditions[*].message} {.status.operationState.message}`)
		if err == nil && !strings.HasPrefix(status, "Synced ") {
			err = fmt.Errorf("the application %s is %q", name, status)
		}
		return err
	})
	t.Logf("%s is synced after %s", name, time.Since(begin).Round(100*time.Millisecond))
}

func unrelatedConfigMap(value string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: unrelated, namespace: default}, data: {value: %q}}\n", value)
}

// awaitUnrelatedConfigMap waits until the ConfigMap has the value.
func awaitUnrelatedConfigMap(t *testing.T, within time.Duration, value string) {
	t.Helper()
	await(t, within, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "get", "configmap", "unrelated", "-n", "default", "-o", "jsonpath={.data.value}")
		if err == nil && out != value {
			err = fmt.Errorf("the ConfigMap has the value %q, want %q", out, value)
		}
		return err
	})
}

// uidOfQueue returns the UID of the only queue on the control plane.
func uidOfQueue(t *testing.T) string {
	t.Helper()
	return onControlPlane(t, "get", "queues", "-A", "-o", "jsonpath={.items[*].metadata.uid}")
}

// assertSameQueue checks that the only queue on the control plane has this UID.
func assertSameQueue(t *testing.T, uid string) {
	t.Helper()
	if now := uidOfQueue(t); now != uid {
		t.Fatalf("the claim was replaced: %q instead of %q", now, uid)
	}
}

// awaitOnlyQueue waits until the app cluster has this queue and no other.
func awaitOnlyQueue(t *testing.T, name string) {
	t.Helper()
	await(t, recoveryTime, func() error {
		out := inAppCluster(t, "get", "queues", "-n", "default", "-o", "name")
		if strings.TrimSpace(out) != "queue.queues.example.org/"+name {
			return fmt.Errorf("the app cluster has %q", out)
		}
		return nil
	})
}

// withArgoCD skips a test if Argo CD was not built.
func withArgoCD(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_ARGOCD_BIN") == "" {
		t.Skip("only with `run argocd`")
	}
}

// TestArgoCDContinuesDuringOutage starts Argo CD during an outage with its default degradeAfter. The group of the claims has a
// kind that claimgate may not list, which must not break Argo CD's cache at any time.
func TestArgoCDContinuesDuringOutage(t *testing.T) {
	withArgoCD(t)
	r := startRegistrarForOutages(t, 30*time.Second)
	createForbiddenGadgets(t)
	apps := startRepository(t)
	apps.commit(t, "plain", unrelatedConfigMap("one"))
	apps.commit(t, "claims", queue("orders"))
	argo := startArgoCD(t)
	for _, name := range []string{"plain", "claims"} {
		kubectl(t, env.app, fmt.Sprintf(argoApplication, name, apps.url), "apply", "-f", "-")
	}
	for _, name := range []string{"plain", "claims"} {
		awaitApplication(t, slowDeadline, name)
	}
	uid := uidOfQueue(t)

	outage := time.Now()
	r.link.refuseConnections()
	apps.commit(t, "plain", unrelatedConfigMap("running"))
	awaitUnrelatedConfigMap(t, recoveryTime, "running")
	t.Logf("a running Argo CD synced an unrelated application %s after the outage began", time.Since(outage).Round(100*time.Millisecond))
	argo.controller.kill()
	started := time.Now()
	argo.controller = argo.start()
	apps.commit(t, "plain", unrelatedConfigMap("started"))
	awaitUnrelatedConfigMap(t, recoveryTime, "started")
	t.Logf("an Argo CD that started in the outage synced it after %s, %s after the outage began",
		time.Since(started).Round(100*time.Millisecond), time.Since(outage).Round(100*time.Millisecond))
	if took := time.Since(outage); took > 60*time.Second {
		t.Errorf("the unrelated application was synced only after %s", took)
	}
	awaitWatchVerb(t, false, recoveryTime)
	apps.commit(t, "plain", unrelatedConfigMap("degraded"))
	awaitUnrelatedConfigMap(t, recoveryTime, "degraded")

	must(r.link.restore())
	returned := time.Now()
	awaitApplication(t, recoveryTime, "claims")
	assertSameQueue(t, uid)
	apps.commit(t, "claims", strings.Replace(queue("orders"), "namespace: default", "namespace: default, labels: {changed: \"yes\"}", 1))
	await(t, recoveryTime, func() error {
		out := onControlPlane(t, "get", "queues", "-A", "-o", "jsonpath={.items[*].metadata.labels.changed}")
		if out != "yes" {
			return fmt.Errorf("the claim has the label %q", out)
		}
		return nil
	})
	t.Logf("claims are synced %s after the return", time.Since(returned).Round(100*time.Millisecond))
	assertSameQueue(t, uid)
	// Pruning works again, and only what left Git goes.
	must(os.WriteFile(filepath.Join(apps.dir, "claims", "manifest.yaml"), nil, 0o644))
	apps.commit(t, "claims", strings.Replace(queue("orders"), "orders", "other", 1))
	awaitOnlyQueue(t, "other")
	t.Logf("a claim that left Git is gone %s after the return", time.Since(returned).Round(100*time.Millisecond))
}

// createForbiddenGadgets creates a kind that is in the control plane's discovery, but that claimgate may not list.
func createForbiddenGadgets(t *testing.T) {
	t.Helper()
	kubectl(t, env.controlPlane, fmt.Sprintf(rightsOnQueues, `"*"`, "get"), "apply", "-f", "-")
	t.Cleanup(func() { kubectl(t, env.controlPlane, queueRole, "apply", "-f", "-") })
	gadgets := fmt.Sprintf(queueCRD, "gadget", "Gadget")
	kubectl(t, env.controlPlane, gadgets, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, gadgets, "delete", "--ignore-not-found", "-f", "-")
	})
	path := "/apis/queues.example.org/v1/gadgets"
	await(t, recoveryTime, func() error {
		status, body, err := sendRequest(userClient("connector"), env.controlPlane.port, "GET", path, "", nil)
		if err == nil && status != 403 {
			err = fmt.Errorf("the control plane answers %d: %s", status, body)
		}
		return err
	})
}

// TestArgoCDContinuesWithoutRegistration starts Argo CD during an outage. Nobody touches the APIService, so the app cluster
// reads discovery once a minute.
func TestArgoCDContinuesWithoutRegistration(t *testing.T) {
	withArgoCD(t)
	apps := startRepository(t)
	apps.commit(t, "plain", unrelatedConfigMap("one"))
	argo := startArgoCD(t)
	kubectl(t, env.app, fmt.Sprintf(argoApplication, "plain", apps.url), "apply", "-f", "-")
	awaitApplication(t, slowDeadline, "plain")

	argo.controller.kill()
	env.link.refuseConnections()
	t.Cleanup(func() { must(env.link.restore()) })
	outage := time.Now()
	argo.controller = argo.start()
	apps.commit(t, "plain", unrelatedConfigMap("started"))
	awaitUnrelatedConfigMap(t, 120*time.Second, "started")
	t.Logf("an Argo CD that started in the outage synced an unrelated application %s after the outage began", time.Since(outage).Round(100*time.Millisecond))
}
