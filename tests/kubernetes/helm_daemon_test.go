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
	// The flags of Helm that set the values.
	flags []string
}

// Parts of the values: where the serving certificate and the credentials come from.
const (
	certificateSecret = "certificates: {mode: secret, secretName: serving}\n"
	kubeconfigSecret  = "kubeconfigSecret: {name: claimgate-platform}"
	tokenSecret       = "server: https://localhost:%d, tokenSecret: claimgate-platform, certificateAuthority: %q"
)

// newHelmPod prepares the values of a release.
func newHelmPod(t *testing.T, certificates, credentials string) helmPod {
	t.Helper()
	ports, err := freePorts(2)
	must(err)
	file := filepath.Join(t.TempDir(), "values.yaml")
	must(os.WriteFile(file, []byte(fmt.Sprintf(`cluster: %s
image: {repository: registry.example.org/claimgate}
controlPlanes:
  platform: {mapping: {namespaces: {default: %s}}, %s}
apis: [{group: queues.example.org, controlPlane: platform}]
service: {port: %d}
%s`, appClusterName, mapping["default"], credentials, ports[0], certificates)), 0o600))
	return helmPod{filepath.Join(t.TempDir(), "claimgate"), ports[0], ports[1], []string{"--values", file}}
}

func tokenCredentials() string {
	return fmt.Sprintf(tokenSecret, env.link.port, env.certificates.read("server-ca.crt"))
}

// mount writes the files of the projected volume: the ConfigMap and the Secrets, at the paths of the rendered Deployment.
func (p helmPod) mount(t *testing.T) {
	t.Helper()
	objects := render(t, "claims", "helm-daemon", p.flags...)
	write := func(path string, content []byte) {
		file := filepath.Join(p.dir, path)
		must(os.MkdirAll(filepath.Dir(file), 0o700))
		must(os.WriteFile(file, content, 0o600))
	}
	deployment := findObject(t, objects, "Deployment", "helm-daemon", "claims")
	volumes, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "volumes")
	must(err)
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
		for _, item := range secret["items"].([]any) {
			item := item.(map[string]any)
			content, known := secretFile(secret["name"].(string), item["key"].(string))
			if !known {
				t.Fatalf("the pod mounts %s of the unknown Secret %s", item["key"], secret["name"])
			}
			write(item["path"].(string), content)
		}
	}
}

// secretFile returns a file of a Secret that a user or cert-manager creates.
func secretFile(secret, key string) ([]byte, bool) {
	url := fmt.Sprintf("https://localhost:%d", env.link.port)
	switch secret + "/" + key {
	case "serving/tls.crt", "claims-tls/tls.crt":
		return env.certificates.read("claimgate.crt"), true
	case "serving/tls.key", "claims-tls/tls.key":
		return env.certificates.read("claimgate.key"), true
	case "serving/ca.crt", "claims-tls/ca.crt":
		return env.certificates.read("server-ca.crt"), true
	case "claimgate-platform/kubeconfig", "claimgate-other/config":
		return []byte(env.certificates.kubeconfig(url, "connector")), true
	}
	return nil, false
}

func (p helmPod) configuration() string { return filepath.Join(p.dir, "claimgate.yaml") }

func TestHelmConfigurationPassesTheCheck(t *testing.T) {
	withHelm(t)
	full := newHelmPod(t, "", tokenCredentials())
	full.flags = []string{
		"--values", valuesFile("full"), "--set", "controlPlanes.other.context=it",
		"--set-file", "frontProxyCA=" + env.path("front-proxy-ca.crt"),
		"--set-file", "controlPlanes.platform.certificateAuthority=" + env.path("server-ca.crt"),
	}
	for name, p := range map[string]helmPod{
		"files":   newHelmPod(t, certificateSecret, kubeconfigSecret),
		"secrets": newHelmPod(t, "", tokenCredentials()),
		"full":    full,
	} {
		p.mount(t)
		out, err := exec.Command(os.Getenv("TEST_BINARY"), "check", "--config", p.configuration()).CombinedOutput()
		if err != nil {
			text, _ := os.ReadFile(p.configuration())
			t.Errorf("%s: %v\n%s\n%s", name, err, out, text)
		}
	}
}

// adaptToEnvironment changes what differs between a pod and this environment: the addresses, and the access to the app
// cluster.
func (p helmPod) adaptToEnvironment(t *testing.T) {
	t.Helper()
	config, err := os.ReadFile(p.configuration())
	must(err)
	text := strings.NewReplacer("[::]:10250", fmt.Sprintf("127.0.0.1:%d", p.port), "[::]:9090", fmt.Sprintf("127.0.0.1:%d", p.adminPort)).Replace(string(config))
	must(os.WriteFile(p.configuration(), []byte(text+"\nappCluster: {kubeconfig: app.kubeconfig}\n"), 0o600))
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

// createTokenSecret creates the Secret with a token of a ServiceAccount on the control plane, which may use queues.
func createTokenSecret(t *testing.T) {
	t.Helper()
	createNamespace(t, "helm-platform")
	const binding = "claimgate-queues-helm"
	kubectl(t, env.controlPlane, "", "create", "serviceaccount", "team-a", "--namespace", "helm-platform")
	kubectl(t, env.controlPlane, "", "create", "clusterrolebinding", binding, "--clusterrole=claimgate-queues", "--serviceaccount=helm-platform:team-a")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, "", "delete", "clusterrolebinding", binding)
	})
	token := strings.TrimSpace(kubectl(t, env.controlPlane, "", "create", "token", "team-a", "--namespace", "helm-platform"))
	kubectl(t, env.app, "", "create", "secret", "generic", "claimgate-platform", "--namespace", "helm-daemon", "--from-literal=token="+token)
}

// TestHelmRightsSufficeForTheDaemon runs the daemon with the rendered configuration and the rights of the ServiceAccount.
func TestHelmRightsSufficeForTheDaemon(t *testing.T) {
	withHelm(t)
	createQueueAPI(t)
	kubectl(t, env.controlPlane, queueRole, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, queueRole, "delete", "--ignore-not-found", "-f", "-")
	})
	for name, p := range map[string]helmPod{
		"files":   newHelmPod(t, certificateSecret, kubeconfigSecret),
		"secrets": newHelmPod(t, "", tokenCredentials()),
	} {
		t.Run(name, func(t *testing.T) { p.registersAndUninstalls(t, name == "secrets") })
	}
}

func (p helmPod) registersAndUninstalls(t *testing.T, hasSecrets bool) {
	before := releaseObjects(t)
	removeReleases(t, "helm-daemon", "claims")
	helm(t, append([]string{"install", "claims", chart, "--namespace", "helm-daemon", "--create-namespace"}, p.flags...)...)
	// Instead of a cluster IP, which leads nowhere here.
	kubectl(t, env.app, "", "patch", "service", "claims", "--namespace", "helm-daemon", "--type=merge", "-p",
		`{"spec":{"type":"ExternalName","externalName":"localhost","clusterIP":null,"clusterIPs":null,"selector":null}}`)
	if hasSecrets {
		createTokenSecret(t)
	}
	p.mount(t)
	p.adaptToEnvironment(t)
	daemon, err := env.run("helm-daemon", os.Getenv("TEST_BINARY"), "serve", "--config", p.configuration())
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
	certificate := func() string {
		return kubectl(t, env.app, "", "get", "secret", "claims-certificates", "-n", "helm-daemon", "--ignore-not-found", "-o", "jsonpath={.data}")
	}
	made := certificate()
	if hasSecrets != strings.Contains(made, "tls.key") {
		t.Errorf("the Secret with the certificate contains %s", made)
	}
	helm(t, append([]string{"upgrade", "claims", chart, "--namespace", "helm-daemon", "--set", "replicas=3"}, p.flags...)...)
	if certificate() != made {
		t.Error("the upgrade changes the certificate")
	}
	log, err := os.ReadFile(daemon.log)
	must(err)
	if strings.Contains(strings.ToLower(string(log)), "forbidden") {
		t.Errorf("the daemon lacks a right:\n%s", log)
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
		{"yes", "helm-rights", "update", "leases.coordination.k8s.io/claims-registration"},
		{"no", "helm-rights", "update", "leases.coordination.k8s.io/other"},
		{"yes", "default", "list", "apiservices.apiregistration.k8s.io"},
		{"no", "default", "patch", "apiservices.apiregistration.k8s.io"},
		{"yes", "default", "get", "clusterroles.rbac.authorization.k8s.io/helm-rights:claims"},
		{"no", "default", "get", "clusterroles.rbac.authorization.k8s.io/admin"},
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
