package kubernetes

import (
	"strings"
	"testing"
	"time"
)

func TestAvailableWithinTenSeconds(t *testing.T) {
	if availableAfter > 10*time.Second {
		t.Fatalf("APIService was available after %s", availableAfter)
	}
	t.Logf("available after %s", availableAfter)
}

func app(t *testing.T, args ...string) string   { return kubectl(t, theBed.app, "", args...) }
func plane(t *testing.T, args ...string) string { return kubectl(t, theBed.cp, "", args...) }

func kubectl(t *testing.T, c *cluster, stdin string, args ...string) string {
	t.Helper()
	out, err := theBed.try(c.kubeconfig, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Fatalf("no %q in:\n%s", want, text)
		}
	}
}

func lacks(t *testing.T, text string, unwanted ...string) {
	t.Helper()
	for _, word := range unwanted {
		if strings.Contains(text, word) {
			t.Fatalf("%q in:\n%s", word, text)
		}
	}
}
