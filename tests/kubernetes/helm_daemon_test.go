package kubernetes

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// helmPod is what the pod of the release claims in the namespace helm-daemon sees: the folder /etc/claimgate, and the
// rights of its ServiceAccount. There is no kubelet, so the tests start the daemon themselves.
type helmPod struct {
	dir             string
	port, adminPort int
	values          string
}

// newHelmPod prepares the values of a release and the Secrets that the user creates. `certificates` is the section of
// the values.
func newHelmPod(t *testing.T, certificates string) helmPod {
	t.Helper()
	ports, err := freePorts(2)
	must(err)
	p := helmPod{dir: filepath.Join(t.TempDir(), "claimgate"), port: ports[0], adminPort: ports[1]}
	p.values = filepath.Join(t.TempDir(), "values.yaml")
	must(os.WriteFile(p.values, []byte(fmt.Sprintf(`cluster: %s
image: {repository: registry.example.org/claimgate}
controlPlanes:
  platform:
    kubeconfigSecret: {name: claimgate-platform}
    mapping: {namespaces: {default: %s}}
apis: [{group: queues.example.org, controlPlane: platform}]
service: {port: %d}
certificates: %s
`, appClusterName, mapping["default"], p.port, certificates)), 0o600))
	return p
}

// mount writes the files of the projected volume: the ConfigMap and the Secrets. The paths are those of the rendered
// Deployment.
func (p helmPod) mount(t *testing.T, secrets map[string]map[string][]byte) {
	t.Helper()
	objects := render(t, "claims", "helm-daemon", "--values", p.values)
	write := func(path string, content []byte) {
		file := filepath.Join(p.dir, path)
		must(os.MkdirAll(filepath.Dir(file), 0o700))
		must(os.WriteFile(file, content, 0o600))
	}
	deployment := findObject(t, objects, "Deployment", "helm-daemon", "claims")
	volumes, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "volumes")
	for _, source := range volumes[0].(map[string]any)["projected"].(map[string]any)["sources"].([]any) {
		source := source.(map[string]any)
		if config, ok := source["configMap"].(map[string]any); ok {
			data := findObject(t, objects, "ConfigMap", "helm-daemon", config["name"].(string)).Object["data"]
			for name, text := range data.(map[string]any) {
				write(name, []byte(text.(string)))
			}
			continue
		}
		secret := source["secret"].(map[string]any)
		content, known := secrets[secret["name"].(string)]
		if !known {
			t.Fatalf("the pod mounts the unknown Secret %s", secret["name"])
		}
		for _, item := range secret["items"].([]any) {
			item := item.(map[string]any)
			write(item["path"].(string), content[item["key"].(string)])
		}
	}
}

// checkConfiguration runs `claimgate check`.
func (p helmPod) checkConfiguration() (string, error) {
	out, err := exec.Command(os.Getenv("TEST_BINARY"), "check", "--config", filepath.Join(p.dir, "claimgate.yaml")).CombinedOutput()
	return string(out), err
}

// secrets are what a user creates for the mode `secret` and for a control plane with a kubeconfig.
func (p helmPod) secrets() map[string]map[string][]byte {
	read := env.certificates.read
	url := fmt.Sprintf("https://localhost:%d", env.link.port)
	return map[string]map[string][]byte{
		"serving":            {"tls.crt": read("claimgate.crt"), "tls.key": read("claimgate.key"), "ca.crt": read("server-ca.crt")},
		"claimgate-platform": {"kubeconfig": []byte(env.certificates.kubeconfig(url, "connector"))},
	}
}

func TestHelmConfigurationPassesTheCheck(t *testing.T) {
	withHelm(t)
	p := newHelmPod(t, "{mode: secret, secretName: serving}")
	p.mount(t, p.secrets())
	if out, err := p.checkConfiguration(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// adaptToEnvironment changes what differs between a pod and this environment: the addresses, and the access to the app
// cluster.
func (p helmPod) adaptToEnvironment(t *testing.T) {
	t.Helper()
	file := filepath.Join(p.dir, "claimgate.yaml")
	config, err := os.ReadFile(file)
	must(err)
	text := strings.NewReplacer("[::]:10250", fmt.Sprintf("127.0.0.1:%d", p.port), "[::]:9090", fmt.Sprintf("127.0.0.1:%d", p.adminPort)).Replace(string(config))
	must(os.WriteFile(file, []byte(text+"\nappCluster: {kubeconfig: app.kubeconfig}\n"), 0o600))
	token := strings.TrimSpace(kubectl(t, env.app, "", "create", "token", "claims", "--namespace", "helm-daemon"))
	ca := base64.StdEncoding.EncodeToString(env.certificates.read("server-ca.crt"))
	must(os.WriteFile(filepath.Join(p.dir, "app.kubeconfig"), []byte(fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: "https://localhost:%d", certificate-authority-data: %s}}]
users: [{name: it, user: {token: %q}}]
`, env.app.port, ca, token)), 0o600))
}

// TestHelmRightsSufficeForTheDaemon runs the daemon with the rendered configuration and the ServiceAccount's rights.
func TestHelmRightsSufficeForTheDaemon(t *testing.T) {
	withHelm(t)
	createQueueAPI(t)
	kubectl(t, env.controlPlane, queueRole, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, queueRole, "delete", "--ignore-not-found", "-f", "-")
	})
	before := releaseObjects(t)
	removeReleases(t, "helm-daemon", "claims")
	p := newHelmPod(t, "{mode: secret, secretName: serving}")
	helm(t, "install", "claims", chart, "--namespace", "helm-daemon", "--create-namespace", "--values", p.values)
	// Instead of a cluster IP, which leads nowhere here.
	kubectl(t, env.app, "", "patch", "service", "claims", "--namespace", "helm-daemon", "--type=merge", "-p",
		`{"spec":{"type":"ExternalName","externalName":"localhost","clusterIP":null,"clusterIPs":null,"selector":null}}`)
	p.mount(t, p.secrets())
	p.adaptToEnvironment(t)
	daemon, err := env.run("helm-daemon", os.Getenv("TEST_BINARY"), "serve", "--config", filepath.Join(p.dir, "claimgate.yaml"))
	must(err)
	t.Cleanup(daemon.kill)

	awaitResource(t, "queues", true)
	if owner := fieldOfQueueService(t, ".metadata.ownerReferences[*].name"); owner != "helm-daemon:claims" {
		t.Errorf("the owner of the APIService is %q", owner)
	}
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, "", "get", "queues")
		return err
	})
	if holder := kubectl(t, env.app, "", "get", "lease", "-n", "helm-daemon", "claims-registration", "-o", "jsonpath={.spec.holderIdentity}"); holder == "" {
		t.Error("no daemon holds the Lease of the release")
	}
	log, err := os.ReadFile(daemon.log)
	must(err)
	for _, problem := range []string{"forbidden", "lacks"} {
		if strings.Contains(strings.ToLower(string(log)), problem) {
			t.Errorf("the daemon lacks a right:\n%s", log)
		}
	}

	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	helm(t, "uninstall", "claims", "--namespace", "helm-daemon")
	awaitGone(t, slowDeadline, env.app, "apiservice", queueService)
	kubectl(t, env.app, "", "delete", "namespace", "helm-daemon")
	awaitReleaseObjects(t, before)
}

func TestHelmRightsAreMinimal(t *testing.T) {
	withHelm(t)
	removeReleases(t, "helm-rights", "claims")
	helm(t, "install", "claims", chart, "--namespace", "helm-rights", "--create-namespace", "--values", valuesFile("smallest"))
	for _, c := range []struct{ allowed, namespace, verb, resource string }{
		{"yes", "helm-rights", "get", "secret/claims-certificates"},
		{"yes", "helm-rights", "update", "secret/claims-certificates"},
		{"yes", "helm-rights", "update", "secret/claimgate-platform"},
		{"no", "helm-rights", "get", "secret/other"},
		{"no", "helm-rights", "list", "secrets"},
		{"no", "helm-rights", "create", "secrets"},
		{"no", "helm-rights", "delete", "secret/claims-certificates"},
		{"no", "default", "get", "secret/claims-certificates"},
		{"yes", "helm-rights", "get", "service/claims"},
		{"no", "helm-rights", "get", "service/other"},
		{"yes", "helm-rights", "create", "leases.coordination.k8s.io"},
		{"yes", "helm-rights", "update", "lease.coordination.k8s.io/claims-registration"},
		{"no", "helm-rights", "update", "lease.coordination.k8s.io/other"},
		{"yes", "default", "list", "apiservices.apiregistration.k8s.io"},
		{"no", "default", "patch", "apiservices.apiregistration.k8s.io"},
		{"yes", "default", "get", "clusterrole.rbac.authorization.k8s.io/helm-rights:claims"},
		{"no", "default", "get", "clusterrole.rbac.authorization.k8s.io/admin"},
		{"yes", "default", "watch", "namespaces"},
		{"no", "default", "create", "namespaces"},
		{"yes", "default", "patch", "events"},
		{"yes", "default", "create", "events.events.k8s.io"},
		{"no", "helm-rights", "create", "events"},
		{"yes", "kube-system", "get", "configmap/extension-apiserver-authentication"},
		{"no", "kube-system", "get", "configmap/other"},
	} {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "auth", "can-i", c.verb, c.resource, "--namespace", c.namespace,
			"--as", "system:serviceaccount:helm-rights:claims")
		// kubectl exits with 1 if the answer is no.
		if got := strings.TrimSpace(out); got != c.allowed {
			t.Errorf("%s %s in %s: %q, want %s (%v)", c.verb, c.resource, c.namespace, got, c.allowed, err)
		}
	}
}
