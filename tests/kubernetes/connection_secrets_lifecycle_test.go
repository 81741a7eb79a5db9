package kubernetes

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// awaitIdle waits until a controller of a claimgate has no more work.
func (c *copier) awaitIdle(t *testing.T, controller string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		text := metricsOf(t, c.adminPort)
		if !strings.Contains(text, fmt.Sprintf("claimgate_controller_queue_length{controller=%q} 0\n", controller)) {
			return fmt.Errorf("%s still has work:\n%s", controller, text)
		}
		return nil
	})
}

func TestNamespaceWithCopiedSecretsIsDeleted(t *testing.T) {
	const claims = 5
	c := startCopier(t, "copier-namespace", `{connection: true, namespaces: ["*"], input: [{labels: {for: claims}}]}`)
	inAppCluster(t, "create", "namespace", "doomed")
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, "", "delete", "namespace", "doomed", "--ignore-not-found")
	})
	kubectl(t, env.app, "", "-n", "doomed", "create", "secret", "generic", "input", "--from-literal=value=a")
	kubectl(t, env.app, "", "-n", "doomed", "label", "secret", "input", "for=claims", "claimgate.dev/input=true")
	var ordered []remoteClaim
	for i := range claims {
		name := fmt.Sprintf("copied-%d", i)
		claim := orderClaim(t, "doomed", name, name)
		claim.publish(t, map[string]string{"user": claim.name})
		ordered = append(ordered, claim)
	}
	kept := orderClaim(t, "default", "kept", "kept")
	kept.publish(t, map[string]string{"user": "k"})
	awaitValue(t, slowDeadline, "default", "kept", "user", "k")
	for i, claim := range ordered {
		awaitValue(t, slowDeadline, "doomed", fmt.Sprintf("copied-%d", i), "user", claim.name)
	}
	input := remoteSecretName("doomed", "input")
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", mapping["doomed"], "get", "secret", input)
		return err
	})

	inAppCluster(t, "delete", "namespace", "doomed", "--timeout=60s")
	for _, claim := range ordered {
		awaitGone(t, slowDeadline, env.controlPlane, "-n", claim.namespace, "kubernetescluster", claim.name)
		awaitGone(t, slowDeadline, env.controlPlane, "-n", claim.namespace, "secret", claim.secret)
	}
	awaitGone(t, slowDeadline, env.controlPlane, "-n", mapping["doomed"], "secret", input)
	c.awaitIdle(t, "connection-secrets")
	c.awaitIdle(t, "input-secrets")
	log, err := os.ReadFile(c.process.log)
	must(err)
	if problem := "cannot copy the connection Secret"; strings.Contains(string(log), problem) {
		t.Errorf("the log reports problems of claims whose namespace is being deleted:\n%s", log)
	}

	// A new namespace with the name is empty.
	inAppCluster(t, "create", "namespace", "doomed")
	c.awaitIdle(t, "connection-secrets")
	if left := inAppCluster(t, "-n", "doomed", "get", "secrets,kubernetesclusters", "-o", "name"); left != "" {
		t.Errorf("the new namespace contains %s", left)
	}
	awaitValue(t, copyTime, "default", "kept", "user", "k")
}

func TestConnectionSecretsSurviveAppClusterOutage(t *testing.T) {
	c := startCopier(t, "copier-app-outage", `{connection: true, namespaces: ["*"]}`)
	orders := map[string]remoteClaim{}
	for _, name := range []string{"rotated", "cleared", "gone"} {
		orders[name] = orderClaim(t, "default", name, name)
		orders[name].publish(t, map[string]string{"user": name})
		awaitValue(t, slowDeadline, "default", name, "user", name)
	}
	before := uid(t, env.app, "-n", "default", "secret", "rotated")
	for _, outage := range []struct {
		name    string
		breakIt func()
	}{{"refused", c.appLink.refuseConnections}, {"silent", c.appLink.stopForwarding}} {
		outage.breakIt()
		rotated, cleared, gone := orders["rotated"], orders["cleared"], orders["gone"]
		kubectl(t, env.controlPlane, "", "-n", rotated.namespace, "patch", "secret", rotated.secret, "--type=merge", "-p", fmt.Sprintf(`{"stringData":{"user":%q}}`, outage.name))
		kubectl(t, env.controlPlane, "", "-n", cleared.namespace, "delete", "secret", cleared.secret)
		kubectl(t, env.controlPlane, "", "-n", gone.namespace, "delete", "kubernetescluster", gone.name)
		late := orderClaim(t, "default", "late-"+outage.name, "late-"+outage.name)
		late.publish(t, map[string]string{"user": "late"})
		if got := secretValue("default", "rotated", "user"); got == outage.name {
			t.Errorf("the link is not cut: the copy has %q", got)
		}
		must(c.appLink.restore())
		awaitValue(t, slowDeadline, "default", "rotated", "user", outage.name)
		awaitValue(t, slowDeadline, "default", "late-"+outage.name, "user", "late")
		awaitValue(t, slowDeadline, "default", "cleared", "user", "")
		awaitValue(t, slowDeadline, "default", "gone", "user", "")
		if after := uid(t, env.app, "-n", "default", "secret", "rotated"); after != before {
			t.Errorf("after the %s outage, the copy was created again", outage.name)
		}
		cleared.publish(t, map[string]string{"user": "back"})
		orders["gone"] = orderClaim(t, "default", "gone", "gone")
		orders["gone"].publish(t, map[string]string{"user": "new"})
		awaitValue(t, slowDeadline, "default", "cleared", "user", "back")
		awaitValue(t, slowDeadline, "default", "gone", "user", "new")
	}
}
