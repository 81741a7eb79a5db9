package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// TestCrossplaneEventsShowWhyClaimIsNotReady orders a claim whose composition does not exist. Crossplane says so only on the
// composite resource.
func TestCrossplaneEventsShowWhyClaimIsNotReady(t *testing.T) {
	withCrossplane(t)
	startCopierWith(t, "crossplane-copier", "events: {composite: true}", "events.yaml", eventRights)
	manifest := databaseClaim("hopeless", "Background") + "\n"
	manifest = strings.Replace(manifest, "spec: {", "spec: {compositionRef: {name: missing-composition}, ", 1)
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, manifest, "apply", "-f", "-")
		return err
	})
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, manifest, "delete", "--ignore-not-found", "--wait=false", "-f", "-")
	})
	await(t, slowDeadline, func() error {
		out := kubectl(t, env.app, "", "describe", "database", "hopeless")
		_, events, _ := strings.Cut(out, "\nEvents:")
		if !strings.Contains(events, "missing-composition") {
			return fmt.Errorf("kubectl describe does not show why the claim is not ready:\n%s", out)
		}
		if names := findRemoteNames([]byte(events)); len(names) > 0 {
			t.Errorf("the events show the remote names %s", names)
		}
		t.Logf("Events:%s", events)
		return nil
	})
}
