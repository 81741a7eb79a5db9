package kubernetes

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

const networkJSON = `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"region":"eu"}}`

var retryAfter = regexp.MustCompile(`(?m)^Retry-After: [1-9]\d*$`)

// scrubRetryAfter removes the number of seconds after which a busy API server accepts a retry. It
// grows with each rejected request (apiserver/pkg/util/flowcontrol, droppedRequestsTracker).
func scrubRetryAfter(seen string) string {
	return retryAfter.ReplaceAllString(seen, "Retry-After: a while")
}

// restrictConnector limits the connector's rights on networks to these verbs until the test ends.
// The method is one that the connector must not use then.
func restrictConnector(t *testing.T, verbs, method string) {
	t.Helper()
	rule := func(resources, verbs string) string {
		return fmt.Sprintf(`{"apiGroups":["k8s.starter.org"],"resources":[%s],"verbs":[%s]}`, resources, verbs)
	}
	// set returns once the API server's view of the roles is up to date.
	set := func(rules string, wanted int) {
		kubectl(t, env.controlPlane, "", "patch", "clusterrole", "claimgate", "--type=merge", "-p", `{"rules":[`+rules+`]}`)
		must(eventually(deadline, checkConnectorStatus(wanted, method, "?dryRun=All")))
	}
	t.Cleanup(func() { set(rule(`"*"`, `"*"`), http.StatusOK) })
	rules := rule(`"kubernetesclusters","kubernetesclusters/status","kubernetesclusters/scale"`, `"*"`)
	if verbs != "" {
		rules += "," + rule(`"networks"`, verbs)
	}
	set(rules, http.StatusForbidden)
}

// checkConnectorStatus sends a request for networks to the control plane as the connector and
// compares the status.
func checkConnectorStatus(wanted int, method, rest string) func() error {
	path := fillTemplate(networksPath, map[string]string{"{ns}": writeNamespaces.direct}) + rest
	connector := userClient("connector")
	return func() error {
		status, text, err := sendRequest(connector, env.controlPlane.port, method, path, "", nil)
		if err == nil && status != wanted {
			err = fmt.Errorf("status %d: %s", status, text)
		}
		return err
	}
}

// If the control plane's RBAC forbids a request, clients get the control plane's message. It names
// the connector and the local namespace.
func TestForbiddenRequestsReturnControlPlaneError(t *testing.T) {
	one := networksPath + "/{name}"
	writes := []operation{
		single("create", post(networksPath, networkJSON)),
		single("create in YAML", step{method: "POST", path: networksPath, body: networkJSON, headers: []string{"Content-Type: application/yaml", acceptYAML}}),
		single("update", put(one, networkJSON)),
		single("merge patch", patch(mergePatch, one, `{"spec":{"region":"us"}}`)),
		single("merge patch of finalizers", patch(mergePatch, one, `{"metadata":{"finalizers":null}}`)),
		single("JSON patch", patch(jsonPatch, one, `[{"op":"add","path":"/spec/region","value":"us"}]`)),
		single("apply", patch("Content-Type: application/apply-patch+yaml", one+"?fieldManager=me", networkJSON)),
		single("delete", remove(one, "")),
		single("delete with policy Orphan", remove(one, `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan"}`)),
		single("delete all", remove(networksPath, "")),
		{name: "kubectl create", commands: []command{{args: "create -f -", stdin: networkJSON}}},
		{name: "kubectl delete", commands: []command{{args: "delete nw {name} -n {ns}"}}},
		{name: "kubectl delete all", commands: []command{{args: "delete nw --all -n {ns}"}}},
		{name: "kubectl patch", commands: []command{{args: `patch nw {name} -n {ns} --type=merge -p {"spec":{"region":"us"}}`}}},
		{name: "kubectl apply", commands: []command{{args: "apply -f -", stdin: networkJSON}, {args: "apply --server-side -f -", stdin: networkJSON}}},
	}
	reads := []operation{
		single("get", get(one)),
		single("get in protobuf", get(one, acceptProtobuf+",application/json")),
		single("list", get(networksPath)),
		single("list as Table", get(networksPath, acceptTable)),
		single("list in YAML", get(networksPath, acceptYAML)),
		single("list all namespaces", get(groupVersionPath+"/networks")),
		single("watch", get(networksPath+"?watch=true")),
		single("watch metadata", get(networksPath+"?watch=true", acceptProtobuf+";as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")),
		{name: "kubectl get", commands: []command{{args: "get nw -n {ns}"}, {args: "get nw {name} -n {ns} -o yaml"}, {args: "get nw -A"}}},
		{name: "kubectl watch", commands: []command{{args: "get nw -n {ns} -w"}}},
		{name: "kubectl describe", commands: []command{{args: "describe nw {name} -n {ns}"}}},
	}
	assertRejected := func(operations []operation) {
		for _, o := range operations {
			o.object = "rejected"
			text := assertSameResponse(t, writeNamespaces, o, scrubRetryAfter)
			if !strings.Contains(text, "claimgate-team-a") || strings.Contains(text, writeNamespaces.remote) {
				t.Errorf("%s: %s", o.name, text)
			}
		}
	}
	createNetworks(t, "rejected")
	restrictConnector(t, `"get","list","watch"`, "DELETE")
	assertRejected(writes)
	restrictConnector(t, "", "GET")
	assertRejected(reads)
	assertRejected(writes)
}

// createNetworks creates a network for both routes until the test ends.
func createNetworks(t *testing.T, name string) {
	t.Helper()
	for _, c := range []struct {
		cluster   *cluster
		namespace string
	}{{env.app, writeNamespaces.local}, {env.controlPlane, writeNamespaces.direct}} {
		network := fillTemplate(networkJSON, map[string]string{"{name}": name, "{ns}": c.namespace})
		kubectl(t, c.cluster, network, "apply", "-f", "-")
		t.Cleanup(func() { kubectl(t, c.cluster, "", "-n", c.namespace, "delete", "nw", name) })
	}
}

// busyPriorityLevel allows one request at a time and rejects all others.
const busyPriorityLevel = `
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: busy}
spec: {type: Limited, limited: {nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: busy}
spec:
  priorityLevelConfiguration: {name: busy}
  matchingPrecedence: 2
  rules:
  - subjects: [{kind: User, user: {name: claimgate-team-a}}]
    resourceRules: [{verbs: ["*"], apiGroups: [k8s.starter.org], resources: [networks], namespaces: [%s, %s]}]
`

// makeBusy makes the control plane reject the connector's requests for the networks of a namespace,
// by sending a request whose body does not arrive. The returned function ends that.
func makeBusy(t *testing.T) (idle func()) {
	t.Helper()
	kubectl(t, env.controlPlane, fmt.Sprintf(busyPriorityLevel, writeNamespaces.remote, writeNamespaces.direct), "apply", "-f", "-")
	t.Cleanup(func() { onControlPlane(t, "delete", "flowschema,prioritylevelconfiguration", "busy") })
	schema := uid(t, env.controlPlane, "flowschema", "busy")
	connector := userClient("connector")
	url := fmt.Sprintf("https://localhost:%d%s", env.controlPlane.port, fillTemplate(networksPath, map[string]string{"{ns}": writeNamespaces.direct}))
	must(eventually(deadline, func() error {
		response, err := connector.Get(url)
		if err == nil {
			response.Body.Close()
			if uid := response.Header.Get("X-Kubernetes-Pf-Flowschema-Uid"); uid != schema {
				err = fmt.Errorf("the flow schema is %s", uid)
			}
		}
		return err
	}))
	body, rest := io.Pipe()
	idle = func() { rest.CloseWithError(io.ErrUnexpectedEOF) }
	t.Cleanup(idle)
	go func() {
		response, err := connector.Post(url, "application/json", body)
		if err == nil {
			response.Body.Close()
		}
	}()
	must(eventually(deadline, checkConnectorStatus(http.StatusTooManyRequests, "GET", "/crowded")))
	return idle
}

// statusCounter counts answers with one status code, and calls onFirst after the first.
type statusCounter struct {
	next    http.RoundTripper
	code    int
	count   int
	onFirst func()
}

func (r *statusCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err == nil && response.StatusCode == r.code {
		if r.count++; r.count == 1 {
			r.onFirst()
		}
	}
	return response, err
}

// A busy control plane's message and Retry-After reach the client.
func TestBusyControlPlaneReturns429AndClientsRetry(t *testing.T) {
	createNetworks(t, "crowded")
	idle := makeBusy(t)
	one := networksPath + "/{name}"
	for _, o := range []operation{
		single("get", get(one)),
		single("get in protobuf", get(one, acceptProtobuf+",application/json")),
		single("list as Table", get(networksPath, acceptTable)),
		single("watch", get(networksPath+"?watch=true")),
		single("create", post(networksPath, networkJSON)),
		single("update", put(one, networkJSON)),
		single("merge patch of finalizers", patch(mergePatch, one, `{"metadata":{"finalizers":null}}`)),
		single("apply", patch("Content-Type: application/apply-patch+yaml", one+"?fieldManager=me", networkJSON)),
		single("delete with policy Orphan", remove(one, `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan"}`)),
	} {
		o.object = "crowded"
		text := assertSameResponse(t, writeNamespaces, o, scrubRetryAfter)
		for _, part := range []string{"HTTP 429\n", "Retry-After: a while\n", "X-Content-Type-Options: nosniff\n", "Too many requests"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the answer lacks %q: %s", o.name, part, text)
			}
		}
	}

	// client-go retries on its own; its caller gets the object.
	config := restConfig(env.app)
	busy := &statusCounter{code: http.StatusTooManyRequests, onFirst: idle}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		busy.next = next
		return busy
	})
	networks, err := dynamic.NewForConfig(config)
	must(err)
	found, err := networks.Resource(claims.GroupVersion().WithResource("networks")).Namespace(writeNamespaces.local).Get(testContext(t, slowDeadline), "crowded", metav1.GetOptions{})
	if err != nil || found.GetNamespace() != writeNamespaces.local {
		t.Fatalf("%v %v", found, err)
	}
	if busy.count == 0 {
		t.Error("no request was rejected with 429")
	}
}
