package kubernetes

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The message and its cause name a terminating namespace without quotes.
func TestTerminatingNamespaceErrorUsesLocalName(t *testing.T) {
	local := "doomed"
	remote := mapping[local]
	holder := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: holder, namespace: %s, finalizers: [example.org/held]}\n", remote)
	kubectl := func(stdin string, args ...string) error {
		_, err := env.tryKubectl(env.controlPlane.kubeconfig, stdin, args...)
		return err
	}
	must(kubectl(holder, "create", "-f", "-"))
	t.Cleanup(func() {
		must(kubectl("", "-n", remote, "patch", "configmap", "holder", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`))
		must(kubectl("", "wait", "--for=delete", "namespace", remote, "--timeout=60s"))
		must(kubectl("", "create", "namespace", remote))
	})
	removeFinalizers(remote)
	must(kubectl("", "delete", "namespace", remote, "--wait=false"))
	rejected := post(resourcePath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"late"},"spec":{}}`)
	must(eventually(deadline, func() error {
		status, text, err := sendRequest(adminClient(), env.controlPlane.port, "POST", fillTemplate(resourcePath, map[string]string{"{ns}": remote}), rejected.body, map[string]string{"Content-Type": "application/json"})
		if err == nil && status != http.StatusForbidden {
			err = fmt.Errorf("status %d: %s", status, text)
		}
		return err
	}))
	if text := assertSameResponse(t, remoteItself(local), single("create", rejected)); !strings.Contains(text, "because it is being terminated") || strings.Contains(text, remote) {
		t.Error(text)
	}
}

// removeFinalizers removes the finalizers of all claims in a remote namespace. In a shared namespace,
// claims of other tests would keep it from being deleted.
func removeFinalizers(namespace string) {
	client := dynamicClient(env.controlPlane)
	for _, resource := range []string{"kubernetesclusters", "networks"} {
		all := client.Resource(claims.GroupVersion().WithResource(resource)).Namespace(namespace)
		list, err := all.List(context.Background(), metav1.ListOptions{})
		must(err)
		for _, item := range list.Items {
			if len(item.GetFinalizers()) == 0 {
				continue
			}
			_, err := all.Patch(context.Background(), item.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				panic(err)
			}
		}
	}
}

// Errors name unreadable objects by their key in etcd.
func TestUnreadableObjectErrorsUseLocalNames(t *testing.T) {
	if isOlderControlPlane() {
		t.Skip("an older control plane does not name them")
	}
	local := writeNamespaces.local
	keys := []string{mapping[local] + "/" + remoteName(local, "garbage-1"), mapping[local] + "/garbage-2", foreignNamespaces[0] + "/garbage-3"}
	callEtcd := func(call, key, value string) {
		encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
		body := fmt.Sprintf(`{"key":%q,"value":%q}`, encoded("/control-plane/k8s.starter.org/networks/"+key), encoded(value))
		if value == "" {
			body = fmt.Sprintf(`{"key":%q}`, encoded("/control-plane/k8s.starter.org/networks/"+key))
		}
		must(etcd(call, body))
	}
	checkStatus := func(c *cluster, path string, wanted int) func() error {
		return func() error {
			status, text, err := sendRequest(adminClient(), c.port, "GET", path, "", nil)
			if err == nil && status != wanted {
				err = fmt.Errorf("%s: status %d: %s", path, status, text)
			}
			return err
		}
	}
	all := "/apis/" + groupVersion + "/networks"
	t.Cleanup(func() {
		for _, key := range keys {
			callEtcd("deleterange", key, "")
		}
		must(eventually(slowDeadline, checkStatus(env.controlPlane, all, http.StatusOK)))
		must(eventually(slowDeadline, checkStatus(env.app, all, http.StatusOK)))
	})
	// A watch cache that is still empty would never become ready.
	must(eventually(deadline, checkStatus(env.controlPlane, all, http.StatusOK)))
	for _, key := range keys {
		callEtcd("put", key, `{"apiVersion":"x`)
	}
	must(eventually(deadline, checkStatus(env.controlPlane, all, http.StatusInternalServerError)))
	if isShared() {
		assertUnreadableObjectsAreHidden(t, local)
		return
	}
	if text := assertSameResponse(t, remoteItself(local), single("list", get(networksPath))); !strings.Contains(text, "garbage-1") || strings.Contains(text, mapping[local]) {
		t.Error(text)
	}
	_, text := sendAsAdmin(t, env.app, "GET", all, "", nil)
	for _, name := range []string{foreignNamespaces[0], "garbage-3", mapping[local]} {
		if strings.Contains(text, name) {
			t.Errorf("%s appears in %s", name, text)
		}
	}
	if !strings.Contains(text, "/networks/"+local+"/garbage-1") {
		t.Error(text)
	}
}

// assertUnreadableObjectsAreHidden checks that only requests in the namespace of an unreadable object name it, by its local
// name, and that none names the others, which are not the app cluster's.
func assertUnreadableObjectsAreHidden(t *testing.T, local string) {
	t.Helper()
	one := fillTemplate(networksPath, map[string]string{"{ns}": local})
	for path, isShown := range map[string]bool{"/apis/" + groupVersion + "/networks": false, one: true, one + "/garbage-1": true} {
		status, text := sendAsAdmin(t, env.app, "GET", path, "", nil)
		if status != http.StatusInternalServerError || strings.Contains(text, "networks/"+local+"/garbage-1,") != isShown {
			t.Errorf("%s: status %d: %s", path, status, text)
		}
		for _, other := range []string{"garbage-2", "garbage-3"} {
			if strings.Contains(text, other) {
				t.Errorf("%s: %s appears in %s", path, other, text)
			}
		}
		assertNoLeaks(t, text)
	}
}

// A warning from a policy of the control plane that names the namespace. In the header it is
// quoted, and it contains a letter beyond ASCII.
func TestPolicyWarningsUseLocalNames(t *testing.T) {
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
		_, err := env.tryKubectl(env.controlPlane.kubeconfig, stdin, args...)
		must(err)
	}
	kubectl(policy, "create", "-f", "-")
	t.Cleanup(func() { kubectl(policy, "delete", "-f", "-") })
	local := "team-a"
	order := post(networksPath+"?dryRun=All", `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"warned"},"spec":{}}`)
	direct, _ := routes(t, remoteItself(local))
	must(eventually(deadline, func() error {
		if text := direct.request(order, map[string]string{"{ns}": direct.namespace}); !strings.Contains(text, "are frozen") {
			return fmt.Errorf("no warning in %s", text)
		}
		return nil
	}))
	if text := assertSameResponse(t, remoteItself(local), single("create", order)); !strings.Contains(text, `namespace \"NAMESPACE\" are frozen`) {
		t.Error(text)
	}
}
