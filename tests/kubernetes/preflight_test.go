package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// check runs `check --pre`, and returns its findings as JSON.
func (c connection) check(t *testing.T) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Getenv("TEST_BINARY"), "check", "--pre", "--control-plane-context", "platform", "--namespace", "connected",
		"--context", "app", "--name", "app-one", "--system-namespace", "connected-system", "--apis", "queues.example.org", "-o", "json")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	out, err := cmd.Output()
	return string(out), err
}

// TestPreflight checks that connect writes nothing if a check fails.
func TestPreflight(t *testing.T) {
	createQueueAPI(t)
	c := newConnection(t)
	findings, err := c.check(t)
	if err != nil || strings.Count(findings, `"result": "passed"`) != 13 {
		t.Errorf("check --pre: %v\n%s", err, findings)
	}

	// The group exists in the app cluster, and the user lacks rights there.
	kubectl(t, env.app, fmt.Sprintf(queueCRD, "topic", "Topic"), "apply", "-f", "-")
	t.Cleanup(func() { env.tryKubectl(env.app.kubeconfig, "", "delete", "crd", "topics.queues.example.org") })
	awaitSuccess(t, env.app, "", "get", "apiservice", queueService)
	platform := objectNames(t, env.controlPlane)
	c.becomeNobody(t, env.app, "app", "[{apiGroups: ['*'], resources: ['*'], verbs: [get, list]}]")

	findings, err = c.check(t)
	for _, wanted := range []string{
		"the app cluster already has " + queueService,
		"create Service connected-system/claimgate, patch Service connected-system/claimgate",
	} {
		if err == nil || !strings.Contains(findings, wanted) {
			t.Errorf("check --pre does not say %q: %v\n%s", wanted, err, findings)
		}
	}
	daemon := c.start(t)
	<-daemon.done
	log, err := os.ReadFile(daemon.log)
	must(err)
	if !strings.Contains(string(log), "nothing was changed, because checks failed") || !strings.Contains(string(log), "you lack these rights") {
		t.Errorf("connect said:\n%s", log)
	}
	awaitObjectNames(t, env.controlPlane, platform)
}

// becomeNobody replaces the user of a context by one with only these rules.
func (c connection) becomeNobody(t *testing.T, in *cluster, context, rules string) {
	t.Helper()
	text, err := os.ReadFile(c.kubeconfig)
	must(err)
	user := func(kubeconfig, name, end string) string {
		_, rest, _ := strings.Cut(kubeconfig, "{name: "+name+", user: ")
		found, _, _ := strings.Cut(rest, end)
		return "{name: " + name + ", user: " + found
	}
	nobody := strings.Replace(user(env.certificates.kubeconfig("https://localhost", "nobody"), "it", "]"), "name: it", "name: "+context, 1)
	changed := strings.Replace(string(text), user(string(text), context, "\n"), nobody, 1)
	must(os.WriteFile(c.kubeconfig, []byte(changed), 0o600))
	grantNobody(t, in, rules)
}

// grantNobody gives the user nobody these rules in the whole cluster until the end of the test.
func grantNobody(t *testing.T, in *cluster, rules string) {
	t.Helper()
	const role = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: preflight}
rules: %s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: preflight}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: preflight}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody}]
`
	text := fmt.Sprintf(role, rules)
	kubectl(t, in, text, "apply", "-f", "-")
	t.Cleanup(func() { env.tryKubectl(in.kubeconfig, text, "delete", "--ignore-not-found", "-f", "-") })
}

// TestPreflightFindsRightsThatTheUserMayNotGrant checks users who may write all objects, in namespaces that do not exist.
func TestPreflightFindsRightsThatTheUserMayNotGrant(t *testing.T) {
	createQueueAPI(t)
	const objects = "{apiGroups: ['', apps, policy, rbac.authorization.k8s.io], resources: ['*'], verbs: [get, list, create, patch]}, {apiGroups: [apiregistration.k8s.io, apiextensions.k8s.io], resources: ['*'], verbs: [get, list]}"
	const verbs = "{apiGroups: [rbac.authorization.k8s.io], resources: [roles, clusterroles], verbs: [%s]}"
	const granted = "{apiGroups: [queues.example.org], resources: ['*'], verbs: ['*']}, {nonResourceURLs: ['*'], verbs: [get]}, " +
		"{apiGroups: ['', apiregistration.k8s.io, coordination.k8s.io, events.k8s.io], resources: ['*'], verbs: [get, list, watch, create, update, patch, delete]}"
	for context, grants := range map[string]string{
		"app":      "ClusterRole connected-system:claimgate grants {APIGroups:",
		"platform": "Role connected/claimgate-app-one grants {APIGroups:",
	} {
		t.Run(context, func(t *testing.T) {
			in := map[string]*cluster{"app": env.app, "platform": env.controlPlane}[context]
			c := newConnection(t)
			c.becomeNobody(t, in, context, "["+objects+"]")
			const missing = "you may not grant rights that you do not have"
			findings, err := c.check(t)
			if err == nil || !strings.Contains(findings, grants) || strings.Count(findings, missing) != 1 || strings.Contains(findings, "you lack these rights") {
				t.Errorf("check --pre of a user without the granted rights: %v\n%s", err, findings)
			}
			grantNobody(t, in, "["+objects+", "+fmt.Sprintf(verbs, "escalate")+"]")
			findings, err = c.check(t)
			if err == nil || !strings.Contains(findings, "needs the verb bind on its role") || strings.Contains(findings, grants) {
				t.Errorf("check --pre of a user with the verb escalate: %v\n%s", err, findings)
			}
			grantNobody(t, in, "["+objects+", "+fmt.Sprintf(verbs, "escalate, bind")+"]")
			if findings, err = c.check(t); err != nil {
				t.Errorf("check --pre of a user with the verbs escalate and bind: %v\n%s", err, findings)
			}
			// A user with all granted rights needs no such verb.
			grantNobody(t, in, "["+objects+", "+granted+"]")
			if findings, err = c.check(t); err != nil {
				t.Errorf("check --pre of a user with all rights: %v\n%s", err, findings)
			}
		})
	}
}
