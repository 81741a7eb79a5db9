package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// daemonNamespace contains the release claims, whose daemon the tests start.
const daemonNamespace = "helm-daemon"

// daemonValues returns the flags of Helm with the values of a release that serves queues. The certificate and the
// credentials are in files of the pod, or in Secrets that the daemon reads and renews itself.
func daemonValues(t *testing.T, inFiles bool) []string {
	t.Helper()
	values := filepath.Join(t.TempDir(), "values.yaml")
	credentials := fmt.Sprintf("server: https://localhost:%d, tokenSecret: claimgate-platform, certificateAuthority: %q",
		env.link.port, env.certificates.read("server-ca.crt"))
	certificates := "{mode: selfManaged}"
	if inFiles {
		credentials, certificates = "kubeconfigSecret: {name: claimgate-other, key: config}", "{mode: secret, secretName: serving}"
	}
	must(os.WriteFile(values, []byte(fmt.Sprintf(`cluster: %s
image: {repository: registry.example.org/claimgate}
controlPlanes:
  platform: {mapping: {namespaces: {default: %s}}, %s}
apis: [{group: queues.example.org, controlPlane: platform}]
certificates: %s
`, appClusterName, mapping["default"], credentials, certificates)), 0o600))
	return []string{"--values", values}
}

// installDaemon installs the release and creates the Secrets that a user creates. It does not start the daemon.
func installDaemon(t *testing.T, values []string) {
	t.Helper()
	removeReleases(t, daemonNamespace, "claims")
	helm(t, append([]string{"install", "claims", chart, "--namespace", daemonNamespace, "--create-namespace"}, values...)...)
	create := func(name string, content ...string) {
		args := []string{"create", "secret", "generic", name, "--namespace", daemonNamespace}
		kubectl(t, env.app, "", append(args, content...)...)
	}
	create("serving", "--from-file=tls.crt="+env.path("claimgate.crt"), "--from-file=tls.key="+env.path("claimgate.key"),
		"--from-file=ca.crt="+env.path("server-ca.crt"))
	url := fmt.Sprintf("https://localhost:%d", env.link.port)
	create("claimgate-other", "--from-literal=config="+env.certificates.kubeconfig(url, "connector"))
	create("claimgate-platform", "--from-literal=token="+controlPlaneToken(t))
}

// controlPlaneToken returns the token of a ServiceAccount on the control plane that may use queues and follow events.
func controlPlaneToken(t *testing.T) string {
	t.Helper()
	createNamespace(t, "helm-platform")
	const role, events, account = "claimgate-queues-helm", "claimgate-events-helm", "--serviceaccount=helm-platform:team-a"
	kubectl(t, env.controlPlane, "", "create", "serviceaccount", "team-a", "--namespace", "helm-platform")
	kubectl(t, env.controlPlane, "", "create", "clusterrole", role, "--verb=*", "--resource=*.queues.example.org")
	kubectl(t, env.controlPlane, "", "create", "clusterrole", events, "--verb=list,watch", "--resource=events")
	for _, name := range []string{role, events} {
		kubectl(t, env.controlPlane, "", "create", "clusterrolebinding", name, "--clusterrole="+name, account)
	}
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, "", "delete", "clusterrole,clusterrolebinding", role, events)
		env.tryKubectl(env.controlPlane.kubeconfig, "", "delete", "namespace", "helm-platform")
	})
	return strings.TrimSpace(kubectl(t, env.controlPlane, "", "create", "token", "team-a", "--namespace", "helm-platform"))
}

func TestHelmConfigurationPassesTheCheck(t *testing.T) {
	withHelm(t)
	full := []string{
		"--values", valuesFile("full"), "--set", "controlPlanes.other.context=it",
		"--set", "certificates.mode=secret,certificates.secretName=serving",
		// Without the kinds of the Prometheus Operator.
		"--set", "metrics.serviceMonitor.enabled=false,metrics.rules.enabled=false",
		"--set-file", "frontProxyCA=" + env.path("front-proxy-ca.crt"),
		"--set-file", "controlPlanes.platform.certificateAuthority=" + env.path("server-ca.crt"),
	}
	for name, values := range map[string][]string{"files": daemonValues(t, true), "secrets": daemonValues(t, false), "full": full} {
		t.Run(name, func(t *testing.T) {
			installDaemon(t, values)
			file := filepath.Join(writePodFiles(t, daemonNamespace, "claims"), "claimgate.yaml")
			if out, err := exec.Command(os.Getenv("TEST_BINARY"), "check", "--config", file).CombinedOutput(); err != nil {
				text, _ := os.ReadFile(file)
				t.Errorf("%v\n%s\n%s", err, out, text)
			}
		})
	}
}

// TestHelmRightsSufficeForTheDaemon runs the daemon with the rights of the ServiceAccount, and uninstalls the release.
func TestHelmRightsSufficeForTheDaemon(t *testing.T) {
	withHelm(t)
	createQueueAPI(t)
	for _, rights := range []string{queueRole, eventRights} {
		kubectl(t, env.controlPlane, rights, "apply", "-f", "-")
		t.Cleanup(func() {
			env.tryKubectl(env.controlPlane.kubeconfig, rights, "delete", "--ignore-not-found", "-f", "-")
		})
	}
	for name, inFiles := range map[string]bool{"files": true, "secrets": false} {
		t.Run(name, func(t *testing.T) {
			before := releaseObjects(t)
			values := daemonValues(t, inFiles)
			installDaemon(t, values)
			daemon := startPod(t, daemonNamespace, "claims")
			assertRegistered(t)
			log, err := os.ReadFile(daemon.log)
			must(err)
			if strings.Contains(strings.ToLower(string(log)), "forbidden") {
				t.Errorf("the daemon lacks a right:\n%s", log)
			}
			if _, err := daemon.terminate(slowDeadline); err != nil {
				t.Fatal(err)
			}

			made := certificateData(t)
			if inFiles == strings.Contains(made, "tls.key") {
				t.Errorf("the Secret with the certificate contains %q", made)
			}
			// An upgrade keeps the certificate. Before, the Service gets the port of the chart again.
			kubectl(t, env.app, "", "patch", "service", "claims", "--namespace", daemonNamespace, "--type=merge", "-p",
				`{"spec":{"ports":[{"name":"https","port":443,"targetPort":"https","protocol":"TCP"}]}}`)
			helm(t, append([]string{"upgrade", "claims", chart, "--namespace", daemonNamespace, "--set", "replicas=3"}, values...)...)
			if got := certificateData(t); got != made {
				t.Errorf("the upgrade changes the certificate to %q", got)
			}

			helm(t, "uninstall", "claims", "--namespace", daemonNamespace)
			awaitGone(t, slowDeadline, env.app, "apiservice", queueService)
			kubectl(t, env.app, "", "delete", "namespace", daemonNamespace)
			awaitReleaseObjects(t, before)
		})
	}
}

// assertRegistered waits until the daemon of the release serves queues in the app cluster.
func assertRegistered(t *testing.T) {
	t.Helper()
	awaitResource(t, "queues", true)
	if owner := fieldOfQueueService(t, ".metadata.ownerReferences[*].name"); owner != daemonNamespace+":claims" {
		t.Errorf("the owner of the APIService is %q", owner)
	}
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, "", "get", "queues")
		return err
	})
	holder := kubectl(t, env.app, "", "get", "lease", "-n", daemonNamespace, "claims-registration", "-o", "jsonpath={.spec.holderIdentity}")
	if holder == "" {
		t.Error("no daemon holds the Lease of the release")
	}
}

func certificateData(t *testing.T) string {
	t.Helper()
	return kubectl(t, env.app, "", "get", "secret", "claims-certificates", "-n", daemonNamespace, "--ignore-not-found", "-o", "jsonpath={.data}")
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
		{"yes", "default", "patch", "events.events.k8s.io"},
		{"yes", "default", "create", "events.events.k8s.io"},
		{"no", "default", "list", "events.events.k8s.io"},
		{"no", "helm-rights", "create", "events.events.k8s.io"},
		{"yes", "helm-rights", "update", "events"},
		{"no", "helm-rights", "list", "events"},
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
