package kubernetes

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"claimgate.dev/tests/kubernetes/compare"
)

// sameBothWays does one step at the control plane itself, in a namespace by its own name, and through
// the app cluster, where the namespace has this one. What is seen through it is returned.
func sameBothWays(t *testing.T, local string, s step) string {
	t.Helper()
	direct, through := sides(t, pair{local, mapping[local], mapping[local]})
	left, right := direct.request(s, map[string]string{"{ns}": direct.namespace}), through.request(s, map[string]string{"{ns}": local})
	if differences := compare.Differences(left, right); differences != "" {
		t.Errorf("%s %s differs\n%s", s.method, s.path, differences)
	}
	return right
}

// A namespace that is being deleted is named without quotes, in a message and in its cause.
func TestTerminatingNamespace(t *testing.T) {
	local := "doomed"
	remote := mapping[local]
	holder := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: holder, namespace: %s, finalizers: [example.org/held]}\n", remote)
	kubectl := func(stdin string, args ...string) error {
		_, err := theBed.try(theBed.cp.kubeconfig, stdin, args...)
		return err
	}
	must(kubectl(holder, "create", "-f", "-"))
	t.Cleanup(func() {
		must(kubectl("", "-n", remote, "patch", "configmap", "holder", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`))
		must(kubectl("", "wait", "--for=delete", "namespace", remote, "--timeout=60s"))
		must(kubectl("", "create", "namespace", remote))
	})
	must(kubectl("", "delete", "namespace", remote, "--wait=false"))
	refused := post(resourcePath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"late"},"spec":{}}`)
	must(eventually(deadline, func() error {
		status, text, err := ask(admin(), theBed.cp.port, "POST", fill(resourcePath, map[string]string{"{ns}": remote}), refused.body, map[string]string{"Content-Type": "application/json"})
		if err == nil && status != http.StatusForbidden {
			err = fmt.Errorf("%d %s", status, text)
		}
		return err
	}))
	if text := sameBothWays(t, local, refused); !strings.Contains(text, "because it is being terminated") || strings.Contains(text, remote) {
		t.Error(text)
	}
}

// What can't be read is named by its key in etcd.
func TestUnreadableObjects(t *testing.T) {
	if isOlder() {
		t.Skip("an older control plane does not name them")
	}
	local := writing.local
	keys := []string{mapping[local] + "/garbage-1", mapping[local] + "/garbage-2", foreign[0] + "/garbage-3"}
	inEtcd := func(call, key, value string) {
		encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
		body := fmt.Sprintf(`{"key":%q,"value":%q}`, encoded("/cp/k8s.starter.org/networks/"+key), encoded(value))
		if value == "" {
			body = fmt.Sprintf(`{"key":%q}`, encoded("/cp/k8s.starter.org/networks/"+key))
		}
		must(etcd(call, body))
	}
	is := func(c *cluster, path string, wanted int) func() error {
		return func() error {
			status, text, err := ask(admin(), c.port, "GET", path, "", nil)
			if err == nil && status != wanted {
				err = fmt.Errorf("%s: %d %s", path, status, text)
			}
			return err
		}
	}
	all := "/apis/" + groupVersion + "/networks"
	t.Cleanup(func() {
		for _, key := range keys {
			inEtcd("deleterange", key, "")
		}
		must(eventually(slowDeadline, is(theBed.cp, all, http.StatusOK)))
		must(eventually(slowDeadline, is(theBed.app, all, http.StatusOK)))
	})
	for _, key := range keys {
		inEtcd("put", key, `{"apiVersion":"x`)
	}
	must(eventually(deadline, is(theBed.cp, all, http.StatusInternalServerError)))
	if text := sameBothWays(t, local, get(networksPath)); !strings.Contains(text, "garbage-1") || strings.Contains(text, mapping[local]) {
		t.Error(text)
	}
	_, text := request(t, theBed.app, "GET", all, "", nil)
	for _, name := range []string{foreign[0], "garbage-3", mapping[local]} {
		if strings.Contains(text, name) {
			t.Errorf("%s is in %s", name, text)
		}
	}
	if !strings.Contains(text, "/networks/"+local+"/garbage-1") {
		t.Error(text)
	}
}

// A policy of the control plane that names the namespace in a warning, which stands in quotes in a header,
// and one in which letters are beyond ASCII.
func TestWarningsOfPolicies(t *testing.T) {
	const policy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: tells}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [k8s.starter.org], apiVersions: ["*"], operations: [CREATE], resources: [networks]}]}
  validations:
  - {expression: "false", messageExpression: "'caf\u00e9 \"b\": networks in namespace \"' + request.namespace + '\" are frozen'"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: tells}
spec: {policyName: tells, validationActions: [Warn]}
`
	kubectl := func(stdin string, args ...string) {
		_, err := theBed.try(theBed.cp.kubeconfig, stdin, args...)
		must(err)
	}
	kubectl(policy, "create", "-f", "-")
	t.Cleanup(func() { kubectl(policy, "delete", "-f", "-") })
	local := "team-a"
	order := post(networksPath+"?dryRun=All", `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"warned"},"spec":{}}`)
	direct, _ := sides(t, pair{local, mapping[local], mapping[local]})
	must(eventually(deadline, func() error {
		if text := direct.request(order, map[string]string{"{ns}": direct.namespace}); !strings.Contains(text, "are frozen") {
			return fmt.Errorf("no warning in %s", text)
		}
		return nil
	}))
	if text := sameBothWays(t, local, order); !strings.Contains(text, `namespace \"NAMESPACE\" are frozen`) {
		t.Error(text)
	}
}
