package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// TestSecretsOfCompositionsAreCopied writes Secrets of other types, as compositions of Crossplane 2 do.
func TestSecretsOfCompositionsAreCopied(t *testing.T) {
	c := startCopier(t, "composed-copier", `{connection: true, namespaces: ["*"], types: [connection.crossplane.io/v1alpha1, kubernetes.io/basic-auth], targetType: Opaque, templates: {url: "x://{username}"}}`)
	claim := orderClaim(t, "default", "composing", "composing-conn")
	claim.publish(t, map[string]string{"username": "a"})
	awaitValue(t, registrationTime, "default", "composing-conn", "url", "x://a")
	typeOf := func(name string) string {
		return kubectl(t, env.app, "", "-n", "default", "get", "secret", name, "-o", "jsonpath={.type}")
	}
	if found := typeOf("composing-conn"); found != "Opaque" {
		t.Errorf("the copy has the type %s", found)
	}

	// The copy has the local name of the claim.
	claim.writeSecret(t, claim.name+"-extra", "kubernetes.io/basic-auth", map[string]string{"username": "b", "password": "p"})
	awaitValue(t, copyTime, "default", "composing-extra", "url", "x://b")
	if found := typeOf("composing-extra"); found != "Opaque" {
		t.Errorf("the copy of a composed Secret has the type %s", found)
	}
	claim.writeSecret(t, claim.name+"-other", "Opaque", map[string]string{"username": "c"})

	// A template needs its keys.
	claim.writeSecret(t, claim.name+"-bad", "kubernetes.io/basic-auth", map[string]string{"password": "p"})
	problem := `claimgate_copy_problems{control_plane="platform",controller="connection-secrets",reason="InvalidTemplate"} 1`
	await(t, registrationTime, func() error {
		if metrics := metricsOf(t, c.adminPort); !strings.Contains(metrics, problem) {
			return fmt.Errorf("the metrics lack %s", problem)
		}
		return nil
	})
	for _, name := range []string{"composing-bad", "composing-other"} {
		if found := kubectl(t, env.app, "", "-n", "default", "get", "secret", name, "--ignore-not-found", "-o", "name"); found != "" {
			t.Errorf("the app cluster has %s", found)
		}
	}
}
