package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// createQueueAPI creates the claim API queues.queues.example.org on the control plane.
func createQueueAPI(t *testing.T) {
	t.Helper()
	queues := fmt.Sprintf(queueCRD, "queue", "Queue")
	kubectl(t, env.controlPlane, queues, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, queues, "delete", "--ignore-not-found", "-f", "-")
	})
	kubectl(t, env.controlPlane, "", "wait", "--for=condition=Established", "--timeout=30s", "crd/queues.queues.example.org")
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "get", "queues", "-A")
		return err
	})
}

// kubeconfigCommand runs the command kubeconfig with no input, and returns stdout and stderr.
func kubeconfigCommand(kubeconfig string, args ...string) (string, string, error) {
	cmd := exec.Command(os.Getenv("TEST_BINARY"), append([]string{"kubeconfig"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return stdout.String(), stderr.String(), err
}

func TestKubeconfigForKubectlGivesAccessToClaimsOnly(t *testing.T) {
	createQueueAPI(t)
	createNamespace(t, "gitops")
	contexts := newConnection(t).kubeconfig
	arguments := []string{"--for", "kubectl", "platform", "gitops", "--apis", "queues.example.org"}

	// Without an answer, nothing is created.
	out, problem, err := kubeconfigCommand(contexts, arguments...)
	if err == nil || out != "" {
		t.Fatalf("without an answer: %v\n%s", err, out)
	}
	assertContains(t, problem, "create ServiceAccount gitops/claimgate-gitops", "Continue?", "not confirmed")
	if names := kubectl(t, env.controlPlane, "", "get", "serviceaccounts,roles,rolebindings", "-n", "gitops", "-o", "name"); strings.Contains(names, "claimgate") {
		t.Fatalf("without an answer, the command created %s", names)
	}

	out, problem, err = kubeconfigCommand(contexts, append(arguments, "--yes", "--duration", "1h")...)
	if err != nil {
		t.Fatalf("%v\n%s", err, problem)
	}
	assertContains(t, problem, "The token expires at")
	file := env.path("gitops.kubeconfig")
	must(os.WriteFile(file, []byte(out), 0o600))

	const order = "{apiVersion: queues.example.org/v1, kind: Queue, metadata: {name: orders}, spec: {size: 1}}"
	for _, step := range []struct{ stdin, args, wanted string }{
		{order, "create -f -", "created"},
		{strings.ReplaceAll(order, "size: 1", "size: 2"), "apply --server-side --force-conflicts -f -", "serverside-applied"},
		{"", "get queues -o name", "queue.queues.example.org/orders"},
		{"", "get queues -n gitops -o name", "queue.queues.example.org/orders"},
		{"", "delete queue orders", "deleted"},
	} {
		out, err := env.tryKubectl(file, step.stdin, strings.Fields(step.args)...)
		if err != nil {
			t.Fatal(err)
		}
		assertContains(t, out, step.wanted)
	}
	for _, args := range []string{
		"get secrets", "get configmaps", "get pods", "get queues -n default", "get queues -A", "get namespaces",
		"create token claimgate-gitops", "delete queues --all --wait=false -n default",
	} {
		out, err := env.tryKubectl(file, "", strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), "orbidden") {
			t.Errorf("kubectl %s is not forbidden: %v\n%s", args, err, out)
		}
	}

	// The command can be repeated, and updates what it created.
	if _, problem, err = kubeconfigCommand(contexts, append(arguments, "--yes")...); err != nil {
		t.Fatalf("%v\n%s", err, problem)
	}
	assertContains(t, problem, "update Role gitops/claimgate-gitops")
}

func TestKubeconfigForArgoCDAndFluxIsValid(t *testing.T) {
	createQueueAPI(t)
	contexts := newConnection(t).kubeconfig
	for _, namespace := range []string{"gitops-tools", "argocd", "flux-system"} {
		createNamespace(t, namespace)
	}
	for tool, wanted := range map[string][]string{
		"argocd": {"Secret", "ConfigMap", "Application"},
		"flux":   {"Secret", "Kustomization"},
	} {
		out, problem, err := kubeconfigCommand(contexts, "--for", tool, "platform", "gitops-tools", "--apis", "queues.example.org", "--yes")
		if err != nil {
			t.Fatalf("%s: %v\n%s", tool, err, problem)
		}
		documents := strings.Split(out, "---\n")
		if len(documents) != len(wanted) {
			t.Fatalf("%s has %d documents:\n%s", tool, len(documents), out)
		}
		for i, kind := range wanted {
			assertContains(t, documents[i], "\nkind: "+kind+"\n")
			if kind != "Secret" && kind != "ConfigMap" {
				continue
			}
			for _, where := range []string{"client", "server"} {
				kubectl(t, env.controlPlane, documents[i], "apply", "--dry-run="+where, "-f", "-")
			}
		}
	}
}

func TestKubeconfigFailsClearly(t *testing.T) {
	createQueueAPI(t)
	createNamespace(t, "gitops-refused")
	contexts := newConnection(t).kubeconfig

	// This user may create the account, but no token for it.
	rights := `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: no-tokens}
rules:
- {apiGroups: [""], resources: [serviceaccounts, namespaces], verbs: ["*"]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: no-tokens}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: no-tokens}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: developer}]
`
	kubectl(t, env.controlPlane, rights, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, rights, "delete", "--ignore-not-found", "-f", "-")
	})
	limited := env.path("no-tokens.kubeconfig")
	url := fmt.Sprintf("https://localhost:%d", env.controlPlane.port)
	must(os.WriteFile(limited, []byte(env.certificates.kubeconfig(url, "developer")), 0o600))

	for _, c := range []struct{ kubeconfig, args, wanted string }{
		{limited, "it gitops-refused --apis queues.example.org", "grants no token for the ServiceAccount"},
		{contexts, "platform gitops-missing", "does not exist"},
		{contexts, "platform gitops-refused --apis missing.example.org", "has no namespaced resources"},
		{contexts, "nowhere gitops-refused", "nowhere"},
		{contexts, "platform gitops-refused --duration 1m", "at least 10m"},
		{contexts, "platform gitops-refused --project payments", "--project"},
	} {
		out, problem, err := kubeconfigCommand(c.kubeconfig, append([]string{"--for", "kubectl", "--yes"}, strings.Fields(c.args)...)...)
		if err == nil || out != "" {
			t.Errorf("%s succeeded:\n%s", c.args, out)
		}
		assertContains(t, problem, c.wanted)
	}
}
