package kubernetes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestCrossplaneCompositionReadsInputSecret orders a claim that names a Secret of the app cluster. The composition passes the
// reference on to a composed resource, which must find the Secret on the control plane.
func TestCrossplaneCompositionReadsInputSecret(t *testing.T) {
	withCrossplane(t)
	c := startCopier(t, "crossplane-inputs", `{namespaces: ["*"], input: [spec.passwordSecretRef]}`)
	awaitSuccessOf(t, c)
	createInput(t, "default", "secret", "db-password", []string{"claimgate.dev/input=true"}, "generic", "db-password", "--from-literal=password=correct-horse")
	path := "/apis/" + groupVersion + "/namespaces/default/databases"
	claim := fmt.Sprintf(`{"apiVersion":%q,"kind":"Database","metadata":{"name":"with-password"},"spec":{"passwordSecretRef":{"name":"db-password"}}}`, groupVersion)
	// Only this claimgate knows the field, so the claim must not pass through the one of the environment.
	await(t, registrationTime, func() error {
		status, text, err := sendRequest(userClient("developer"), c.port, http.MethodPost, path, claim, map[string]string{"Content-Type": "application/json"})
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("status %d: %s", status, text)
		}
		return err
	})
	t.Cleanup(func() {
		kubectl(t, env.app, "", "delete", "database", "-n", "default", "with-password", "--timeout=60s")
	})
	await(t, slowDeadline, func() error {
		found, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "get", "machines", "-o", `jsonpath={range .items[*]}{.spec.password.namespace} {.spec.password.name}{"\n"}{end}`)
		if err != nil {
			return err
		}
		for line := range strings.Lines(found) {
			reference := strings.Fields(line)
			if len(reference) != 2 {
				continue
			}
			password, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "get", "secret", "-n", reference[0], reference[1], "-o", "go-template={{base64decode .data.password}}")
			if err == nil && password == "correct-horse" {
				return nil
			}
		}
		return fmt.Errorf("the composed resources refer to %q", found)
	})
}
