package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// startPod does what kubelet and kube-proxy would do for a Deployment of claimgate: it runs the daemon with the files of
// its volume and the rights of the ServiceAccount, and leads the Service to it.
func startPod(t *testing.T, namespace, name string) *process {
	t.Helper()
	ports, err := freePorts(2)
	must(err)
	dir := writePodFiles(t, namespace, name)
	account := kubectl(t, env.app, "", "get", "deployment", "-n", namespace, name, "-o", "jsonpath={.spec.template.spec.serviceAccountName}")
	token := accountToken(t, namespace, account)
	kubeconfig := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: "https://localhost:%d", certificate-authority: %q}}]
users: [{name: it, user: {token: %s}}]
`, env.app.port, env.path("server-ca.crt"), token)
	must(os.WriteFile(filepath.Join(dir, "app.kubeconfig"), []byte(kubeconfig), 0o600))
	const service = `{"spec": {"type": "ExternalName", "externalName": "localhost", "selector": null, "clusterIP": null, "clusterIPs": null,
"ports": [{"name": "https", "port": %d, "protocol": "TCP"}]}}`
	kubectl(t, env.app, "", "patch", "service", "-n", namespace, name, "--type", "merge", "-p", fmt.Sprintf(service, ports[0]))
	daemon, err := env.run("pod-"+namespace, "env",
		fmt.Sprintf("CLAIMGATE_LISTEN__ADDRESS=127.0.0.1:%d", ports[0]),
		fmt.Sprintf("CLAIMGATE_REGISTER__SERVICE__PORT=%d", ports[0]),
		fmt.Sprintf("CLAIMGATE_ADMIN__ADDRESS=127.0.0.1:%d", ports[1]),
		"CLAIMGATE_APP_CLUSTER__KUBECONFIG="+filepath.Join(dir, "app.kubeconfig"),
		os.Getenv("TEST_BINARY"), "serve", "--config", filepath.Join(dir, "claimgate.yaml"))
	must(err)
	t.Cleanup(daemon.kill)
	return daemon
}

// accountToken requests a token of a ServiceAccount of the app cluster.
func accountToken(t *testing.T, namespace, account string, options ...string) string {
	t.Helper()
	return strings.TrimSpace(kubectl(t, env.app, "", append([]string{"create", "token", "-n", namespace, account}, options...)...))
}

// writePodFiles writes the files of the projected volume of a Deployment into a directory, and returns its path.
func writePodFiles(t *testing.T, namespace, name string) string {
	t.Helper()
	dir := env.path("pod-" + namespace)
	must(os.RemoveAll(dir))
	read := func(kind, name string, to any) {
		must(json.Unmarshal([]byte(kubectl(t, env.app, "", "get", kind, "-n", namespace, name, "-o", "json")), to))
	}
	write := func(path string, content []byte) {
		file := filepath.Join(dir, path)
		must(os.MkdirAll(filepath.Dir(file), 0o700))
		must(os.WriteFile(file, content, 0o600))
	}
	var deployment appsv1.Deployment
	read("deployment", name, &deployment)
	for _, source := range deployment.Spec.Template.Spec.Volumes[0].Projected.Sources {
		if source.ConfigMap != nil {
			var files corev1.ConfigMap
			read("configmap", source.ConfigMap.Name, &files)
			for file, text := range files.Data {
				write(file, []byte(text))
			}
		}
		if token := source.ServiceAccountToken; token != nil {
			write(token.Path, []byte(accountToken(t, namespace, deployment.Spec.Template.Spec.ServiceAccountName,
				"--audience", token.Audience, "--duration", fmt.Sprintf("%ds", *token.ExpirationSeconds))))
		}
		if source.Secret != nil {
			var files corev1.Secret
			read("secret", source.Secret.Name, &files)
			for _, item := range source.Secret.Items {
				write(item.Path, files.Data[item.Key])
			}
		}
	}
	return dir
}

// awaitDeployment waits until there is a Deployment.
func awaitDeployment(t *testing.T, namespace, name string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, "", "get", "deployment", "-n", namespace, name)
		return err
	})
}
