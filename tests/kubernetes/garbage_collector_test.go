package kubernetes

import (
	"os"
	"testing"
)

// awaitForbidden waits until claimgate has rejected a request with 403 since its last start.
func awaitForbidden(t *testing.T) {
	t.Helper()
	awaitMetric(t, `claimgate_requests_total\{[^}]*code="403"[^}]*\} [1-9]`)
}

// createDependent creates a ConfigMap in the app cluster that a claim of app-ns-2 owns.
func createDependent(t *testing.T, name string) {
	t.Helper()
	id := uid(t, env.controlPlane, "-n", mapping[clientsLocal], "kc", name)
	kubectl(t, env.app, ownedBy("ConfigMap", name, groupVersion, "KubernetesCluster", name, id), "-n", clientsLocal, "create", "-f", "-")
}

// TestConfigurationChangeDeletesNoDependents restarts claimgate with a configuration that hides
// claims from the app cluster. The claims still exist, so its garbage collector must not delete what
// they own: neither the collector that saw them before, nor one that starts afterwards.
//
// A collector that saw the claims of a removed row before is an exception, which the page
// "Configuration changes" of the book describes: the claims are missing from its next list.
func TestConfigurationChangeDeletesNoDependents(t *testing.T) {
	needsTable(t)
	for _, c := range []struct {
		name, before, after string
		// Whether the collector runs during the change.
		keepsRunning bool
		// Whether the first reads of an owner reach claimgate and are rejected.
		readsAreForbidden bool
		// Whether the case takes more than a minute, because a collector has to discover the resource again.
		isSlow bool
	}{
		{"row-removed", ", " + clientsLocal + ": " + mapping[clientsLocal], "", false, true, false},
		{"resource-dropped", "{group: k8s.starter.org,", "{group: k8s.starter.org, resources: [networks],", true, true, true},
		// The aggregator rejects requests itself once it notices that the APIService is unavailable.
		{"group-dropped", "{group: k8s.starter.org,", "{group: other.example.org,", true, false, true},
		{"control-plane-renamed", "platform", "renamed", true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.isSlow && os.Getenv("TEST_SLOW") == "" {
				t.Skip("only with `run --all`")
			}
			awaitCollectorWatch(t)
			seen, unseen := c.name+"-seen", c.name+"-unseen"
			t.Cleanup(func() {
				for _, name := range []string{seen, unseen} {
					env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", mapping[clientsLocal], "delete", "kc", name, "--ignore-not-found")
					env.tryKubectl(env.app.kubeconfig, "", "-n", clientsLocal, "delete", "configmap", name, "--ignore-not-found")
				}
			})
			kubectl(t, env.controlPlane, claim(mapping[clientsLocal], seen), "create", "-f", "-")
			createDependent(t, seen)
			awaitCollectorPass(t, env.app, "ConfigMap", clientsLocal)

			if !c.keepsRunning {
				env.app.controllers.kill()
			}
			restore := restartWith(t, c.before, c.after)
			if !c.keepsRunning {
				must(env.startControllers(env.app))
			}
			// If claims are hidden, the collector has to read this one by name.
			kubectl(t, env.controlPlane, claim(mapping[clientsLocal], unseen), "create", "-f", "-")
			createDependent(t, unseen)
			assertDependentsStay(t, c.readsAreForbidden, seen, unseen)
			if c.keepsRunning {
				env.app.controllers.kill()
				must(env.startControllers(env.app))
				assertDependentsStay(t, false, seen, unseen)
			}

			restore()
			awaitCollectorWatch(t)
			assertDependentsStay(t, false, seen, unseen)
			for _, name := range []string{seen, unseen} {
				inAppCluster(t, "-n", clientsLocal, "delete", "kc", name)
				awaitGone(t, collectorTimeout, env.app, "-n", clientsLocal, "configmap", name)
			}
		})
	}
}

// assertDependentsStay checks that ConfigMaps exist after the collector had the time to delete them.
func assertDependentsStay(t *testing.T, readsAreForbidden bool, names ...string) {
	t.Helper()
	if readsAreForbidden {
		awaitForbidden(t)
	}
	awaitCollectorPass(t, env.app, "ConfigMap", clientsLocal)
	for _, name := range names {
		assertLacks(t, inAppCluster(t, "-n", clientsLocal, "get", "configmap", name, "-o", "yaml"), "deletionTimestamp")
	}
}
