package kubernetes

import (
	"strings"
	"testing"
	"time"
)

func TestAPIServiceIsAvailableWithinTenSeconds(t *testing.T) {
	if availableAfter > 10*time.Second {
		t.Fatalf("APIService was available after %s", availableAfter)
	}
	t.Logf("available after %s", availableAfter)
}

func inAppCluster(t *testing.T, args ...string) string { return kubectl(t, env.app, "", args...) }
func onControlPlane(t *testing.T, args ...string) string {
	return kubectl(t, env.controlPlane, "", args...)
}

func kubectl(t *testing.T, c *cluster, stdin string, args ...string) string {
	t.Helper()
	out, err := env.tryKubectl(c.kubeconfig, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func assertContains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Fatalf("text %q not found in:\n%s", want, text)
		}
	}
}

func assertLacks(t *testing.T, text string, unwanted ...string) {
	t.Helper()
	for _, word := range unwanted {
		if strings.Contains(text, word) {
			t.Fatalf("text %q must not appear in:\n%s", word, text)
		}
	}
}
