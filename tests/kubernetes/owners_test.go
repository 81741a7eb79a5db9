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

// heldBack is a finalizer that no collector knows.
const heldBack = "example.org/hold"

// collectorHasSeen returns when the collector of a cluster has judged an object that was made after all
// others of its kind, so that it knows these.
func collectorHasSeen(t *testing.T, c *cluster, kind, namespace string) {
	t.Helper()
	dangling := ownedBy(kind, "dangling", "v1", "ConfigMap", "nobody", "00000000-0000-0000-0000-000000000000")
	kubectl(t, c, dangling, "-n", namespace, "create", "-f", "-")
	isGone(t, c, "-n", namespace, kind, "dangling")
}

// ownsInBothClusters makes a claim that owns a ConfigMap in the app cluster and, as with a connection
// Secret, a Secret on the control plane, both of its name, which both collectors know.
func ownsInBothClusters(t *testing.T, name string) {
	t.Helper()
	kubectl(t, theBed.app, claim("default", name), "create", "-f", "-")
	id := uid(t, theBed.cp, "-n", "app-ns-1", "kc", name)
	kubectl(t, theBed.app, ownedBy("ConfigMap", name, groupVersion, "KubernetesCluster", name, id), "create", "-f", "-")
	kubectl(t, theBed.cp, ownedBy("Secret", name, groupVersion, "KubernetesCluster", name, id), "-n", "app-ns-1", "create", "-f", "-")
	collectorHasSeen(t, theBed.app, "ConfigMap", "default")
	collectorHasSeen(t, theBed.cp, "Secret", "app-ns-1")
}

func isSoon(t *testing.T, try func() error) {
	t.Helper()
	if err := eventually(collected, try); err != nil {
		t.Fatal(err)
	}
}

func isGone(t *testing.T, c *cluster, args ...string) {
	t.Helper()
	isSoon(t, gone(c, args...))
}

func TestOrphansStayInBothClusters(t *testing.T) {
	waitForCollector(t)
	ownsInBothClusters(t, "leaves")
	t.Cleanup(func() {
		theBed.try(theBed.app.kubeconfig, "", "delete", "configmap", "leaves")
		theBed.try(theBed.cp.kubeconfig, "", "-n", "app-ns-1", "delete", "secret", "leaves")
	})
	app(t, "delete", "kc", "leaves", "--cascade=orphan", "--timeout=90s")
	isGone(t, theBed.cp, "-n", "app-ns-1", "kc", "leaves")
	lacks(t, app(t, "get", "configmap", "leaves", "-o", "yaml"), "ownerReferences", "deletionTimestamp")
	lacks(t, plane(t, "-n", "app-ns-1", "get", "secret", "leaves", "-o", "yaml"), "ownerReferences", "deletionTimestamp")
}

func TestInTheForegroundAClaimWaitsForBothClusters(t *testing.T) {
	waitForCollector(t)
	ownsInBothClusters(t, "waits")
	held := func(c *cluster, namespace, kind string) {
		kubectl(t, c, "", "-n", namespace, "patch", kind, "waits", "--type=merge", "-p", `{"metadata":{"finalizers":["`+heldBack+`"]}}`)
	}
	released := func(c *cluster, namespace, kind string) {
		kubectl(t, c, "", "-n", namespace, "patch", kind, "waits", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	}
	held(theBed.app, "default", "configmap")
	held(theBed.cp, "app-ns-1", "secret")
	app(t, "delete", "kc", "waits", "--cascade=foreground", "--wait=false")
	for c, args := range map[*cluster][]string{
		theBed.app: {"configmap", "waits"},
		theBed.cp:  {"-n", "app-ns-1", "secret", "waits"},
	} {
		isSoon(t, func() error {
			if kubectl(t, c, "", append([]string{"get", "-o", "jsonpath={.metadata.deletionTimestamp}"}, args...)...) == "" {
				return fmt.Errorf("%v is not deleted", args)
			}
			return nil
		})
	}
	finalizers := "jsonpath={.metadata.finalizers}"
	contains(t, app(t, "get", "kc", "waits", "-o", finalizers), `["foregroundDeletion"]`)
	contains(t, plane(t, "-n", "app-ns-1", "get", "kc", "waits", "-o", finalizers), `"foregroundDeletion"`, `"claimgate.dev/foregroundDeletion"`)

	released(theBed.cp, "app-ns-1", "secret")
	isSoon(t, func() error {
		left := plane(t, "-n", "app-ns-1", "get", "kc", "waits", "-o", finalizers)
		if left != `["claimgate.dev/foregroundDeletion"]` {
			return fmt.Errorf("the claim has %s", left)
		}
		return nil
	})
	app(t, "get", "configmap", "waits")
	released(theBed.app, "default", "configmap")
	isGone(t, theBed.app, "configmap", "waits")
	isGone(t, theBed.cp, "-n", "app-ns-1", "kc", "waits")
}

func TestInTheBackgroundBothClustersAreCollected(t *testing.T) {
	waitForCollector(t)
	ownsInBothClusters(t, "sheds")
	app(t, "delete", "kc", "sheds", "--cascade=background", "--timeout=90s")
	isGone(t, theBed.app, "configmap", "sheds")
	isGone(t, theBed.cp, "-n", "app-ns-1", "secret", "sheds")
}

// A claim that is being deleted takes no finalizer, by which the collector would know.
func TestOrphansAreAskedForInTime(t *testing.T) {
	waitForCollector(t)
	ownsInBothClusters(t, "late")
	hold := `{"metadata":{"finalizers":["` + heldBack + `"]}}`
	app(t, "patch", "kc", "late", "--type=merge", "-p", hold)
	app(t, "delete", "kc", "late", "--cascade=background", "--wait=false")
	out, err := theBed.try(theBed.app.kubeconfig, "", "delete", "kc", "late", "--cascade=orphan", "--wait=false")
	if err == nil {
		t.Fatalf("that was taken: %s", out)
	}
	contains(t, err.Error(), "being deleted already", "owner references")
	// A client that lets it go by hand would be refused as well.
	_, err = theBed.try(theBed.app.kubeconfig, "", "patch", "kc", "late", "--type=merge", "-p", `{"metadata":{"finalizers":["orphan","`+heldBack+`"]}}`)
	if err == nil {
		t.Fatal("a finalizer was added")
	}
	contains(t, err.Error(), "no new finalizers can be added")
	app(t, "delete", "kc", "late", "--cascade=foreground", "--wait=false")
	app(t, "patch", "kc", "late", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	isGone(t, theBed.cp, "-n", "app-ns-1", "kc", "late")
	isGone(t, theBed.app, "configmap", "late")
}
