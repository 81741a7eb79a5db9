package kubernetes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const inputRules = `{namespaces: ["*"], input: [spec.parameters.passwordSecretRef, {path: spec.parameters.settingsName, kind: ConfigMap}, {labels: {for: claims}}]}`

// createInput creates a Secret or a ConfigMap in the app cluster until the test ends. The arguments are those of kubectl create.
func createInput(t *testing.T, namespace, kind, name string, labels []string, arguments ...string) {
	t.Helper()
	kubectl(t, env.app, "", append([]string{"-n", namespace, "create", kind}, arguments...)...)
	kind = strings.Fields(kind)[0]
	if len(labels) > 0 {
		kubectl(t, env.app, "", append([]string{"-n", namespace, "label", kind, name}, labels...)...)
	}
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, "", "-n", namespace, "delete", kind, name, "--ignore-not-found")
	})
}

// awaitSuccessOf waits until a claimgate serves claims.
func awaitSuccessOf(t *testing.T, c *copier) {
	t.Helper()
	await(t, registrationTime, func() error {
		status, text, err := sendRequest(userClient("developer"), c.port, http.MethodGet, claimsPathOf("default"), "", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, text)
		}
		return err
	})
}

// remoteInput returns a value of the object on the control plane that a field of a claim names, with its type.
func remoteInput(c remoteClaim, kind, field, key string) string {
	name, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", c.namespace, "get", "kubernetescluster", c.name, "-o", "jsonpath={"+field+"}")
	if err != nil {
		return err.Error()
	}
	out, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", c.namespace, "get", kind, name, "--ignore-not-found", "-o", "go-template={{with .type}}{{.}} {{end}}{{with .data}}{{index . \""+key+"\"}}{{end}}")
	if err != nil {
		return err.Error()
	}
	return out
}

func TestInputsFollowTheAppCluster(t *testing.T) {
	c := startCopier(t, "inputs", inputRules)
	awaitSuccessOf(t, c)
	const optIn = "claimgate.dev/input=true"
	createInput(t, "default", "secret", "password", nil, "generic", "password", "--from-literal=value=a")
	createInput(t, "team-a", "secret", "password", []string{optIn}, "generic", "password", "--from-literal=value=b")
	createInput(t, "default", "configmap", "settings", []string{optIn}, "settings", "--from-literal=size=large")
	order := func(namespace, name string) remoteClaim {
		// Only this claimgate knows the fields, so the claim must not pass through the one of the environment.
		body := fmt.Sprintf(`{"apiVersion":%q,"kind":"KubernetesCluster","metadata":{"name":%q},"spec":{"parameters":{"passwordSecretRef":{"name":"password"},"settingsName":"settings"},"writeConnectionSecretToRef":{"name":"none"}}}`, groupVersion, name)
		status, text, err := sendRequest(userClient("developer"), c.port, http.MethodPost, claimsPathOf(namespace), body, map[string]string{"Content-Type": "application/json"})
		if err != nil || status != http.StatusCreated {
			t.Fatalf("status %d: %s %v", status, text, err)
		}
		if !strings.Contains(text, `"passwordSecretRef":{"name":"password"}`) {
			t.Errorf("the claim has the reference\n%s", text)
		}
		t.Cleanup(func() {
			env.tryKubectl(env.app.kubeconfig, "", "-n", namespace, "delete", "kubernetescluster", name, "--ignore-not-found")
		})
		return findRemoteClaim(t, namespace, name)
	}
	const secretField, mapField = ".spec.parameters.passwordSecretRef.name", ".spec.parameters.settingsName"
	expect := func(c remoteClaim, kind, field, key, expected string) {
		t.Helper()
		await(t, registrationTime, func() error {
			if got := remoteInput(c, kind, field, key); got != expected {
				return fmt.Errorf("the control plane has %q, want %q", got, expected)
			}
			return nil
		})
	}
	condition := func(expected string) {
		t.Helper()
		await(t, registrationTime, func() error {
			got, err := env.tryKubectl(env.app.kubeconfig, "", "-n", "default", "get", "kubernetescluster", "with-inputs", "-o", `jsonpath={range .status.conditions[?(@.type=="InputSecretsCopied")]}{.status} {.reason}{end}`)
			if err == nil && got != expected {
				err = fmt.Errorf("the condition is %q", got)
			}
			return err
		})
	}
	first, second := order("default", "with-inputs"), order("team-a", "with-inputs")
	expect(second, "secret", secretField, "value", "Opaque Yg==")
	expect(first, "configmap", mapField, "size", "large")
	condition("False InputNotFound")
	if got := remoteInput(first, "secret", secretField, "value"); got != "" {
		t.Errorf("a Secret without the label was copied: %s", got)
	}
	if out := kubectl(t, env.app, "", "-n", "default", "describe", "kubernetescluster", "with-inputs"); !strings.Contains(out, `the Secret "password" does not exist or lacks the label`) {
		t.Errorf("kubectl describe shows no event:\n%s", out)
	}

	kubectl(t, env.app, "", "-n", "default", "label", "secret", "password", optIn)
	expect(first, "secret", secretField, "value", "Opaque YQ==")
	condition("True Copied")
	kubectl(t, env.app, "", "-n", "default", "patch", "secret", "password", "--type=merge", "-p", `{"stringData":{"value":"c"}}`)
	expect(first, "secret", secretField, "value", "Opaque Yw==")

	// A second claim shares the copy.
	third := order("default", "with-inputs-too")
	await(t, registrationTime, func() error {
		owners, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", first.namespace, "get", "secrets", "-l", optIn, "-o", "jsonpath={.items[*].metadata.ownerReferences[*].uid}")
		if err == nil && !(strings.Contains(owners, first.uid) && strings.Contains(owners, third.uid)) {
			err = fmt.Errorf("the owners are %q", owners)
		}
		return err
	})
	kubectl(t, env.app, "", "-n", "default", "delete", "kubernetescluster", "with-inputs-too")
	expect(first, "secret", secretField, "value", "Opaque Yw==")

	// Without the label, the copy goes.
	kubectl(t, env.app, "", "-n", "default", "label", "secret", "password", "claimgate.dev/input-")
	expect(first, "secret", secretField, "value", "")
	condition("False InputNotFound")
	kubectl(t, env.app, "", "-n", "team-a", "delete", "kubernetescluster", "with-inputs")
	await(t, slowDeadline, func() error {
		left, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", second.namespace, "get", "secrets", "-l", optIn, "-o", "name")
		if err == nil && left != "" {
			err = fmt.Errorf("the control plane still has %s", left)
		}
		return err
	})
}
