package kubernetes

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// crdReader lets claimgate read the limits of names in the CRDs.
const crdReader = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: claimgate-crds}
rules: [{apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: claimgate-crds}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: claimgate-crds}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: claimgate-team-a}]
`

// limitedCRD returns a CRD whose objects have names of at most `limit` characters.
func limitedCRD(singular, kind string, limit int) string {
	schema := fmt.Sprintf("openAPIV3Schema: {properties: {metadata: {type: object, properties: {name: {type: string, maxLength: %d}}}},", limit)
	return strings.Replace(fmt.Sprintf(queueCRD, singular, kind), "openAPIV3Schema: {", schema, 1)
}

// TestNameLimitsOfCRDs limits names to 30 and to 17 characters. With 17, no remote name fits.
func TestNameLimitsOfCRDs(t *testing.T) {
	needsShared(t)
	createQueueAPI(t)
	gadgets := limitedCRD("gadget", "Gadget", hashSuffixLength)
	kubectl(t, env.controlPlane, limitedCRD("queue", "Queue", 30)+"---\n"+gadgets+"---\n"+crdReader+"---\n"+queueRole, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, gadgets+"---\n"+crdReader, "delete", "--ignore-not-found", "-f", "-")
	})
	r := startRegistrar(t)
	awaitResource(t, "queues", true)

	const name = "limited-to-thirty-characters"
	awaitSuccess(t, env.app, queue(name), "apply", "-f", "-")
	t.Cleanup(func() { env.tryKubectl(env.app.kubeconfig, "", "delete", "queue", "-n", "default", name) })
	want := name[:30-hashSuffixLength] + "-" + nameHash(appClusterName, "default", name)
	if stored := onControlPlane(t, "get", "queues", "-A", "-o", "jsonpath={.items[*].metadata.name}"); stored != want {
		t.Errorf("the control plane stores %q, want %q", stored, want)
	}

	if verbs := verbsInDiscovery(t, "queues.example.org", "gadgets"); verbs != nil {
		t.Errorf("the app cluster lists the gadgets with %v", verbs)
	}
	// 404 would prove to the garbage collector that a gadget does not exist.
	status, body := sendAsAdmin(t, env.app, "GET", "/apis/queues.example.org/v1/namespaces/default/gadgets/one", "", nil)
	if status != http.StatusForbidden || !strings.Contains(body, "gadgets.queues.example.org is not exposed") {
		t.Errorf("a gadget by name: %d %s", status, body)
	}
	log, err := os.ReadFile(r.process.log)
	must(err)
	if !strings.Contains(string(log), "gadgets") || !strings.Contains(string(log), "the resource is not exposed") {
		t.Errorf("the log does not say why the gadgets are missing:\n%s", log)
	}
}
