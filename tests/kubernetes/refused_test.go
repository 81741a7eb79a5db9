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

	"claimgate.dev/tests/kubernetes/compare"
)

const refusedNetwork = `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"region":"eu"}}`

// seenBothWays does one operation in the remote namespace itself, as the connector, and through the app
// cluster, which have to see the same. What is seen through it is returned.
func seenBothWays(t *testing.T, o operation) string {
	t.Helper()
	local := writing.local
	direct, through := sides(t, pair{local, mapping[local], mapping[local]})
	left, right := soon(direct.observe(o)), soon(through.observe(o))
	if differences := compare.Differences(left, right); differences != "" {
		t.Errorf("%s differs\n%s", o.name, differences)
	}
	return right
}

var retryAfter = regexp.MustCompile(`(?m)^Retry-After: [1-9]\d*$`)

// soon leaves out for how long a busy API server wants to be left alone: that grows with each that it
// turns away (apiserver/pkg/util/flowcontrol, droppedRequestsTracker).
func soon(seen string) string { return retryAfter.ReplaceAllString(seen, "Retry-After: a while") }

// allowed lets the connector do no more than this to networks, until the test ends. The method is that of
// a request that it can't make then.
func allowed(t *testing.T, verbs, method string) {
	t.Helper()
	rule := func(resources, verbs string) string {
		return fmt.Sprintf(`{"apiGroups":["k8s.starter.org"],"resources":[%s],"verbs":[%s]}`, resources, verbs)
	}
	// Set is what the API server goes by once its own view of roles has come so far.
	set := func(rules string, wanted int) {
		kubectl(t, theBed.cp, "", "patch", "clusterrole", "claimgate", "--type=merge", "-p", `{"rules":[`+rules+`]}`)
		must(eventually(deadline, connectorGets(wanted, method, "?dryRun=All")))
	}
	t.Cleanup(func() { set(rule(`"*"`, `"*"`), http.StatusOK) })
	rules := rule(`"kubernetesclusters","kubernetesclusters/status","kubernetesclusters/scale"`, `"*"`)
	if verbs != "" {
		rules += "," + rule(`"networks"`, verbs)
	}
	set(rules, http.StatusForbidden)
}

// connectorGets asks the control plane itself, as the connector, for the networks of a namespace.
func connectorGets(wanted int, method, rest string) func() error {
	path := fill(networksPath, map[string]string{"{ns}": mapping[writing.local]}) + rest
	connector := client("connector")
	return func() error {
		status, text, err := ask(connector, theBed.cp.port, method, path, "", nil)
		if err == nil && status != wanted {
			err = fmt.Errorf("%d %s", status, text)
		}
		return err
	}
}

// What the control plane's RBAC does not let the connector do is refused in the words of the control
// plane, which name the connector and the namespace.
func TestWhatTheConnectorMayNotDo(t *testing.T) {
	one := networksPath + "/{name}"
	writes := []operation{
		single("create", post(networksPath, refusedNetwork)),
		single("create in YAML", step{method: "POST", path: networksPath, body: refusedNetwork, headers: []string{"Content-Type: application/yaml", acceptYAML}}),
		single("update", put(one, refusedNetwork)),
		single("merge patch", patch(mergePatch, one, `{"spec":{"region":"us"}}`)),
		single("merge patch of finalizers", patch(mergePatch, one, `{"metadata":{"finalizers":null}}`)),
		single("JSON patch", patch(jsonPatch, one, `[{"op":"add","path":"/spec/region","value":"us"}]`)),
		single("apply", patch("Content-Type: application/apply-patch+yaml", one+"?fieldManager=me", refusedNetwork)),
		single("delete", remove(one, "")),
		single("delete and leave orphans", remove(one, `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan"}`)),
		single("delete all", remove(networksPath, "")),
		{name: "kubectl create", commands: []command{{args: "create -f -", stdin: refusedNetwork}}},
		{name: "kubectl delete", commands: []command{{args: "delete nw {name} -n {ns}"}}},
		{name: "kubectl delete all", commands: []command{{args: "delete nw --all -n {ns}"}}},
		{name: "kubectl patch", commands: []command{{args: `patch nw {name} -n {ns} --type=merge -p {"spec":{"region":"us"}}`}}},
		{name: "kubectl apply", commands: []command{{args: "apply -f -", stdin: refusedNetwork}, {args: "apply --server-side -f -", stdin: refusedNetwork}}},
	}
	reads := []operation{
		single("get", get(one)),
		single("get in protobuf", get(one, acceptProtobuf+",application/json")),
		single("list", get(networksPath)),
		single("list as Table", get(networksPath, acceptTable)),
		single("list in YAML", get(networksPath, acceptYAML)),
		single("list everywhere", get(groupVersionPath+"/networks")),
		single("watch", get(networksPath+"?watch=true")),
		single("watch metadata", get(networksPath+"?watch=true", acceptProtobuf+";as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")),
		{name: "kubectl get", commands: []command{{args: "get nw -n {ns}"}, {args: "get nw {name} -n {ns} -o yaml"}, {args: "get nw -A"}}},
		{name: "kubectl watch", commands: []command{{args: "get nw -n {ns} -w"}}},
		{name: "kubectl describe", commands: []command{{args: "describe nw {name} -n {ns}"}}},
	}
	areRefused := func(operations []operation) {
		for _, o := range operations {
			o.object = "refused"
			text := seenBothWays(t, o)
			if !strings.Contains(text, "claimgate-team-a") || strings.Contains(text, mapping[writing.local]) {
				t.Errorf("%s: %s", o.name, text)
			}
		}
	}
	plane(t, "-n", mapping[writing.local], "apply", "-f", writeNetwork("refused"))
	t.Cleanup(func() { plane(t, "-n", mapping[writing.local], "delete", "nw", "refused") })
	allowed(t, `"get","list","watch"`, "DELETE")
	areRefused(writes)
	allowed(t, "", "GET")
	areRefused(reads)
	areRefused(writes)
}

func writeNetwork(name string) string {
	file := theBed.path(name + "-network.yaml")
	writeFile(file, fill(refusedNetwork, map[string]string{"{name}": name, "{ns}": mapping[writing.local]}))
	return file
}

// busy is a priority level with a place for one request at a time, and turns away who comes beside it.
const busy = `
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
    resourceRules: [{verbs: ["*"], apiGroups: [k8s.starter.org], resources: [networks], namespaces: [%s]}]
`

// makeBusy has the control plane turn the connector away from the networks of a namespace, until what is
// returned is called: a request is under way there whose body does not come.
func makeBusy(t *testing.T) (idle func()) {
	t.Helper()
	kubectl(t, theBed.cp, fmt.Sprintf(busy, mapping[writing.local]), "apply", "-f", "-")
	t.Cleanup(func() { plane(t, "delete", "flowschema,prioritylevelconfiguration", "busy") })
	schema := uid(t, theBed.cp, "flowschema", "busy")
	connector := client("connector")
	url := fmt.Sprintf("https://localhost:%d%s", theBed.cp.port, fill(networksPath, map[string]string{"{ns}": mapping[writing.local]}))
	must(eventually(deadline, func() error {
		response, err := connector.Get(url)
		if err == nil {
			response.Body.Close()
			if of := response.Header.Get("X-Kubernetes-Pf-Flowschema-Uid"); of != schema {
				err = fmt.Errorf("the flow schema is %s", of)
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
	must(eventually(deadline, connectorGets(http.StatusTooManyRequests, "GET", "/crowded")))
	return idle
}

// refused counts answers of one code, and does something after the first.
type refused struct {
	next  http.RoundTripper
	code  int
	count int
	then  func()
}

func (r *refused) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err == nil && response.StatusCode == r.code {
		if r.count++; r.count == 1 {
			r.then()
		}
	}
	return response, err
}

// A control plane that has too much to do says so in text, and when to come again.
func TestABusyControlPlaneIsAskedAgain(t *testing.T) {
	remote := mapping[writing.local]
	plane(t, "-n", remote, "apply", "-f", writeNetwork("crowded"))
	t.Cleanup(func() { plane(t, "-n", remote, "delete", "nw", "crowded") })
	idle := makeBusy(t)
	one := networksPath + "/{name}"
	for _, o := range []operation{
		single("get", get(one)),
		single("get in protobuf", get(one, acceptProtobuf+",application/json")),
		single("list as Table", get(networksPath, acceptTable)),
		single("watch", get(networksPath+"?watch=true")),
		single("create", post(networksPath, refusedNetwork)),
		single("update", put(one, refusedNetwork)),
		single("merge patch of finalizers", patch(mergePatch, one, `{"metadata":{"finalizers":null}}`)),
		single("apply", patch("Content-Type: application/apply-patch+yaml", one+"?fieldManager=me", refusedNetwork)),
		single("delete and leave orphans", remove(one, `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan"}`)),
	} {
		o.object = "crowded"
		text := seenBothWays(t, o)
		for _, part := range []string{"HTTP 429\n", "Retry-After: a while\n", "X-Content-Type-Options: nosniff\n", "Too many requests"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %q: %s", o.name, part, text)
			}
		}
	}

	// client-go comes again by itself, and its caller hears nothing of it.
	config := restConfig(theBed.app)
	busy := &refused{code: http.StatusTooManyRequests, then: idle}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		busy.next = next
		return busy
	})
	networks, err := dynamic.NewForConfig(config)
	must(err)
	found, err := networks.Resource(claims.GroupVersion().WithResource("networks")).Namespace(writing.local).Get(within(t, slowDeadline), "crowded", metav1.GetOptions{})
	if err != nil || found.GetNamespace() != writing.local {
		t.Fatalf("%v %v", found, err)
	}
	if busy.count == 0 {
		t.Error("it was not refused once")
	}
}
