package kubernetes

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	missingLocal = "lifecycle-missing"
	doomedLocal  = "lifecycle-doomed"
)

// kindNames turns an answer about claims into one about ConfigMaps.
var kindNames = strings.NewReplacer("kubernetesclusters.k8s.starter.org", "configmaps", `"group":"k8s.starter.org",`, "", "kubernetesclusters", "configmaps")

// grantAppClusterRights gives a user the rights in a file of config/rbac until the test ends.
func grantAppClusterRights(t *testing.T, file, user string) {
	t.Helper()
	rights, err := os.ReadFile("../../config/rbac/" + file)
	must(err)
	const subject = "{kind: ServiceAccount, namespace: claimgate-system, name: claimgate}"
	if !strings.Contains(string(rights), subject) {
		t.Fatalf("%s does not name %s", file, subject)
	}
	kubectl(t, env.app, strings.ReplaceAll(string(rights), subject, "{apiGroup: rbac.authorization.k8s.io, kind: User, name: "+user+"}"), "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, string(rights), "delete", "--ignore-not-found", "-f", "-")
	})
}

// withAppCluster is a claimgate with access to the app cluster, which clients reach directly.
type withAppCluster struct {
	instance
	client *http.Client
}

// startWithAppCluster starts it with a user's rights in the app cluster and a remote namespace of its own. The port is
// that of the API server or of a link to it.
func startWithAppCluster(t *testing.T, name, user string, port int) withAppCluster {
	t.Helper()
	createNamespace(t, name)
	url := fmt.Sprintf("https://localhost:%d", port)
	kubeconfig := name + "-app.kubeconfig"
	must(os.WriteFile(env.path(kubeconfig), []byte(env.certificates.kubeconfig(url, user)), 0o600))
	i := newInstance(name, "auto")
	i.mapping = fmt.Sprintf("{namespace: %s, names: readable}", name)
	i.more = fmt.Sprintf("appCluster: {kubeconfig: %s}\n", kubeconfig)
	return withAppCluster{startSecondClaimgate(t, i), userClient("developer")}
}

func (c withAppCluster) send(t *testing.T, s step) (int, string) {
	t.Helper()
	status, text, err := sendRequest(c.client, c.port, s.method, s.path, s.body, headerMap(s))
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

func headerMap(s step) map[string]string {
	headers := map[string]string{"Content-Type": "application/json"}
	for _, header := range s.headers {
		name, value, _ := strings.Cut(header, ": ")
		headers[name] = value
	}
	return headers
}

// create returns a request that creates a claim.
func create(namespace, name string) step {
	return post(claimsPathOf(namespace), fmt.Sprintf(`{"apiVersion":%q,"kind":"KubernetesCluster","metadata":{"name":%q},"spec":{"nodeCount":1}}`, groupVersion, name))
}

// holdTerminating deletes a namespace of the app cluster, in which a ConfigMap keeps it Terminating. The returned
// function waits until the namespace is gone.
func holdTerminating(t *testing.T, namespace string) (release func()) {
	t.Helper()
	holder := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: holder, namespace: %s, finalizers: [example.org/held]}\n", namespace)
	kubectl(t, env.app, holder, "create", "-f", "-")
	release = func() {
		env.tryKubectl(env.app.kubeconfig, "", "-n", namespace, "patch", "configmap", "holder", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
		env.tryKubectl(env.app.kubeconfig, "", "wait", "--for=delete", "namespace", namespace, "--timeout=60s")
	}
	t.Cleanup(release)
	kubectl(t, env.app, "", "delete", "namespace", namespace, "--wait=false")
	return release
}

// The answers are those of the app cluster for a built-in kind.
func TestCreatesObeyNamespaceLifecycle(t *testing.T) {
	grantAppClusterRights(t, "namespaces.yaml", "developer")
	c := startWithAppCluster(t, "lifecycle", "developer", env.app.port)
	kubectl(t, env.app, "", "create", "namespace", doomedLocal)
	for _, name := range []string{"first", "second"} {
		if status, text := c.send(t, create(doomedLocal, name)); status != http.StatusCreated {
			t.Fatalf("status %d: %s", status, text)
		}
	}
	release := holdTerminating(t, doomedLocal)
	eventually(5*time.Second, func() error {
		if status, text := c.send(t, create(doomedLocal, "late")); status == http.StatusCreated {
			c.send(t, remove(claimsPathOf(doomedLocal)+"/late", ""))
			return fmt.Errorf("created %s", text)
		}
		return nil
	})
	for _, namespace := range []string{missingLocal, doomedLocal} {
		for name, s := range map[string]step{
			"create":                   post("{path}", `{"apiVersion":"{version}","kind":"{kind}","metadata":{"name":"new"}}`),
			"create in YAML":           {method: "POST", path: "{path}", body: "apiVersion: {version}\nkind: {kind}\nmetadata: {name: new}\n", headers: []string{"Content-Type: application/yaml"}},
			"create with a namespace":  post("{path}", `{"apiVersion":"{version}","kind":"{kind}","metadata":{"name":"new","namespace":"`+namespace+`"}}`),
			"dry run":                  post("{path}?dryRun=All", `{"apiVersion":"{version}","kind":"{kind}","metadata":{"name":"new"}}`),
			"create, generated name":   post("{path}", `{"apiVersion":"{version}","kind":"{kind}","metadata":{"generateName":"new-"}}`),
			"create without a name":    post("{path}", `{"apiVersion":"{version}","kind":"{kind}","metadata":{}}`),
			"apply":                    patch(applyPatch, "{path}/new?fieldManager=me", `{"apiVersion":"{version}","kind":"{kind}","metadata":{"name":"new"}}`),
			"dry run of an apply":      patch(applyPatch, "{path}/new?fieldManager=me&dryRun=All", `{"apiVersion":"{version}","kind":"{kind}","metadata":{"name":"new"}}`),
			"patch of a missing claim": patch(mergePatch, "{path}/new", `{"metadata":{"labels":{"a":"b"}}}`),
			"delete a missing claim":   remove("{path}/new", ""),
		} {
			configMap := strings.NewReplacer("{path}", "/api/v1/namespaces/"+namespace+"/configmaps", "{version}", "v1", "{kind}", "ConfigMap")
			claim := strings.NewReplacer("{path}", claimsPathOf(namespace), "{version}", groupVersion, "{kind}", "KubernetesCluster")
			expectedStatus, expected := sendAsAdmin(t, env.app, s.method, configMap.Replace(s.path), configMap.Replace(s.body), headerMap(s))
			s.path, s.body = claim.Replace(s.path), claim.Replace(s.body)
			status, text := c.send(t, s)
			if got := kindNames.Replace(text); status != expectedStatus || got != expected {
				t.Errorf("%s in %s: status %d, want %d:\n%s\n%s", name, namespace, status, expectedStatus, got, expected)
			}
		}
	}

	assertClaimCanBeChanged(t, c, doomedLocal, "first")
	release()
	assertClaimCanBeChanged(t, c, doomedLocal, "second")
}

// assertClaimCanBeChanged changes an existing claim in each way, and deletes it.
func assertClaimCanBeChanged(t *testing.T, c withAppCluster, namespace, name string) {
	t.Helper()
	one := claimsPathOf(namespace) + "/" + name
	_, stored := c.send(t, step{method: "GET", path: one})
	for _, s := range []step{
		put(one, stored),
		patch(mergePatch, one, `{"spec":{"region":"us"}}`),
		patch(applyPatch, one+"?fieldManager=me&force=true", fmt.Sprintf(`{"apiVersion":%q,"kind":"KubernetesCluster","metadata":{"name":%q},"spec":{"region":"eu"}}`, groupVersion, name)),
		patch(mergePatch, one+"/status", `{"status":{"nodeCount":1}}`),
		remove(one, ""),
	} {
		if status, text := c.send(t, s); status != http.StatusOK {
			t.Errorf("%s %s: status %d: %s", s.method, s.path, status, text)
		}
	}
}

func TestCreateRightAfterItsNamespaceSucceeds(t *testing.T) {
	grantAppClusterRights(t, "namespaces.yaml", "developer")
	c := startWithAppCluster(t, "lifecycle-fresh", "developer", env.app.port)
	for n := range 50 {
		namespace := fmt.Sprintf("lifecycle-fresh-%d", n)
		status, text := sendAsAdmin(t, env.app, "POST", "/api/v1/namespaces", fmt.Sprintf(`{"metadata":{"name":%q}}`, namespace), map[string]string{"Content-Type": "application/json"})
		if status != http.StatusCreated {
			t.Fatalf("status %d: %s", status, text)
		}
		if status, text := c.send(t, create(namespace, "a")); status != http.StatusCreated {
			t.Errorf("%s: status %d: %s", namespace, status, text)
		}
		sendAsAdmin(t, env.app, "DELETE", "/api/v1/namespaces/"+namespace, "", nil)
	}
}

// Without the rights, claimgate logs once what is missing. It uses them as soon as it gets them.
func TestCreatesPassWithoutRightsOnNamespaces(t *testing.T) {
	c := startWithAppCluster(t, "lifecycle-denied", "nobody", env.app.port)
	if status, text := c.send(t, create(missingLocal, "unchecked")); status != http.StatusCreated {
		t.Fatalf("status %d: %s", status, text)
	}
	time.Sleep(12 * time.Second)
	log, err := os.ReadFile(env.path("lifecycle-denied.log"))
	must(err)
	if n := strings.Count(string(log), "config/rbac/namespaces.yaml"); n != 1 {
		t.Errorf("%d lines name the missing rights:\n%s", n, log)
	}
	grantAppClusterRights(t, "namespaces.yaml", "nobody")
	await(t, deadline, func() error {
		status, text := c.send(t, create(missingLocal, "checked"))
		if status == http.StatusCreated {
			c.send(t, remove(claimsPathOf(missingLocal)+"/checked", ""))
		}
		if status != http.StatusNotFound {
			return fmt.Errorf("status %d: %s", status, text)
		}
		return nil
	})
}

// While the app cluster is unavailable, claimgate uses the namespaces that it has seen. A claimgate that has seen none
// checks nothing.
func TestCreatesWhileTheAppClusterIsUnavailable(t *testing.T) {
	grantAppClusterRights(t, "namespaces.yaml", "developer")
	link, err := newLink(fmt.Sprintf("127.0.0.1:%d", env.app.port))
	must(err)
	t.Cleanup(link.refuseConnections)
	seen := startWithAppCluster(t, "lifecycle-seen", "developer", link.port)
	await(t, deadline, func() error {
		if status, text := seen.send(t, create(missingLocal, "a")); status != http.StatusNotFound {
			return fmt.Errorf("status %d: %s", status, text)
		}
		return nil
	})
	link.refuseConnections()
	unseen := startWithAppCluster(t, "lifecycle-unseen", "developer", link.port)
	for _, expected := range []struct {
		c         withAppCluster
		namespace string
		status    int
	}{
		{seen, "team-a", http.StatusCreated}, {seen, missingLocal, http.StatusInternalServerError},
		{unseen, "default", http.StatusCreated}, {unseen, missingLocal, http.StatusCreated},
	} {
		if status, text := expected.c.send(t, create(expected.namespace, "unavailable")); status != expected.status {
			t.Errorf("%s in %s: status %d: %s", expected.c.name, expected.namespace, status, text)
		}
	}
}
