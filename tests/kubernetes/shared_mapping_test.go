package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tenant is an app cluster with a claimgate of its own, which clients reach directly. The clusters
// share a control plane and use the same local names.
type tenant struct {
	cluster, remote string
	port            int
	client          *http.Client
}

var tenantNames = []string{"team-a", "team-b", "team-c"}

// startTenants starts a claimgate for each app cluster until the test ends. Each has the remote
// namespace that the function returns for it.
func startTenants(t *testing.T, remoteOf func(cluster string) string) (all []tenant) {
	t.Helper()
	needsShared(t)
	for _, cluster := range tenantNames {
		remote := remoteOf(cluster)
		createNamespace(t, remote)
		i := newInstance("claimgate-"+remote+"-"+cluster, "auto")
		i.cluster, i.mapping = cluster, fmt.Sprintf("{namespace: %s, names: readable}", remote)
		// Those of a production installation: a busy machine can delay a PING by a second.
		i.pingInterval, i.pingTimeout = 30*time.Second, 15*time.Second
		all = append(all, tenant{cluster, remote, startSecondClaimgate(t, i).port, userClient("developer")})
	}
	return all
}

// createNamespace creates a namespace on the control plane, unless it exists, until the test ends.
func createNamespace(t *testing.T, name string) {
	t.Helper()
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", name)
	kubectl(t, env.controlPlane, manifest, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, "", "delete", "namespace", name, "--ignore-not-found", "--wait=false")
	})
}

// needsShared skips a test about the shared mapping.
func needsShared(t *testing.T) {
	t.Helper()
	if !isShared() {
		t.Skip("only with --mapping shared")
	}
}

// claim returns a claim in JSON that names its cluster in a label and in its spec.
func (o tenant) claim(namespace, name string) string {
	return fmt.Sprintf(`{"apiVersion":%q,"kind":"KubernetesCluster","metadata":{"name":%q,"namespace":%q,"labels":{"owner":%q,"common":"yes"}},"spec":{"notes":"of %s","nodeCount":1}}`,
		groupVersion, name, namespace, o.cluster, o.cluster)
}

func claimsPathOf(namespace string) string {
	return strings.Replace(claimsPath, "default", namespace, 1)
}

// send sends a request and checks that the answer names neither another cluster nor anything remote.
func (o tenant) send(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	fields := map[string]string{}
	for _, header := range headers {
		if name, value, is := strings.Cut(header, ": "); is {
			fields[name] = value
		}
	}
	status, text, err := sendRequest(o.client, o.port, method, path, body, fields)
	if err != nil {
		t.Errorf("%s: %s %s: %v", o.cluster, method, path, err)
	}
	// An answer may repeat the request.
	o.assertOwn(t, method+" "+path, text, method+path+body)
	return status, text
}

// assertOwn checks that an answer contains no name of others that the request does not contain.
func (o tenant) assertOwn(t *testing.T, what, answer, request string) {
	t.Helper()
	others := slices.DeleteFunc(slices.Clone(tenantNames), func(name string) bool { return name == o.cluster })
	forbidden := route{forbiddenNames: slices.DeleteFunc(slices.Concat(others, originKeys, []string{o.remote}), func(name string) bool {
		return strings.Contains(request, name)
	})}
	if leaks := forbidden.findLeaks([]byte(answer)); leaks != "" && len(findRemoteNames([]byte(request))) == 0 {
		t.Errorf("%s: %s:%s in\n%s", o.cluster, what, leaks, answer)
	}
}

// storedObjects returns the version of each object in a tenant's remote namespace that carries its
// label, by name.
func (o tenant) storedObjects(t *testing.T) map[string]string {
	t.Helper()
	list, err := dynamicClient(env.controlPlane).Resource(claims).Namespace(o.remote).List(
		context.Background(), metav1.ListOptions{LabelSelector: "owner=" + o.cluster})
	must(err)
	versions := map[string]string{}
	for _, item := range list.Items {
		versions[item.GetName()] = item.GetResourceVersion()
	}
	return versions
}

// assertUntouched checks that an action changes no object of the other tenants.
func assertUntouched(t *testing.T, what string, tenants []tenant, actor tenant, action func()) {
	t.Helper()
	before := map[string]map[string]string{}
	for _, o := range tenants {
		before[o.cluster] = o.storedObjects(t)
	}
	action()
	for _, o := range tenants {
		if after := o.storedObjects(t); o.cluster != actor.cluster && !maps.Equal(after, before[o.cluster]) {
			t.Errorf("%s of %s changed objects of %s: %v, before %v", what, actor.cluster, o.cluster, after, before[o.cluster])
		}
	}
}

const (
	inDefault, inTools = "default", "tools"
	acceptJSON         = "Accept: application/json"
)

// seedTenants creates claims with the same names in the same local namespaces of all clusters.
func seedTenants(t *testing.T, tenants []tenant) {
	t.Helper()
	for _, o := range tenants {
		for _, namespace := range []string{inDefault, inTools} {
			if status, body := o.send(t, "POST", claimsPathOf(namespace), o.claim(namespace, "same"), jsonBody); status != 201 {
				t.Fatalf("%s: status %d: %s", o.cluster, status, body)
			}
		}
	}
}

// Three app clusters with the same local names store their claims on one control plane, in one
// namespace or in one each. No cluster sees, changes, watches or deletes a claim of another.
func TestClustersDoNotSeeEachOther(t *testing.T) {
	for name, remoteOf := range map[string]func(string) string{
		"one-namespace":  func(string) string { return "rooms" },
		"own-namespaces": func(cluster string) string { return "room-of-" + cluster },
	} {
		t.Run(name, func(t *testing.T) {
			tenants := startTenants(t, remoteOf)
			seedTenants(t, tenants)
			var all sync.WaitGroup
			for _, o := range tenants {
				all.Go(func() { o.assertReadsOwn(t) })
			}
			all.Wait()
			ends := watchTenants(t, tenants)
			for _, o := range tenants {
				o.assertRemoteNamesAreUnknown(t, tenants)
				o.assertSelectorsDeleteOwn(t, tenants)
				o.assertWritesAreOwn(t, tenants)
			}
			for _, o := range tenants {
				o.send(t, "POST", claimsPathOf(inDefault), o.claim(inDefault, "last"), jsonBody)
			}
			for _, end := range ends {
				end()
			}
			for _, o := range tenants {
				assertUntouched(t, "deleting all", tenants, o, func() {
					for _, namespace := range []string{inDefault, inTools} {
						if status, body := o.send(t, "DELETE", claimsPathOf(namespace), ""); status != 200 {
							t.Errorf("%s: status %d: %s", o.cluster, status, body)
						}
					}
				})
				if left := o.storedObjects(t); len(left) != 0 {
					t.Errorf("%s: %v is left", o.cluster, left)
				}
			}
		})
	}
}

// selection is a query and the number of the two seeded claims that it selects: in `default` and in
// all namespaces.
type selection struct {
	query            string
	inDefault, inAll int
}

// selections returns queries as a cluster would try them to see objects of others.
func (o tenant) selections() []selection {
	label := func(selector string, matches bool) selection {
		s := selection{query: "labelSelector=" + url.QueryEscape(selector)}
		if matches {
			s.inDefault, s.inAll = 1, 2
		}
		return s
	}
	all := []selection{
		{"", 1, 2},
		{"fieldSelector=metadata.name%3Dsame", 1, 2},
		{"fieldSelector=metadata.name%21%3Dsame", 0, 0},
		{"fieldSelector=metadata.namespace%3Ddefault", 1, 1},
		{"fieldSelector=metadata.namespace%21%3Ddefault", 0, 1},
		{"fieldSelector=metadata.namespace%3D" + o.remote, 0, 0},
		label("common", true), label("common in (yes)", true), label("!common", false), label("common!=yes", false),
		label("owner="+o.cluster, true),
	}
	for _, key := range originKeys {
		all = append(all, label(key, false), label("!"+key, true), label(key+"=same", false), label(key+" in (default,same)", false), label(key+" notin (x)", true))
	}
	for _, other := range tenantNames {
		key := originKeys[0]
		all = append(all, label(key+"="+other, false), label(key+"=="+other, false), label(key+" in ("+other+")", false),
			label(key+"!="+other, true), label(key+" notin ("+other+",x)", true), label("common=yes,"+key+"="+other, false))
		if other != o.cluster {
			all = append(all, label("owner="+other, false), label("owner in ("+other+")", false), label("owner!="+other, true), label("owner notin ("+other+")", true),
				selection{"fieldSelector=metadata.name%3D" + sharedName(other, inDefault, "same"), 0, 0})
		}
	}
	return all
}

// ownerPattern matches the label of an object in JSON and YAML.
var ownerPattern = regexp.MustCompile(`[^:]owner"?: ?"?team-`)

// assertReadsOwn reads by each verb, in each form and with each selector.
func (o tenant) assertReadsOwn(t *testing.T) {
	one := claimsPathOf(inDefault) + "/same"
	for _, subresource := range []string{"", "/status", "/scale"} {
		for _, accept := range []string{acceptJSON, acceptYAML, acceptTable, acceptPartial} {
			status, body := o.send(t, "GET", one+subresource, "", accept)
			isOwn := subresource == "/scale" || len(ownerPattern.FindAllString(body, -1)) == 1
			if status != 200 && !(subresource == "/scale" && status == 406) || status == 200 && !isOwn {
				t.Errorf("%s: get %s as %s: status %d: %s", o.cluster, subresource, accept, status, body)
			}
		}
	}
	permits := make(chan struct{}, operationsInParallel)
	var all sync.WaitGroup
	for _, s := range o.selections() {
		for path, wanted := range map[string]int{claimsPathOf(inDefault): s.inDefault, allNamespacesPath: s.inAll} {
			for _, r := range []struct {
				more    string
				accepts []string
				most    int
			}{
				{"", []string{acceptJSON, acceptYAML, acceptTable, acceptPartialList}, 2},
				{"&limit=1", []string{acceptJSON, acceptTable, acceptPartialList}, 1},
				{"&watch=true&resourceVersion=0&timeoutSeconds=1", []string{acceptJSON, acceptTable, acceptPartial}, 2},
			} {
				for _, accept := range r.accepts {
					permits <- struct{}{}
					all.Go(func() {
						defer func() { <-permits }()
						status, body := o.send(t, "GET", path+"?"+s.query+r.more, "", accept)
						if found, wanted := len(ownerPattern.FindAllString(body, -1)), min(wanted, r.most); status != 200 || found != wanted {
							t.Errorf("%s: %s?%s%s as %s: status %d, %d claims, want %d: %s", o.cluster, path, s.query, r.more, accept, status, found, wanted, body)
						}
					})
				}
			}
		}
	}
	all.Wait()
}

// watchTenants opens watches for all clusters. Each returned function reads a watch up to the claim
// `last` of its cluster and checks that it contains only own claims.
func watchTenants(t *testing.T, tenants []tenant) (ends []func()) {
	t.Helper()
	for _, o := range tenants {
		for _, path := range []string{claimsPathOf(inDefault), allNamespacesPath} {
			for _, accept := range []string{acceptJSON, acceptTable, acceptPartial} {
				ctx, cancel := context.WithTimeout(context.Background(), slowDeadline)
				t.Cleanup(cancel)
				r, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("https://localhost:%d%s?watch=true&allowWatchBookmarks=true&resourceVersion=0", o.port, path), nil)
				must(err)
				r.Header.Set("Accept", strings.TrimPrefix(accept, "Accept: "))
				response, err := o.client.Do(r)
				if err != nil || response.StatusCode != 200 {
					t.Fatal(err, response)
				}
				ends = append(ends, func() {
					defer response.Body.Close()
					var seen bytes.Buffer
					for buffer := make([]byte, 64<<10); !bytes.Contains(seen.Bytes(), []byte(`"name":"last"`)); {
						n, err := response.Body.Read(buffer)
						seen.Write(buffer[:n])
						if err != nil {
							t.Errorf("%s: the watch of %s as %s ended: %v", o.cluster, path, accept, err)
							break
						}
					}
					o.assertOwn(t, "watch "+path+" as "+accept, seen.String(), "")
					if !bytes.Contains(seen.Bytes(), []byte("DELETED")) {
						t.Errorf("%s: the watch of %s as %s has no deletion", o.cluster, path, accept)
					}
				})
			}
		}
	}
	return ends
}

// assertRemoteNamesAreUnknown uses the remote names of all claims as local names.
func (o tenant) assertRemoteNamesAreUnknown(t *testing.T, tenants []tenant) {
	t.Helper()
	assertUntouched(t, "requests with remote names", tenants, tenant{}, func() {
		for _, other := range tenants {
			name := sharedName(other.cluster, inDefault, "same")
			for _, namespace := range []string{inDefault, other.remote} {
				path := claimsPathOf(namespace) + "/" + name
				whole := o.claim(namespace, name)
				for _, r := range []struct{ method, path, body, contentType string }{
					{"GET", path, "", ""}, {"GET", path + "/status", "", ""}, {"GET", path + "/scale", "", ""},
					{"PUT", path, whole, jsonBody}, {"PUT", path + "/status", whole, jsonBody},
					{"PATCH", path, `{"spec":{"nodeCount":9}}`, mergePatch},
					{"PATCH", path, `{"metadata":{"finalizers":null}}`, mergePatch},
					{"PATCH", path, `[{"op":"add","path":"/spec/nodeCount","value":9}]`, jsonPatch},
					{"PATCH", path + "/scale", `{"spec":{"replicas":9}}`, mergePatch},
					{"DELETE", path, "", ""}, {"DELETE", path + "?propagationPolicy=Orphan", "", ""},
				} {
					if status, body := o.send(t, r.method, r.path, r.body, r.contentType); status != 404 {
						t.Errorf("%s: %s %s: status %d: %s", o.cluster, r.method, r.path, status, body)
					}
				}
			}
		}
		if status, body := o.send(t, "DELETE", claimsPathOf(o.remote), ""); status != 200 {
			t.Errorf("%s: status %d: %s", o.cluster, status, body)
		}
	})
}

// assertSelectorsDeleteOwn deletes the claims of each selection, in a dry run if it selects any.
func (o tenant) assertSelectorsDeleteOwn(t *testing.T, tenants []tenant) {
	t.Helper()
	assertUntouched(t, "deletions with selectors", tenants, tenant{}, func() {
		for _, s := range o.selections() {
			query := s.query
			if s.inDefault > 0 {
				query += "&dryRun=All"
			}
			status, body := o.send(t, "DELETE", claimsPathOf(inDefault)+"?"+query, "")
			if found := len(ownerPattern.FindAllString(body, -1)); status != 200 || found != s.inDefault {
				t.Errorf("%s: delete with %s: status %d, %d claims, want %d: %s", o.cluster, query, status, found, s.inDefault, body)
			}
		}
	})
}

// assertWritesAreOwn writes by each verb.
func (o tenant) assertWritesAreOwn(t *testing.T, tenants []tenant) {
	t.Helper()
	path := claimsPathOf(inDefault)
	one, changed := path+"/same", strings.Replace(o.claim(inDefault, "same"), `"nodeCount":1`, `"nodeCount":2`, 1)
	update := strings.Replace(changed, `"metadata":{`, `"metadata":{"resourceVersion":"{version}",`, 1)
	other := tenantNames[(slices.Index(tenantNames, o.cluster)+1)%len(tenantNames)]
	forged, _ := json.Marshal(origin(other, inDefault, "same"))
	for _, w := range []struct {
		name, method, path, body, contentType string
		status                                int
	}{
		{"create of an existing claim", "POST", path, o.claim(inDefault, "same"), jsonBody, 409},
		{"create", "POST", path, o.claim(inDefault, "new"), jsonBody, 201},
		{"create in YAML", "POST", path, o.claim(inDefault, "yaml"), yamlBody, 201},
		{"create with a generated name", "POST", path, strings.Replace(o.claim(inDefault, ""), `"name":""`, `"generateName":"gen-"`, 1), jsonBody, 201},
		{"update", "PUT", one, update, jsonBody, 200},
		{"update of status", "PUT", one + "/status", strings.Replace(update, `"spec"`, `"status":{"nodeCount":2},"spec"`, 1), jsonBody, 200},
		{"merge patch", "PATCH", one, `{"spec":{"nodeCount":3}}`, mergePatch, 200},
		{"merge patch with another's labels", "PATCH", one, `{"metadata":{"labels":` + string(forged) + `,"annotations":` + string(forged) + `}}`, mergePatch, 200},
		{"merge patch without labels", "PATCH", one, `{"metadata":{"labels":{"claimgate.dev/cluster":null,"claimgate.dev/name":null}}}`, mergePatch, 200},
		{"JSON patch", "PATCH", one, `[{"op":"add","path":"/spec/nodeCount","value":4}]`, jsonPatch, 200},
		{"JSON patch with another's labels", "PATCH", one, `[{"op":"add","path":"/metadata/labels","value":` + strings.Replace(string(forged), "{", `{"owner":"`+o.cluster+`","common":"yes",`, 1) + `}]`, jsonPatch, 200},
		{"apply", "PATCH", one + "?fieldManager=me&force=true", changed, applyPatch, 200},
		{"apply of a new claim", "PATCH", path + "/applied?fieldManager=me", o.claim(inDefault, "applied"), applyPatch, 201},
		{"merge patch of status", "PATCH", one + "/status", `{"status":{"nodeCount":5}}`, mergePatch, 200},
		{"merge patch of scale", "PATCH", one + "/scale", `{"spec":{"replicas":6}}`, mergePatch, 200},
		{"orphan deletion", "DELETE", path + "/applied?dryRun=All&propagationPolicy=Orphan", "", "", 200},
		{"delete", "DELETE", path + "/new", "", "", 200},
		{"delete of a deleted claim", "DELETE", path + "/new", "", "", 404},
		{"deletion of a collection", "DELETE", path + "?labelSelector=owner%3D" + o.cluster, "", "", 200},
		{"create of a deleted claim", "POST", path, o.claim(inDefault, "same"), jsonBody, 201},
	} {
		assertUntouched(t, w.name, tenants, o, func() {
			_, current := o.send(t, "GET", one, "")
			body := strings.Replace(w.body, "{version}", findField([]byte(current), "metadata.resourceVersion"), 1)
			status, body := o.send(t, w.method, w.path, body, w.contentType)
			if status != w.status {
				t.Errorf("%s: %s: status %d, want %d: %s", o.cluster, w.name, status, w.status, body)
			}
		})
		o.assertStoredWithOrigin(t, w.name)
	}
}

// assertStoredWithOrigin checks the names, labels and annotations of a tenant's stored claims.
func (o tenant) assertStoredWithOrigin(t *testing.T, after string) {
	t.Helper()
	list, err := dynamicClient(env.controlPlane).Resource(claims).Namespace(o.remote).List(
		context.Background(), metav1.ListOptions{LabelSelector: "owner=" + o.cluster})
	must(err)
	for _, item := range list.Items {
		namespace, name := item.GetAnnotations()[originKeys[1]], item.GetAnnotations()[originKeys[2]]
		isStored := item.GetName() == sharedName(o.cluster, namespace, name)
		for _, key := range originKeys {
			isStored = isStored && item.GetAnnotations()[key] == item.GetLabels()[key] && item.GetLabels()[key] == origin(o.cluster, namespace, name)[key]
		}
		if !isStored {
			t.Errorf("%s: after %s, a claim is stored as %v", o.cluster, after, item.Object["metadata"])
		}
	}
}
