package kubernetes

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Paths are invalid if a server in between could interpret them differently.
func TestDotSegmentsAreRejected(t *testing.T) {
	client := userClient("developer")
	for _, dots := range []string{".", "..", "%2e", "%2E", "%2e%2e", ".%2E", "%2E."} {
		for _, path := range []string{claimsPathOf(dots), claimsPathOf(dots) + "/same", claimsPath + "/" + dots, claimsPath + "/" + dots + "/status"} {
			for method, contentType := range map[string]string{"GET": "", "PUT": jsonBody, "PATCH": mergePatch, "DELETE": jsonBody} {
				headers := map[string]string{"Content-Type": strings.TrimPrefix(contentType, "Content-Type: ")}
				status, body, err := sendRequest(client, env.port, method, path, "{}", headers)
				if err != nil || status != http.StatusBadRequest {
					t.Errorf("%s %s: status %d: %s %v", method, path, status, body, err)
				}
			}
		}
	}
}

// foreignObject is an object in the shared namespace that is not a claim of the app cluster.
type foreignObject struct {
	name                string
	labels, annotations map[string]string
}

// foreignObjects returns objects without labels, of another cluster, forged in part, and with
// labels that disagree with the name.
func foreignObjects() []foreignObject {
	ours := func(name string) map[string]string { return origin(appClusterName, inDefault, name) }
	only := func(keys ...string) map[string]string {
		all := ours("same")
		maps.DeleteFunc(all, func(key, _ string) bool { return !slices.Contains(keys, key) })
		return all
	}
	theirs := origin("team-b", inDefault, "same")
	return []foreignObject{
		{"plain", nil, nil},
		{sharedName("team-b", inDefault, "same"), theirs, theirs},
		{sharedName("team-b", inDefault, "bare"), nil, nil},
		{"forged", ours("forged"), ours("forged")},
		{"forged-labels", ours("forged-labels"), nil},
		{"forged-annotations", nil, ours("forged-annotations")},
		{"forged-cluster", only(originKeys[0]), nil},
		{"forged-namespace", only(originKeys[0], originKeys[1]), only(originKeys[0])},
		{sharedName("team-b", inDefault, "stolen"), ours("stolen"), ours("stolen")},
		// The name is that of a local object, but the labels or annotations name another.
		{sharedName(appClusterName, inDefault, "renamed"), ours("other"), ours("other")},
		{sharedName(appClusterName, inDefault, "given"), theirs, theirs},
		{sharedName(appClusterName, inDefault, "moved"), origin(appClusterName, inTools, "moved"), origin(appClusterName, inTools, "moved")},
	}
}

// No object of the control plane that is not a claim of the app cluster is seen or changed.
func TestForeignObjectsAreNeitherSeenNorTouched(t *testing.T) {
	needsShared(t)
	control := dynamicClient(env.controlPlane).Resource(claims).Namespace(sharedNamespace)
	before := map[string]string{}
	for _, foreign := range foreignObjects() {
		claim := newClaim(foreign.name, "not-ours")
		claim.SetLabels(merged(foreign.labels, claim.GetLabels()))
		claim.SetAnnotations(foreign.annotations)
		must(unstructured.SetNestedField(claim.Object, "not-ours", "spec", "notes"))
		created, err := control.Create(context.Background(), claim, metav1.CreateOptions{})
		must(err)
		before[foreign.name] = created.GetResourceVersion()
		t.Cleanup(func() { control.Delete(context.Background(), foreign.name, metav1.DeleteOptions{}) })
	}
	kubectl(t, env.app, claim(inDefault, "same"), "apply", "-f", "-")
	t.Cleanup(func() { env.tryKubectl(env.app.kubeconfig, "", "delete", "kc", "same", "--ignore-not-found") })
	o := tenant{appClusterName, sharedNamespace, env.port, userClient("developer")}

	for _, path := range []string{claimsPath, claimsPathOf(inTools), allNamespacesPath} {
		for _, accept := range []string{acceptJSON, acceptYAML, acceptTable, acceptPartialList} {
			for _, query := range []string{"", "?limit=2", "?labelSelector=test%3Dnot-ours", "?labelSelector=%21test"} {
				if status, body := o.send(t, "GET", path+query, "", accept); status != 200 || strings.Contains(body, "not-ours") {
					t.Errorf("%s%s as %s: status %d: %s", path, query, accept, status, body)
				}
			}
		}
		for _, accept := range []string{acceptJSON, acceptTable, acceptPartial} {
			if status, body := o.send(t, "GET", path+"?watch=true&resourceVersion=0&timeoutSeconds=1", "", accept); status != 200 || strings.Contains(body, "not-ours") {
				t.Errorf("watch %s as %s: status %d: %s", path, accept, status, body)
			}
		}
	}
	for _, name := range []string{"plain", "forged", "forged-labels", "forged-annotations", "forged-cluster", "forged-namespace", "stolen", "bare", "renamed", "given", "moved", "other"} {
		o.assertIsMissing(t, inDefault, name)
	}
	for _, name := range []string{"moved", "same"} {
		o.assertIsMissing(t, inTools, name)
	}
	for _, name := range []string{"renamed", "given", "moved"} {
		for _, r := range []struct{ method, path, contentType string }{
			{"POST", claimsPath, jsonBody}, {"PATCH", claimsPath + "/" + name + "?fieldManager=me&force=true", applyPatch},
		} {
			if status, body := o.send(t, r.method, r.path, o.claim(inDefault, name), r.contentType); status != 409 || strings.Contains(body, "not-ours") {
				t.Errorf("%s %s: status %d: %s", r.method, r.path, status, body)
			}
		}
	}
	// Objects that only carry the labels stay when the collection is deleted.
	for _, r := range []struct {
		query string
		left  int
	}{{"?labelSelector=test%3Dnot-ours", 200}, {"?labelSelector=claimgate.dev%2Fcluster%3Dx", 200}, {"", 404}} {
		if status, body := o.send(t, "DELETE", claimsPath+r.query, ""); status != 200 || strings.Contains(body, "not-ours") {
			t.Errorf("delete %s: status %d: %s", r.query, status, body)
		}
		if status, body := o.send(t, "GET", claimsPath+"/same", ""); status != r.left {
			t.Errorf("the own claim after delete %s: status %d: %s", r.query, status, body)
		}
	}
	list, err := control.List(context.Background(), metav1.ListOptions{LabelSelector: "test=not-ours"})
	must(err)
	after := map[string]string{}
	for _, item := range list.Items {
		after[item.GetName()] = item.GetResourceVersion()
	}
	if !maps.Equal(before, after) {
		t.Errorf("foreign objects are %v, were %v", after, before)
	}
}

// assertIsMissing checks that requests for a name find no object.
func (o tenant) assertIsMissing(t *testing.T, namespace, name string) {
	t.Helper()
	path := claimsPathOf(namespace) + "/" + name
	for _, r := range []struct{ method, path, body, contentType string }{
		{"GET", path, "", ""}, {"GET", path, "", acceptTable}, {"GET", path, "", acceptPartial}, {"GET", path + "/status", "", ""}, {"GET", path + "/scale", "", ""},
		{"PUT", path, o.claim(namespace, name), jsonBody}, {"PUT", path + "/status", o.claim(namespace, name), jsonBody},
		{"PATCH", path, `{"spec":{"nodeCount":9}}`, mergePatch}, {"PATCH", path, `{"metadata":{"labels":null,"annotations":null}}`, mergePatch},
		{"PATCH", path, `[{"op":"add","path":"/spec/nodeCount","value":9}]`, jsonPatch}, {"PATCH", path + "/status", `{"status":{"nodeCount":9}}`, mergePatch},
		{"PATCH", path + "/scale", `{"spec":{"replicas":9}}`, mergePatch},
		{"DELETE", path, "", ""}, {"DELETE", path + "?propagationPolicy=Foreground", "", ""},
	} {
		if status, body := o.send(t, r.method, r.path, r.body, r.contentType); status != 404 || strings.Contains(body, "not-ours") {
			t.Errorf("%s %s: status %d: %s", r.method, r.path, status, body)
		}
	}
}
