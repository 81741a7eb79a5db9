package kubernetes

import (
	"os"
	"strings"
	"testing"
)

// TestRightsOnTheControlPlaneSuffice checks the file that users apply there before they install the Helm chart.
func TestRightsOnTheControlPlaneSuffice(t *testing.T) {
	manifest, err := os.ReadFile("../../config/rbac/control-plane.yaml")
	must(err)
	kubectl(t, env.controlPlane, string(manifest), "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, string(manifest), "delete", "--wait=false", "-f", "-")
	})
	const account = "system:serviceaccount:team-a:claimgate-team-a"
	for arguments, isAllowed := range map[string]bool{
		"deletecollection kubernetesclusters.k8s.starter.org -n team-a":            true,
		"update kubernetesclusters.k8s.starter.org --subresource=status -n team-a": true,
		"create serviceaccounts/claimgate-team-a --subresource=token -n team-a":    true,
		"get customresourcedefinitions/kubernetesclusters.k8s.starter.org":         true,
		"create serviceaccounts/default --subresource=token -n team-a":             false,
		"list kubernetesclusters.k8s.starter.org -n " + readNamespaces.direct:      false,
		"watch events -n team-a":  true,
		"watch events -n default": false,
		"get secrets -n team-a":   false,
	} {
		out, err := env.tryKubectl(env.controlPlane.kubeconfig, "", append([]string{"auth", "can-i", "--as", account}, strings.Fields(arguments)...)...)
		if (err == nil) != isAllowed {
			t.Errorf("can-i %s: %s %v", arguments, out, err)
		}
	}
}
