package kubernetes

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestForcedDisconnectWithoutControlPlane disconnects an app cluster during an outage, and cleans the control plane up later.
func TestForcedDisconnectWithoutControlPlane(t *testing.T) {
	createQueueAPI(t)
	app, remote := objectNames(t, env.app), objectNames(t, env.controlPlane)
	c, own := newConnectionOverLink(t)
	t.Cleanup(func() {
		must(own.restore())
		c.disconnect("--claims", "delete")
	})
	daemon := c.start(t)
	awaitResource(t, "queues", true)
	awaitSuccess(t, env.app, queue("orders"), "apply", "-f", "-")
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	own.refuseConnections()

	if out, err := c.disconnect("--claims", "keep"); err == nil || !strings.Contains(out, `context "platform": cannot `) {
		t.Errorf("disconnect without --force: %v\n%s", err, out)
	}
	out, err := c.disconnect("--force")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	awaitObjectNames(t, env.app, app)
	apiService, service := strings.Index(out, "deleted APIService v1.queues.example.org"), strings.Index(out, "deleted Service connected-system/claimgate")
	if apiService < 0 || service < apiService {
		t.Errorf("the APIService was not deleted before the Service:\n%s", out)
	}
	_, staying, _ := strings.Cut(out, "stay on the control plane, and these objects")
	for _, object := range []string{
		"Namespace connected", "ServiceAccount connected/claimgate-app-one", "Role connected/claimgate-app-one",
		"RoleBinding connected/claimgate-app-one", "ClusterRole claimgate:connected:app-one", "ClusterRoleBinding claimgate:connected:app-one",
	} {
		if !strings.Contains(staying, "\n  "+object+"\n") {
			t.Errorf("the command does not say that the %s stays:\n%s", object, out)
		}
	}
	// The command for the credentials of a control plane that no longer exists fails.
	text, err := os.ReadFile(c.kubeconfig)
	must(err)
	user := regexp.MustCompile(`\{name: platform, user: \{[^}]*\}`)
	failing := `{name: platform, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: "false", interactiveMode: Never}}`
	withCommand := c
	withCommand.kubeconfig = c.kubeconfig + ".command"
	must(os.WriteFile(withCommand.kubeconfig, user.ReplaceAll(text, []byte(failing)), 0o600))
	if out, err := withCommand.disconnect("--force"); err != nil {
		t.Errorf("without credentials for the control plane: %v\n%s", err, out)
	}

	must(own.restore())
	stored := kubectl(t, env.controlPlane, "", "get", "queues", "-n", "connected", "-o", "name")
	if !strings.Contains(stored, "/orders-") {
		t.Errorf("the control plane stores %q", stored)
	}
	if out, err := c.disconnect("--claims", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	awaitObjectNames(t, env.controlPlane, remote)
}

// objectsOfOthers have the names that claimgate uses, but not its mark.
const objectsOfOthers = `
{apiVersion: v1, kind: Namespace, metadata: {name: connected-system}}
---
{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: claimgate-registration, namespace: connected-system}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: "connected-system:claimgate:secrets"}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "connected-system:claimgate:secrets"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: connected-system:claimgate:secrets
  namespace: default
  labels: {app.kubernetes.io/name: claimgate, app.kubernetes.io/instance: claimgate}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
`

// TestDisconnectKeepsObjectsOfOthers checks that only marked objects are deleted, also in a namespace that existed before.
func TestDisconnectKeepsObjectsOfOthers(t *testing.T) {
	createQueueAPI(t)
	platform := objectNames(t, env.controlPlane)
	kubectl(t, env.app, objectsOfOthers, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, objectsOfOthers, "delete", "--ignore-not-found", "-f", "-")
	})
	before := objectNames(t, env.app)
	c := newConnection(t)
	if out, err := c.disconnect(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	awaitObjectNames(t, env.app, before)

	kubectl(t, env.app, "", "delete", "lease", "-n", "connected-system", "claimgate-registration")
	before = objectNames(t, env.app)
	daemon := c.start(t)
	awaitResource(t, "queues", true)
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	kubectl(t, env.app, "", "get", "lease", "-n", "connected-system", "claimgate-registration")
	if out, err := c.disconnect("--claims", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	awaitObjectNames(t, env.app, before)
	awaitObjectNames(t, env.controlPlane, platform)
}
