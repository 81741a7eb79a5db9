package kubernetes

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Both clusters' garbage collectors run. A collector looks for new resources every 30 s.
const collected = 90 * time.Second

func gone(c *cluster, args ...string) func() error {
	return func() error {
		out, err := theBed.try(c.kubeconfig, "", append([]string{"get", "--ignore-not-found", "-o", "name"}, args...)...)
		if err == nil && out != "" {
			err = fmt.Errorf("%s is still there", out)
		}
		return err
	}
}

func uid(t *testing.T, c *cluster, args ...string) string {
	t.Helper()
	return kubectl(t, c, "", append([]string{"get", "-o", "jsonpath={.metadata.uid}"}, args...)...)
}

// ownedBy returns an object of the core API with an owner.
func ownedBy(kind, name, ownerAPI, ownerKind, ownerName, ownerUID string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: %s
metadata:
  name: %s
  ownerReferences:
  - {apiVersion: %s, kind: %s, name: %s, uid: %s, blockOwnerDeletion: true}
`, kind, name, ownerAPI, ownerKind, ownerName, ownerUID)
}

// waitForCollector returns when the app cluster's collector watches claims: it does by metadata alone,
// and nothing else here holds a watch for long.
func waitForCollector(t *testing.T) {
	t.Helper()
	watches := regexp.MustCompile(`claimgate_watches\{[^}]*\} [1-9]`)
	err := eventually(collected, func() error {
		response, err := admin().Get(fmt.Sprintf("http://localhost:%d/metrics", theBed.adminPort))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || !watches.Match(text) {
			return fmt.Errorf("nobody watches: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOwnersOnTheControlPlaneAreNotTheAppClusters(t *testing.T) {
	waitForCollector(t)
	plane(t, "-n", "app-ns-1", "create", "configmap", "owner")
	owner := uid(t, theBed.cp, "-n", "app-ns-1", "configmap", "owner")
	owned := strings.Replace(claim("app-ns-1", "owned"), "namespace: app-ns-1}", fmt.Sprintf(
		"namespace: app-ns-1, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: %s}]}", owner), 1)
	kubectl(t, theBed.cp, owned, "apply", "-f", "-")

	shown := app(t, "get", "kc", "owned", "-o", "yaml")
	lacks(t, shown, "  ownerReferences:")
	contains(t, shown, "claimgate.dev/hidden", owner)
	lacks(t, plane(t, "-n", "app-ns-1", "get", "kc", "owned", "-o", "yaml"), "claimgate.dev/hidden")

	// The app cluster's collector takes a ConfigMap with an owner that is not there; what it saw
	// before that it has judged before that.
	kubectl(t, theBed.app, ownedBy("ConfigMap", "dangling", "v1", "ConfigMap", "owner", owner), "create", "-f", "-")
	if err := eventually(collected, gone(theBed.app, "configmap", "dangling")); err != nil {
		t.Fatal(err)
	}
	app(t, "get", "kc", "owned")

	// An update brings back what it did not see, and so does what goes by kubectl edit.
	replaced := strings.Replace(app(t, "get", "kc", "owned", "-o", "yaml"), "region: eu", "region: us", 1)
	kubectl(t, theBed.app, replaced, "replace", "-f", "-")
	app(t, "label", "kc", "owned", "colour=blue")
	kept := plane(t, "-n", "app-ns-1", "get", "kc", "owned", "-o", "yaml")
	contains(t, kept, "ownerReferences:", owner, "region: us", "colour: blue")
	stored := plane(t, "-n", "app-ns-1", "get", "kc", "owned", "-o", `jsonpath={.metadata.annotations.claimgate\.dev/hidden}`)
	if stored != "" {
		t.Fatalf("what was hidden is stored: %s", stored)
	}

	// The control plane's own collector goes on as ever.
	plane(t, "-n", "app-ns-1", "delete", "configmap", "owner")
	if err := eventually(collected, gone(theBed.app, "kc", "owned")); err != nil {
		t.Fatal(err)
	}
}

func TestOwnersInTheAppClusterAreRefused(t *testing.T) {
	kubectl(t, theBed.app, claim("default", "free"), "create", "-f", "-")
	t.Cleanup(func() { theBed.try(theBed.app.kubeconfig, "", "delete", "kc", "free", "--ignore-not-found") })
	app(t, "create", "configmap", "local-owner")
	t.Cleanup(func() { theBed.try(theBed.app.kubeconfig, "", "delete", "configmap", "local-owner") })
	reference := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","name":"local-owner","uid":%q}`,
		uid(t, theBed.app, "configmap", "local-owner"))
	created := strings.Replace(claim("default", "leashed"), "}", ", ownerReferences: ["+reference+"]}", 1)
	for _, attempt := range []struct {
		stdin string
		args  []string
	}{
		{created, []string{"create", "-f", "-"}},
		{created, []string{"apply", "--server-side", "-f", "-"}},
		{"", []string{"patch", "kc", "free", "--type=merge", "-p", `{"metadata":{"ownerReferences":[` + reference + `]}}`}},
		{"", []string{"patch", "kc", "free", "--type=json", "-p",
			`[{"op":"add","path":"/metadata/ownerReferences","value":[` + reference + `]}]`}},
	} {
		out, err := theBed.try(theBed.app.kubeconfig, attempt.stdin, attempt.args...)
		if err == nil {
			t.Fatalf("%v was taken: %s", attempt.args, out)
		}
		contains(t, err.Error(), "metadata.ownerReferences", "control plane")
	}
	// YAML in which quotes are not what they are in JSON, so that the metadata looks like a string.
	status, body := request(t, theBed.app, "PATCH",
		"/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters/leashed?fieldManager=test",
		`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","spec":{"region": '"'},"metadata":{"name":"leashed",`+
			`"ownerReferences":[`+reference+`],"annotations":{"k":"{","z": '"'}}}`,
		map[string]string{"Content-Type": "application/apply-patch+yaml; charset=utf-8"})
	if status != 422 || !strings.Contains(body, `"field":"metadata.ownerReferences"`) {
		t.Fatalf("%d %s", status, body)
	}
	status, body = request(t, theBed.app, "POST", "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters",
		`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"leashed","ownerReferences":[`+reference+`]}}`,
		map[string]string{"Content-Type": "application/json"})
	if status != 422 || !strings.Contains(body, `"field":"metadata.ownerReferences"`) {
		t.Fatalf("%d %s", status, body)
	}
}

func TestWhatAClaimOwnsInTheAppClusterIsCollected(t *testing.T) {
	waitForCollector(t)
	kubectl(t, theBed.app, claim("default", "master"), "create", "-f", "-")
	dependent := ownedBy("ConfigMap", "servant", groupVersion, "KubernetesCluster", "master",
		uid(t, theBed.app, "kc", "master"))
	kubectl(t, theBed.app, dependent, "create", "-f", "-")
	app(t, "delete", "kc", "master")
	if err := eventually(collected, gone(theBed.app, "configmap", "servant")); err != nil {
		t.Fatal(err)
	}
}

// A connection Secret, say, which its claim owns on the control plane.
func TestDeletionsReachWhatAClaimOwnsOnTheControlPlane(t *testing.T) {
	for cascade, stays := range map[string]bool{"foreground": false, "orphan": true} {
		name := "root-" + cascade
		kubectl(t, theBed.app, claim("default", name), "create", "-f", "-")
		secret := ownedBy("Secret", name, groupVersion, "KubernetesCluster", name,
			uid(t, theBed.cp, "-n", "app-ns-1", "kc", name))
		kubectl(t, theBed.cp, secret, "-n", "app-ns-1", "create", "-f", "-")
		app(t, "delete", "kc", name, "--cascade="+cascade, "--timeout=90s")
		if err := eventually(collected, gone(theBed.cp, "-n", "app-ns-1", "kc", name)); err != nil {
			t.Fatal(err)
		}
		if !stays {
			if err := eventually(collected, gone(theBed.cp, "-n", "app-ns-1", "secret", name)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		lacks(t, plane(t, "-n", "app-ns-1", "get", "secret", name, "-o", "yaml"), "ownerReferences")
	}
}
