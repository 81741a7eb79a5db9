package kubernetes

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// rightsOnQueues allows the user of claimgate some verbs on the queues and on the gadgets.
const rightsOnQueues = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: claimgate-queues}
rules:
- {apiGroups: [queues.example.org], resources: [queues], verbs: [%s]}
- {apiGroups: [queues.example.org], resources: [gadgets], verbs: [%s]}
`

// awaitVerbs waits until the app cluster's discovery lists the resource with exactly these verbs. It has no verbs if
// discovery leaves it out.
func awaitVerbs(t *testing.T, resource string, want ...string) {
	t.Helper()
	slices.Sort(want)
	await(t, recoveryTime, func() error {
		// A forbidden request makes claimgate read its rights again.
		for _, path := range []string{"queues", "gadgets"} {
			sendAsAdmin(t, env.app, "GET", "/apis/queues.example.org/v1/namespaces/default/"+path, "", nil)
		}
		verbs := verbsInDiscovery(t, "queues.example.org", resource)
		slices.Sort(verbs)
		if !slices.Equal(verbs, want) {
			return fmt.Errorf("the app cluster lists the %s with %v, want %v", resource, verbs, want)
		}
		return nil
	})
}

// TestDiscoveryOffersOnlyPermittedVerbs changes the rights of claimgate on the control plane.
func TestDiscoveryOffersOnlyPermittedVerbs(t *testing.T) {
	createQueueAPI(t)
	gadgets := fmt.Sprintf(queueCRD, "gadget", "Gadget")
	kubectl(t, env.controlPlane, gadgets, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, gadgets, "delete", "--ignore-not-found", "-f", "-")
	})
	allow := func(queues, gadgets string) {
		kubectl(t, env.controlPlane, fmt.Sprintf(rightsOnQueues, queues, gadgets), "apply", "-f", "-")
	}
	kubectl(t, env.controlPlane, queueRole, "apply", "-f", "-")
	t.Cleanup(func() { kubectl(t, env.controlPlane, queueRole, "apply", "-f", "-") })
	allow(`"*"`, "get, create")
	r := startRegistrar(t)
	awaitResource(t, "queues", true)
	all := []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	awaitVerbs(t, "queues", all...)
	// A kind that is listed but forbidden would break Argo CD's cache of the whole cluster.
	awaitVerbs(t, "gadgets")
	missing := `claimgate_missing_rights{control_plane="platform",group="queues.example.org",resource="gadgets",verb="list"}`
	assertContains(t, metricsOf(t, r.adminPort), missing)
	log, err := os.ReadFile(r.process.log)
	must(err)
	for where, text := range map[string]string{"the log": string(log), "status": runStatus(t, "--address", fmt.Sprintf("127.0.0.1:%d", r.adminPort))} {
		for _, part := range []string{"list", "gadgets.queues.example.org in the namespace", "config/rbac/control-plane.yaml"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s does not contain %q:\n%s", where, part, text)
			}
		}
	}

	allow(`"*"`, "get, list, watch, delete")
	awaitVerbs(t, "gadgets", "delete", "get", "list", "watch")
	// A right that is lost must not let the namespace controller think that there are no objects.
	allow("get, create, update, patch", "get, list, delete")
	awaitVerbs(t, "queues", "create", "delete", "deletecollection", "get", "list", "patch", "update")
	awaitVerbs(t, "gadgets", "delete", "get", "list")
	// A restart must not forget that.
	r.process.kill()
	r.start(t)
	await(t, slowDeadline, func() error { return ready(r.adminPort) })
	inAppCluster(t, "annotate", "apiservice", queueService, "checked=again", "--overwrite")
	awaitVerbs(t, "queues", "create", "delete", "deletecollection", "get", "list", "patch", "update")
	allow(`"*"`, "get, list, watch, delete")
	awaitVerbs(t, "queues", all...)
}
