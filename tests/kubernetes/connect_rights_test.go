package kubernetes

import (
	"slices"
	"strings"
	"testing"
)

// rightsIn returns the lines of `kubectl auth can-i --list` for a ServiceAccount of the namespace, without repeated spaces.
func rightsIn(t *testing.T, namespace, account string) []string {
	t.Helper()
	list := kubectl(t, env.controlPlane, "", "auth", "can-i", "--list", "-n", namespace, "--as", "system:serviceaccount:"+namespace+":"+account)
	var rights []string
	for line := range strings.Lines(list) {
		rights = append(rights, strings.Join(strings.Fields(line), " "))
	}
	return rights
}

// TestConnectGrantsNoOtherRights compares the rights of the daemon on the control plane with those of any ServiceAccount. The
// page "Connect two clusters" lists them.
func TestConnectGrantsNoOtherRights(t *testing.T) {
	createQueueAPI(t)
	c := newConnection(t)
	daemon := c.start(t)
	awaitSuccess(t, env.app, "", "get", "queues")
	own, others := rightsIn(t, "connected", "claimgate-app-one"), rightsIn(t, "connected", "other")
	own = slices.DeleteFunc(own, func(right string) bool { return slices.Contains(others, right) })
	slices.Sort(own)
	want := []string{
		"*.queues.example.org [] [] [*]",
		"customresourcedefinitions.apiextensions.k8s.io [] [] [get]",
		"events [] [] [list watch]",
		"serviceaccounts/token [] [claimgate-app-one] [create]",
	}
	if !slices.Equal(own, want) {
		t.Errorf("the daemon has the rights\n%s\nwant\n%s", strings.Join(own, "\n"), strings.Join(want, "\n"))
	}
	if out, err := c.disconnect("--claims", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
}
